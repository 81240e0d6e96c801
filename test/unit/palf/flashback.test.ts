/** Flashbacks that some replicas hear of late: while they are away, while they lag, while the leader's disk is slow. */
import { expect, test } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import { configCutsMax } from '../../../src/base/limits.ts';
import type { LogPosition } from '../../../src/base/log-access.ts';
import { type NodeId, proposalId, scn } from '../../../src/base/scalars.ts';
import { decodeGroups, isProblem } from '../../../src/codec/clog.ts';
import type { PalfMessage } from '../../../src/codec/palf-message.ts';
import type { PalfOutcome } from '../../../src/palf/effects.ts';
import { RawSource } from '../../sim/group/raw-source.ts';
import { PalfRig, type RigNode } from '../../support/palf-rig.ts';

const answer = (rig: PalfRig, node: RigNode, token: number): PalfOutcome => {
  rig.until(() => node.replies.has(token), 'an answer');
  return must(node.replies.get(token), 'answer');
};

const mode = (rig: PalfRig, node: RigNode, to: 'APPEND' | 'RAW_WRITE' | 'FLASHBACK'): PalfOutcome =>
  answer(
    rig,
    node,
    rig.ask(node, token => ({
      kind: 'changeMode',
      to,
      expectedModeVersion: node.view.modeVersion,
      referenceScn: scn(0),
      token,
    })),
  );

const beginFlashback = (rig: PalfRig, leader: RigNode, cut: LogPosition): number => {
  mode(rig, leader, 'RAW_WRITE');
  mode(rig, leader, 'FLASHBACK');
  // What was committed is not for ever now.
  rig.committed.clear();
  return rig.ask(leader, token => ({ kind: 'flashback', cut, token }));
};

/** Cuts the log, which takes entries before and after. */
const flashBack = (rig: PalfRig, leader: RigNode, cut: LogPosition): void => {
  const outcome = answer(rig, leader, beginFlashback(rig, leader, cut));
  expect(outcome).toEqual({ kind: 'flashed-back', end: cut });
  mode(rig, leader, 'APPEND');
};

const commitMany = (rig: PalfRig, node: RigNode, count: number, text: string): LogPosition => {
  for (let left = count; left > 0; left--) rig.commit(node, text);
  return node.view.committed;
};

const endsOf = ({ groups }: RigNode): string => JSON.stringify(groups.map(({ end }) => end));

const hasLogOf = (leader: RigNode, node: RigNode): boolean =>
  node.view.committed.lsn === leader.view.committed.lsn && endsOf(leader) === endsOf(node);

const firstFollower = (rig: PalfRig, leader: RigNode): RigNode => must(rig.followers(leader)[0], 'follower');

test.for([
  ['inside what it has', 3],
  ['behind what it has', 30],
] as const)('a replica that missed two flashbacks is cut at the first, the second being %s', ([, count]) => {
  const rig = new PalfRig(1, ['a', 'b', 'c']).bootAll();
  const leader = rig.elect();
  const first = rig.commit(leader, 'common');
  commitMany(rig, leader, 10, 'old history');
  rig.settle(leader);
  const away = firstFollower(rig, leader);
  rig.crash(away);
  flashBack(rig, leader, first);
  const second = commitMany(rig, leader, count, 'new history');
  commitMany(rig, leader, 2, 'cut off again');
  flashBack(rig, leader, second);
  commitMany(rig, leader, 5, 'newest');
  rig.boot(away);
  rig.until(() => hasLogOf(leader, away), 'the log of the leader');
  expect(away.rebuilds).toEqual([]);
  // It counts.
  const [other] = rig.followers(leader).filter(node => node !== away);
  rig.crash(must(other, 'follower'));
  rig.commit(leader, 'with it alone');
});

test('a replica whose database holds what an earlier one of two flashbacks cut off asks for a copy', () => {
  const rig = new PalfRig(1, ['a', 'b', 'c']).bootAll();
  const leader = rig.elect();
  const first = rig.commit(leader, 'common');
  commitMany(rig, leader, 10, 'old history');
  rig.settle(leader);
  const away = firstFollower(rig, leader);
  const { committed } = away.view;
  rig.ask(away, token => ({ kind: 'advanceBase', base: committed, checkpointLsn: committed.lsn, token }));
  rig.run(500);
  rig.crash(away);
  flashBack(rig, leader, first);
  const second = commitMany(rig, leader, 30, 'new history');
  rig.commit(leader, 'cut off again');
  flashBack(rig, leader, second);
  rig.boot(away);
  rig.until(() => away.rebuilds.length > 0, 'a need for a copy');
  expect(away.view.committed).toEqual(committed);
});

test('a replica that missed more flashbacks than a record tells of asks for a copy', () => {
  const rig = new PalfRig(1, ['a', 'b', 'c']).bootAll();
  const leader = rig.elect();
  let cut = rig.commit(leader, 'common');
  commitMany(rig, leader, 10, 'old history');
  rig.settle(leader);
  const away = firstFollower(rig, leader);
  rig.crash(away);
  for (let count = 0; count <= configCutsMax; count++) {
    flashBack(rig, leader, cut);
    cut = rig.commit(leader, 'kept');
    rig.commit(leader, 'cut off');
  }
  rig.boot(away);
  rig.until(() => away.rebuilds.length > 0, 'a need for a copy');
  expect(away.rebuilds.at(-1)?.peer).toBe(leader.id);
});

test('a committed end that its leader does not have, and no flashback explains, is answered with a copy', () => {
  const rig = new PalfRig(1, ['a', 'b', 'c']).bootAll();
  const leader = rig.elect();
  const cut = rig.commit(leader, 'common');
  commitMany(rig, leader, 5, 'old history');
  rig.settle(leader);
  const away = firstFollower(rig, leader);
  rig.crash(away);
  flashBack(rig, leader, cut);
  commitMany(rig, leader, 20, 'new history');
  // As if it had made the cut.
  away.meta = { ...away.meta, cutApplied: leader.meta.cutApplied };
  rig.boot(away);
  rig.until(() => away.rebuilds.length > 0, 'a need for a copy');
});

test('what a voter calls committed counts for a candidate without what a flashback cut off', () => {
  const rig = new PalfRig(1, ['a', 'b', 'c', 'd', 'e']).bootAll();
  const leader = rig.elect();
  const cut = rig.commit(leader, 'common');
  commitMany(rig, leader, 10, 'old history');
  rig.settle(leader);
  const [stands, third, fourth, away] = rig.followers(leader) as [RigNode, RigNode, RigNode, RigNode];
  rig.crash(away);
  flashBack(rig, leader, cut);
  rig.commit(leader, 'new history');
  rig.settle(leader).run(100);
  const agreed = leader.view.committed.lsn;
  // Two of five have more, and one of them the most: nothing of that is committed.
  rig.isCut = (_, to, { kind }) => kind === 'push' && (to === third.id || to === fourth.id);
  for (let count = 0; count < 12; count++) {
    rig.propose(leader, 'two have it');
    rig.run(5);
  }
  rig.run(20);
  rig.isCut = from => from === leader.id;
  rig.propose(leader, 'one has it');
  rig.run(5);
  expect(leader.view.committed.lsn).toBe(agreed);
  rig.boot(away);
  // The candidate hears of the old leader's log, and of the one that was away, and gets as far as fetching.
  const says = ['canvass', 'renew', 'push', 'config'];
  rig.isCut = (from, to, { kind }: PalfMessage) =>
    (says.includes(kind) && (from === leader.id || to === leader.id)) ||
    (kind === 'prepare' && (from !== stands.id || to === third.id || to === fourth.id));
  rig.until(() => stands.view.stage === 'fetching', 'a candidate that fetches');
  rig.until(() => stands.view.stage === 'starting' || stands.view.stage === 'follower', 'the end of it');
  expect(stands.view.committed.lsn).toBe(agreed);
  // Others go on without any of them.
  rig.crash(stands);
  rig.crash(leader);
  rig.isCut = () => false;
  const next = rig.elect();
  commitMany(rig, next, 2, 'another history');
  rig.boot(stands);
  rig.boot(leader);
  rig.settle(next);
});

test('a leader whose disk is slow to cut tells nobody that what it cuts off is committed', () => {
  const rig = new PalfRig(1, ['a', 'b', 'c']).bootAll();
  const leader = rig.elect();
  const cut = rig.commit(leader, 'common');
  rig.settle(leader).run(50);
  const [lags, other] = rig.followers(leader) as [RigNode, RigNode];
  const holdsBack = (to: NodeId, message: PalfMessage) => to === lags.id && message.kind === 'push';
  rig.isCut = (_, to, message) => holdsBack(to, message);
  commitMany(rig, leader, 10, 'old history');
  const { proposalId: before } = leader.view;
  const token = beginFlashback(rig, leader, cut);
  const told: number[] = [];
  rig.isCut = (_, to, message) => {
    if (message.kind === 'renew' && message.proposal > before) told.push(message.committed);
    return holdsBack(to, message) && message.proposal === before;
  };
  rig.until(() => leader.meta.truncateTo !== null, 'a cut that is decided');
  leader.isDiskStuck = true;
  rig.run(350);
  rig.freeDisk(leader);
  expect(answer(rig, leader, token)).toEqual({ kind: 'flashed-back', end: cut });
  expect(told.length).toBeGreaterThan(0);
  expect(new Set(told)).toEqual(new Set([cut.lsn]));
  mode(rig, leader, 'RAW_WRITE');
  rig.run(500);
  // The only log of the new history is that of the one that lagged.
  rig.crash(other);
  leader.isDiskStuck = true;
  const source = new RawSource(leader.view.committed, 16_384, proposalId(77));
  for (let count = 0; count < 4; count++) source.write(Buffer.from(`raw ${count}`), scn(3_000_000 + count));
  const { start, bytes } = must(source.chunk(leader.view.committed.lsn, 8), 'groups of the other site');
  const groups = decodeGroups(bytes, start);
  if (isProblem(groups)) throw new Error(groups.what);
  rig.ask(leader, given => ({ kind: 'rawWrite', start, groups, token: given }));
  rig.run(200);
  expect(lags.view.flushed.lsn).toBeGreaterThan(cut.lsn);
  expect(lags.view.committed).toEqual(cut);
});

test('what a leader was told as a follower, before it cut the log, is not committed when it follows again', () => {
  const rig = new PalfRig(1, ['a', 'b', 'c']).bootAll();
  const before = rig.elect();
  const cut = rig.commit(before, 'common');
  commitMany(rig, before, 10, 'old history');
  rig.settle(before);
  const leader = firstFollower(rig, before);
  rig.ask(before, token => ({ kind: 'transfer', target: leader.id, token }));
  rig.until(() => leader.view.isActive, 'another leader');
  flashBack(rig, leader, cut);
  const others = rig.followers(leader);
  for (const other of others) rig.crash(other);
  for (let count = 0; count < 3; count++) rig.propose(leader, 'nobody else has it');
  rig.until(() => leader.view.role === 'follower', 'a step down');
  for (const other of others) rig.boot(other);
  // Nothing but a vote is wanted of it.
  rig.isCut = (from, to, { kind }) => from === leader.id || (to === leader.id && kind !== 'prepare');
  const { promised } = leader.view;
  rig.until(() => leader.view.promised > promised, 'a vote');
  rig.run(10);
  expect(leader.view.flushed.lsn).toBeGreaterThan(cut.lsn);
  expect(leader.view.committed).toEqual(cut);
});
