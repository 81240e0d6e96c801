/**
 * The tenant engine (contract: engine.ts): ties a tenant's worker, its log and its sessions together on the main thread.
 * Opens by recovery: the database file is a cache of the log, so what lies there is brought to the log's committed end
 * before anybody reads it. As leader it orders captured redo in the log and gates replies (commit-pipeline.ts); as
 * follower it hands committed log to the worker. Mode changes are the role manager's decisions, never its own.
 */
import { isObError, ObError } from '../base/errors.ts';
import { applyChunkBytesMax, engineSessionsMax } from '../base/limits.ts';
import type { LogAppender, LogChunk, LogPosition, LogReader } from '../base/log-access.ts';
import { type Lsn, lsn, type Scn, scn } from '../base/scalars.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import { CheckpointSchedule, type Quiet } from './checkpoint-schedule.ts';
import { CommitPipeline } from './commit-pipeline.ts';
import type {
  EngineMode,
  EngineSession,
  EngineSnapshot,
  EngineState,
  SessionOptions,
  TenantEngine,
} from './engine.ts';
import { type EngineLimits, engineLimitsDefault } from './engine-limits.ts';
import { type SessionHost, TenantSession } from './engine-session.ts';
import { HotSnapshot } from './hot-snapshot.ts';
import { IdleTicker } from './idle-ticker.ts';
import { type AppliedState, appliedEnd, type StorageState } from './worker-messages.ts';
import type { Captured, WorkerChannel, WorkerPool } from './worker-pool.ts';
import { WriterQueue } from './writer-queue.ts';

export interface TenantEngineOptions {
  readonly pool: WorkerPool;
  /** the tenant's directory; the database is `db/tenant.db` in it */
  readonly directory: string;
  /** the tenant's name, for messages */
  readonly tenant: string;
  readonly incarnation: string;
  readonly log: LogAppender & LogReader;
  readonly mode: 'leader' | 'follower';
  /** page size of a database that is made now; an existing one keeps its own */
  readonly pageBytes: number;
  readonly limits?: Partial<EngineLimits>;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The process must end. */
  readonly onFatal: (error: Error) => void;
  /** The file is durable up to `position`: older log may go (`advanceBase`). */
  readonly onCheckpoint?: (position: LogPosition) => void;
  /** A follower that must not show all of its log yet replays it to the group that reaches this; default: to the end. */
  readonly replayTo?: Lsn;
  /** What clients are told who need the leader while this engine is not it; default: that the tenant is a standby. */
  readonly notLeading?: () => ObError;
}

/**
 * Opens a tenant's engine: recovers the database to the log's committed end, then serves. Leader: the log must lead in
 * APPEND. Throws OBS_TENANT_FILE_IN_USE, OBS_TENANT_CHECKPOINT_CORRUPT, OBS_TENANT_LOG_SHORT, OBS_LOG_RECYCLED,
 * OBS_TENANT_REDO_CORRUPT.
 */
export async function openTenantEngine(options: TenantEngineOptions): Promise<TenantEngine> {
  const engine = new SqliteEngine(options);
  await engine.open();
  return engine;
}

class SqliteEngine implements TenantEngine, SessionHost {
  readonly tenant: string;
  readonly channel: WorkerChannel;
  readonly pipeline: CommitPipeline;
  readonly writers: WriterQueue;
  readonly clock: Clock;
  readonly limits: EngineLimits;
  readonly #options: TenantEngineOptions;
  readonly #log: LogAppender & LogReader;
  readonly #sessions = new Set<TenantSession>();
  readonly #checkpoints: CheckpointSchedule;
  readonly #ticker: IdleTicker;
  readonly #unsubscribe: () => void;
  #mode: EngineMode = 'closed';
  #nextSession = 1;
  /** follower: behind the last group that readers see */
  #applied: LogPosition;
  #storage: StorageState;
  /** why no write may begin, although this is the leader */
  #refusal: ObError | undefined;
  /** the log's leadership has ended since this engine began to take it over */
  #outrun = false;
  /** counts the leaderships that ended */
  #term = 0;

  constructor(options: TenantEngineOptions) {
    const { log, clock, tenant } = options;
    this.#options = options;
    this.tenant = tenant;
    this.clock = clock;
    this.limits = { ...engineLimitsDefault, ...options.limits };
    this.#log = log;
    this.channel = options.pool.attach(captured => this.#captured(captured));
    this.writers = new WriterQueue(tenant, clock, () => this.pipeline.hasRoom);
    const { end } = log.state();
    this.pipeline = new CommitPipeline(
      {
        tenant,
        log,
        undo: keep => this.#undo(keep),
        onLost: cause => this.#logLost(cause),
        onRoom: () => this.writers.pump(),
        onFatal: error => this.#fatal(error),
      },
      end,
    );
    this.#applied = end;
    this.#storage = { pageBytes: options.pageBytes, databasePages: 0, walBytes: 0 };
    this.#checkpoints = new CheckpointSchedule({
      tenant,
      channel: this.channel,
      clock,
      limits: this.limits,
      quiesce: () => this.#quiesce(),
      onStorage: storage => {
        this.#storage = storage;
      },
      onCheckpoint: position => options.onCheckpoint?.(position),
      onFailure: error => this.#backgroundFailure(error, 'checkpoint'),
    });
    this.#ticker = new IdleTicker({
      clock,
      limits: this.limits,
      log,
      channel: this.channel,
      leads: () => this.#mode === 'leader' && this.#refusal === undefined,
      checkpoints: this.#checkpoints,
      onFailure: error => this.#backgroundFailure(error, 'keep-alive'),
    });
    this.#unsubscribe = log.onCommitted(end => this.#logAdvanced(end));
  }

  async open(): Promise<void> {
    try {
      await this.#recover(this.#options.mode);
    } catch (error) {
      this.#unsubscribe();
      await this.channel.ask('close', {});
      this.channel.release();
      throw error;
    }
    this.#ticker.start();
  }

  state(): EngineState {
    const end = this.#visibleEnd();
    return {
      mode: this.#mode,
      pageBytes: this.#storage.pageBytes,
      databasePages: this.#storage.databasePages,
      appliedLsn: end.lsn,
      readableScn: end.scn,
      checkpointLsn: this.#checkpoints.position.lsn,
      walBytes: this.#storage.walBytes,
      sessions: this.#sessions.size,
    };
  }

  /** What readers see: of an engine whose log is lost, what was kept when it was. */
  #visibleEnd(): LogPosition {
    if (this.#mode !== 'leader') return this.#applied;
    return this.pipeline.lost ? this.pipeline.resume : this.#log.state().end;
  }

  openSession(options: SessionOptions = {}): EngineSession {
    this.refuseAll();
    if (this.#sessions.size >= engineSessionsMax) {
      throw new ObError('OBS_TENANT_OVERLOADED', {
        tenant: this.tenant,
        count: engineSessionsMax,
        what: 'sessions',
      });
    }
    const session = new TenantSession(this, this.#nextSession++, options);
    this.#sessions.add(session);
    return session;
  }

  async apply(chunk: LogChunk): Promise<{ readonly appliedLsn: Lsn; readonly readableScn: Scn }> {
    this.#mustBe('follower');
    const applied = await this.channel.ask('apply', { chunk });
    this.#follow(applied);
    this.#checkpoints.grown(applied.storage.walBytes);
    return appliedEnd(applied);
  }

  async promote(): Promise<void> {
    this.#mustBe('follower');
    this.#outrun = false;
    await this.#checkpoints.pause();
    // entries that came after the last apply are the role's: the database has nothing of them
    await this.#feed(this.#applied, chunk =>
      this.channel.ask('apply', { chunk }).then(applied => this.#follow(applied)),
    );
    this.#storage = await this.channel.ask('promote', {});
    this.pipeline.lead(this.#applied);
    this.#refusal = undefined;
    this.#mode = 'leader';
    this.#checkpoints.resume();
    if (this.#outrun) this.leadershipEnded();
  }

  leadershipEnded(): void {
    this.#outrun = true;
    this.#term += 1;
    if (this.#mode !== 'leader' || this.pipeline.lost) return;
    this.pipeline.leadershipEnded(this.#notLeader());
  }

  async drainWrites(why: string, drainMs: number): Promise<void> {
    this.#mustBe('leader');
    this.#refusal = new ObError('OBS_TENANT_WRITES_REFUSED', { tenant: this.tenant, why });
    this.writers.refuseWaiting(this.#refusal);
    await this.#endTransactions(why, drainMs);
    await this.#barrier();
    await this.pipeline.whenQuiet();
  }

  resumeWrites(): void {
    if (this.#mode !== 'leader' || this.pipeline.lost) return;
    this.#refusal = undefined;
    this.writers.pump();
  }

  async demote(): Promise<void> {
    if (this.#mode === 'follower') return;
    await this.drainWrites('it becomes a standby', 0);
    await this.#checkpoints.pause();
    const { resume, committedEnd } = this.pipeline;
    const appliedLsn = committedEnd > resume.lsn ? committedEnd : resume.lsn;
    const applied = await this.channel.ask('demote', { position: resume, appliedLsn });
    this.#mode = 'follower';
    this.#follow(applied);
    this.#checkpoints.resume();
  }

  async checkpoint(): Promise<Lsn> {
    this.refuseAll();
    return (await this.#checkpoints.run()).lsn;
  }

  async snapshot(): Promise<EngineSnapshot> {
    this.refuseAll();
    if (!this.#checkpoints.taken) await this.#checkpoints.run();
    return HotSnapshot.open(this.channel, this.#log, this.#checkpoints.position);
  }

  async close(): Promise<void> {
    if (this.#mode === 'closed') return;
    if (this.#mode === 'leader') await this.drainWrites('the server stops', 0);
    this.#mode = 'closed';
    this.#ticker.stop();
    this.#unsubscribe();
    await this.#checkpoints.pause();
    await Promise.all([...this.#sessions].map(session => session.close()));
    await this.channel.ask('close', {});
    this.channel.release();
  }

  refuseAll(): void {
    if (this.#mode === 'closed') {
      throw new ObError('OBS_TENANT_NOT_OPEN', { tenant: this.tenant, state: 'closed' });
    }
  }

  refuseWrites(): void {
    this.refuseAll();
    if (this.#mode === 'follower' || this.pipeline.lost) throw this.#notLeading();
    if (this.#refusal !== undefined) throw this.#refusal;
    this.#ticker.busy();
  }

  get leads(): boolean {
    return this.#mode === 'leader' && !this.pipeline.lost;
  }

  term(): number | undefined {
    if (this.#mode === 'leader') return this.#term;
    // A primary that is not open for writes yet reads what it leads.
    const { role, accessMode } = this.#log.state();
    return role === 'leader' && accessMode === 'APPEND' ? this.#term : undefined;
  }

  outdated(term: number): ObError | undefined {
    if (term === this.#term && this.#log.holdsLease()) return undefined;
    return this.#options.notLeading?.() ?? this.#notLeader();
  }

  forget(session: TenantSession): void {
    this.#sessions.delete(session);
  }

  /** Takes the database over and brings it to the log's committed end. */
  async #recover(mode: 'leader' | 'follower'): Promise<void> {
    const { directory, incarnation, pageBytes, tenant } = this.#options;
    const { checkpoint } = await this.channel.ask('recover', { directory, tenantName: tenant, incarnation });
    const from = checkpoint ?? logStart;
    const { end } = this.#log.state();
    if (end.lsn < from.lsn) {
      throw new ObError('OBS_TENANT_LOG_SHORT', { tenant, end: end.lsn, checkpoint: from.lsn });
    }
    await this.#feed(from, chunk => this.channel.ask('redo', { chunk }), this.#options.replayTo);
    const applied = await this.channel.ask('start', { mode, pageBytes });
    this.#checkpoints.opened(checkpoint, applied.position);
    // A crash can come between a checkpoint and telling it: the log must know what the database holds before it is cut.
    if (checkpoint !== undefined) this.#options.onCheckpoint?.(checkpoint);
    this.#follow(applied);
    this.pipeline.lead(applied.position);
    this.#mode = mode;
  }

  /** Hands the committed log from `from` on to `take`, chunk by chunk, one read ahead. `to`: until a group reaches it. */
  async #feed(
    from: LogPosition,
    take: (chunk: LogChunk) => Promise<unknown>,
    to: number = Number.POSITIVE_INFINITY,
  ): Promise<void> {
    let position = from.lsn;
    let taking: Promise<unknown> = Promise.resolve();
    while (position < to) {
      const chunk = await this.#log.read(position, Math.min(applyChunkBytesMax, to - position));
      await taking;
      if (chunk.bytes.length === 0) return;
      position = chunk.end.lsn;
      taking = take(chunk);
    }
    await taking;
  }

  #follow(applied: AppliedState): void {
    this.#applied = applied.position;
    this.#storage = applied.storage;
  }

  #captured(captured: Captured): void {
    this.#storage = captured.storage;
    this.pipeline.captured(captured);
    this.#checkpoints.grown(captured.storage.walBytes);
  }

  #logAdvanced(end: LogPosition): void {
    if (this.#mode !== 'leader' || this.pipeline.lost) return;
    // another site's log may come in before the role manager demotes this engine: the database does not have that
    const { role, accessMode } = this.#log.state();
    if (role === 'leader' && accessMode === 'APPEND') this.pipeline.advanced(end);
  }

  #undo(keep: number): void {
    const notice = new ObError('OBS_TENANT_TRANSACTION_ENDED', { why: 'the log took no more changes' });
    for (const session of this.#sessions) if (session.writes) session.endTransaction(notice, true);
    this.#options.logger.warn({ tenant: this.tenant, keep }, 'local commits are taken back');
    this.channel.send(
      'undo',
      { sequence: keep },
      {
        settle: settled => {
          if (settled.kind === 'failure') this.#fatal(settled.error);
          else this.pipeline.undone();
        },
      },
    );
  }

  #logLost(cause: ObError): void {
    this.#refusal = cause;
    this.writers.refuseWaiting(cause);
  }

  #notLeading(): ObError {
    const told = this.#options.notLeading?.();
    if (told !== undefined) return told;
    return this.#mode === 'follower'
      ? new ObError('OBS_TENANT_READ_ONLY', { tenant: this.tenant })
      : this.#notLeader();
  }

  /** For an engine that nobody told where else to send clients. */
  #notLeader(): ObError {
    const leader = 'an address not known here';
    return new ObError('OBS_TENANT_NOT_LEADER', { tenant: this.tenant, leader, node: null });
  }

  /** Lets write transactions finish within `waitMs`, then rolls back the rest. */
  async #endTransactions(why: string, waitMs: number): Promise<void> {
    try {
      const turn = await this.writers.acquire(waitMs);
      turn.release();
      return;
    } catch (error) {
      if (!isObError(error, 'OBS_TENANT_LOCK_WAIT')) throw error;
    }
    const notice = new ObError('OBS_TENANT_TRANSACTION_ENDED', { why });
    for (const session of this.#sessions) if (session.writes) session.endTransaction(notice, false);
  }

  /** Resolves when everything sent to the worker so far has run, and its commits were announced. */
  async #barrier(): Promise<void> {
    await this.channel.ask('barrier', {});
  }

  /** Holds the writer with nothing in flight; a follower has nothing of its own in flight. */
  async #quiesce(): Promise<Quiet> {
    if (this.#mode === 'follower') return { end: null, release: () => undefined };
    const turn = await this.writers.acquire(this.limits.lockWaitMs);
    try {
      await this.#barrier();
      await this.pipeline.whenQuiet();
      const { resume: position, committedEnd } = this.pipeline;
      const committedLsn = lsn(Math.max(position.lsn, committedEnd));
      return { end: { position, committedLsn }, release: () => turn.release() };
    } catch (error) {
      turn.release();
      throw error;
    }
  }

  #backgroundFailure(error: unknown, what: string): void {
    const fatal = !(error instanceof ObError) || ['disk', 'bug', 'corrupt'].includes(error.kind);
    if (fatal) this.#fatal(error);
    else this.#options.logger.warn({ tenant: this.tenant, code: error.code, what }, error.message);
  }

  #fatal(error: unknown): void {
    this.#options.onFatal(error instanceof Error ? error : new Error(String(error)));
  }

  #mustBe(mode: EngineMode): void {
    this.refuseAll();
    if (this.#mode !== mode) {
      throw new ObError('OBS_TENANT_NOT_OPEN', {
        tenant: this.tenant,
        state: `a ${this.#mode}, not a ${mode}`,
      });
    }
  }
}

const logStart: LogPosition = { lsn: lsn(0), scn: scn(0), checksum: 0 };
