/**
 * Random schedules over bare cores: a network that loses, doubles and delays, crashes, partitions, stuck disks, changes of
 * members and leaders; then everything works, and a leader must come and commit. What is wrong is found by the rig.
 */
import { expect, test } from 'vitest';
import type { NodeId } from '../../../src/base/scalars.ts';
import { PalfRig, type RigNode } from '../../support/palf-rig.ts';

const schedules = 1_000;

function playOne(seed: number): { commits: number; leaders: number } {
  const size = 1 + (seed % 5);
  const names = ['a', 'b', 'c', 'd', 'e'].slice(0, size);
  const rig = new PalfRig(seed, names, size < 5 ? ['l'] : []);
  const { random } = rig;
  rig.lost = random.pick([0, 0, 20, 200]);
  rig.doubled = random.pick([0, 0, 20, 200]);
  rig.delayMsMax = random.pick([1, 10, 60]);
  rig.ioMsMax = random.pick([1, 10, 100]);
  rig.bootAll();
  for (let turn = 0; turn < 60; turn++) {
    rig.run(random.pick([1, 5, 20, 100, 700, 2_000]));
    act(rig);
  }
  return heal(rig, seed);
}

function act(rig: PalfRig): void {
  const { random } = rig;
  const node = random.pick([...rig.nodes.values()]);
  const { leader } = rig;
  switch (random.between(0, 15)) {
    case 0:
      if (node.core !== undefined) rig.crash(node);
      return;
    case 1:
    case 2:
      if (node.core === undefined) {
        node.isDiskStuck = false;
        rig.boot(node, { priority: random.between(0, 2) });
      }
      return;
    case 3: {
      const away = new Set<NodeId>([node.id, random.pick([...rig.nodes.keys()])]);
      const isOneWay = random.chance(1, 3);
      rig.isCut = (from, to) => away.has(from) !== away.has(to) && (!isOneWay || away.has(from));
      return;
    }
    case 4:
    case 5:
      rig.isCut = () => false;
      return;
    case 6:
      if (node.core !== undefined) node.isDiskStuck = true;
      return;
    case 7:
      for (const other of rig.nodes.values()) rig.freeDisk(other);
      return;
    case 8:
      if (leader !== undefined) rig.ask(leader, token => ({ kind: 'transfer', target: node.id, token }));
      return;
    case 9:
      if (leader !== undefined) changeMembers(rig, leader, node.id);
      return;
    case 10:
    case 11: {
      // The leader orders what nobody, or one other, hears of.
      if (leader === undefined) return;
      const hears = random.chance(1, 2) ? node.id : leader.id;
      rig.isCut = (from, to) => (from === leader.id && to !== hears) || (to === leader.id && from !== hears);
      for (let count = random.between(1, 4); count > 0; count--)
        if (leader.view.isActive) rig.propose(leader, 'tail');
      return;
    }
    case 12:
      if (leader !== undefined) rig.crash(leader);
      return;
    default:
      if (leader !== undefined)
        for (let count = random.between(1, 20); count > 0; count--)
          if (leader.view.isActive) rig.propose(leader, 'x'.repeat(random.between(1, 2_000)));
  }
}

function changeMembers(rig: PalfRig, leader: RigNode, node: NodeId): void {
  const { governing } = leader.view;
  const kind = governing.members.includes(node)
    ? rig.random.pick(['demote', 'remove'] as const)
    : governing.learners.includes(node)
      ? rig.random.pick(['promote', 'promote', 'remove'] as const)
      : 'add-learner';
  rig.ask(leader, token => ({
    kind: 'changeConfig',
    change: { kind, node },
    expectedVersion: governing.version,
    token,
  }));
}

function heal(rig: PalfRig, seed: number): { commits: number; leaders: number } {
  rig.lost = 0;
  rig.doubled = 0;
  rig.delayMsMax = 5;
  rig.ioMsMax = 5;
  rig.isCut = () => false;
  for (const node of rig.nodes.values()) {
    rig.freeDisk(node);
    if (node.core === undefined) rig.boot(node);
  }
  try {
    rig.elect();
    // A leadership may still move to a member that stands before it.
    rig.run(8_000);
    const settled = rig.elect();
    rig.commit(settled);
    const takesPart = (node: RigNode) =>
      [...settled.view.governing.members, ...settled.view.governing.learners].includes(node.id);
    const isEqual = () =>
      rig.running.filter(takesPart).every(node => node.view.committed.lsn === settled.view.committed.lsn);
    rig.until(isEqual, 'equal logs');
  } catch (error) {
    throw new Error(`schedule ${seed}: ${String(error)}\n${describe(rig)}`, { cause: error });
  }
  const leaders = [...rig.nodes.values()].reduce((sum, node) => sum + node.roles.length, 0);
  return { commits: rig.committed.size, leaders };
}

const describe = (rig: PalfRig): string =>
  rig.running
    .map(({ id, view }) => {
      const { version, members, learners } = view.config;
      const place = `${view.stage} p${view.promised} a${view.accepted} ${view.committed.lsn}/${view.flushed.lsn}`;
      return `${id} ${place} ${version.proposalId}.${version.sequence} [${members.join(' ')} | ${learners.join(' ')}]`;
    })
    .join('\n');

test(`${schedules} random schedules keep what was committed, and end with a leader`, {
  timeout: 120_000,
}, () => {
  let commits = 0;
  for (let seed = 1; seed <= schedules; seed++) {
    try {
      commits += playOne(seed).commits;
    } catch (error) {
      throw error instanceof Error && error.message.startsWith('schedule')
        ? error
        : new Error(`schedule ${seed}: ${String(error)}`, { cause: error });
    }
  }
  // They are not idle.
  expect(commits).toBeGreaterThan(schedules * 5);
});
