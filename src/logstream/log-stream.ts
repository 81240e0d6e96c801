/**
 * One replica of a log stream: what the layers above may ask of it (`LogAccess`, members, rebuild), as inputs to its palf core
 * and as answers to those who wait. `stream-driver.ts` carries out what the core decides, `log-files.ts` has the bytes.
 *
 * Appends of one turn share one durable write; while it is in flight the next ones gather. When the committed end moves,
 * its listeners run in the same tick, before anybody who waits for it is resumed. When leadership ends, whoever waits for
 * a commit learns that its outcome is unknown, and the stream goes on as a follower. A failed durable write ends the stream:
 * `onFatal`, and not one acknowledgement after it. Keeps L5–L9, M1–M3 through the core, R1 by reading up to the committed
 * end only.
 */
import { AssertionError, assert, must } from '../base/assert.ts';
import { isObError, ObError } from '../base/errors.ts';
import {
  blockBytesMin,
  committedListenersMax,
  committedWaitersMax,
  logHoldsMax,
  readBytesMax,
} from '../base/limits.ts';
import type {
  AccessMode,
  AppendedEntry,
  ConfigVersion,
  LogAccess,
  LogChunk,
  LogHold,
  LogPosition,
  LogState,
  NewEntry,
  ProposalEra,
} from '../base/log-access.ts';
import { type Lsn, lsn, type NodeId, type Scn, scn } from '../base/scalars.ts';
import { decodeChunk, isProblem } from '../codec/clog.ts';
import { replicasOf } from '../codec/config-record.ts';
import { PalfCore } from '../palf/core.ts';
import type { PalfEffect, PalfOutcome, PalfRefusal, PalfReply } from '../palf/effects.ts';
import type { ArbitrationNews, ConfigChange, PalfInput, Token } from '../palf/inputs.ts';
import { votersOf } from '../palf/quorum.ts';
import { palfSettingsDefault } from '../palf/settings.ts';
import type { PalfView } from '../palf/view.ts';
import { type Logger, silentLogger } from '../platform/logger.ts';
import { isDiskFull } from './block-store.ts';
import { CommitWaiters } from './commit-waiters.ts';
import { CoreCalls } from './core-calls.ts';
import { LogFiles } from './log-files.ts';
import { LogRoom } from './log-room.ts';
import { initialLog, type LogStreamOptions, progressOf, type ReplicaProgress } from './log-stream-options.ts';
import { RangeRepair } from './range-repair.ts';
import { type RecoveredLog, recoverLog, soleMember } from './recovery.ts';
import { diskError, type RefusedCall, refusalError } from './refusals.ts';
import { StreamDriver } from './stream-driver.ts';

/** Token of calls that are answered inside their own step. */
const syncToken: Token = 0;

const isNoRoom = (error: unknown): boolean => isObError(error) && isDiskFull(error.cause);

/** What the constructor needs of `open`. */
interface Parts {
  readonly recovered: RecoveredLog;
  readonly repair: RangeRepair | null;
  readonly leaveNet: () => void;
}

export class LogStream implements LogAccess {
  readonly #options: LogStreamOptions;
  readonly #self: NodeId;
  readonly #driver: StreamDriver;
  readonly #files: LogFiles;
  readonly #repair: RangeRepair | null;
  readonly #leaveNet: () => void;
  readonly #waiters = new CommitWaiters();
  readonly #room: LogRoom;
  readonly #listeners = new Set<(end: LogPosition) => void>();
  readonly #calls = new CoreCalls();
  readonly #logger: Logger;
  #booting: { readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined;
  #syncOutcome: PalfOutcome | undefined;
  /** end of what was ordered here */
  #ordered: Lsn = lsn(0);
  /** ordered here, and not known to be committed when leadership ended: others may have written there since */
  #lost: { readonly from: Lsn; readonly to: Lsn } | undefined;
  #isClosing = false;
  #fatal: ObError | undefined;

  /**
   * Recovers the log in `directory`. The only member of a log stream leads it then; one of several follows, and may
   * come to lead. Throws OBS_LOG_CORRUPT (damage of a log that nobody else has, not a crash), OBS_LOG_FOREIGN, OBS_LOG_OTHER_NODE,
   * OBS_LOG_DISK_FAILED (without `onFatal`: what to do about a log that does not open is the caller's to decide).
   */
  static async open(options: LogStreamOptions): Promise<LogStream> {
    assert(options.limits.blockBytes >= blockBytesMin, 'a block has at least its smallest size');
    const { clock, self = soleMember, key, net = null } = options;
    let stream: LogStream | undefined;
    let repair: RangeRepair | null = null;
    let leaveNet = () => {};
    if (net !== null) {
      assert(key !== undefined, 'a log stream with a network has a name there');
      const asks = new RangeRepair({
        clock,
        net,
        key,
        peers: () => (stream === undefined ? [] : stream.#others),
        lastCut: () => (stream === undefined ? null : stream.#now.lastCut),
        read: (from, bytesMax) =>
          stream === undefined ? undefined : stream.#readForPeer(from.lsn, bytesMax),
      });
      repair = asks;
      leaveNet = net.onMessages(key, (from, payload) => {
        if (!asks.receive(from, payload) && stream !== undefined) stream.#driver.receive(from, payload);
      });
    }
    try {
      const recovered = await recoverLog({
        ...options,
        self,
        logger: (options.logger ?? silentLogger).child({ stream: options.stream }),
        blockBytes: options.limits.blockBytes,
        initial: initialLog(options, self),
        fetch: repair === null ? null : (at, who) => must(repair, 'repair').fetch(at, who),
      });
      stream = new LogStream(options, { recovered, repair, leaveNet });
      await stream.#boot(recovered);
      return stream;
    } catch (error) {
      leaveNet();
      repair?.close();
      throw error instanceof ObError || error instanceof AssertionError
        ? error
        : diskError(options.stream, 'open its log', error);
    }
  }

  private constructor(options: LogStreamOptions, { recovered, repair, leaveNet }: Parts) {
    const { clock, stream, key, net, timing, priority = 0 } = options;
    this.#options = options;
    this.#self = recovered.meta.self;
    this.#logger = (options.logger ?? silentLogger).child({ stream });
    this.#repair = repair;
    this.#leaveNet = leaveNet;
    this.#files = new LogFiles({
      stream,
      store: recovered.store,
      begin: recovered.begin,
      headerLostAt: recovered.damage?.isHeaderLost === true ? recovered.end.lsn : null,
      fetch: repair === null ? null : at => repair.fetch(at),
      onFailed: error => this.#driver.fail(error),
      logger: this.#logger,
    });
    this.#driver = new StreamDriver({
      core: new PalfCore({ ...palfSettingsDefault, ...timing, priority }),
      clock,
      stream,
      files: this.#files,
      metaFile: recovered.metaFile,
      peers: net === undefined || net === null || key === undefined ? null : { net, key },
      events: {
        committed: end => this.#onCommitted(end),
        replied: reply => this.#settle(reply),
        roleChanged: change => this.#onRole(change),
        rebuildWanted: ({ peer, base }) => options.onRebuild?.({ peer, base }),
        cutBack: to => options.onCutBack?.(to),
        failed: error => this.#onFailed(error),
      },
      logger: this.#logger,
    });
    this.#room = new LogRoom({
      stream,
      files: this.#files,
      limits: options.limits,
      now: () => this.#now,
      onFailed: error => this.#driver.fail(diskError(stream, 'recycle its log', error)),
      logger: this.#logger,
    });
  }

  /** Exact end of the log when it last left APPEND; null while in APPEND or if it never was. */
  get sealed(): LogPosition | null {
    return this.#now.sealed;
  }

  /** Size of this log's block files; a standby of it must use the same. */
  get blockBytes(): number {
    return this.#files.blockBytes;
  }

  /** The database holds everything below the one; log from the other on is kept for somebody, or for it. */
  kept(): { readonly checkpointLsn: Lsn; readonly from: Lsn } {
    const { base, checkpointLsn } = this.#now;
    return { checkpointLsn, from: this.#room.holds.lowest(base.lsn) };
  }

  state(): LogState {
    const view = this.#now;
    const { version, members, learners, degraded, arbiter } = view.governing;
    return {
      stream: this.#options.stream,
      role: this.#fatal === undefined ? view.role : 'follower',
      leader: view.leader,
      isActive: this.holdsLease(),
      isImpaired: view.impaired !== null,
      isStuck: this.#isStuck(),
      config: { version, members, learners, degraded, arbiter },
      proposalId: view.proposalId,
      accessMode: view.accessMode,
      modeVersion: view.modeVersion,
      baseLsn: view.base.lsn,
      beginLsn: this.#files.begin,
      end: view.committed,
      maxLsn: view.maxLsn,
      maxScn: view.maxScn,
      proposalHistory: view.history,
    };
  }

  #isStuck(): boolean {
    const { clock, timing } = this.#options;
    const { writingSince } = this.#now;
    const { leaseMs } = { ...palfSettingsDefault, ...timing };
    return writingSince !== null && clock.now() - writingSince >= leaseMs;
  }

  /** How far the other replicas are, as this leader knows; empty on others. */
  replicas(): readonly ReplicaProgress[] {
    return progressOf(this.#now, this.#options.clock.now());
  }

  holdsLease(): boolean {
    const { isActive, leaseUntil } = this.#now;
    return this.#fatal === undefined && isActive && this.#options.clock.now() < leaseUntil;
  }

  // --- appending ---

  append(entry: NewEntry): AppendedEntry {
    this.#mustLive();
    const bytes = entry.body.reduce((sum, fragment) => sum + fragment.length, 0);
    // A role change must be able to end the load that filled the disk.
    if (entry.kind !== 'role')
      this.#room.mustHave(bytes, Math.max(this.#ordered, this.#driver.committed.lsn));
    const wall = scn(this.#options.clock.wall());
    this.#syncOutcome = undefined;
    this.#driver.step({ kind: 'propose', entry, wall, token: syncToken });
    const outcome = must<PalfOutcome>(this.#syncOutcome, 'answer of a proposal');
    if (outcome.kind === 'refused') throw this.#refused(outcome.refusal, { bytes });
    assert(outcome.kind === 'ordered', 'a proposal is ordered or refused');
    this.#ordered = outcome.endLsn;
    return { endLsn: outcome.endLsn, scn: outcome.scn };
  }

  committed(at: Lsn): Promise<void> {
    const isLost = this.#lost !== undefined && at > this.#lost.from && at <= this.#lost.to;
    if (isLost) return Promise.reject(this.#unknown(at));
    if (at <= this.#driver.committed.lsn) return Promise.resolve();
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
    this.#room.mustHave(chunk.bytes.length, this.#now.maxLsn);
    const groups = decodeChunk(chunk);
    if (isProblem(groups))
      throw new ObError('OBS_LOG_CORRUPT', {
        stream: this.#options.stream,
        lsn: groups.lsn,
        what: `${groups.what} (received)`,
      });
    const outcome = await this.#call(
      token => ({ kind: 'rawWrite', start: chunk.start, groups, token }),
      'write raw groups',
      { lsn: chunk.start.lsn },
    );
    assert(outcome.kind === 'written', 'a raw write is written or refused');
    return outcome.end;
  }

  // --- reading ---

  async read(from: Lsn, bytesMax: number): Promise<LogChunk> {
    const recent = this.readRecent(from, bytesMax);
    if (recent !== undefined) return recent;
    return this.#readDisk(from, bytesMax, true);
  }

  /** As `read`, from memory alone: at the end of the log an empty chunk, undefined if `from` lies further back. */
  readRecent(from: Lsn, bytesMax: number): LogChunk | undefined {
    const { committed } = this.#driver;
    if (from === committed.lsn) return { start: committed, end: committed, bytes: new Uint8Array(0) };
    if (from > committed.lsn || from < this.#files.begin) this.#mustBeReadable(from);
    return this.#files.recent(from, Math.min(bytesMax, readBytesMax), committed.lsn);
  }

  async #readDisk(from: Lsn, bytesMax: number, mends: boolean): Promise<LogChunk> {
    this.#mustBeReadable(from);
    const end = this.#driver.committed.lsn;
    try {
      return await this.#files.read(from, Math.min(bytesMax, readBytesMax), end, { mends });
    } catch (error) {
      if (error instanceof ObError || error instanceof AssertionError) throw error;
      // A block that was recycled while it was read.
      this.#mustBeReadable(from);
      throw diskError(this.#options.stream, `read its log from LSN ${from}`, error);
    }
  }

  /** For another replica with damaged log: it is not to be sent on if it is damaged here too. */
  async #readForPeer(from: Lsn, bytesMax: number): Promise<LogChunk> {
    this.#mustLive();
    return this.readRecent(from, bytesMax) ?? this.#readDisk(from, bytesMax, false);
  }

  /**
   * Throws OBS_LOG_HOLDS_FULL.
   * @param isOnly ends another hold of this name, whose owner may be gone
   */
  hold(name: string, from: Lsn, isOnly = false): LogHold {
    const hold = this.#room.holds.add(name, from, isOnly);
    if (hold !== undefined) return hold;
    throw new ObError('OBS_LOG_HOLDS_FULL', { stream: this.#options.stream, limit: logHoldsMax, name });
  }

  // --- changes ---

  async changeMode(change: {
    to: AccessMode;
    expectedModeVersion: number;
    referenceScn: Scn;
  }): Promise<number> {
    this.#mustLive();
    const outcome = await this.#call(
      token => ({ kind: 'changeMode', ...change, token }),
      `change its access mode to ${change.to}`,
      change,
    );
    assert(outcome.kind === 'mode-changed', 'a mode is changed or refused');
    return outcome.modeVersion;
  }

  async flashback(to: Scn): Promise<LogPosition> {
    this.#mustLive();
    const { accessMode, base, checkpointLsn, committed } = this.#now;
    if (accessMode !== 'FLASHBACK') throw this.#refused({ why: 'access-mode', accessMode }, {});
    if (base.scn > to) throw this.#refused({ why: 'below-base', base: base.lsn }, { scn: to });
    const cut = await this.#files.cutPosition(to, base, committed.lsn, checkpointLsn);
    if (isProblem(cut))
      throw new ObError('OBS_LOG_CORRUPT', { stream: this.#options.stream, lsn: cut.lsn, what: cut.what });
    const outcome = await this.#call(
      token => ({ kind: 'flashback', cut, token }),
      `cut its log at SCN ${to}`,
      { scn: to },
    );
    assert(outcome.kind === 'flashed-back', 'a flashback is done or refused');
    this.#ordered = outcome.end.lsn;
    return outcome.end;
  }

  async advanceBase(to: Lsn): Promise<void> {
    this.#mustLive();
    if (to <= this.#now.checkpointLsn) return;
    // The group that holds the byte: an entry may end, and a database be durable, in the middle of one.
    const base = (await this.read(to, 1)).start;
    this.#mustLive();
    await this.#call(token => ({ kind: 'advanceBase', base, checkpointLsn: to, token }), 'advance its base');
    this.#room.recycle();
  }

  // --- members ---

  /** One step of membership, compare-and-set on the version. Resolves when a majority has taken it. */
  async changeConfig(change: ConfigChange, expectedVersion: ConfigVersion): Promise<ConfigVersion> {
    this.#mustLive();
    const outcome = await this.#call(
      token => ({ kind: 'changeConfig', change, expectedVersion, token }),
      `change its members (${change.kind})`,
      { expectedVersion },
    );
    assert(outcome.kind === 'config-changed', 'a configuration is changed or refused');
    return outcome.version;
  }

  /** What a leader with an arbiter goes by when it degrades and upgrades others: to be told again and again. */
  inform(news: ArbitrationNews): void {
    if (!this.#isClosing) this.#driver.step(news);
  }

  /** Hands the leadership to another member. Resolves when this replica has given it up and told the other. */
  async transfer(target: NodeId): Promise<void> {
    this.#mustLive();
    const outcome = await this.#call(
      token => ({ kind: 'transfer', target, token }),
      `hand over to node ${target}`,
    );
    assert(outcome.kind === 'transferred', 'a leadership is transferred or not');
  }

  /** Position in the primary zone list; lower leads rather. */
  setPriority(priority: number): void {
    if (this.#isClosing) return;
    this.#driver.step({ kind: 'setPriority', priority });
  }

  // --- rebuild ---

  /** A rebuild was begun, and is not finished. */
  get isBeingRebuilt(): boolean {
    return this.#now.impaired === 'rebuilding';
  }

  /**
   * From here on this replica takes no log and does not vote, over restarts too, until `finishRebuild` and its leader have made
   * it whole: its database may be replaced by a copy of another replica's.
   */
  async beginRebuild(): Promise<void> {
    this.#mustLive();
    const outcome = await this.#call(token => ({ kind: 'beginRebuild', token }), 'begin its rebuild');
    assert(outcome.kind === 'rebuild-begun', 'a rebuild begins or is refused');
  }

  /** The copy is in place, durable up to `checkpointLsn`: the log becomes an empty one that goes on from `base`. */
  async finishRebuild(copy: {
    /** the group boundary at or before `checkpointLsn` */
    base: LogPosition;
    checkpointLsn: Lsn;
    /** the source's eras up to there */
    history: readonly ProposalEra[];
  }): Promise<void> {
    this.#mustLive();
    const { impaired } = this.#now;
    assert(impaired === 'rebuilding', 'a rebuild begins before it is finished');
    try {
      await this.#files.clear(copy.base.lsn);
    } catch (error) {
      const failure = diskError(this.#options.stream, 'remove its old log', error);
      this.#driver.fail(failure);
      throw failure;
    }
    const outcome = await this.#call(
      token => ({ kind: 'finishRebuild', ...copy, token }),
      'finish its rebuild',
    );
    assert(outcome.kind === 'rebuild-finished', 'a rebuild is finished or refused');
  }

  /** Finishes what is ordered, notes the exact end, closes the files. Takes nothing from the first moment on. */
  async close(): Promise<void> {
    if (this.#isClosing) return;
    this.#isClosing = true;
    this.#room.close();
    if (this.#fatal === undefined) {
      // What would have to wait for room was never acknowledged; it stays unknown to those who ordered it.
      this.#files.endWaiting();
      const outcome = await this.#ask(token => ({ kind: 'close', token })).catch((error: unknown) => {
        if (!isNoRoom(error)) throw error;
      });
      assert(outcome === undefined || outcome.kind === 'closed', 'a log stream closes once');
    }
    this.#leaveNet();
    this.#repair?.close();
    this.#driver.stop();
    this.#waiters.abandon(at => this.#unknown(at));
    await this.#files.close();
  }

  // --- the core ---

  async #boot({ meta, end, committed, tail, history, hadTornTail, damage }: RecoveredLog): Promise<void> {
    if (hadTornTail)
      this.#logger.warn({ lsn: end.lsn }, 'an unfinished write at the end of the log was erased');
    if (damage !== null)
      this.#logger.error(
        { lsn: end.lsn, what: damage.what },
        'the log is damaged: this replica does not vote',
      );
    const isAlone = votersOf(meta.config).join() === meta.self && meta.impaired === null;
    await new Promise<void>((resolve, reject) => {
      this.#booting = { resolve, reject };
      const corrupt = damage !== null;
      const { self } = meta;
      this.#driver.step({ kind: 'boot', self, meta, end, history, committed, tail, corrupt });
      // Nobody else can lead: wait for that.
      if (!isAlone) this.#booted();
    });
  }

  #booted(): void {
    this.#booting?.resolve();
    this.#booting = undefined;
  }

  get #now(): PalfView {
    return this.#driver.view;
  }

  get #others(): readonly NodeId[] {
    return replicasOf(this.#now.governing).filter(node => node !== this.#self);
  }

  #onCommitted(end: LogPosition): void {
    for (const listener of this.#listeners) listener(end);
    this.#waiters.reached(end.lsn);
  }

  #onRole(change: Extract<PalfEffect, { kind: 'roleChanged' | 'leaderHint' }>): void {
    const { committed, maxLsn } = this.#now;
    if (change.kind === 'roleChanged') {
      if (change.role === 'leader') {
        this.#lost = undefined;
        // Also when a flashback made the log shorter: the leader opens another proposal then.
        this.#ordered = maxLsn;
        this.#booted();
      } else {
        this.#lost = { from: committed.lsn, to: this.#ordered };
        this.#waiters.abandon(at => this.#unknown(at));
      }
    }
    const { role, proposalId } = change.kind === 'roleChanged' ? change : this.#now;
    this.#options.onRole?.({ role, leader: change.leader, proposalId });
  }

  #settle(reply: PalfReply): void {
    if (reply.token === syncToken) {
      this.#syncOutcome = reply.outcome;
      return;
    }
    this.#calls.settle(reply);
  }

  #ask(input: (token: Token) => PalfInput): Promise<PalfOutcome> {
    return this.#calls.ask(token => this.#driver.step(input(token)));
  }

  /** Asks the core; a refusal is thrown. `what`: what may or may not have happened if leadership ends first. */
  async #call(
    input: (token: Token) => PalfInput,
    what: string,
    details: RefusedCall = {},
  ): Promise<PalfOutcome> {
    const outcome = await this.#ask(input);
    if (outcome.kind === 'refused') throw this.#refused(outcome.refusal, details);
    if (outcome.kind === 'abandoned')
      throw new ObError('OBS_LOG_CHANGE_UNKNOWN', { stream: this.#options.stream, what });
    return outcome;
  }

  // --- errors ---

  #mustLive(): void {
    if (this.#fatal !== undefined) throw this.#fatal;
    if (this.#isClosing) throw this.#refused({ why: 'closed' }, {});
  }

  #mustBeReadable(from: Lsn): void {
    const { committed } = this.#driver;
    const { begin } = this.#files;
    const { stream } = this.#options;
    if (from < begin) throw new ObError('OBS_LOG_RECYCLED', { from, begin });
    if (from > committed.lsn)
      throw new ObError('OBS_LOG_POSITION_INVALID', { lsn: from, stream, end: committed.lsn });
  }

  #unknown(at: Lsn): ObError {
    return new ObError('OBS_LOG_OUTCOME_UNKNOWN', { stream: this.#options.stream, lsn: at }, this.#fatal);
  }

  /** Nothing is acknowledged from here on; whoever waits learns that the outcome is unknown. */
  #onFailed(error: ObError): void {
    this.#fatal = error;
    this.#room.close();
    const isOpen = this.#booting === undefined;
    this.#booting?.reject(error);
    this.#calls.rejectAll(error);
    this.#waiters.abandon(at => this.#unknown(at));
    this.#leaveNet();
    this.#repair?.close();
    // A log that never opened, or was closed while it waited for room, leaves nothing half-acknowledged behind.
    const isHarmless = !isOpen || (this.#isClosing && isNoRoom(error));
    if (!isHarmless) this.#options.onFatal(error);
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
