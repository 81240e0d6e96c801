/** Members whose leases differ, as while a new `palf.leaseMs` goes from server to server: the rig fails when two hold one (E2). */
import { expect, test } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import type { NodeId } from '../../../src/base/scalars.ts';
import { PalfRig, type RigNode } from '../../support/palf-rig.ts';

const leaseMs = 1_200;
const settings = { leaseMs, renewMs: 300 };
const rigOf = (members: string, arbiter?: string) =>
  new PalfRig(1, members.split(''), [], arbiter === undefined ? { settings } : { arbiter, settings });

const restart = (rig: PalfRig, node: RigNode, lease: number, priority = 0): void => {
  rig.crash(node);
  rig.boot(node, { leaseMs: lease, priority });
};

/** Hears and reaches nobody from now on. */
const cutOff = (rig: PalfRig, ...nodes: readonly { readonly id: NodeId }[]): void => {
  const ids = new Set(nodes.map(({ id }) => id));
  rig.isCut = (from, to) => ids.has(from) || ids.has(to);
};

test.each([900, 1_800, 1_900])(
  'a leader with a lease of %i ms among others with another holds it no longer than they keep their word',
  lease => {
    const rig = rigOf('abc');
    const a = rig.node('a');
    for (const node of rig.nodes.values()) {
      if (node === a) rig.boot(node, { leaseMs: lease });
      else rig.boot(node, { priority: 1 });
    }
    rig.until(() => a.view.isActive, 'the preferred leader');
    rig.commit(a);
    rig.run(1_000);
    cutOff(rig, a);
    const since = rig.now;
    rig.elect(a);
    expect(rig.now - since).toBeGreaterThan(lease * 0.7);
    expect(rig.clock(a)).toBeGreaterThanOrEqual(a.view.leaseUntil);
    rig.run(4_000);
  },
);

test('voters that restart with a shorter lease keep silent for the longest that they gave', () => {
  const rig = rigOf('abc');
  for (const node of rig.nodes.values()) rig.boot(node, { leaseMs: 1_800 });
  const leader = rig.elect();
  rig.commit(leader);
  rig.run(1_000);
  // Twice: the second process knows of the first one's silence only by what is durable.
  cutOff(rig, leader);
  for (const node of rig.followers(leader)) restart(rig, node, 900);
  rig.run(100);
  for (const node of rig.followers(leader)) restart(rig, node, 900);
  rig.elect(leader);
  expect(rig.followers(leader).map(node => node.meta.leaseMs)).toContain(900);
});

test('so does an arbiter', () => {
  const rig = rigOf('ab', 'z');
  for (const node of rig.nodes.values()) rig.boot(node, { leaseMs: 1_800 });
  rig.bootArbiter(1_800);
  const leader = rig.elect();
  rig.commit(leader);
  rig.run(1_000);
  const other = must(rig.followers(leader)[0], 'follower');
  restart(rig, other, 900);
  rig.crashArbiter();
  rig.bootArbiter(900);
  const votes: string[] = [];
  rig.isCut = (from, to, message) => {
    if (from === rig.theArbiter.id) votes.push(message.kind);
    return from === leader.id || to === leader.id;
  };
  rig.run(1_750);
  expect(votes).toEqual([]);
  rig.run(1_000);
  expect(votes).toContain('promise');
});

test('no word leaves before its length is durable where it is given', () => {
  const rig = rigOf('abc', 'z');
  rig.ioMsMax = 40;
  const leases = new Map<NodeId, number>();
  let words = 0;
  rig.isCut = (from, to, message) => {
    if (message.kind !== 'promise' && message.kind !== 'renewed') return false;
    words += 1;
    const { leaseMs: noted } = from === rig.theArbiter.id ? rig.theArbiter.image : rig.node(from).meta;
    expect(noted).toBeGreaterThanOrEqual(must(leases.get(to), 'lease of a leader'));
    return false;
  };
  for (const node of rig.nodes.values()) leases.set(node.id, leaseMs);
  rig.bootAll();
  for (const lease of [1_800, 900, 1_900]) {
    const leader = rig.elect();
    rig.commit(leader);
    leases.set(leader.id, lease);
    restart(rig, leader, lease);
    rig.run(3_000);
  }
  expect(words).toBeGreaterThan(50);
});

test.each([
  ['abc', undefined],
  ['ab', 'z'],
  ['abcd', 'z'],
])(
  '%s with arbiter %s: a new lease goes from server to server, and there is a leader all the while',
  (members, arbiter) => {
    for (const [before, after] of [
      [900, 1_800],
      [1_800, 900],
    ] as const) {
      const rig = rigOf(members, arbiter);
      for (const node of rig.nodes.values()) rig.boot(node, { leaseMs: before });
      if (arbiter !== undefined) rig.bootArbiter(before);
      rig.elect();
      for (const node of rig.nodes.values()) {
        restart(rig, node, after);
        const since = rig.now;
        rig.commit(rig.elect());
        expect(rig.now - since).toBeLessThan(5_000);
        rig.run(3_000);
      }
    }
  },
);

test('whoever restarts with whichever lease and is cut off, two never hold one', () => {
  for (let seed = 1; seed <= 40; seed++) {
    const arbiter = seed % 2 === 0 ? { arbiter: 'z' } : {};
    const rig = new PalfRig(seed, seed % 2 === 0 ? ['a', 'b'] : ['a', 'b', 'c'], [], {
      ...arbiter,
      settings,
    });
    const { random } = rig;
    rig.delayMsMax = 1 + (seed % 5) * 10;
    rig.ioMsMax = 1 + (seed % 4) * 20;
    rig.bootAll();
    const nodes = [...rig.nodes.values()];
    for (let turn = 0; turn < 25; turn++) {
      const lease = () => random.pick([900, 1_200, 1_800, 1_900]);
      const what = random.pick(['replica', 'replica', 'arbiter', 'nobody'] as const);
      if (what === 'replica') restart(rig, random.pick(nodes), lease(), random.between(0, 1));
      if (what === 'arbiter' && rig.arbiter !== undefined) {
        rig.crashArbiter();
        rig.bootArbiter(lease());
      }
      if (random.chance(1, 2)) cutOff(rig, rig.leader ?? random.pick(nodes));
      else rig.isCut = () => false;
      rig.run(random.between(100, 3_000));
    }
    rig.isCut = () => false;
    rig.run(5_000).commit(rig.elect());
  }
});
