/**
 * What the faults of a run may not do, because no protocol survives it: the voters that keep their data and answer
 * must stay a majority of every list of voters that may be in force. With an arbiter, and without it, any such majority holds a
 * member of any majority of the members, and so everything that was committed.
 */
import type { NodeId, Scn } from '../../../src/base/scalars.ts';
import { compareVersions, haveSameVoters, noVersion } from '../../../src/codec/config-record.ts';
import { missedCut } from '../../../src/palf/flashback-cuts.ts';
import type { GroupNode } from './node.ts';
import type { GroupWorld } from './world.ts';

/** Whether a node may lose its data, or a part of it, now. */
export function isGroupSafe(world: GroupWorld, without: GroupNode): boolean {
  return areListsSafe(world, without.id);
}

export function areListsSafe(world: GroupWorld, without: NodeId): boolean {
  const lists = [...world.voterLists()];
  if (!lists.every(voters => hasMajority(world, voters, without))) return false;
  if (!hasHeir(world, without)) return false;
  // With fewer than half of the F replicas nobody is degraded, and nobody leads.
  return [...world.arbitration.arbitratedLists()].every(replicas => {
    const lost = replicas.filter(id => id === without || world.isLost(id));
    return lost.length * 2 <= replicas.length;
  });
}

/**
 * Whether somebody has, or can take, the record that the arbiter holds. Log that its maker began with, and that nobody else has,
 * may have been committed by fewer, as far as anybody else can know: then it must come back.
 */
function hasHeir(world: GroupWorld, without: NodeId): boolean {
  const { config, basis } = world.arbitration.present?.image ?? { config: null, basis: null };
  if (config === null || basis === null || config.arbiter === null) return true;
  const needed = Math.max(basis.start.lsn, basis.barrier);
  return config.members.some(id => {
    if (id === without || world.isLost(id)) return false;
    const record = world.arbitration.recordOf(id);
    if (record !== undefined && compareVersions(record.version, config.version) >= 0) return true;
    const { platter } = world.node(id);
    // Nobody takes the record of a flashback that it has not made from anybody but its leader.
    const cutApplied = platter.meta()?.cutApplied ?? noVersion;
    if (missedCut(config, cutApplied) !== null) return false;
    // One of two, without whom nothing was committed since.
    const missesNothing =
      record !== undefined && config.members.length <= 2 && haveSameVoters(record, config);
    return (
      (missesNothing && compareVersions(basis.since, record.version) <= 0) || platter.end().lsn >= needed
    );
  });
}

/** Whether a list of voters would work with the nodes that are left. */
export function isListSafe(world: GroupWorld, voters: readonly NodeId[]): boolean {
  return hasMajority(world, voters, undefined);
}

/**
 * Whether the log may be cut back to `to`: a replica whose database holds more begins anew, and where others lost their data
 * that may be one too many. With nobody lost it is for the log itself to refuse.
 */
export function isFlashbackSafe(world: GroupWorld, members: readonly NodeId[], to: Scn): boolean {
  if (members.every(id => !world.isLost(id))) return true;
  const kept = members.filter(
    id => !world.isLost(id) && (world.node(id).durableImages.at(-1)?.scn ?? 0) <= to,
  );
  return kept.length * 2 > members.length;
}

function hasMajority(world: GroupWorld, voters: readonly NodeId[], without: NodeId | undefined): boolean {
  const lost = voters.filter(id => id === without || world.isLost(id));
  return (voters.length - lost.length) * 2 > voters.length;
}
