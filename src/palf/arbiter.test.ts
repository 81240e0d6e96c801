import { expect, test } from 'vitest';
import { assert } from '../base/assert.ts';
import { lsn, monoMs, nodeId, proposalId, scn } from '../base/scalars.ts';
import { type ArbiterImage, newArbiterImage } from '../codec/arbiter-image.ts';
import { type ConfigRecord, firstRecord } from '../codec/config-record.ts';
import type { PalfMessage } from '../codec/palf-message.ts';
import { ArbiterCore, type ArbiterEffect } from './arbiter.ts';

const self = nodeId('z');
const leaseMs = 1_000;
const recordOf = (version: readonly [number, number], changes: Partial<ConfigRecord> = {}): ConfigRecord => ({
  ...firstRecord({
    members: [nodeId('a'), nodeId('b')],
    learners: [],
    arbiter: self,
    accessMode: 'APPEND',
    referenceScn: scn(0),
  }),
  version: { proposalId: proposalId(version[0]), sequence: version[1] },
  ...changes,
});
const zero = { lsn: lsn(0), scn: scn(0), checksum: 0 };

/** An arbiter whose disk answers when it is told to. */
class Rig {
  image: ArbiterImage = newArbiterImage(self);
  now = 10_000;
  core: ArbiterCore;
  readonly sent: string[] = [];
  #writing: Extract<ArbiterEffect, { kind: 'persist' }> | undefined;

  constructor(image = newArbiterImage(self)) {
    this.image = image;
    this.core = new ArbiterCore({ self, image }, { leaseMs }, monoMs(this.now));
  }

  restart(): void {
    this.#writing = undefined;
    this.core = new ArbiterCore({ self, image: this.image }, { leaseMs }, monoMs(this.now));
  }

  hear(from: string, message: PalfMessage): this {
    this.#take(this.core.step({ kind: 'message', from: nodeId(from), message }, monoMs(this.now)));
    return this;
  }

  /** The image in flight becomes durable. */
  write(): this {
    const writing = this.#writing;
    assert(writing !== undefined, 'an image is in flight');
    this.#writing = undefined;
    this.image = writing.image;
    this.#take(this.core.step({ kind: 'persisted', id: writing.id }, monoMs(this.now)));
    for (const { to, message } of writing.thenSend) this.#send(to, message);
    return this;
  }

  writeAll(): this {
    while (this.#writing !== undefined) this.write();
    return this;
  }

  /** What was sent since this was asked last. */
  get said(): string[] {
    return this.sent.splice(0);
  }

  #take(effects: readonly ArbiterEffect[]): void {
    for (const effect of effects)
      if (effect.kind === 'send') this.#send(effect.to, effect.message);
      else {
        expect(this.#writing, 'one image in flight').toBeUndefined();
        this.#writing = effect;
      }
  }

  #send(to: string, message: PalfMessage): void {
    this.sent.push(`${to} ${message.kind} ${message.proposal}`);
  }
}

const prepare = (
  proposal: number,
  version: readonly [number, number] = [0, 1],
  released = 0,
  asked = leaseMs,
) =>
  ({
    kind: 'prepare',
    proposal: proposalId(proposal),
    sentAt: monoMs(1),
    leaseMs: asked,
    version: { proposalId: proposalId(version[0]), sequence: version[1] },
    released: proposalId(released),
  }) as const;
const renew = (proposal: number, asked = leaseMs) =>
  ({
    kind: 'renew',
    proposal: proposalId(proposal),
    sentAt: monoMs(1),
    leaseMs: asked,
    committed: lsn(0),
  }) as const;
const config = (proposal: number, record: ConfigRecord) =>
  ({ kind: 'config', proposal: proposalId(proposal), record, start: zero, barrier: lsn(0) }) as const;
const canvass = (version: readonly [number, number] = [0, 1]) =>
  ({
    kind: 'canvass',
    proposal: proposalId(0),
    round: 1,
    standing: {
      version: { proposalId: proposalId(version[0]), sequence: version[1] },
      accepted: proposalId(0),
      end: lsn(0),
      priority: 0,
    },
    insist: false,
  }) as const;

test('a vote goes out when the promise is durable, and says that there is no log', () => {
  const rig = new Rig();
  rig.hear('a', prepare(1));
  expect(rig.said).toEqual([]);
  rig.write();
  expect(rig.image.promised).toBe(1);
  expect(rig.said).toEqual(['a promise 1']);
  // Asked again, it says so again.
  expect(rig.hear('a', prepare(1)).said).toEqual(['a promise 1']);
});

test('it votes once in a proposal, for none below its promise, and keeps its lease', () => {
  const rig = new Rig();
  rig.hear('a', prepare(3)).write();
  expect(rig.said).toEqual(['a promise 3']);
  expect(rig.hear('b', prepare(4)).said).toEqual(['b reject 4']);
  rig.now += leaseMs;
  expect(rig.hear('b', prepare(3)).said).toEqual(['b reject 3']);
  expect(rig.hear('b', prepare(2)).said).toEqual(['b reject 2']);
  expect(rig.hear('b', prepare(4)).writeAll().said).toEqual(['b promise 4']);
});

test('who was handed a leadership, and who comes after one that resigned, is voted for at once', () => {
  const rig = new Rig();
  rig.hear('a', prepare(1)).writeAll();
  expect(rig.hear('b', prepare(2, [0, 1], 1)).writeAll().said).toEqual(['a promise 1', 'b promise 2']);
  rig.hear('b', { kind: 'resign', proposal: proposalId(2) });
  expect(rig.hear('a', prepare(3)).writeAll().said).toEqual(['a promise 3']);
});

test('a vote that is not wanted any more is not given', () => {
  const rig = new Rig();
  rig.hear('a', config(1, recordOf([1, 1])));
  rig.hear('a', prepare(2, [1, 1])).hear('a', { kind: 'resign', proposal: proposalId(2) });
  expect(rig.writeAll().said).toEqual(['a config-ack 1']);
});

test('it votes for no candidate with an older record, and for none that its own record does not name', () => {
  const rig = new Rig();
  const degraded = { members: [nodeId('a')], degraded: [nodeId('b')] };
  rig.hear('a', config(5, recordOf([5, 2], degraded))).writeAll();
  expect(rig.said).toEqual(['a config-ack 5']);
  expect(rig.hear('b', canvass([5, 1])).said).toEqual(['b oppose 5']);
  expect(rig.hear('b', prepare(6, [5, 1])).said).toEqual(['b reject 6']);
  expect(rig.hear('b', prepare(6, [5, 2])).said).toEqual(['b reject 6']);
  expect(rig.hear('a', canvass([5, 2])).said).toEqual(['a support 5']);
  expect(rig.hear('a', prepare(6, [5, 2])).writeAll().said).toEqual(['a promise 6']);
  // A record that it has not heard of may name others.
  rig.now += leaseMs;
  expect(rig.hear('b', prepare(7, [6, 3])).writeAll().said).toEqual(['b promise 7']);
});

test('who is a member of its record and has an older one is told of it, when it is durable', () => {
  const rig = new Rig();
  const degraded = { members: [nodeId('a')], degraded: [nodeId('b')] };
  rig.hear('a', config(5, recordOf([5, 2]))).writeAll();
  rig.hear('a', config(5, recordOf([5, 3], degraded)));
  expect(rig.said).toEqual(['a config-ack 5']);
  expect(rig.hear('b', canvass([5, 1])).said).toEqual(['b oppose 5', 'b record 5']);
  expect(rig.hear('b', canvass([5, 3])).said).toEqual(['b oppose 5']);
  expect(rig.hear('c', canvass([5, 1])).said).toEqual(['c oppose 5']);
  rig.writeAll();
  expect(rig.said).toEqual(['a config-ack 5']);
  expect(rig.hear('b', canvass([5, 1])).said).toEqual(['b oppose 5']);
  expect(rig.hear('a', canvass([5, 1])).said).toEqual(['a oppose 5', 'a record 5']);
  // One that it was told of as it was let go.
  rig.hear('a', config(5, recordOf([5, 4], { arbiter: null }))).writeAll();
  expect(rig.said).toEqual(['a config-ack 5']);
  expect(rig.hear('a', canvass([5, 1])).said).toEqual(['a oppose 5']);
});

test('it knows since when its records have had the same voters and degraded replicas', () => {
  const rig = new Rig();
  const [a, b] = [nodeId('a'), nodeId('b')];
  const take = (version: readonly [number, number], changes: Partial<ConfigRecord> = {}) =>
    Object.values(
      rig.hear('a', config(version[0], recordOf(version, changes))).writeAll().image.basis?.since ?? {},
    );
  expect(take([1, 2])).toEqual([1, 2]);
  expect(take([2, 3], { accessMode: 'RAW_WRITE', learners: [nodeId('c')] })).toEqual([1, 2]);
  rig.restart();
  expect(take([3, 4], { members: [b, a] })).toEqual([1, 2]);
  expect(take([3, 5], { members: [a], degraded: [b] })).toEqual([3, 5]);
  expect(take([4, 6], { members: [a], degraded: [b] })).toEqual([3, 5]);
  expect(take([4, 7])).toEqual([4, 7]);
  expect(take([4, 8], { arbiter: null })).toEqual([4, 8]);
  expect(take([4, 9])).toEqual([4, 9]);
});

test('a record is acknowledged when it is durable, older ones and those of deposed leaders are not taken', () => {
  const rig = new Rig();
  rig.hear('a', config(2, recordOf([2, 2])));
  expect(rig.said).toEqual([]);
  expect(rig.write().said).toEqual(['a config-ack 2']);
  expect(rig.image.config?.version).toEqual({ proposalId: 2, sequence: 2 });
  expect(rig.hear('a', config(2, recordOf([2, 1]))).said).toEqual([]);
  expect(rig.hear('b', config(1, recordOf([1, 9]))).said).toEqual(['b reject 1']);
  expect(rig.hear('a', config(2, recordOf([2, 2]))).said).toEqual(['a config-ack 2']);
  expect(rig.image.config?.version).toEqual({ proposalId: 2, sequence: 2 });
});

test('an acknowledgement under a proposal waits for every change made before it', () => {
  const rig = new Rig();
  rig.hear('a', config(2, recordOf([2, 2])));
  rig.hear('a', config(2, recordOf([2, 3])));
  expect(rig.write().said).toEqual(['a config-ack 2']);
  expect(rig.image.config?.version.sequence).toBe(2);
  expect(rig.write().said).toEqual(['a config-ack 2']);
  expect(rig.image.config?.version.sequence).toBe(3);
});

test('it answers the leader it follows, and no other while that lease holds', () => {
  const rig = new Rig();
  expect(rig.hear('a', renew(3)).writeAll().said).toEqual(['a renewed 3']);
  expect(rig.hear('a', renew(3)).said).toEqual(['a renewed 3']);
  expect(rig.hear('b', renew(2)).said).toEqual(['b reject 2']);
  // Promised, for nothing of proposal 3 may count any more; but the lease is another's.
  expect(rig.hear('b', renew(4)).writeAll().said).toEqual([]);
  expect(rig.hear('a', renew(3)).said).toEqual(['a reject 3']);
});

test('after a restart it keeps silent for a lease, and votes in no proposal that it promised before', () => {
  const rig = new Rig();
  rig.hear('a', prepare(3)).writeAll();
  rig.restart();
  rig.now += leaseMs - 1;
  expect(rig.said).toEqual(['a promise 3']);
  for (const message of [canvass(), prepare(4), renew(3)]) rig.hear('b', message);
  expect(rig.said).toEqual([]);
  expect(rig.hear('a', config(3, recordOf([3, 2]))).writeAll().said).toEqual(['a config-ack 3']);
  rig.now += 1;
  expect(rig.hear('b', prepare(3, [3, 2])).said).toEqual(['b reject 3']);
  expect(rig.hear('a', prepare(3, [3, 2])).said).toEqual(['a reject 3']);
  expect(rig.hear('b', prepare(4, [3, 2])).writeAll().said).toEqual(['b promise 4']);
  // One that never promised anything has nothing to forget.
  expect(new Rig().hear('a', canvass()).said).toEqual(['a support 0']);
});

test('it keeps its word for as long as the asker counts on it, whatever the lease of its cluster is', () => {
  const rig = new Rig();
  rig.hear('a', prepare(1, [0, 1], 0, leaseMs * 2)).writeAll();
  rig.now += leaseMs * 2 - 1;
  expect(rig.hear('b', prepare(2)).said).toEqual(['a promise 1', 'b reject 2']);
  rig.now += 1;
  expect(rig.hear('b', prepare(2)).writeAll().said).toEqual(['b promise 2']);
  rig.now += leaseMs;
  expect(rig.hear('a', prepare(3, [0, 1], 0, leaseMs / 2)).writeAll().said).toEqual(['a promise 3']);
  rig.now += leaseMs / 2;
  expect(rig.hear('b', prepare(4)).writeAll().said).toEqual(['b promise 4']);
});

test('a longer word than any before leaves when a restart would keep silent for so long, and it does', () => {
  const rig = new Rig();
  rig.hear('a', prepare(1)).writeAll();
  expect(rig.hear('a', renew(1)).said).toEqual(['a promise 1', 'a renewed 1']);
  expect(rig.hear('a', renew(1, leaseMs * 2)).said).toEqual([]);
  expect(rig.writeAll().said).toEqual(['a renewed 1']);
  expect(rig.image.leaseMs).toBe(leaseMs * 2);
  // A shorter one does not undo it while the longer may hold.
  expect(rig.hear('a', renew(1)).said).toEqual(['a renewed 1']);
  for (let restarts = 0; restarts < 2; restarts++) {
    rig.restart();
    rig.now += leaseMs * 2 - 1;
    expect(rig.hear('b', prepare(2)).said).toEqual([]);
  }
  rig.now += 1;
  expect(rig.hear('b', prepare(2)).writeAll().said).toEqual(['b promise 2']);
  expect(rig.image.leaseMs).toBe(leaseMs);
});

test('log is nothing to it', () => {
  const rig = new Rig();
  const proposal = proposalId(9);
  rig.hear('a', { kind: 'push', proposal, prev: zero, committed: lsn(0), groups: [] });
  rig.hear('a', { kind: 'commit', proposal, committed: lsn(100) });
  rig.hear('a', { kind: 'fetch', proposal, id: 1, from: zero });
  rig.hear('a', { kind: 'rebuild', proposal, base: zero });
  rig.hear('a', { kind: 'hand-over', proposal });
  expect(rig.said).toEqual([]);
  expect(rig.core.view()).toMatchObject({ image: newArbiterImage(self), leader: null });
});
