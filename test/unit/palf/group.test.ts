/** Three cores and what may happen to them, one thing at a time. */
import { expect, test } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import { lsn, type NodeId, nodeId, scn } from '../../../src/base/scalars.ts';
import type { PalfMessage } from '../../../src/codec/palf-message.ts';
import { change, mode, three } from '../../support/palf-asks.ts';
import { PalfRig, type RigNode } from '../../support/palf-rig.ts';

const first = <T>(list: readonly T[]): T => must(list[0], 'first');

test('one of three leads, and what it orders is committed everywhere', () => {
  const rig = three();
  const leader = rig.elect();
  for (let count = 0; count < 20; count++) rig.commit(leader, `entry ${count}`);
  rig.settle(leader);
  const ends = rig.running.map(node => node.view.committed);
  expect(new Set(ends.map(end => JSON.stringify(end))).size).toBe(1);
  expect(rig.running.map(node => node.view.leader)).toEqual([leader.id, leader.id, leader.id]);
});

test('an entry is committed with one other, and never without', () => {
  const rig = three();
  const leader = rig.elect();
  const [one, other] = rig.followers(leader) as [RigNode, RigNode];
  rig.crash(one);
  rig.commit(leader);
  rig.crash(other);
  const outcome = rig.propose(leader);
  expect(outcome.kind).toBe('ordered');
  const before = leader.view.committed;
  rig.run(1_000);
  expect(leader.view.committed).toEqual(before);
});

test('when the leader dies another leads in time, with everything that was committed', () => {
  const rig = three();
  const leader = rig.elect();
  const end = rig.commit(leader);
  rig.crash(leader);
  const died = rig.now;
  const next = rig.elect(leader);
  expect(rig.now - died).toBeLessThan(2_000);
  expect(next.view.committed.lsn).toBeGreaterThanOrEqual(end.lsn);
  rig.commit(next);
  rig.boot(leader);
  rig.settle(next);
});

test('an abandoned tail is cut off, durably, before anything takes its place', () => {
  const rig = three();
  const leader = rig.elect();
  rig.commit(leader);
  rig.settle(leader);
  rig.isCut = (from, to) => from === leader.id || to === leader.id;
  for (let count = 0; count < 3; count++) rig.propose(leader, 'never committed');
  rig.run(100);
  const lost = leader.end;
  expect(lost.lsn).toBeGreaterThan(leader.view.committed.lsn);
  const next = rig.elect(leader);
  rig.commit(next, 'in its place');
  rig.isCut = () => false;
  rig.settle(next);
  expect(leader.view.committed).toEqual(next.view.committed);
  expect(
    leader.groups.some(group => group.end.lsn === lost.lsn && group.end.checksum === lost.checksum),
  ).toBe(false);
  expect(leader.roles.at(-1)).toMatchObject({ role: 'follower' });
});

test('a leader whose voters fall silent orders nothing outside its lease, and gives up one lease later', () => {
  const rig = three();
  const leader = rig.elect();
  rig.isCut = (from, to) => from === leader.id || to === leader.id;
  rig.until(() => !leader.view.isActive, 'the end of the lease');
  expect(rig.propose(leader)).toMatchObject({ refusal: { why: 'no-lease' } });
  expect(leader.view.role).toBe('leader');
  rig.until(() => leader.view.role === 'follower', 'a step down');
  expect(rig.propose(leader)).toMatchObject({ refusal: { why: 'not-leader' } });
});

test('a preferred leader that hears nobody any more is replaced in time, whatever was on its way', () => {
  for (let seed = 1; seed <= 60; seed++) {
    const rig = new PalfRig(seed, ['a', 'b', 'c']);
    rig.delayMsMax = 1 + (seed % 7) * 4;
    rig.ioMsMax = 1 + (seed % 5) * 12;
    const leader = rig.node('abc'.charAt(seed % 3));
    for (const node of rig.nodes.values()) rig.boot(node, { priority: node === leader ? 0 : 1 });
    rig.until(() => leader.view.isActive, 'the preferred leader');
    rig.commit(leader);
    rig.settle(leader);
    rig.run((seed * 7) % 300);
    for (let count = 0; count < seed % 3; count++) rig.propose(leader);
    const since = rig.now;
    rig.isCut = (_, to) => to === leader.id;
    const next = rig.elect(leader);
    expect(rig.now - since, `seed ${seed}`).toBeLessThan(4_000);
    rig.commit(next);
  }
});

test('who slept from its election on does not begin to lead when it wakes and others have gone on', () => {
  const rig = three();
  const late = rig.node('a');
  const held: { from: NodeId; message: PalfMessage }[] = [];
  rig.isCut = (from, to, message) => {
    const isHeld = to === late.id && message.kind !== 'promise' && message.kind !== 'support';
    if (isHeld && ['ack', 'config-ack'].includes(message.kind)) held.push({ from, message });
    return isHeld;
  };
  rig.until(() => held.some(({ message }) => message.kind === 'config-ack'), 'a record that was taken');
  rig.isCut = (from, to) => from === late.id || to === late.id;
  const next = rig.elect(late);
  rig.commit(next);
  for (const { from, message } of held) rig.feed(late, { kind: 'message', from, message });
  expect(late.roles.filter(({ role }) => role === 'leader')).toEqual([]);
});

test.each(['a', 'b', 'c'])('%s, the preferred leader, never hears anybody: another leads in time', name => {
  const rig = new PalfRig(1, ['a', 'b', 'c']);
  const deaf = rig.node(name);
  rig.isCut = (_, to) => to === deaf.id;
  for (const node of rig.nodes.values()) rig.boot(node, { priority: node === deaf ? 0 : 1 });
  const next = rig.elect(deaf);
  expect(rig.now).toBeLessThan(4_000);
  rig.commit(next);
});

test('a leader that is heard again in time goes on in the same proposal', () => {
  const rig = three();
  const leader = rig.elect();
  const { proposalId } = leader.view;
  rig.isCut = (_, to) => to === leader.id;
  rig.until(() => !leader.view.isActive, 'the end of the lease');
  rig.isCut = () => false;
  rig.until(() => leader.view.isActive, 'a lease');
  expect(leader.view.proposalId).toBe(proposalId);
  rig.commit(leader);
});

test('a restarted voter keeps silent for a lease', () => {
  const rig = three();
  const leader = rig.elect();
  rig.commit(leader);
  const voter = first(rig.followers(leader));
  rig.crash(voter);
  rig.boot(voter);
  const answers: string[] = [];
  rig.isCut = (from, _, message) => {
    if (from === voter.id) answers.push(message.kind);
    return false;
  };
  rig.run(1_100);
  expect(answers.filter(kind => kind === 'renewed' || kind === 'promise' || kind === 'support')).toEqual([]);
  expect(answers).toContain('ack');
  rig.run(600);
  expect(answers).toContain('renewed');
});

test('nothing is acknowledged to a new leader before its record is durable', () => {
  const rig = three();
  const leader = rig.elect();
  rig.commit(leader);
  rig.settle(leader);
  rig.crash(leader);
  rig.isCut = (_, __, message) => message.kind === 'config';
  const acks: number[] = [];
  const isCut = rig.isCut;
  rig.isCut = (from, to, message) => {
    if (message.kind === 'ack') acks.push(message.flushed);
    return isCut(from, to, message);
  };
  rig.run(4_000);
  expect(acks.length).toBeGreaterThan(0);
  expect(new Set(acks)).toEqual(new Set([0]));
  expect(rig.leader).toBeUndefined();
  rig.isCut = () => false;
  rig.elect();
});

test('a leadership is handed to a member that has everything', () => {
  const rig = three();
  const leader = rig.elect();
  const target = must(rig.followers(leader)[1], 'target');
  const token = rig.ask(leader, given => ({ kind: 'transfer', target: target.id, token: given }));
  rig.until(() => leader.replies.has(token), 'an answer');
  expect(leader.replies.get(token)).toEqual({ kind: 'transferred', to: target.id });
  const asked = rig.now;
  expect(rig.elect(leader)).toBe(target);
  expect(rig.now - asked).toBeLessThan(100);
  rig.commit(target);
  const outsider = rig.ask(target, given => ({ kind: 'transfer', target: nodeId('x'), token: given }));
  expect(target.replies.get(outsider)).toMatchObject({ refusal: { why: 'not-member' } });
});

/** Of three the target does not get the newest record, and the other member has it. */
const withoutRecord = (rig: PalfRig, leader: RigNode, target: RigNode): void => {
  rig.isCut = (_, to, { kind }) => to === target.id && kind === 'config';
  rig.boot(rig.add('d', [], ['d']));
  expect(change(rig, leader, { kind: 'add-learner', node: nodeId('d') })).toMatchObject({
    kind: 'config-changed',
  });
  rig.settle(leader);
};

test('a leadership is not handed to a member without the newest record, for which nobody would vote', () => {
  const rig = three();
  const leader = rig.elect();
  rig.commit(leader);
  rig.settle(leader).run(700);
  const target = must(rig.followers(leader)[1], 'target');
  withoutRecord(rig, leader, target);
  const ask = (): number => rig.ask(leader, token => ({ kind: 'transfer', target: target.id, token }));
  const early = ask();
  rig.until(() => leader.replies.has(early), 'an answer');
  expect(leader.replies.get(early)).toMatchObject({ refusal: { why: 'not-caught-up' } });
  expect(leader.view.isActive).toBe(true);
  rig.isCut = () => false;
  rig.run(700);
  ask();
  expect(rig.elect(leader)).toBe(target);
});

test('a member that stands before the leader in the primary zones gets the leadership', () => {
  const rig = new PalfRig(1, ['a', 'b', 'c']);
  const [a, b, c] = [rig.node('a'), rig.node('b'), rig.node('c')];
  rig.boot(a, { priority: 2 });
  rig.boot(b, { priority: 1 });
  rig.elect();
  rig.boot(c, { priority: 0 });
  rig.until(() => c.view.isActive, 'the leadership of the first in the list');
  rig.commit(c);
  rig.feed(c, { kind: 'setPriority', priority: 9 });
  rig.until(() => !c.view.isActive && rig.leader !== undefined, 'a hand-over');
});

test('a fitter member without the newest record gets the leadership when it has it', () => {
  const rig = three();
  const leader = rig.elect();
  rig.commit(leader);
  rig.settle(leader).run(5_000);
  const target = must(rig.followers(leader)[1], 'target');
  withoutRecord(rig, leader, target);
  rig.feed(leader, { kind: 'setPriority', priority: 1 });
  for (const node of rig.followers(leader))
    if (node !== target) rig.feed(node, { kind: 'setPriority', priority: 1 });
  rig.run(5_000);
  expect(leader.roles.map(({ role }) => role)).toEqual(['leader']);
  rig.isCut = () => false;
  rig.until(() => target.view.isActive, 'the leadership of the fitter one');
});

test('a leadership is not handed on by itself while a change of mode is under way', () => {
  const rig = new PalfRig(1, ['a', 'b', 'c']);
  const [a, b, c] = [rig.node('a'), rig.node('b'), rig.node('c')];
  rig.boot(a, { priority: 1 });
  rig.boot(b, { priority: 1 });
  const leader = rig.elect();
  rig.boot(c, { priority: 1 });
  rig.commit(leader);
  rig.settle(leader).run(5_000);
  // Nothing more is acknowledged, so the change waits for the log.
  rig.isCut = (_, __, { kind }) => kind === 'push';
  rig.propose(leader);
  const token = rig.ask(leader, given => ({
    kind: 'changeMode',
    to: 'RAW_WRITE',
    expectedModeVersion: 1,
    referenceScn: scn(0),
    token: given,
  }));
  rig.feed(c, { kind: 'setPriority', priority: 0 });
  rig.run(700);
  rig.isCut = () => false;
  rig.until(() => leader.replies.has(token), 'an answer');
  expect(leader.replies.get(token)).toMatchObject({ kind: 'mode-changed' });
  rig.until(() => c.view.isActive, 'the leadership of the first in the list');
  expect(c.view.accessMode).toBe('RAW_WRITE');
});

test('a stuck disk ends a leadership, and nobody stands with one', () => {
  const rig = three();
  const leader = rig.elect();
  rig.commit(leader);
  leader.isDiskStuck = true;
  rig.propose(leader);
  rig.until(() => leader.view.role === 'follower', 'a step down');
  const next = rig.elect(leader);
  rig.commit(next);
  rig.freeDisk(leader);
  rig.settle(next);
});

test('members may change right after a flashback', () => {
  const rig = three();
  const leader = rig.elect();
  const cut = rig.commit(leader);
  for (let count = 0; count < 20; count++) rig.commit(leader, 'cut off');
  rig.settle(leader).run(700);
  mode(rig, leader, 'RAW_WRITE');
  mode(rig, leader, 'FLASHBACK');
  rig.committed.clear();
  const token = rig.ask(leader, given => ({ kind: 'flashback', cut, token: given }));
  rig.until(() => leader.replies.has(token), 'an answer');
  rig.run(400);
  const goes = first(rig.followers(leader));
  expect(change(rig, leader, { kind: 'remove', node: goes.id })).toMatchObject({ kind: 'config-changed' });
});

test('a mode outlives its leader, and APPEND opens a proposal of its own', () => {
  const rig = three();
  const leader = rig.elect();
  rig.commit(leader);
  expect(mode(rig, leader, 'RAW_WRITE')).toMatchObject({ kind: 'mode-changed', modeVersion: 2 });
  expect(rig.propose(leader)).toMatchObject({ refusal: { why: 'access-mode' } });
  rig.crash(leader);
  const next = rig.elect(leader);
  expect(next.view).toMatchObject({ accessMode: 'RAW_WRITE', modeVersion: 2 });
  const { proposalId } = next.view;
  expect(mode(rig, next, 'APPEND')).toMatchObject({ kind: 'mode-changed', modeVersion: 3 });
  expect(next.view.proposalId).toBeGreaterThan(proposalId);
  expect(next.roles.map(({ role }) => role)).toEqual(['leader', 'leader']);
  rig.commit(next);
});

test('a flashback cuts every log, that of a replica that was away too', () => {
  const rig = three();
  const leader = rig.elect();
  const cut = rig.commit(leader);
  for (let count = 0; count < 5; count++) rig.commit(leader);
  rig.settle(leader);
  const away = first(rig.followers(leader));
  rig.crash(away);
  mode(rig, leader, 'RAW_WRITE');
  mode(rig, leader, 'FLASHBACK');
  rig.committed.clear();
  const token = rig.ask(leader, given => ({ kind: 'flashback', cut, token: given }));
  rig.until(() => leader.replies.has(token), 'an answer');
  expect(leader.replies.get(token)).toEqual({ kind: 'flashed-back', end: cut });
  expect(leader.view.committed).toEqual(cut);
  mode(rig, leader, 'APPEND');
  rig.commit(leader, 'another history');
  rig.boot(away);
  const isEqual = () =>
    rig.running.every(node => node.view.committed.checksum === leader.view.committed.checksum);
  rig.until(isEqual, 'equal logs');
});

test('a flashback goes no further back than the databases of a quorum', () => {
  const rig = three();
  const leader = rig.elect();
  const cut = rig.commit(leader);
  rig.commit(leader);
  rig.settle(leader);
  for (const node of rig.followers(leader)) {
    const { committed } = node.view;
    rig.ask(node, token => ({ kind: 'advanceBase', base: committed, checkpointLsn: committed.lsn, token }));
  }
  mode(rig, leader, 'RAW_WRITE');
  mode(rig, leader, 'FLASHBACK');
  rig.run(700);
  const token = rig.ask(leader, given => ({ kind: 'flashback', cut, token: given }));
  expect(leader.replies.get(token)).toMatchObject({ refusal: { why: 'below-base' } });
});

test('a replica that lost durable log neither votes nor counts until its leader has mended it', () => {
  const rig = three();
  const leader = rig.elect();
  for (let count = 0; count < 5; count++) rig.commit(leader);
  rig.settle(leader);
  const damaged = first(rig.followers(leader));
  rig.crash(damaged);
  rig.isCut = (from, to) => from === damaged.id || to === damaged.id;
  rig.boot(damaged, { lose: 3 });
  expect(damaged.view.impaired).toBeNull();
  rig.until(() => damaged.view.impaired === 'damaged', 'a durable impairment');
  rig.isCut = () => false;
  rig.until(() => damaged.view.impaired === null, 'a whole replica');
  expect(damaged.view.flushed.lsn).toBe(leader.view.committed.lsn);
});

test('damaged replicas do not elect a leader that lacks what they lost', () => {
  const rig = three();
  const leader = rig.elect();
  const [keeps, loses] = rig.followers(leader) as [RigNode, RigNode];
  rig.isCut = (from, to) => from === keeps.id || to === keeps.id;
  rig.commit(leader);
  rig.crash(leader);
  rig.crash(loses);
  rig.isCut = () => false;
  rig.boot(loses, { lose: 1 });
  rig.run(10_000);
  expect(rig.leader).toBeUndefined();
  rig.boot(leader);
  rig.elect();
});

/** A leader goes on with one other, in a later term than the third ever heard of. */
const goesOnWithout = (rig: PalfRig, leader: RigNode, away: RigNode): RigNode => {
  rig.crash(away);
  const other = first(rig.followers(leader));
  rig.crash(leader);
  rig.boot(leader);
  const next = rig.elect();
  rig.commit(next);
  rig.settle(next);
  expect([leader, other]).toContain(next);
  return next;
};

test('a replica that lost log votes for who accepted a later leader than it ever did, and is mended', () => {
  const rig = three();
  const leader = rig.elect();
  rig.commit(leader);
  rig.settle(leader);
  const loses = first(rig.followers(leader));
  const next = goesOnWithout(rig, leader, loses);
  const end = rig.commit(next, 'not known to the third');
  rig.settle(next);
  const [other] = rig.followers(next) as [RigNode];
  rig.crash(next);
  rig.boot(loses, { lose: 1 });
  rig.elect();
  expect(other.view.isActive).toBe(true);
  expect(other.view.committed.lsn).toBeGreaterThanOrEqual(end.lsn);
  rig.until(() => loses.view.impaired === null, 'a whole replica');
  rig.commit(other);
  rig.settle(other);
});

test('a replica that lost log is whole when it takes the record of a leader that is new to it', () => {
  const rig = three();
  const leader = rig.elect();
  rig.commit(leader);
  rig.settle(leader);
  const loses = first(rig.followers(leader));
  const next = goesOnWithout(rig, leader, loses);
  // It never hears that it is whole.
  rig.isCut = (_from, to, { kind }) => to === loses.id && kind === 'mend';
  rig.boot(loses, { lose: 1 });
  rig.until(() => loses.meta.impaired === 'damaged', 'a durable impairment');
  rig.until(() => loses.meta.impaired === null, 'a whole replica');
  rig.commit(next);
  rig.settle(next);
});

test('a replica whose log is gone everywhere asks for a copy, and goes on from it', () => {
  const rig = three();
  const leader = rig.elect();
  rig.commit(leader);
  const away = first(rig.followers(leader));
  rig.crash(away);
  for (let count = 0; count < 5; count++) rig.commit(leader);
  const { committed, history } = leader.view;
  rig.ask(leader, token => ({ kind: 'advanceBase', base: committed, checkpointLsn: committed.lsn, token }));
  rig.run(100);
  leader.groups = [];
  rig.commit(leader);
  rig.boot(away);
  rig.until(() => away.rebuilds.length > 0, 'a need for a copy');
  const begun = rig.ask(away, token => ({ kind: 'beginRebuild', token }));
  rig.until(() => away.replies.has(begun), 'an answer');
  away.groups = [];
  const finished = rig.ask(away, token => ({
    kind: 'finishRebuild',
    base: committed,
    checkpointLsn: committed.lsn,
    history,
    token,
  }));
  rig.until(() => away.replies.has(finished), 'an answer');
  rig.until(() => away.view.impaired === null, 'a whole replica');
  rig.settle(leader);
});

test('closing a leader finishes what it ordered, and lets others lead at once', () => {
  const rig = three();
  const leader = rig.elect();
  rig.propose(leader);
  const token = rig.ask(leader, given => ({ kind: 'close', token: given }));
  rig.until(() => leader.replies.has(token), 'an answer');
  expect(leader.replies.get(token)).toMatchObject({ kind: 'closed', end: leader.end });
  const closed = rig.now;
  const next = rig.elect(leader);
  expect(rig.now - closed).toBeLessThan(1_000);
  expect(next.view.committed.lsn).toBeGreaterThanOrEqual(lsn(leader.end.lsn));
});
