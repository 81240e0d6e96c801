/**
 * The consensus core of one log stream: `step(input, now) → effects`. Pure: no await, clock, randomness or IO; never
 * throws for what a disk or a peer does, only for broken invariants.
 *
 * Decides who leads, what is ordered, what is committed, which access mode holds, where the log may be cut. With one
 * member, election is the durable ballot of the member itself and its own flush is the majority; the seats of several
 * members (messages, configuration, transfer) refuse.
 *
 * Must never: say "durable" other than through the write that makes it so (L8), order an entry outside APPEND or a raw
 * group outside RAW_WRITE (M1), let the mode act before it is durable (M2), cut below the base (L7), use a proposal id
 * before it is durable (E5).
 */
import { assert, must, unreachable } from '../base/assert.ts';
import { entryBodyBytesMax, metaRepliesMax } from '../base/limits.ts';
import type { AccessMode, LogPosition, ProposalEra } from '../base/log-access.ts';
import { type Lsn, lsn, type MonoMs, type ProposalId, proposalId, type Scn, scn } from '../base/scalars.ts';
import type { MetaImage } from '../codec/meta-image.ts';
import { mayFollow, takesEntries, takesFlashback, takesRawGroups } from './access-mode.ts';
import type { PalfEffect, PalfOutcome, PalfRefusal, PalfReply } from './effects.ts';
import type { PalfInput, Token } from './inputs.ts';
import { cutHistory, extendHistory, lastProposal } from './proposal-history.ts';
import { majorityEnd } from './quorum.ts';
import { SlidingWindow } from './window.ts';

/** Read-only picture of a core, for state(), checkers and metrics. */
export interface PalfView {
  readonly role: 'leader' | 'follower';
  readonly proposalId: ProposalId;
  readonly accessMode: AccessMode;
  readonly modeVersion: number;
  readonly modeChanging: boolean;
  readonly base: LogPosition;
  readonly checkpointLsn: Lsn;
  readonly committed: LogPosition;
  readonly flushed: LogPosition;
  readonly maxLsn: LogPosition['lsn'];
  readonly maxScn: Scn;
  readonly history: readonly ProposalEra[];
  readonly sealed: LogPosition | null;
  readonly pendingBytes: number;
  readonly pendingGroups: number;
  /** since when the oldest durable write has been in flight, or null */
  readonly writingSince: MonoMs | null;
}

type ModeChange = Extract<PalfInput, { kind: 'changeMode' }>;
type Flashback = {
  readonly cut: LogPosition;
  readonly token: Token;
  state: 'deciding' | 'cutting' | 'noting';
};

export class PalfCore {
  #role: 'leader' | 'follower' = 'follower';
  #window: SlidingWindow | undefined;
  #committed: LogPosition | undefined;
  /** eras of everything ordered, the unflushed included */
  #history: readonly ProposalEra[] = [];

  /** the durable meta image: what counts */
  #meta: MetaImage | undefined;
  /** the durable one with all pending changes */
  #wanted: MetaImage | undefined;
  #metaInFlight: { readonly ioId: number; readonly image: MetaImage; readonly startedAt: MonoMs } | undefined;
  #metaReplies: PalfReply[] = [];
  #metaChanged = false;

  #modeChange: ModeChange | undefined;
  #modePersisting = false;
  #flashback: Flashback | undefined;
  #truncateIo = 0;
  #closing: Token | undefined;
  #isClosed = false;
  #hasFailed = false;

  #rawWrites: { readonly token: Token; readonly end: LogPosition }[] = [];
  #nextIoId = 1;
  #flushStartedAt: MonoMs | undefined;
  #wakeAsked = false;
  #effects: PalfEffect[] = [];

  /** The only entry. Effects are to be carried out in order. */
  step(input: PalfInput, now: MonoMs): readonly PalfEffect[] {
    assert(this.#effects.length === 0, 'step does not recurse');
    if (this.#hasFailed) return [];
    this.#dispatch(input, now);
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  view(): PalfView {
    const meta = must(this.#meta, 'meta after boot');
    const window = must(this.#window, 'window after boot');
    const committed = must(this.#committed, 'committed end after boot');
    return {
      role: this.#role,
      proposalId: meta.proposalId,
      accessMode: meta.accessMode,
      modeVersion: meta.modeVersion,
      modeChanging: this.#modeChange !== undefined,
      base: meta.base,
      checkpointLsn: meta.checkpointLsn,
      committed,
      flushed: window.flushed,
      maxLsn: window.maxLsn,
      maxScn: window.maxScn,
      history: cutHistory(this.#history, committed.lsn),
      sealed: meta.sealed,
      pendingBytes: window.pendingBytes,
      pendingGroups: window.pendingGroups,
      writingSince: this.#flushStartedAt ?? this.#metaInFlight?.startedAt ?? null,
    };
  }

  #dispatch(input: PalfInput, now: MonoMs): void {
    switch (input.kind) {
      case 'boot':
        return this.#onBoot(input, now);
      case 'wake':
        this.#wakeAsked = false;
        return this.#startFlush(now);
      case 'ioDone':
        return this.#onIoDone(input, now);
      case 'propose':
        return this.#onPropose(input, now);
      case 'rawWrite':
        return this.#onRawWrite(input, now);
      case 'changeMode':
        return this.#onChangeMode(input, now);
      case 'flashback':
        return this.#onFlashback(input, now);
      case 'advanceBase':
        return this.#onAdvanceBase(input, now);
      case 'close':
        return this.#onClose(input.token, now);
      case 'message':
        // No member but this one: whatever it is, it is not for this log stream.
        return;
      case 'changeConfig':
      case 'transfer':
        return this.#refuse(input.token, { why: 'single-member' });
      default:
        unreachable(input);
    }
  }

  // --- start ---

  #onBoot(input: Extract<PalfInput, { kind: 'boot' }>, now: MonoMs): void {
    assert(this.#meta === undefined, 'a core boots once');
    assert(input.end.lsn >= input.meta.base.lsn, 'a log does not end before its base');
    assert(input.meta.config.members.includes(input.self), 'a core is a member of its log stream');
    this.#meta = input.meta;
    this.#history = input.history;
    this.#window = new SlidingWindow(input.end, input.meta.blockBytes);
    this.#committed = input.end;
    this.#wanted = { ...input.meta, proposalId: this.#nextProposal(), truncateTo: null };
    this.#metaChanged = true;
    this.#persistMeta(now);
  }

  /** Above every ballot promised here and every era of the log, inherited ones included. */
  #nextProposal(): ProposalId {
    const promised = must(this.#wanted ?? this.#meta, 'meta').proposalId;
    return proposalId(Math.max(promised, lastProposal(this.#history)) + 1);
  }

  // --- writing ---

  #onPropose(input: Extract<PalfInput, { kind: 'propose' }>, now: MonoMs): void {
    const { meta, window } = this.#booted();
    const refusal = this.#notWritable(takesEntries(meta.accessMode));
    if (refusal !== undefined) return this.#refuse(input.token, refusal);
    const bytes = input.entry.body.reduce((sum, fragment) => sum + fragment.length, 0);
    if (bytes > entryBodyBytesMax) return this.#refuse(input.token, { why: 'entry-too-large' });
    if (!window.hasRoomFor(bytes)) return this.#refuse(input.token, { why: 'window-full' });
    this.#history = extendHistory(this.#history, meta.proposalId, window.tail.lsn);
    const floor = scn(Math.max(input.wall, meta.referenceScn + 1));
    const ordered = window.order(input.entry, floor, this.#owner());
    this.#reply(input.token, { kind: 'ordered', ...ordered });
    this.#askFlush(now);
  }

  #onRawWrite(input: Extract<PalfInput, { kind: 'rawWrite' }>, now: MonoMs): void {
    const { meta, window, committed } = this.#booted();
    const refusal = this.#notWritable(takesRawGroups(meta.accessMode));
    if (refusal !== undefined) return this.#refuse(input.token, refusal);
    const { tail } = window;
    if (input.start.lsn !== tail.lsn) return this.#refuse(input.token, { why: 'not-at-end', end: tail });
    if (input.start.checksum !== tail.checksum || input.start.scn !== tail.scn)
      return this.#refuse(input.token, { why: 'diverged', at: tail.lsn });
    let era = lastProposal(this.#history);
    for (const group of input.groups) {
      if (group.header.proposalId < era)
        return this.#refuse(input.token, { why: 'diverged', at: group.start.lsn });
      era = group.header.proposalId;
    }
    const misplaced = window.firstMisplaced(input.groups);
    if (misplaced !== undefined)
      return this.#refuse(input.token, { why: 'block-boundary', at: misplaced.start.lsn });
    const bytes = input.groups.reduce((sum, group) => sum + group.bytes.length, 0);
    if (!window.hasRoomFor(bytes)) return this.#refuse(input.token, { why: 'window-full' });
    const end = input.groups.at(-1)?.end ?? tail;
    if (end.lsn === committed.lsn) return this.#reply(input.token, { kind: 'written', end });
    for (const group of input.groups)
      this.#history = extendHistory(this.#history, group.header.proposalId, group.start.lsn);
    window.adopt(input.groups, committed.lsn);
    this.#rawWrites.push({ token: input.token, end });
    this.#askFlush(now);
  }

  /** Why nothing may be written now, or undefined. */
  #notWritable(modeTakesIt: boolean): PalfRefusal | undefined {
    if (this.#isClosed || this.#closing !== undefined) return { why: 'closed' };
    if (this.#role !== 'leader') return { why: 'not-leader' };
    if (this.#modeChange !== undefined) return { why: 'mode-changing' };
    return modeTakesIt ? undefined : { why: 'access-mode', accessMode: this.#booted().meta.accessMode };
  }

  /** The flush begins at the end of this turn, so that everything ordered in one turn shares it. */
  #askFlush(now: MonoMs): void {
    if (this.#wakeAsked || this.#booted().window.isFlushing) return;
    this.#wakeAsked = true;
    this.#effects.push({ kind: 'wakeAt', at: now });
  }

  #startFlush(now: MonoMs): void {
    const flush = this.#booted().window.startFlush(this.#nextIoId, this.#owner());
    if (flush === undefined) return;
    this.#nextIoId += 1;
    this.#flushStartedAt = now;
    this.#effects.push({ kind: 'appendLog', ...flush, thenSend: [] });
  }

  #owner() {
    const { meta, committed } = this.#booted();
    return { proposalId: meta.proposalId, committedEnd: committed.lsn };
  }

  // --- completions ---

  #onIoDone(input: Extract<PalfInput, { kind: 'ioDone' }>, now: MonoMs): void {
    if (input.outcome === 'failed') {
      // Nothing is known about the disk any more: the driver ends the process, and this core says nothing more.
      this.#hasFailed = true;
      return;
    }
    if (input.ioId === this.#metaInFlight?.ioId) return this.#onMetaDurable(now);
    if (input.ioId === this.#truncateIo) return this.#onTruncated(now);
    const { window } = this.#booted();
    window.finishFlush(input.ioId);
    this.#flushStartedAt = undefined;
    this.#startFlush(now);
    this.#advanceCommit(majorityEnd([window.flushed]));
    this.#afterDrain(now);
  }

  #advanceCommit(end: LogPosition): void {
    const { committed } = this.#booted();
    if (end.lsn <= committed.lsn) return;
    this.#committed = end;
    this.#effects.push({ kind: 'commitTo', end });
    while (this.#rawWrites[0] !== undefined && this.#rawWrites[0].end.lsn <= end.lsn) {
      const write = must(this.#rawWrites.shift(), 'raw write');
      this.#reply(write.token, { kind: 'written', end: write.end });
    }
  }

  /** What waits for everything ordered to be committed. */
  #afterDrain(now: MonoMs): void {
    if (!this.#booted().window.isEmpty) return;
    if (this.#modeChange !== undefined && !this.#modePersisting) this.#persistMode(this.#modeChange, now);
    if (this.#closing !== undefined && this.#modeChange === undefined && this.#flashback === undefined)
      this.#persistClose(this.#closing, now);
  }

  // --- meta image ---

  #change(changes: Partial<MetaImage>, reply: PalfReply | undefined, now: MonoMs): void {
    this.#wanted = { ...must(this.#wanted, 'wanted meta'), ...changes };
    if (reply !== undefined) this.#metaReplies.push(reply);
    this.#metaChanged = true;
    this.#persistMeta(now);
  }

  /** One image at a time; changes made meanwhile go into the next one together. */
  #persistMeta(now: MonoMs): void {
    if (this.#metaInFlight !== undefined || !this.#metaChanged) return;
    const { window } = this.#booted();
    const wanted = must(this.#wanted, 'wanted meta');
    const image: MetaImage = {
      ...wanted,
      history: cutHistory(this.#history, wanted.truncateTo?.lsn ?? window.flushed.lsn),
      durableEnd: lsn(Math.min(window.flushed.lsn, wanted.truncateTo?.lsn ?? window.flushed.lsn)),
    };
    this.#metaChanged = false;
    this.#metaInFlight = { ioId: this.#nextIoId++, image, startedAt: now };
    this.#effects.push({
      kind: 'persistMeta',
      ioId: this.#metaInFlight.ioId,
      image,
      thenSend: [],
      thenReply: this.#metaReplies,
    });
    this.#metaReplies = [];
  }

  #onMetaDurable(now: MonoMs): void {
    const { image } = must(this.#metaInFlight, 'meta in flight');
    const before = must(this.#meta, 'meta');
    assert(image.proposalId >= before.proposalId, 'proposal ids never decrease');
    assert(image.modeVersion >= before.modeVersion, 'mode versions never decrease');
    this.#metaInFlight = undefined;
    this.#meta = image;
    if (image.modeVersion !== before.modeVersion) this.#onModeDurable(image);
    if (this.#role === 'follower') this.#becomeLeader(image);
    if (this.#flashback?.state === 'deciding' && image.truncateTo !== null) this.#startTruncate();
    else if (this.#flashback?.state === 'noting' && image.truncateTo === null) this.#flashback = undefined;
    this.#persistMeta(now);
    this.#afterDrain(now);
  }

  #becomeLeader(image: MetaImage): void {
    const { window } = this.#booted();
    this.#role = 'leader';
    this.#effects.push(
      { kind: 'roleChanged', role: 'leader', proposalId: image.proposalId, startLsn: window.tail.lsn },
      {
        kind: 'trace',
        trace: { event: 'leader', proposalId: image.proposalId, lsn: window.tail.lsn },
      },
    );
  }

  // --- access mode ---

  #onChangeMode(input: ModeChange, now: MonoMs): void {
    const { meta, window } = this.#booted();
    const { token, to } = input;
    if (this.#isClosed || this.#closing !== undefined) return this.#refuse(token, { why: 'closed' });
    if (this.#role !== 'leader') return this.#refuse(token, { why: 'not-leader' });
    if (this.#modeChange !== undefined || this.#flashback !== undefined)
      return this.#refuse(token, { why: 'busy' });
    if (input.expectedModeVersion !== meta.modeVersion)
      return this.#refuse(token, { why: 'mode-version', actual: meta.modeVersion });
    if (!mayFollow(meta.accessMode, to))
      return this.#refuse(token, { why: 'mode-transition', from: meta.accessMode, to });
    // A log that ends before what the database holds would write another history under it.
    const { checkpointLsn } = must(this.#wanted, 'wanted meta');
    if (to === 'APPEND' && window.tail.lsn < checkpointLsn)
      return this.#refuse(token, { why: 'behind-checkpoint', end: window.tail.lsn, checkpointLsn });
    this.#modeChange = input;
    // From here on nothing new is ordered; what is under way is finished first, so that the seal is exact.
    if (window.isEmpty) this.#persistMode(input, now);
  }

  #persistMode(change: ModeChange, now: MonoMs): void {
    const { meta, committed, window } = this.#booted();
    assert(window.isEmpty && committed.lsn === window.tail.lsn, 'the mode changes on a quiet log');
    this.#modePersisting = true;
    const modeVersion = meta.modeVersion + 1;
    const opens = change.to === 'APPEND';
    this.#change(
      {
        accessMode: change.to,
        modeVersion,
        sealed: opens ? null : meta.accessMode === 'APPEND' ? committed : meta.sealed,
        ...(opens ? { proposalId: this.#nextProposal() } : {}),
        referenceScn: scn(Math.max(meta.referenceScn, change.referenceScn)),
      },
      { token: change.token, outcome: { kind: 'mode-changed', modeVersion } },
      now,
    );
  }

  #onModeDurable(image: MetaImage): void {
    this.#modeChange = undefined;
    this.#modePersisting = false;
    this.#effects.push({
      kind: 'trace',
      trace: {
        event: 'access-mode',
        accessMode: image.accessMode,
        modeVersion: image.modeVersion,
        proposalId: image.proposalId,
        lsn: this.#booted().committed.lsn,
      },
    });
  }

  // --- flashback: decide durably, cut, note that it is done ---

  #onFlashback(input: Extract<PalfInput, { kind: 'flashback' }>, now: MonoMs): void {
    const { meta, committed, window } = this.#booted();
    const { token, cut } = input;
    if (this.#isClosed || this.#closing !== undefined) return this.#refuse(token, { why: 'closed' });
    if (this.#modeChange !== undefined || this.#flashback !== undefined)
      return this.#refuse(token, { why: 'busy' });
    if (!takesFlashback(meta.accessMode))
      return this.#refuse(token, { why: 'access-mode', accessMode: meta.accessMode });
    const { checkpointLsn } = must(this.#wanted, 'wanted meta');
    if (cut.lsn < checkpointLsn) return this.#refuse(token, { why: 'below-base', base: checkpointLsn });
    assert(window.isEmpty, 'only a quiet log is cut');
    if (cut.lsn >= committed.lsn) return this.#reply(token, { kind: 'flashed-back', end: committed });
    this.#flashback = { cut, token, state: 'deciding' };
    this.#change({ truncateTo: cut }, undefined, now);
  }

  #startTruncate(): void {
    const flashback = must(this.#flashback, 'flashback');
    flashback.state = 'cutting';
    this.#truncateIo = this.#nextIoId++;
    this.#effects.push({ kind: 'truncateLog', ioId: this.#truncateIo, to: flashback.cut });
  }

  #onTruncated(now: MonoMs): void {
    const flashback = must(this.#flashback, 'flashback');
    const { window, committed } = this.#booted();
    this.#truncateIo = 0;
    flashback.state = 'noting';
    window.cut(flashback.cut);
    this.#committed = flashback.cut;
    this.#history = cutHistory(this.#history, flashback.cut.lsn);
    this.#effects.push({
      kind: 'trace',
      trace: { event: 'flashback', from: committed.lsn, to: flashback.cut.lsn },
    });
    const outcome = { kind: 'flashed-back', end: flashback.cut } as const;
    this.#change({ truncateTo: null }, { token: flashback.token, outcome }, now);
  }

  // --- base, close ---

  #onAdvanceBase(input: Extract<PalfInput, { kind: 'advanceBase' }>, now: MonoMs): void {
    const { committed } = this.#booted();
    const { token, base } = input;
    if (this.#isClosed) return this.#refuse(token, { why: 'closed' });
    if (this.#flashback !== undefined || this.#metaReplies.length >= metaRepliesMax)
      return this.#refuse(token, { why: 'busy' });
    // A flashback may have cut the log after the driver found this position.
    if (input.checkpointLsn > committed.lsn)
      return this.#refuse(token, { why: 'not-at-end', end: committed });
    const wanted = must(this.#wanted, 'wanted meta');
    assert(base.lsn <= input.checkpointLsn, 'the base is not behind the checkpoint');
    if (input.checkpointLsn <= wanted.checkpointLsn)
      return this.#reply(token, { kind: 'base-advanced', base: wanted.base });
    this.#change(
      { base, checkpointLsn: input.checkpointLsn },
      { token, outcome: { kind: 'base-advanced', base } },
      now,
    );
  }

  #onClose(token: Token, now: MonoMs): void {
    if (this.#isClosed || this.#closing !== undefined) return this.#refuse(token, { why: 'closed' });
    this.#closing = token;
    this.#afterDrain(now);
  }

  /** The exact end goes into the meta image: a log that ends earlier at the next start has lost bytes. */
  #persistClose(token: Token, now: MonoMs): void {
    this.#closing = undefined;
    this.#isClosed = true;
    const end = this.#booted().committed;
    this.#change({}, { token, outcome: { kind: 'closed', end } }, now);
  }

  // --- small ---

  #booted(): { meta: MetaImage; window: SlidingWindow; committed: LogPosition } {
    assert(this.#meta !== undefined && this.#window !== undefined && this.#committed !== undefined, 'booted');
    return { meta: this.#meta, window: this.#window, committed: this.#committed };
  }

  #reply(token: Token, outcome: PalfOutcome): void {
    this.#effects.push({ kind: 'reply', token, outcome });
  }

  #refuse(token: Token, refusal: PalfRefusal): void {
    this.#reply(token, { kind: 'refused', refusal });
  }
}
