/** Cores with an arbiter: what is degraded when, what comes back, and what never happens. */
import { expect, test } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import { scn } from '../../../src/base/scalars.ts';
import { compareVersions } from '../../../src/codec/config-record.ts';
import type { ConfigChange, Verdict } from '../../../src/palf/inputs.ts';
import { takeoverMsMax } from '../../../src/palf/settings.ts';
import { PalfRig, type RigNode } from '../../support/palf-rig.ts';

const timeoutMs = 5_000;
const rigOf = (members: string, settings = {}): PalfRig =>
  new PalfRig(1, members.split(''), [], { arbiter: 'z', settings }).bootAll();

/** Nodes are known to be alive or dead as they are. */
const seeing = (rig: PalfRig): PalfRig => rig.judge(({ core }) => (core === undefined ? 'dead' : 'alive'));

const change = (rig: PalfRig, node: RigNode, what: ConfigChange) => {
  const token = rig.ask(node, given => ({
    kind: 'changeConfig',
    change: what,
    expectedVersion: node.view.governing.version,
    token: given,
  }));
  rig.until(() => node.replies.has(token), 'an answer');
  return node.replies.get(token);
};

const shape = ({ view }: RigNode): string =>
  `${view.governing.members.toSorted().join('')}|${view.governing.degraded.toSorted().join('')}`;

test('a follower of two dies: after the timeout its leader commits alone, and together with it when it is back', () => {
  const rig = seeing(rigOf('ab'));
  const leader = rig.elect();
  const other = must(rig.followers(leader)[0], 'follower');
  const end = rig.commit(leader);
  rig.settle(leader).crash(other);
  const died = rig.now;
  expect(rig.propose(leader).kind).toBe('ordered');
  rig.run(timeoutMs - 1_000);
  expect(leader.view.committed).toEqual(end);
  rig.until(() => leader.view.committed.lsn > end.lsn, 'a commit');
  expect(rig.now - died).toBeGreaterThan(timeoutMs - 1_000);
  expect(rig.now - died).toBeLessThan(timeoutMs + 1_000);
  expect(shape(leader)).toBe(`${leader.id}|${other.id}`);
  for (let count = 0; count < 50; count++) rig.commit(leader);
  rig.boot(other);
  rig.until(() => leader.view.governing.degraded.length === 0, 'an upgrade');
  expect(shape(leader)).toBe('ab|');
  rig.commit(leader);
  rig.settle(leader);
  rig.run(20_000);
  expect(shape(leader)).toBe('ab|');
});

test('what had only arrived at a replica that died since does not bring it back', () => {
  let said: Verdict = 'unknown';
  const rig = rigOf('ab').judge(({ core }) => (core === undefined ? 'dead' : said));
  const leader = rig.elect();
  const other = must(rig.followers(leader)[0], 'follower');
  rig.commit(leader);
  rig.settle(leader).crash(other);
  rig.until(() => leader.view.governing.degraded.length === 1, 'a degraded replica');
  rig.boot(other);
  rig.until(() => other.view.config.degraded.length === 1, 'its record there');
  other.isDiskStuck = true;
  for (let count = 0; count < 10; count++) rig.commit(leader);
  rig.until(() => other.view.maxLsn >= leader.view.committed.lsn, 'the log there').run(2_000);
  rig.crash(other);
  other.isDiskStuck = false;
  rig.isCut = (_, to, { kind }) => to === other.id && kind === 'push';
  rig.boot(other);
  said = 'alive';
  rig.run(timeoutMs);
  expect(other.view.maxLsn).toBeLessThan(leader.view.committed.lsn);
  expect(shape(leader)).toBe(`${leader.id}|${other.id}`);
  rig.commit(leader);
  rig.isCut = () => false;
  rig.until(() => shape(leader) === 'ab|', 'an upgrade');
  rig.commit(leader);
  rig.settle(leader);
});

test('the leader of two dies: the other is elected and goes on alone in time, and keeps what was committed', () => {
  const rig = seeing(rigOf('ab'));
  const leader = rig.elect();
  const other = must(rig.followers(leader)[0], 'follower');
  rig.commit(leader);
  rig.crash(leader);
  const died = rig.now;
  rig.elect(leader);
  rig.commit(other);
  expect(rig.now - died).toBeLessThan(takeoverMsMax);
  // The silence was counted from the last word of the dead leader.
  expect(rig.now - died).toBeLessThan(timeoutMs + 1_000);
  rig.boot(leader);
  rig.until(() => shape(other) === 'ab|', 'an upgrade');
  rig.commit(other);
  rig.settle(other);
});

test('of four, one dead is nothing, two are degraded one by one, and three are too many', () => {
  const rig = seeing(rigOf('abcd'));
  const leader = rig.elect();
  rig.commit(leader);
  const [one, two, three] = rig.followers(leader) as [RigNode, RigNode, RigNode];
  rig.crash(one);
  rig.commit(leader);
  rig.run(timeoutMs * 2);
  expect(leader.view.governing.degraded).toEqual([]);
  rig.crash(two);
  rig.commit(leader);
  rig.until(() => leader.view.governing.degraded.length === 2, 'two degraded replicas');
  expect(shape(leader)).toBe(
    `${[leader.id, three.id].toSorted().join('')}|${[one.id, two.id].toSorted().join('')}`,
  );
  rig.boot(one);
  rig.until(() => leader.view.governing.degraded.length === 1, 'one of them back');
  rig.commit(leader);
  rig.crash(one);
  rig.until(() => leader.view.governing.degraded.length === 2, 'it is degraded again');
  rig.crash(three);
  const before = leader.view.committed;
  rig.propose(leader);
  rig.run(timeoutMs * 3);
  expect(leader.view.committed).toEqual(before);
  for (const node of [one, two, three]) rig.boot(node);
  const next = rig.elect();
  rig.until(() => next.view.governing.degraded.length === 0, 'everybody back');
  rig.commit(next);
  rig.settle(next);
});

test('nobody is degraded for one that answers and gets no log: when the other is back, it goes on', () => {
  const rig = seeing(rigOf('abcd'));
  const leader = rig.elect();
  rig.commit(leader);
  rig.settle(leader);
  const [slow, one, two] = rig.followers(leader) as [RigNode, RigNode, RigNode];
  rig.crash(one);
  rig.crash(two);
  rig.until(() => leader.view.governing.degraded.length === 2, 'two degraded replicas');
  rig.boot(one);
  rig.until(() => leader.view.governing.degraded.length === 1, 'one of them back');
  rig.settle(leader);
  rig.isCut = (_, to, { kind }) => to === slow.id && (kind === 'push' || kind === 'config');
  rig.commit(leader);
  rig.crash(one);
  rig.run(timeoutMs * 2);
  expect(leader.view.config.degraded).toEqual([two.id]);
  rig.boot(one);
  rig.commit(leader);
});

test('both other sites die with the leader: of four, two go on in time', () => {
  const rig = seeing(rigOf('abcd'));
  const leader = rig.elect();
  rig.commit(leader);
  rig.settle(leader);
  const [one] = rig.followers(leader) as [RigNode];
  const died = rig.now;
  rig.crash(leader);
  rig.crash(one);
  const next = rig.elect(leader, one);
  rig.commit(next);
  expect(rig.now - died).toBeLessThan(takeoverMsMax);
  rig.until(() => next.view.governing.degraded.length === 2, 'both degraded');
  rig.commit(next);
});

test.each(['unknown', 'alive'] as const)('a silent replica that is %s is not degraded', verdict => {
  const rig = rigOf('ab').judge(() => verdict);
  const leader = rig.elect();
  rig.commit(leader);
  rig.crash(must(rig.followers(leader)[0], 'follower'));
  rig.run(timeoutMs * 4);
  expect(shape(leader)).toBe('ab|');
});

test('of four, nobody is degraded while one of those left is not known to be alive', () => {
  const rig = rigOf('abcd');
  const leader = rig.elect();
  rig.commit(leader);
  const [one, two, three] = rig.followers(leader) as [RigNode, RigNode, RigNode];
  rig.judge(node => (node === three ? 'unknown' : node.core === undefined ? 'dead' : 'alive'));
  rig.crash(one);
  rig.crash(two);
  rig.run(timeoutMs * 4);
  expect(leader.view.governing.degraded).toEqual([]);
});

test('without its arbiter a leader degrades nobody', () => {
  const rig = seeing(rigOf('ab'));
  const leader = rig.elect();
  rig.commit(leader);
  rig.settle(leader).crashArbiter();
  rig.commit(leader);
  rig.crash(must(rig.followers(leader)[0], 'follower'));
  rig.run(timeoutMs * 4);
  expect(leader.view.config.degraded).toEqual([]);
  expect(leader.view.isActive).toBe(false);
});

test('a partition between two: one side goes on, the other never', () => {
  const rig = rigOf('ab').judge(() => 'dead');
  const leader = rig.elect();
  const other = must(rig.followers(leader)[0], 'follower');
  rig.commit(leader);
  rig.isCut = (from, to) => from !== 'z' && to !== 'z';
  rig.run(timeoutMs * 3);
  const degraders = rig.running.filter(node => node.view.config.degraded.length > 0);
  expect(degraders).toEqual([leader]);
  expect(other.view.role).toBe('follower');
  rig.commit(leader);
});

test('one without disk, one that is rebuilt and one that was stopped are reasons too, as long as they last', () => {
  for (const verdict of ['disk-full', 'rebuilding', 'stopped'] as const) {
    let said: 'alive' | typeof verdict = 'alive';
    const rig = rigOf('ab').judge(() => said);
    const leader = rig.elect();
    const other = must(rig.followers(leader)[0], 'follower');
    rig.commit(leader);
    other.isDiskStuck = true;
    said = verdict;
    rig.propose(leader);
    rig.until(() => leader.view.governing.degraded.length === 1, `a degraded replica (${verdict})`);
    rig.freeDisk(other);
    rig.run(2_000);
    expect(shape(leader)).toBe(`${leader.id}|${other.id}`);
    said = 'alive';
    rig.until(() => shape(leader) === 'ab|', 'an upgrade');
  }
});

test('CLUSTER_POLICY: who cannot reach the root service lets go, and is silent until it can', () => {
  const rig = seeing(rigOf('ab', { degradationPolicy: 'CLUSTER_POLICY' }));
  const leader = rig.elect();
  rig.commit(leader);
  rig.crash(must(rig.followers(leader)[0], 'follower'));
  rig.run(timeoutMs * 3);
  expect(leader.view).toMatchObject({ role: 'follower', stage: 'follower', config: { degraded: [] } });
  rig.feed(leader, { kind: 'root-service', reachable: true });
  rig.elect();
  rig.commit(leader);
  expect(leader.view.governing.degraded).toHaveLength(1);
});

test('an arbiter is set and removed, not while somebody is degraded, and the F replicas stay as they are with it', () => {
  const rig = seeing(rigOf('ab'));
  const leader = rig.elect();
  const other = must(rig.followers(leader)[0], 'follower');
  rig.commit(leader);
  expect(change(rig, leader, { kind: 'remove', node: other.id })).toMatchObject({
    refusal: { why: 'arbitrated' },
  });
  const arbiter = rig.theArbiter.id;
  expect(change(rig, leader, { kind: 'remove-arbiter', node: arbiter })).toMatchObject({
    kind: 'config-changed',
  });
  expect(leader.view.governing.arbiter).toBe(null);
  rig.until(() => rig.theArbiter.image.config?.arbiter === null, 'it is told');
  expect(change(rig, leader, { kind: 'set-arbiter', node: arbiter })).toMatchObject({
    kind: 'config-changed',
  });
  rig.crash(other);
  rig.until(() => leader.view.governing.degraded.length === 1, 'a degraded replica');
  expect(change(rig, leader, { kind: 'remove-arbiter', node: arbiter })).toMatchObject({
    refusal: { why: 'degraded' },
  });
});

test('a degraded replica that is lost gives its place to a learner, which is taken in', () => {
  const rig = seeing(rigOf('ab'));
  const leader = rig.elect();
  const other = must(rig.followers(leader)[0], 'follower');
  rig.commit(leader);
  rig.crash(other);
  rig.commit(leader);
  const spare = rig.add('c', [], ['c']);
  rig.nodes.delete(other.id);
  rig.boot(spare);
  expect(change(rig, leader, { kind: 'add-learner', node: spare.id })).toMatchObject({
    kind: 'config-changed',
  });
  expect(change(rig, leader, { kind: 'replace', old: other.id, new: spare.id })).toMatchObject({
    kind: 'config-changed',
  });
  rig.until(() => leader.view.governing.degraded.length === 0, 'an upgrade');
  expect(leader.view.governing.members.toSorted()).toEqual([leader.id, spare.id].toSorted());
  rig.commit(leader);
});

test('a mode that is being changed when the other replica dies is changed when that is degraded', () => {
  const rig = seeing(rigOf('ab'));
  const leader = rig.elect();
  rig.commit(leader);
  rig.crash(must(rig.followers(leader)[0], 'follower'));
  rig.propose(leader);
  for (const to of ['RAW_WRITE', 'APPEND'] as const) {
    const token = rig.ask(leader, given => ({
      kind: 'changeMode',
      to,
      expectedModeVersion: leader.view.modeVersion,
      referenceScn: scn(0),
      token: given,
    }));
    rig.until(() => leader.replies.has(token), 'an answer');
    expect(leader.replies.get(token)).toMatchObject({ kind: 'mode-changed' });
  }
  rig.commit(leader);
});

test('an arbiter that restarts keeps its word: who was degraded is not elected', () => {
  const rig = seeing(rigOf('ab'));
  const leader = rig.elect();
  const other = must(rig.followers(leader)[0], 'follower');
  rig.commit(leader);
  rig.crash(other);
  rig.commit(leader);
  rig.commit(leader);
  rig.crash(leader);
  rig.crashArbiter();
  rig.bootArbiter();
  rig.boot(other);
  rig.run(timeoutMs * 4);
  expect(other.view.role).toBe('follower');
  rig.boot(leader);
  rig.until(() => leader.view.isActive && shape(leader) === 'ab|', 'the one that has everything');
  rig.settle(leader);
});

/** A new term whose first record its leader and the arbiter alone took; both others' words to each other are lost. */
const beginsUnheard = (rig: PalfRig, leader: RigNode, isUnheard: (name: string) => boolean): void => {
  rig.crash(leader);
  rig.isCut = (from, to) => isUnheard(from) || isUnheard(to);
  rig.boot(leader);
  const isTaken = () =>
    rig.theArbiter.image.config?.version.proposalId === leader.meta.config.version.proposalId &&
    leader.meta.accepted === leader.meta.promised;
  const before = leader.meta.promised;
  rig.until(() => leader.meta.promised > before && isTaken(), 'a record that two hold');
};

test('a leader whose first record reached its arbiter alone dies: the other is elected, and goes on', () => {
  const rig = seeing(rigOf('ab'));
  const leader = rig.elect();
  const other = must(rig.followers(leader)[0], 'follower');
  rig.commit(leader);
  rig.settle(leader);
  beginsUnheard(rig, leader, name => name === other.id);
  rig.crash(leader);
  rig.isCut = () => false;
  const died = rig.now;
  rig.elect(leader);
  rig.commit(other);
  expect(rig.now - died).toBeLessThan(takeoverMsMax);
  rig.boot(leader);
  rig.until(() => shape(other) === 'ab|', 'an upgrade');
  rig.commit(other);
  rig.settle(other);
});

test('a leader whose first record reached its arbiter alone is lost, with log that nobody else has: the other is elected', () => {
  const rig = seeing(rigOf('ab'));
  const leader = rig.elect();
  const other = must(rig.followers(leader)[0], 'follower');
  const end = rig.commit(leader);
  rig.settle(leader);
  rig.isCut = (from, _, message) => from === leader.id && message.kind === 'push';
  rig.propose(leader, 'a tail');
  rig.run(100);
  beginsUnheard(rig, leader, name => name === other.id);
  const { accepted } = other.meta;
  expect(leader.end.lsn).toBeGreaterThan(other.end.lsn);
  rig.crash(leader);
  rig.isCut = () => false;
  const isTold = () => other.meta.config.version.proposalId === leader.meta.config.version.proposalId;
  rig.until(isTold, 'the record of the arbiter');
  // The record is taken, and its leader's log is not.
  expect(other.meta.accepted).toBe(accepted);
  rig.elect(leader);
  rig.commit(other, 'something else');
  expect(other.view.committed.lsn).toBeGreaterThan(end.lsn);
  // The rig fails if anybody calls two things committed at one place.
  rig.boot(leader);
  rig.until(() => shape(other) === 'ab|', 'an upgrade');
  rig.commit(other);
  rig.settle(other);
});

test('a record that an arbiter alone holds is not taken without the log that it needs', () => {
  const rig = seeing(rigOf('ab'));
  const leader = rig.elect();
  const other = must(rig.followers(leader)[0], 'follower');
  rig.commit(leader);
  rig.settle(leader).crash(other);
  rig.propose(leader);
  rig.commit(leader);
  const { degraded } = leader.view.governing;
  expect(degraded).toEqual([other.id]);
  rig.commit(leader);
  // Taken back in a record that it does not get, and whose log it does not have.
  rig.isCut = (from, to, message) =>
    (from === leader.id && to === other.id && (message.kind === 'push' || message.kind === 'config')) ||
    (from === other.id && to === leader.id);
  rig.boot(other);
  rig.run(timeoutMs);
  const { config } = rig.theArbiter.image;
  const taken = must(config, 'record of the arbiter');
  rig.theArbiter.image = {
    ...rig.theArbiter.image,
    config: {
      ...taken,
      members: [leader.id, other.id],
      degraded: [],
      version: { ...taken.version, sequence: taken.version.sequence + 1 },
    },
    basis: {
      start: leader.meta.base,
      barrier: leader.view.committed.lsn,
      since: { ...taken.version, sequence: taken.version.sequence + 1 },
    },
  };
  rig.crashArbiter();
  rig.crash(leader);
  rig.bootArbiter();
  rig.isCut = () => false;
  rig.run(timeoutMs * 4);
  expect(other.view.role).toBe('follower');
  expect(compareVersions(other.view.config.version, taken.version)).toBeLessThanOrEqual(0);
});

test('who was taken back in a record that it did not hear of, and has the log, is elected', () => {
  const rig = seeing(rigOf('ab'));
  const leader = rig.elect();
  const other = must(rig.followers(leader)[0], 'follower');
  rig.commit(leader);
  rig.settle(leader).crash(other);
  rig.commit(leader);
  expect(leader.view.governing.degraded).toEqual([other.id]);
  const { sequence } = leader.view.governing.version;
  rig.isCut = (from, to, message) =>
    from === leader.id &&
    to === other.id &&
    message.kind === 'config' &&
    message.record.version.sequence > sequence;
  rig.boot(other);
  rig.until(() => rig.theArbiter.image.config?.members.includes(other.id) === true, 'an upgrade');
  rig.crash(leader);
  rig.isCut = () => false;
  rig.elect(leader);
  rig.commit(other);
});

test('what a leader begins with is not committed before its first record is agreed: the others may go on without it', () => {
  let isParted = false;
  const rig = rigOf('ab').judge(() => (isParted ? 'dead' : 'alive'));
  const leader = rig.elect();
  const other = must(rig.followers(leader)[0], 'follower');
  rig.commit(leader);
  rig.settle(leader);
  const isBetween = (from: string, to: string) =>
    (from === leader.id && to === other.id) || (from === other.id && to === leader.id);
  // A tail that it alone has, and then a record without the other that it alone has.
  rig.isCut = (from, to, message) => isBetween(from, to) || (from === leader.id && message.kind === 'config');
  rig.propose(leader, 'a tail');
  isParted = true;
  rig.until(() => leader.meta.config.degraded.length > 0, 'a record that it alone has');
  // Elected with it, and the arbiter never takes its first record.
  rig.crash(leader);
  const { promised } = leader.meta;
  rig.boot(leader);
  rig.until(() => leader.meta.promised > promised && leader.meta.accepted === leader.meta.promised, 'a term');
  rig.run(100);
  rig.isCut = (from, to) => from === leader.id || to === leader.id;
  rig.elect(leader);
  rig.until(() => other.view.governing.degraded.length > 0, 'a record of the other');
  rig.commit(other, 'something else');
  // The rig fails if anybody calls two things committed at one place.
  rig.isCut = () => false;
  isParted = false;
  rig.until(() => shape(other) === 'ab|', 'an upgrade');
  rig.settle(other);
});
