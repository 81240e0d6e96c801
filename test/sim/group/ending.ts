/** How a run must end: everybody who takes part has the same log, and the same machine from it. */
import { replicasOf } from '../../../src/codec/config-record.ts';
import { compareVersions } from '../../../src/codec/config-record.ts';
import type { GroupWorld } from './world.ts';

export function isConverged(world: GroupWorld): boolean {
  const leader = world.leader();
  const state = leader?.life?.log.state();
  if (leader === undefined || state === undefined || !world.operator.isTidy || !world.modes.isTidy)
    return false;
  if (state.maxLsn !== state.end.lsn || state.config.degraded.length > 0) return false;
  const { arbiter, version } = state.config;
  if (arbiter !== null) {
    const held = world.arbitration.recordOf(arbiter);
    if (held === undefined || compareVersions(held.version, version) !== 0) return false;
  }
  return replicasOf(state.config).every(id => {
    const { life } = world.node(id);
    const other = life?.log.state();
    return (
      life !== undefined &&
      other !== undefined &&
      !other.isImpaired &&
      compareVersions(other.config.version, version) === 0 &&
      other.end.lsn === state.end.lsn &&
      other.end.checksum === state.end.checksum &&
      world.node(id).appliedLsn === state.end.lsn &&
      life.machine.hash === leader.life?.machine.hash
    );
  });
}

export function describe(world: GroupWorld): string {
  const nodes = world.nodes.map(node => {
    if (node.isGone) return `${node.id} is gone`;
    if (node.life === undefined) return `${node.id} is ${node.isBooting ? 'starting' : 'down'}`;
    const state = node.life.log.state();
    const { members, learners, version, degraded, arbiter } = state.config;
    const lists = [members, learners, degraded].map(list => list.join(' ')).join(' | ');
    return `${node.id} ${state.isActive ? 'LEADS' : state.role} p${state.proposalId} ${state.accessMode} ${state.end.lsn}/${state.maxLsn} applied ${node.appliedLsn} config ${version.proposalId}.${version.sequence} [${lists} | ${arbiter ?? ''}]${state.isImpaired ? ' impaired' : ''}`;
  });
  const arbiters = world.arbitration.arbiters.map(({ id, isGone, isUp, image: { promised, config } }) => {
    const version = config === null ? 'none' : `${config.version.proposalId}.${config.version.sequence}`;
    return `${id} ${isGone ? 'is gone' : isUp ? 'is up' : 'is down'} p${promised} config ${version}`;
  });
  return `\n  ${[...nodes, ...arbiters].join('\n  ')}`;
}
