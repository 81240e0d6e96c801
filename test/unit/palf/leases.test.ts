/** Members whose leases differ, as while a new `palf.leaseMs` goes from server to server: the rig fails when two hold one (E2). */
import { expect, test } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import { lsn, monoMs, type NodeId, nodeId, proposalId } from '../../../src/base/scalars.ts';
import type { MetaImage } from '../../../src/codec/meta-image.ts';
import type { PalfMessage } from '../../../src/codec/palf-message.ts';
import { PalfCore } from '../../../src/palf/core.ts';
import type { PalfEffect } from '../../../src/palf/effects.ts';
import type { PalfInput } from '../../../src/palf/inputs.ts';
import { palfSettingsDefault } from '../../../src/palf/settings.ts';
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

/** One voter of five, whose writes end when the test says so. */
class LoneVoter {
  readonly core = new PalfCore({ ...palfSettingsDefault, leaseMs: 900 });
  readonly sent: PalfMessage[] = [];
  readonly writes: Extract<PalfEffect, { kind: 'persistMeta' }>[] = [];
  meta: MetaImage;

  constructor() {
    const rig = new PalfRig(1, ['a', 'b', 'c', 'd', 'v']);
    this.meta = { ...rig.node('v').meta, promised: proposalId(1) };
    const none = { history: [], tail: [], corrupt: false };
    const { base } = this.meta;
    this.step(1, { kind: 'boot', self: nodeId('v'), meta: this.meta, end: base, committed: base, ...none });
    while (this.writes.length > 0) this.land(1);
  }

  step(at: number, input: PalfInput): void {
    for (const effect of this.core.step(input, monoMs(at))) {
      if (effect.kind === 'send') this.sent.push(effect.message);
      if (effect.kind === 'persistMeta') this.writes.push(effect);
    }
  }

  hear(at: number, from: string, message: PalfMessage): void {
    this.step(at, { kind: 'message', from: nodeId(from), message });
  }

  /** The oldest write under way is durable. */
  land(at: number): void {
    const { ioId, image, thenSend } = must(this.writes.shift(), 'a write');
    this.meta = image;
    this.step(at, { kind: 'ioDone', ioId, outcome: 'ok' });
    this.sent.push(...thenSend.map(({ message }) => message));
  }

  count(kind: PalfMessage['kind']): number {
    return this.sent.filter(message => message.kind === kind).length;
  }
}

const proposal = proposalId(7);
const renewOf = (sentAt: number, lease: number) =>
  ({ kind: 'renew', proposal, sentAt: monoMs(sentAt), leaseMs: lease, committed: lsn(0) }) as const;
const prepareOf = (voter: LoneVoter) =>
  ({
    kind: 'prepare',
    proposal,
    sentAt: monoMs(1),
    leaseMs: 900,
    version: voter.meta.config.version,
    released: proposalId(0),
  }) as const;

test('a word that is longer than what a write under way will leave durable waits for the next one', () => {
  const voter = new LoneVoter();
  voter.hear(11_000, 'a', prepareOf(voter));
  voter.land(11_001);
  // Another won with the same number.
  voter.hear(12_000, 'b', renewOf(12_000, 1_800));
  voter.land(12_001);
  expect(voter.meta.leaseMs).toBe(1_800);
  expect(voter.count('renewed')).toBe(1);
  // All words have run out, and a late one of the first asks for a shorter one.
  voter.hear(14_000, 'a', prepareOf(voter));
  voter.hear(14_001, 'a', { kind: 'resign', proposal });
  voter.hear(14_002, 'b', renewOf(14_002, 1_800));
  expect(voter.count('renewed')).toBe(1);
  voter.land(14_003);
  expect(voter.meta.leaseMs).toBe(900);
  expect(voter.count('renewed')).toBe(1);
  voter.land(14_004);
  expect(voter.meta.leaseMs).toBe(1_800);
  expect(voter.count('renewed')).toBe(2);
});

test('a voter whose disk hangs owes each node one answer of a kind, the newest', () => {
  const voter = new LoneVoter();
  for (let count = 0; count < 1_000; count++) voter.hear(11_000 + count, 'b', renewOf(count + 1, 1_800));
  expect(voter.count('renewed')).toBe(0);
  while (voter.writes.length > 0) voter.land(13_000);
  const answers = voter.sent.flatMap(message => (message.kind === 'renewed' ? [message.sentAt] : []));
  // The write that was under way from the first on had an answer of its own.
  expect(answers.toSorted((one, other) => one - other)).toEqual([1, 1_000]);
});
