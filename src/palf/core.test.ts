import { expect, test } from 'vitest';
import type { AccessMode, LogPosition } from '../base/log-access.ts';
import { logStreamId, lsn, monoMs, nodeId, proposalId, scn } from '../base/scalars.ts';
import type { MetaImage } from '../codec/meta-image.ts';
import { PalfCore } from './core.ts';
import type { PalfEffect, PalfOutcome } from './effects.ts';
import type { PalfInput } from './inputs.ts';

const zero: LogPosition = { lsn: lsn(0), scn: scn(0), checksum: 0 };
const meta: MetaImage = {
  stream: logStreamId(1001),
  incarnation: 'test',
  blockBytes: 16_384,
  proposalId: proposalId(4),
  config: {
    version: { proposalId: proposalId(0), sequence: 1 },
    members: [nodeId('self')],
    learners: [],
    arbiter: null,
  },
  accessMode: 'APPEND',
  modeVersion: 1,
  referenceScn: scn(0),
  sealed: null,
  history: [],
  base: zero,
  checkpointLsn: lsn(0),
  durableEnd: lsn(0),
  truncateTo: null,
};

/** A core with a disk that completes when it is told to. */
class Rig {
  readonly core = new PalfCore();
  readonly pending: PalfEffect[] = [];
  readonly replies = new Map<number, PalfOutcome>();
  readonly committed: number[] = [];
  #token = 1;

  constructor(changes: Partial<MetaImage> = {}, end: LogPosition = zero) {
    this.feed({
      kind: 'boot',
      self: nodeId('self'),
      meta: { ...meta, ...changes },
      end,
      history: changes.history ?? [],
    });
  }

  feed(input: PalfInput): void {
    for (const effect of this.core.step(input, monoMs(0))) {
      if (effect.kind === 'reply') this.#answer(effect.token, effect.outcome);
      else if (effect.kind === 'commitTo') this.committed.push(effect.end.lsn);
      else if (effect.kind === 'wakeAt') this.feed({ kind: 'wake' });
      else if ('ioId' in effect) this.pending.push(effect);
    }
  }

  #answer(token: number, outcome: PalfOutcome): void {
    expect(this.replies.has(token), 'a token gets one reply').toBe(false);
    this.replies.set(token, outcome);
  }

  /** Completes the oldest write; what it promised is let go after the core knows. */
  complete(outcome: 'ok' | 'failed' = 'ok'): PalfEffect['kind'] | undefined {
    const effect = this.pending.shift();
    if (effect === undefined || !('ioId' in effect)) return undefined;
    this.feed({ kind: 'ioDone', ioId: effect.ioId, outcome });
    if (effect.kind === 'persistMeta' && outcome === 'ok')
      for (const reply of effect.thenReply) this.#answer(reply.token, reply.outcome);
    return effect.kind;
  }

  settle(): this {
    while (this.complete() !== undefined);
    return this;
  }

  propose(text = 'x'): number {
    const token = this.#token++;
    this.feed({
      kind: 'propose',
      entry: { kind: 'redo', body: [Buffer.from(text)] },
      wall: scn(1_000),
      token,
    });
    return token;
  }

  mode(to: AccessMode, expectedModeVersion = this.core.view().modeVersion, referenceScn = 0): number {
    const token = this.#token++;
    this.feed({ kind: 'changeMode', to, expectedModeVersion, referenceScn: scn(referenceScn), token });
    return token;
  }

  flashback(cut: LogPosition): number {
    const token = this.#token++;
    this.feed({ kind: 'flashback', cut, token });
    return token;
  }
}

test('a core leads only after its new proposal id is durable, above every one it ever saw', () => {
  const rig = new Rig({ history: [{ proposalId: proposalId(9), startLsn: lsn(0) }] });
  const early = rig.propose();
  expect(rig.replies.get(early)).toEqual({ kind: 'refused', refusal: { why: 'not-leader' } });
  rig.settle();
  expect(rig.core.view()).toMatchObject({ role: 'leader', proposalId: 10 });
});

test('an entry is ordered at once and committed by its flush alone', () => {
  const rig = new Rig().settle();
  const token = rig.propose();
  expect(rig.replies.get(token)).toMatchObject({ kind: 'ordered', scn: 1_000 });
  expect(rig.committed).toEqual([]);
  rig.settle();
  expect(rig.committed).toEqual([rig.core.view().maxLsn]);
});

test('one write is in flight; what is ordered meanwhile goes into the next', () => {
  const rig = new Rig().settle();
  for (let count = 0; count < 5; count++) rig.propose();
  expect(rig.pending).toHaveLength(1);
  rig.complete();
  expect(rig.pending).toMatchObject([{ kind: 'appendLog', groups: [{}] }]);
  rig.settle();
  expect(rig.committed).toHaveLength(2);
});

test('a failed write silences the core', () => {
  const rig = new Rig().settle();
  rig.propose();
  rig.complete('failed');
  rig.propose();
  expect(rig.pending).toEqual([]);
  expect(rig.committed).toEqual([]);
  expect(rig.replies.size).toBe(1);
});

test('leaving APPEND waits for what is ordered, takes nothing more, and notes the exact end', () => {
  const rig = new Rig().settle();
  rig.propose();
  const change = rig.mode('RAW_WRITE');
  const late = rig.propose();
  expect(rig.replies.get(late)).toEqual({ kind: 'refused', refusal: { why: 'mode-changing' } });
  expect(rig.complete()).toBe('appendLog');
  expect(rig.core.view().accessMode).toBe('APPEND');
  expect(rig.replies.has(change)).toBe(false);
  expect(rig.complete()).toBe('persistMeta');
  expect(rig.replies.get(change)).toEqual({ kind: 'mode-changed', modeVersion: 2 });
  expect(rig.core.view()).toMatchObject({ accessMode: 'RAW_WRITE', sealed: rig.core.view().committed });
});

test('entering APPEND starts a proposal of its own, and its SCNs are above the reference', () => {
  const rig = new Rig({ accessMode: 'RAW_WRITE' }).settle();
  const before = rig.core.view().proposalId;
  rig.mode('APPEND', 1, 5_000);
  rig.settle();
  expect(rig.core.view().proposalId).toBeGreaterThan(before);
  const token = rig.propose();
  expect(rig.replies.get(token)).toMatchObject({ kind: 'ordered', scn: 5_001 });
  rig.settle();
  expect(rig.core.view()).toMatchObject({ sealed: null, history: [{ startLsn: 0 }] });
});

test('a mode changes only from the version named, and only to one that may follow', () => {
  const rig = new Rig().settle();
  const refusal = (token: number) => rig.replies.get(token);
  expect(refusal(rig.mode('RAW_WRITE', 7))).toEqual({
    kind: 'refused',
    refusal: { why: 'mode-version', actual: 1 },
  });
  for (const to of ['APPEND', 'FLASHBACK', 'PREPARE_FLASHBACK'] as const)
    expect(refusal(rig.mode(to))).toMatchObject({ refusal: { why: 'mode-transition' } });
  const first = rig.mode('RAW_WRITE');
  expect(refusal(rig.mode('RAW_WRITE'))).toMatchObject({ refusal: { why: 'busy' } });
  rig.settle();
  expect(refusal(first)).toMatchObject({ kind: 'mode-changed' });
});

test('a log behind its database’s checkpoint does not become writable', () => {
  const rig = new Rig({ accessMode: 'RAW_WRITE', checkpointLsn: lsn(50) }).settle();
  expect(rig.replies.get(rig.mode('APPEND'))).toMatchObject({ refusal: { why: 'behind-checkpoint' } });
});

test('a flashback is decided durably before a byte is cut, and never goes below the checkpoint', () => {
  const end: LogPosition = { lsn: lsn(500), scn: scn(50), checksum: 5 };
  const rig = new Rig({ accessMode: 'FLASHBACK', checkpointLsn: lsn(120) }, end).settle();
  const below = rig.flashback({ lsn: lsn(100), scn: scn(10), checksum: 1 });
  expect(rig.replies.get(below)).toEqual({ kind: 'refused', refusal: { why: 'below-base', base: 120 } });
  const cut: LogPosition = { lsn: lsn(200), scn: scn(20), checksum: 2 };
  const token = rig.flashback(cut);
  expect(rig.pending).toMatchObject([{ kind: 'persistMeta', image: { truncateTo: cut, durableEnd: 200 } }]);
  expect(rig.complete()).toBe('persistMeta');
  expect(rig.complete()).toBe('truncateLog');
  expect(rig.replies.has(token)).toBe(false);
  expect(rig.complete()).toBe('persistMeta');
  expect(rig.replies.get(token)).toEqual({ kind: 'flashed-back', end: cut });
  expect(rig.core.view()).toMatchObject({ committed: cut, maxLsn: 200 });
  expect(rig.replies.get(rig.flashback(end))).toEqual({ kind: 'flashed-back', end: cut });
});

test('closing finishes what is ordered and writes the exact end', () => {
  const rig = new Rig().settle();
  rig.propose();
  rig.feed({ kind: 'close', token: 99 });
  expect(rig.complete()).toBe('appendLog');
  expect(rig.pending).toMatchObject([{ kind: 'persistMeta', image: { durableEnd: rig.core.view().maxLsn } }]);
  rig.settle();
  expect(rig.replies.get(99)).toMatchObject({ kind: 'closed' });
  expect(rig.replies.get(rig.propose())).toMatchObject({ refusal: { why: 'closed' } });
});

test('a core with one member refuses what needs several', () => {
  const rig = new Rig().settle();
  rig.feed({ kind: 'changeConfig', token: 50 });
  rig.feed({ kind: 'transfer', target: nodeId('other'), token: 51 });
  expect([rig.replies.get(50), rig.replies.get(51)]).toEqual([
    { kind: 'refused', refusal: { why: 'single-member' } },
    { kind: 'refused', refusal: { why: 'single-member' } },
  ]);
});
