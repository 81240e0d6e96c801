/** Who is a member of a group of cores, and how that changes. */
import { expect, test } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import { nodeId, scn } from '../../../src/base/scalars.ts';
import type { ConfigChange } from '../../../src/palf/inputs.ts';
import { change, three } from '../../support/palf-asks.ts';
import { PalfRig, type RigNode } from '../../support/palf-rig.ts';

const first = <T>(list: readonly T[]): T => must(list[0], 'first');

test('a learner gets the log, is promoted when it has it, and counts then', () => {
  const rig = three();
  const leader = rig.elect();
  rig.commit(leader);
  const added = rig.add('d', [], ['d']);
  rig.boot(added);
  expect(change(rig, leader, { kind: 'promote', node: added.id })).toMatchObject({
    refusal: { why: 'unknown-node' },
  });
  expect(change(rig, leader, { kind: 'add-learner', node: added.id })).toMatchObject({
    kind: 'config-changed',
  });
  expect(change(rig, leader, { kind: 'promote', node: added.id })).toMatchObject({
    refusal: { why: 'not-caught-up' },
  });
  rig.settle(leader).run(700);
  expect(change(rig, leader, { kind: 'promote', node: added.id })).toMatchObject({ kind: 'config-changed' });
  const removed = first(rig.followers(leader));
  expect(change(rig, leader, { kind: 'remove', node: removed.id })).toMatchObject({ kind: 'config-changed' });
  rig.run(1_000);
  expect(removed.view.config.members).not.toContain(removed.id);
  rig.crash(removed);
  rig.commit(leader);
  rig.crash(leader);
  const next = rig.elect(leader);
  expect(next.view.governing.members).toContain(added.id);
  rig.commit(next);
});

test('a replacement goes through, and the one that was replaced no longer disturbs', () => {
  const rig = three();
  const leader = rig.elect();
  rig.boot(rig.add('d', [], ['d']));
  change(rig, leader, { kind: 'add-learner', node: nodeId('d') });
  rig.settle(leader).run(700);
  const old = first(rig.followers(leader));
  expect(change(rig, leader, { kind: 'replace', old: old.id, new: nodeId('d') })).toMatchObject({
    kind: 'config-changed',
  });
  rig.run(5_000);
  expect(leader.view.isActive).toBe(true);
  expect([...leader.view.governing.members].sort()).not.toContain(old.id);
});

test('changes of members that cannot be are refused, each for its reason', () => {
  const rig = three();
  const leader = rig.elect();
  rig.commit(leader);
  rig.settle(leader).run(700);
  const other = first(rig.followers(leader));
  const why = (what: ConfigChange) => {
    const outcome = change(rig, leader, what);
    return outcome?.kind === 'refused' ? outcome.refusal.why : outcome?.kind;
  };
  expect(why({ kind: 'add-learner', node: other.id })).toBe('already');
  expect(why({ kind: 'remove', node: nodeId('x') })).toBe('unknown-node');
  expect(why({ kind: 'remove', node: leader.id })).toBe('is-leader');
  expect(why({ kind: 'demote', node: leader.id })).toBe('is-leader');
  const stale = rig.ask(leader, token => ({
    kind: 'changeConfig',
    change: { kind: 'remove', node: other.id },
    expectedVersion: { ...leader.view.governing.version, sequence: 0 },
    token,
  }));
  expect(leader.replies.get(stale)).toMatchObject({ refusal: { why: 'config-version' } });
  const away = must(rig.followers(leader)[1], 'follower');
  rig.crash(away);
  rig.run(1_300);
  expect(why({ kind: 'remove', node: other.id })).toBe('no-quorum');
  expect(why({ kind: 'remove', node: away.id })).toBe('config-changed');
  const busy = rig.ask(leader, token => ({
    kind: 'changeConfig',
    change: { kind: 'demote', node: other.id },
    expectedVersion: leader.view.governing.version,
    token,
  }));
  const second = rig.ask(leader, token => ({
    kind: 'changeMode',
    to: 'RAW_WRITE',
    expectedModeVersion: 1,
    referenceScn: scn(0),
    token,
  }));
  expect(leader.replies.get(second)).toMatchObject({ refusal: { why: 'busy' } });
  rig.until(() => leader.replies.has(busy), 'an answer');
  expect(why({ kind: 'remove', node: leader.id })).toBe('last-member');
});

test('nobody goes while one of those who stay is behind, and the log goes on', () => {
  const rig = three();
  const leader = rig.elect();
  rig.commit(leader);
  rig.settle(leader).run(700);
  const [goes, lags] = rig.followers(leader) as [RigNode, RigNode];
  rig.isCut = (_, to, { kind }) => to === lags.id && kind === 'push';
  for (let count = 0; count < 200; count++) rig.commit(leader, 'x'.repeat(1_000));
  rig.run(1_000);
  expect(change(rig, leader, { kind: 'remove', node: goes.id })).toMatchObject({
    refusal: { why: 'no-quorum' },
  });
  expect(change(rig, leader, { kind: 'demote', node: goes.id })).toMatchObject({
    refusal: { why: 'no-quorum' },
  });
  rig.commit(leader);
  rig.isCut = () => false;
  rig.settle(leader).run(700);
  expect(change(rig, leader, { kind: 'remove', node: goes.id })).toMatchObject({ kind: 'config-changed' });
});

test('a learner of a leader that was alone is promoted when it has what was written since', () => {
  const rig = new PalfRig(1, ['a']).bootAll();
  const leader = rig.elect();
  rig.boot(rig.add('b', [], ['b']));
  expect(change(rig, leader, { kind: 'add-learner', node: nodeId('b') })).toMatchObject({
    kind: 'config-changed',
  });
  rig.isCut = (_, __, { kind }) => kind === 'push';
  for (let count = 0; count < 50; count++) {
    rig.commit(leader, 'x'.repeat(1_000));
    rig.run(20);
  }
  expect(change(rig, leader, { kind: 'promote', node: nodeId('b') })).toMatchObject({
    refusal: { why: 'not-caught-up' },
  });
  rig.isCut = () => false;
  rig.settle(leader).run(700);
  expect(change(rig, leader, { kind: 'promote', node: nodeId('b') })).toMatchObject({
    kind: 'config-changed',
  });
});

test('a change that is in flight when the leader loses its place is abandoned, and answered once', () => {
  const rig = three();
  const leader = rig.elect();
  rig.commit(leader);
  rig.settle(leader).run(700);
  rig.isCut = (from, to) => from === leader.id || to === leader.id;
  const token = rig.ask(leader, given => ({
    kind: 'changeMode',
    to: 'RAW_WRITE',
    expectedModeVersion: 1,
    referenceScn: scn(0),
    token: given,
  }));
  rig.until(() => leader.replies.has(token), 'an answer');
  expect(leader.replies.get(token)).toEqual({ kind: 'abandoned' });
  const next = rig.elect(leader);
  expect(next.view.accessMode).toBe('APPEND');
  rig.isCut = () => false;
  rig.commit(next);
  rig.settle(next);
  expect(leader.view.config.accessMode).toBe('APPEND');
});

test('one of two goes, and the other goes on alone', () => {
  const rig = new PalfRig(1, ['a', 'b']).bootAll();
  const leader = rig.elect();
  rig.commit(leader);
  rig.settle(leader).run(700);
  const other = first(rig.followers(leader));
  expect(change(rig, leader, { kind: 'remove', node: other.id })).toMatchObject({ kind: 'config-changed' });
  rig.crash(other);
  rig.commit(leader);
  rig.crash(leader);
  rig.boot(leader);
  rig.until(() => leader.view.isActive, 'a leader without silence');
  rig.commit(leader);
});
