/**
 * One log stream of a process: drives its palf core against the disk and implements `LogAccess` for the layers above.
 *
 * Thin on purpose: inputs go to the core, its effects are carried out in order. Appends of one turn share one durable
 * write; while it is in flight the next ones gather. When a write is durable, listeners of the committed end run in the same tick,
 * before anybody who waits for it is resumed. A failed durable write ends the stream: `onFatal`, and not one
 * acknowledgement after it. Keeps L5–L9, M1–M3 through the core, R1 by reading up to the committed end only.
 */
import { AssertionError, assert, must, unreachable } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import {
  blockBytesMin,
  committedListenersMax,
  committedWaitersMax,
  readBytesMax,
  recycleAtShare,
  refuseAtShare,
} from '../base/limits.ts';
import type {
  AccessMode,
  AppendedEntry,
  LogAccess,
  LogChunk,
  LogHold,
  LogPosition,
  LogState,
  NewEntry,
  ProposalEra,
} from '../base/log-access.ts';
import { type LogStreamId, type Lsn, lsn, type Scn, scn } from '../base/scalars.ts';
import { blockIdOf, blockStart } from '../codec/block-header.ts';
import { decodeChunk, isProblem } from '../codec/clog.ts';
import { PalfCore, type PalfView } from '../palf/core.ts';
import type { PalfEffect, PalfOutcome, PalfRefusal, PalfReply } from '../palf/effects.ts';
import type { PalfInput, Token } from '../palf/inputs.ts';
import type { Clock } from '../platform/clock.ts';
import { codeOf, type Disk } from '../platform/disk.ts';
import { type Logger, silentLogger } from '../platform/logger.ts';
import { BlockReader } from './block-reader.ts';
import type { BlockStore } from './block-store.ts';
import { CommitWaiters } from './commit-waiters.ts';
import { LogHolds } from './log-holds.ts';
import { LogTail } from './log-tail.ts';
import type { MetaFile } from './meta-file.ts';
import { logStart, type RecoveredLog, recoverLog, soleMember } from './recovery.ts';
import { type RefusedCall, refusalError } from './refusals.ts';

export interface LogStreamOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  /** the stream's own directory; made if absent */
  readonly directory: string;
  readonly stream: LogStreamId;
  /** the tenant's; a log of another incarnation is refused */
  readonly incarnation: string;
  readonly limits: {
    /** size of a block file, for a log that is made now */
    readonly blockBytes: number;
    /** log bytes kept on disk; entries are refused near it */
    readonly diskBytesMax: number;
  };
  /** a log that is made now begins here (default: LSN 0) and in this access mode (default: APPEND) */
  readonly initialPosition?: LogPosition;
  readonly initialAccessMode?: AccessMode;
  /**
   * With `initialPosition`: what the database beside the log already holds (at or behind the position), and the source's
   * eras up to there. Until the log has reached the one it takes no entries; without the others it could use a
   * proposal id again.
   */
  readonly initialCheckpointLsn?: Lsn;
  readonly initialHistory?: readonly ProposalEra[];
  /** The process must end: a durable write failed or an invariant broke. Called once. */
  readonly onFatal: (error: ObError) => void;
  readonly logger?: Logger;
}

interface Call {
  readonly resolve: (outcome: PalfOutcome) => void;
  readonly reject: (error: Error) => void;
}

/** Token of calls that are answered inside their own step. */
const syncToken: Token = 0;

export class LogStream implements LogAccess {
  readonly #options: LogStreamOptions;
  readonly #core = new PalfCore();
  readonly #store: BlockStore;
  readonly #metaFile: MetaFile;
  readonly #reader: BlockReader;
  readonly #tail = new LogTail();
  readonly #waiters = new CommitWaiters();
  readonly #holds: LogHolds;
  readonly #listeners = new Set<(end: LogPosition) => void>();
  readonly #calls = new Map<Token, Call>();
  readonly #logger: Logger;
  #booting: { readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined;
  #view: PalfView | undefined;
  #nextToken = 1;
  #syncOutcome: PalfOutcome | undefined;
  #begin: Lsn;
  #isRecycling = false;
  #cuts = 0;
  #isClosing = false;
  #fatal: ObError | undefined;

  /**
   * Recovers the log in `directory` and leads it. Throws OBS_LOG_CORRUPT (damage, not a crash), OBS_LOG_FOREIGN,
   * OBS_LOG_DISK_FAILED (without `onFatal`: what to do about a log that does not open is the caller's to decide).
   */
  static async open(options: LogStreamOptions): Promise<LogStream> {
    assert(options.limits.blockBytes >= blockBytesMin, 'a block has at least its smallest size');
    const recovered = await recoverLog({
      ...options,
      blockBytes: options.limits.blockBytes,
      initial: {
        position: options.initialPosition ?? logStart,
        accessMode: options.initialAccessMode ?? 'APPEND',
        checkpointLsn: options.initialCheckpointLsn ?? options.initialPosition?.lsn ?? logStart.lsn,
        history: options.initialHistory ?? [],
      },
    }).catch((error: unknown) => {
      throw error instanceof ObError || error instanceof AssertionError
        ? error
        : diskError(options.stream, 'open its log', error);
    });
    const stream = new LogStream(options, recovered);
    await stream.#boot(recovered);
    return stream;
  }

  private constructor(options: LogStreamOptions, recovered: RecoveredLog) {
    this.#options = options;
    this.#logger = (options.logger ?? silentLogger).child({ stream: options.stream });
    this.#store = recovered.store;
    this.#metaFile = recovered.metaFile;
    this.#reader = new BlockReader(recovered.store);
    this.#begin = recovered.begin;
    this.#holds = new LogHolds(() => this.#recycle());
  }

  /** Exact end of the log when it last left APPEND; null while in APPEND or if it never was. */
  get sealed(): LogPosition | null {
    return this.#now.sealed;
  }

  /** Size of this log's block files; a standby of it must use the same. */
  get blockBytes(): number {
    return this.#store.blockBytes;
  }

  state(): LogState {
    const view = this.#now;
    return {
      stream: this.#options.stream,
      role: this.#fatal === undefined ? view.role : 'follower',
      proposalId: view.proposalId,
      accessMode: view.accessMode,
      modeVersion: view.modeVersion,
      baseLsn: view.base.lsn,
      beginLsn: this.#begin,
      end: view.committed,
      maxLsn: view.maxLsn,
      maxScn: view.maxScn,
      proposalHistory: view.history,
    };
  }

  // --- appending ---

  append(entry: NewEntry): AppendedEntry {
    this.#mustLive();
    const bytes = entry.body.reduce((sum, fragment) => sum + fragment.length, 0);
    // A role change must be able to end the load that filled the disk.
    if (entry.kind !== 'role') this.#mustHaveDisk(bytes);
    const wall = scn(this.#options.clock.wall());
    this.#syncOutcome = undefined;
    this.#step({ kind: 'propose', entry, wall, token: syncToken });
    const outcome = must<PalfOutcome>(this.#syncOutcome, 'answer of a proposal');
    if (outcome.kind === 'refused') throw this.#refused(outcome.refusal, { bytes });
    assert(outcome.kind === 'ordered', 'a proposal is ordered or refused');
    return { endLsn: outcome.endLsn, scn: outcome.scn };
  }

  committed(at: Lsn): Promise<void> {
    if (at <= this.#now.committed.lsn) return Promise.resolve();
    if (this.#fatal !== undefined || this.#isClosing) return Promise.reject(this.#unknown(at));
    if (this.#waiters.size >= committedWaitersMax)
      return Promise.reject(this.#refused({ why: 'window-full' }, {}));
    return this.#waiters.add(at);
  }

  onCommitted(listener: (end: LogPosition) => void): () => void {
    assert(this.#listeners.size < committedListenersMax, 'listeners of a log stream are bounded');
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async rawWrite(chunk: LogChunk): Promise<LogPosition> {
    this.#mustLive();
    this.#mustHaveDisk(chunk.bytes.length);
    const groups = decodeChunk(chunk);
    if (isProblem(groups))
      throw new ObError('OBS_LOG_CORRUPT', {
        stream: this.#options.stream,
        lsn: groups.lsn,
        what: `${groups.what} (received)`,
      });
    const outcome = await this.#call(token => ({ kind: 'rawWrite', start: chunk.start, groups, token }), {
      lsn: chunk.start.lsn,
    });
    assert(outcome.kind === 'written', 'a raw write is written or refused');
    return outcome.end;
  }

  // --- reading ---

  async read(from: Lsn, bytesMax: number): Promise<LogChunk> {
    const recent = this.readRecent(from, bytesMax);
    if (recent !== undefined) return recent;
    this.#mustBeReadable(from);
    const cuts = this.#cuts;
    try {
      const end = this.#now.committed.lsn;
      const chunk = await this.#reader.read(from, Math.min(bytesMax, readBytesMax), end);
      if (cuts !== this.#cuts) throw new ObError('OBS_LOG_BUSY', { stream: this.#options.stream });
      if (!isProblem(chunk)) return chunk;
      throw new ObError('OBS_LOG_CORRUPT', {
        stream: this.#options.stream,
        lsn: chunk.lsn,
        what: chunk.what,
      });
    } catch (error) {
      if (error instanceof ObError || error instanceof AssertionError) throw error;
      // A block that was recycled while it was read.
      this.#mustBeReadable(from);
      throw diskError(this.#options.stream, `read its log from LSN ${from}`, error);
    }
  }

  /** As `read`, from memory alone: at the end of the log an empty chunk, undefined if `from` lies further back. */
  readRecent(from: Lsn, bytesMax: number): LogChunk | undefined {
    const { committed } = this.#now;
    if (from === committed.lsn) return { start: committed, end: committed, bytes: new Uint8Array(0) };
    if (from > committed.lsn || from < this.#begin) this.#mustBeReadable(from);
    return this.#tail.read(from, Math.min(bytesMax, readBytesMax), committed.lsn);
  }

  hold(name: string, from: Lsn): LogHold {
    assert(!this.#holds.isFull, 'holds of a log stream are bounded');
    return this.#holds.add(name, from);
  }

  // --- changes ---

  async changeMode(change: {
    to: AccessMode;
    expectedModeVersion: number;
    referenceScn: Scn;
  }): Promise<number> {
    this.#mustLive();
    const outcome = await this.#call(token => ({ kind: 'changeMode', ...change, token }), change);
    assert(outcome.kind === 'mode-changed', 'a mode is changed or refused');
    return outcome.modeVersion;
  }

  async flashback(to: Scn): Promise<LogPosition> {
    this.#mustLive();
    const { accessMode, base, checkpointLsn, committed } = this.#now;
    if (accessMode !== 'FLASHBACK') throw this.#refused({ why: 'access-mode', accessMode }, {});
    if (base.scn > to) throw this.#refused({ why: 'below-base', base: base.lsn }, { scn: to });
    const cut = await this.#reader.cutPosition(to, base, committed.lsn, checkpointLsn);
    if (isProblem(cut))
      throw new ObError('OBS_LOG_CORRUPT', { stream: this.#options.stream, lsn: cut.lsn, what: cut.what });
    const outcome = await this.#call(token => ({ kind: 'flashback', cut, token }), { scn: to });
    assert(outcome.kind === 'flashed-back', 'a flashback is done or refused');
    return outcome.end;
  }

  async advanceBase(to: Lsn): Promise<void> {
    this.#mustLive();
    if (to <= this.#now.checkpointLsn) return;
    // The group that holds the byte: an entry may end, and a database be durable, in the middle of one.
    const base = (await this.read(to, 1)).start;
    this.#mustLive();
    await this.#call(token => ({ kind: 'advanceBase', base, checkpointLsn: to, token }));
    this.#recycle();
  }

  /** Finishes what is ordered, notes the exact end, closes the files. Takes nothing from the first moment on. */
  async close(): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    if (this.#fatal === undefined) {
      if (this.#store.isFull) {
        // What waits for room was never acknowledged; it stays unknown to those who ordered it.
        await this.#store.close();
      } else {
        const outcome = await this.#ask(token => ({ kind: 'close', token }));
        assert(outcome.kind === 'closed', 'a log stream closes once');
      }
    }
    this.#waiters.abandon(at => this.#unknown(at));
    await this.#store.close();
  }

  // --- the core and its effects ---

  async #boot({ meta, end, history, hadTornTail }: RecoveredLog): Promise<void> {
    if (hadTornTail)
      this.#logger.warn({ lsn: end.lsn }, 'an unfinished write at the end of the log was erased');
    await new Promise<void>((resolve, reject) => {
      this.#booting = { resolve, reject };
      this.#step({ kind: 'boot', self: soleMember, meta, end, history });
    });
  }

  get #now(): PalfView {
    this.#view ??= this.#core.view();
    return this.#view;
  }

  /** Feeds the core; whatever goes wrong in here is the end of the stream. */
  #step(input: PalfInput): void {
    if (this.#fatal !== undefined) return;
    try {
      const effects = this.#core.step(input, this.#options.clock.now());
      this.#view = undefined;
      for (const effect of effects) this.#carryOut(effect);
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      this.#fail(new ObError('OBS_BUG', { what }, error));
    }
  }

  #carryOut(effect: PalfEffect): void {
    switch (effect.kind) {
      case 'appendLog':
        void this.#appendLog(effect);
        return;
      case 'persistMeta':
        void this.#persistMeta(effect);
        return;
      case 'truncateLog':
        void this.#truncateLog(effect);
        return;
      case 'commitTo':
        for (const listener of this.#listeners) listener(effect.end);
        this.#waiters.reached(effect.end.lsn);
        return;
      case 'reply':
        this.#settle(effect);
        return;
      case 'wakeAt':
        // Asked for now, always, while there is one member: at the end of this turn.
        queueMicrotask(() => this.#step({ kind: 'wake' }));
        return;
      case 'roleChanged':
        this.#booting?.resolve();
        this.#booting = undefined;
        return;
      case 'trace':
        this.#logger.info(effect.trace, effect.trace.event);
        return;
      case 'send':
      case 'readLog':
        throw new AssertionError('a log stream with one member neither sends nor repairs');
      default:
        unreachable(effect);
    }
  }

  async #appendLog(effect: Extract<PalfEffect, { kind: 'appendLog' }>): Promise<void> {
    try {
      await this.#store.append(
        effect.start,
        effect.groups.map(group => group.bytes),
      );
    } catch (error) {
      this.#failDisk(`write its log at LSN ${effect.start.lsn}`, error);
      return;
    }
    if (this.#fatal !== undefined) return;
    this.#tail.push(effect.groups, this.#options.clock.now());
    this.#step({ kind: 'ioDone', ioId: effect.ioId, outcome: 'ok' });
  }

  async #persistMeta(effect: Extract<PalfEffect, { kind: 'persistMeta' }>): Promise<void> {
    try {
      await this.#metaFile.write(effect.image);
    } catch (error) {
      this.#failDisk('write its meta image', error);
      return;
    }
    this.#step({ kind: 'ioDone', ioId: effect.ioId, outcome: 'ok' });
    for (const reply of effect.thenReply) if (this.#fatal === undefined) this.#settle(reply);
  }

  async #truncateLog(effect: Extract<PalfEffect, { kind: 'truncateLog' }>): Promise<void> {
    try {
      this.#cuts += 1;
      this.#tail.clear();
      this.#reader.cut(effect.to.lsn);
      await this.#store.truncate(effect.to);
      // Again, for what began to be read in between.
      this.#reader.cut(effect.to.lsn);
      this.#cuts += 1;
      this.#begin = lsn(Math.min(this.#begin, effect.to.lsn));
    } catch (error) {
      this.#failDisk(`cut its log at LSN ${effect.to.lsn}`, error);
      return;
    }
    this.#step({ kind: 'ioDone', ioId: effect.ioId, outcome: 'ok' });
  }

  #settle(reply: PalfReply): void {
    if (reply.token === syncToken) {
      this.#syncOutcome = reply.outcome;
      return;
    }
    const call = must(this.#calls.get(reply.token), 'caller of a reply');
    this.#calls.delete(reply.token);
    call.resolve(reply.outcome);
  }

  #ask(input: (token: Token) => PalfInput): Promise<PalfOutcome> {
    const token = this.#nextToken++;
    return new Promise((resolve, reject) => {
      this.#calls.set(token, { resolve, reject });
      this.#step(input(token));
    });
  }

  /** Asks the core; a refusal is thrown. */
  async #call(input: (token: Token) => PalfInput, details: RefusedCall = {}): Promise<PalfOutcome> {
    const outcome = await this.#ask(input);
    if (outcome.kind === 'refused') throw this.#refused(outcome.refusal, details);
    return outcome;
  }

  // --- recycling ---

  get #diskBytesMax(): number {
    return Math.max(this.#options.limits.diskBytesMax, 4 * this.blockBytes);
  }

  /** Removes the oldest blocks below the base and every hold while the log disk is filled beyond its share. */
  #recycle(): void {
    if (this.#isRecycling || this.#fatal !== undefined || this.#isClosing) return;
    this.#isRecycling = true;
    this.#removeBlocks().then(
      () => {
        this.#isRecycling = false;
      },
      (error: unknown) => this.#failDisk('recycle its log', error),
    );
  }

  async #removeBlocks(): Promise<void> {
    for (;;) {
      const { base, committed, maxLsn } = this.#now;
      const blockId = blockIdOf(this.#begin, this.blockBytes);
      const end = blockStart(blockId + 1, this.blockBytes);
      const isNeeded = end > this.#holds.lowest(base.lsn) || end >= committed.lsn;
      const isEnough = maxLsn - this.#begin <= recycleAtShare * this.#diskBytesMax;
      if (isNeeded || isEnough || this.#isClosing) return;
      // Readers are told before the file goes.
      this.#begin = end;
      await this.#store.remove(blockId);
      this.#logger.info({ blockId, beginLsn: end }, 'a block was recycled');
    }
  }

  #mustHaveDisk(bytes: number): void {
    const used = this.#now.maxLsn - this.#begin + bytes;
    const limit = refuseAtShare * this.#diskBytesMax;
    if (used <= limit && !this.#store.isFull) return;
    this.#recycle();
    const { base } = this.#now;
    const holders = this.#holds.below(base.lsn);
    throw new ObError('OBS_LOG_DISK_FULL', {
      stream: this.#options.stream,
      why: this.#store.isFull
        ? 'the file system has no room'
        : `${used} of ${this.#diskBytesMax} bytes are used`,
      holders: holders.length > 0 ? holders.join(', ') : `the next checkpoint (LSN ${base.lsn})`,
    });
  }

  // --- errors ---

  #mustLive(): void {
    if (this.#fatal !== undefined) throw this.#fatal;
    if (this.#isClosing) throw this.#refused({ why: 'closed' }, {});
  }

  #mustBeReadable(from: Lsn): void {
    const { committed } = this.#now;
    if (from < this.#begin) throw new ObError('OBS_LOG_RECYCLED', { from, begin: this.#begin });
    if (from > committed.lsn)
      throw new ObError('OBS_LOG_POSITION_INVALID', {
        lsn: from,
        stream: this.#options.stream,
        end: committed.lsn,
      });
  }

  #unknown(at: Lsn): ObError {
    return new ObError('OBS_LOG_OUTCOME_UNKNOWN', { stream: this.#options.stream, lsn: at }, this.#fatal);
  }

  /** Nothing is acknowledged from here on; whoever waits learns that the outcome is unknown. */
  #fail(error: ObError): void {
    if (this.#fatal !== undefined) return;
    this.#view = this.#now;
    this.#fatal = error;
    const isOpen = this.#booting === undefined;
    this.#booting?.reject(error);
    for (const call of this.#calls.values()) call.reject(error);
    this.#calls.clear();
    this.#waiters.abandon(at => this.#unknown(at));
    // A log that never opened, or was closed while it waited for room, leaves nothing half-acknowledged behind.
    const isHarmless = !isOpen || (this.#isClosing && codeOf(error.cause) === 'ENOSPC');
    if (!isHarmless) this.#options.onFatal(error);
  }

  #failDisk(what: string, cause: unknown): void {
    this.#fail(diskError(this.#options.stream, what, cause));
  }

  #refused(refusal: PalfRefusal, details: RefusedCall): ObError {
    return refusalError(refusal, {
      stream: this.#options.stream,
      blockBytes: this.blockBytes,
      pendingBytes: this.#now.pendingBytes,
      ...details,
    });
  }
}

const diskError = (stream: LogStreamId, what: string, cause: unknown): ObError =>
  cause instanceof ObError
    ? cause
    : new ObError(
        'OBS_LOG_DISK_FAILED',
        { stream, what, why: cause instanceof Error ? cause.message : String(cause) },
        cause,
      );
