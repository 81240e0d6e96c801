import { expect, test } from 'vitest';
import type { AccessMode, LogPosition } from '../base/log-access.ts';
import { logStreamId, lsn, monoMs, nodeId, proposalId, scn } from '../base/scalars.ts';
import { firstRecord, noVersion } from '../codec/config-record.ts';
import type { MetaImage } from '../codec/meta-image.ts';
import { PalfCore } from './core.ts';
import type { PalfEffect, PalfOutcome } from './effects.ts';
import type { PalfInput } from './inputs.ts';

const zero: LogPosition = { lsn: lsn(0), scn: scn(0), checksum: 0 };
const meta: MetaImage = {
  stream: logStreamId(1001),
  incarnation: 'test',
  blockBytes: 16_384,
  self: nodeId('self'),
  promised: proposalId(4),
  leaseMs: 0,
  accepted: proposalId(0),
  config: firstRecord({
    members: [nodeId('self')],
    learners: [],
    accessMode: 'APPEND',
    referenceScn: scn(0),
  }),
  cutApplied: noVersion,
  history: [],
  base: zero,
  checkpointLsn: lsn(0),
  durableEnd: lsn(0),
  truncateTo: null,
  impaired: null,
  mendings: 0,
};
const inMode = (accessMode: AccessMode) => ({ config: { ...meta.config, accessMode } });

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
      committed: end,
      tail: [],
      corrupt: false,
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
  complete(): PalfEffect['kind'] | undefined {
    const effect = this.pending.shift();
    if (effect === undefined || !('ioId' in effect)) return undefined;
    this.feed({ kind: 'ioDone', ioId: effect.ioId, outcome: 'ok' });
    if (effect.kind === 'persistMeta')
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
  expect(rig.replies.get(early)).toEqual({ kind: 'refused', refusal: { why: 'not-leader', leader: null } });
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

test('while a write is not done nothing is committed, and no other begins', () => {
  const rig = new Rig().settle();
  rig.propose();
  const { pending } = rig;
  expect(pending).toHaveLength(1);
  for (let count = 0; count < 3; count++) rig.propose();
  rig.feed({ kind: 'wake' });
  expect(pending).toHaveLength(1);
  expect(rig.committed).toEqual([]);
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
  const rig = new Rig(inMode('RAW_WRITE')).settle();
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
  const rig = new Rig({ ...inMode('RAW_WRITE'), checkpointLsn: lsn(50) }).settle();
  expect(rig.replies.get(rig.mode('APPEND'))).toMatchObject({ refusal: { why: 'behind-checkpoint' } });
});

test('a flashback is decided durably before a byte is cut, and never goes below the checkpoint', () => {
  const end: LogPosition = { lsn: lsn(500), scn: scn(50), checksum: 5 };
  const rig = new Rig({ ...inMode('FLASHBACK'), checkpointLsn: lsn(120) }, end).settle();
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

test('a database may tell what it is about to hold: no cut goes below, and the base follows when it does', () => {
  const end: LogPosition = { lsn: lsn(500), scn: scn(50), checksum: 5 };
  const rig = new Rig(inMode('FLASHBACK'), end).settle();
  const advance = (base: LogPosition, checkpointLsn: number, token: number) => {
    rig.feed({ kind: 'advanceBase', base, checkpointLsn: lsn(checkpointLsn), token });
    rig.settle();
    return rig.replies.get(token);
  };
  expect(advance(zero, 300, 90)).toEqual({ kind: 'base-advanced', base: zero });
  const below = rig.flashback({ lsn: lsn(200), scn: scn(20), checksum: 2 });
  expect(rig.replies.get(below)).toEqual({ kind: 'refused', refusal: { why: 'below-base', base: 300 } });
  const base: LogPosition = { lsn: lsn(250), scn: scn(25), checksum: 3 };
  expect(advance(base, 300, 91)).toEqual({ kind: 'base-advanced', base });
  expect(rig.core.view()).toMatchObject({ base, checkpointLsn: 300 });
  rig.flashback({ lsn: lsn(400), scn: scn(40), checksum: 4 });
  expect(advance(end, 500, 92)).toMatchObject({ kind: 'refused' });
});

test('a sole voter names no proposal to its learners before that is durable', () => {
  const core = new PalfCore();
  const settle = (effects: readonly PalfEffect[], now: number): void => {
    for (const effect of effects)
      if ('ioId' in effect)
        settle(core.step({ kind: 'ioDone', ioId: effect.ioId, outcome: 'ok' }, monoMs(now)), now);
  };
  const renewals = (now: number) =>
    core
      .step({ kind: 'wake' }, monoMs(now))
      .flatMap(effect => (effect.kind === 'send' && effect.message.kind === 'renew' ? [effect.message] : []))
      .map(({ proposal }) => proposal);
  const config = { ...meta.config, accessMode: 'FLASHBACK' as const, learners: [nodeId('learner')] };
  const boot = {
    self: meta.self,
    meta: { ...meta, config },
    end: zero,
    history: [],
    committed: zero,
    tail: [],
  };
  settle(core.step({ kind: 'boot', ...boot, corrupt: false }, monoMs(0)), 0);
  expect(renewals(10_000)).toEqual([5]);
  const { modeVersion: expectedModeVersion } = core.view();
  const change = { to: 'APPEND', expectedModeVersion, referenceScn: scn(0), token: 1 } as const;
  const writes = core.step({ kind: 'changeMode', ...change }, monoMs(10_001));
  expect(core.view().promised).toBe(5);
  expect(renewals(20_000)).toEqual([]);
  settle(writes, 20_001);
  expect(renewals(30_000)).toEqual([6]);
});

test('log that is cut off as a record of the arbiter is taken is not committed for that of its leader', () => {
  const names = ['self', 'n2', 'n3', 'n4'].map(name => nodeId(name));
  const arbiter = nodeId('z1');
  const own = firstRecord({
    members: names,
    learners: [],
    arbiter,
    accessMode: 'APPEND',
    referenceScn: scn(0),
  });
  const version = { proposalId: proposalId(5), sequence: 2 };
  const start: LogPosition = { lsn: lsn(100), scn: scn(1), checksum: 1 };
  const end: LogPosition = { lsn: lsn(200), scn: scn(2), checksum: 2 };
  const core = new PalfCore();
  const committed: number[] = [];
  const feed = (input: PalfInput): void => {
    for (const effect of core.step(input, monoMs(0)))
      if (effect.kind === 'commitTo') committed.push(effect.end.lsn);
  };
  feed({
    kind: 'boot',
    self: nodeId('self'),
    meta: { ...meta, accepted: proposalId(4), config: own },
    end,
    history: [],
    committed: start,
    tail: [end],
    corrupt: false,
  });
  const record = { ...own, version };
  feed({
    kind: 'message',
    from: arbiter,
    message: { kind: 'record', proposal: proposalId(5), record, start, barrier: lsn(0), since: version },
  });
  // The image with the record is not durable yet, and the log is not cut.
  expect(core.view().maxLsn).toBe(200);
  feed({
    kind: 'message',
    from: nodeId('n2'),
    message: {
      kind: 'renew',
      proposal: proposalId(5),
      sentAt: monoMs(0),
      leaseMs: 1_200,
      committed: lsn(300),
    },
  });
  expect(committed).toEqual([]);
});
