/**
 * Pulls a standby's log from its source into its own log stream: the driver of `puller-core.ts`. Does what the core says,
 * tells it what happened, and answers how far everything is.
 *
 * One raw write at a time; this replica applies its log by itself, beside it. Never decides anything itself.
 */
import { must, unreachable } from '../base/assert.ts';
import { isFatal, ObError } from '../base/errors.ts';
import { catchUpWaitersMax } from '../base/limits.ts';
import type { LogChunk, LogPosition, LogRawWriter, LogReader, LogTailReader } from '../base/log-access.ts';
import { type Lsn, type RoleEpoch, type Scn } from '../base/scalars.ts';
import type { Clock, Timer } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { AppliedPosition } from './apply-loop.ts';
import type { LocalApply } from './follower-apply.ts';
import type { PeerConnection } from './network/peer-connection.ts';
import { pullProblem } from './pull-problem.ts';
import { PullerCore } from './puller-core.ts';
import type { LinkId, PullerEffect, PullerInput, PullerView } from './puller-messages.ts';
import { lagBehind, type SourceEnd, type StandbyLag, type SyncStatus } from './sync-status.ts';

/** A source reached over the network. */
export interface NetworkSource {
  /** for people; holds no secret */
  readonly name: string;
  readonly addresses: number;
  /** Connects to the address of that number and logs in, telling the highest role epoch known here. */
  connect(address: number, knownEpoch: RoleEpoch): Promise<PeerConnection>;
}

export interface ArchivedLog {
  readonly chunk: LogChunk;
  readonly archivedEnd: LogPosition;
  readonly epoch: RoleEpoch;
}

/** A source that is an archive. */
export interface ArchiveSource {
  readonly name: string;
  /**
   * Whole groups from a position on, checked against its chained checksum, with the archive's end and the role epoch that
   * owns it; undefined when there are none after it yet.
   */
  read(from: LogPosition, bytesMax: number): Promise<ArchivedLog | undefined>;
  close(): Promise<void>;
}

export interface PullSources {
  readonly network: NetworkSource | null;
  readonly archive: ArchiveSource | null;
}

export interface StandbyPullerOptions {
  readonly log: LogRawWriter & LogReader & LogTailReader;
  /** null pulls without applying (a standby that is being created) */
  readonly apply: LocalApply | null;
  readonly sources: PullSources;
  readonly recoveryUntil: Scn;
  readonly knownEpoch: RoleEpoch;
  /** the last one stored by `onSourceEnd`, or null */
  readonly sourceEnd: SourceEnd | null;
  /** 0 for no limit */
  readonly bandwidthBytesPerSecond: number;
  readonly clock: Clock;
  readonly random: { fraction(): number };
  readonly logger: Logger;
  /** What to store for a loss certificate: at most once a second, and when the source is lost. */
  readonly onSourceEnd: (end: SourceEnd) => void;
  /** A source told of a role epoch above `knownEpoch`. */
  readonly onEpoch: (epoch: RoleEpoch) => void;
  /** The process must end: a failed disk or a broken invariant. */
  readonly onFatal: (error: unknown) => void;
}

export interface StandbyStatus {
  readonly status: SyncStatus;
  readonly comment: string;
  readonly transport: 'network' | 'archive' | null;
  readonly lag: StandbyLag;
  readonly sourceEnd: SourceEnd | null;
  /** has arrived here and continues what is durable */
  readonly received: LogPosition;
  /** durable here */
  readonly sync: LogPosition;
  /** visible to readers here */
  readonly applied: AppliedPosition;
  readonly recoveryUntilScn: Scn;
  readonly knownEpoch: RoleEpoch;
}

interface Waiter {
  readonly lsn: Lsn;
  readonly resolve: () => void;
  readonly reject: (error: ObError) => void;
  readonly timer: Timer;
}

const sourceEndStoreMs = 1_000;

export class StandbyPuller {
  readonly #options: StandbyPullerOptions;
  readonly #core: PullerCore;
  readonly #links = new Map<LinkId, PeerConnection | null>();
  readonly #waiters = new Set<Waiter>();
  #sources: PullSources;
  readonly #unsubscribe: () => void;
  #wake: Timer | null = null;
  #writing: Promise<void> = Promise.resolve();
  #archiveRead: Promise<void> = Promise.resolve();
  #running = false;
  #closed = false;
  #shown: SyncStatus | null = null;
  #storedEndAt: number | null = null;

  constructor(options: StandbyPullerOptions) {
    this.#options = options;
    this.#sources = options.sources;
    this.#core = new PullerCore({
      sources: shapeOf(options.sources),
      recoveryUntil: options.recoveryUntil,
      knownEpoch: options.knownEpoch,
      sourceEnd: options.sourceEnd,
      bandwidthBytesPerSecond: options.bandwidthBytesPerSecond,
      jitterSeed: Math.floor(options.random.fraction() * 0xffff_ffff),
    });
    this.#unsubscribe = options.apply?.onApplied(() => this.#settleWaiters()) ?? (() => {});
  }

  /** Begins to pull. No effect when it pulls already. */
  start(): void {
    if (this.#running || this.#closed) return;
    this.#running = true;
    this.#step({ kind: 'start', end: this.#options.log.state().end });
  }

  /** Resolves when nothing more will be written from the source. */
  async stop(): Promise<void> {
    if (this.#running) {
      this.#running = false;
      this.#step({ kind: 'stop' });
      this.#storeSourceEnd(this.#core.view().sourceEnd);
    }
    await this.#writing;
  }

  /** Stops pulling for good. */
  async close(): Promise<void> {
    await this.stop();
    this.#closed = true;
    this.#wake?.cancel();
    this.#unsubscribe();
    for (const waiter of this.#waiters) this.#settle(waiter, new ObError('OBS_STANDBY_STOPPED'));
    await this.#sources.archive?.close();
  }

  /** Pulls from other sources from now on. */
  async setSources(sources: PullSources): Promise<void> {
    const before = this.#sources;
    this.#sources = sources;
    this.#step({ kind: 'sources', sources: shapeOf(sources) });
    if (before.archive !== sources.archive) {
      await this.#archiveRead;
      await before.archive?.close();
    }
  }

  /** RECOVER STANDBY UNTIL: goes on, up to `scn`. Throws OBS_STANDBY_UNTIL_PASSED when later log is here already. */
  recoverUntil(scn: Scn): void {
    const { received } = this.#core.view();
    if (scn < received.scn) {
      throw new ObError('OBS_STANDBY_UNTIL_PASSED', { sync: received.scn, until: scn });
    }
    this.#step({ kind: 'until', scn });
  }

  /** RECOVER STANDBY CANCEL: stops where it is. Resolves with the SCN it stands at. */
  async cancelRecovery(): Promise<Scn> {
    this.#step({ kind: 'cancel' });
    await this.#writing;
    return this.#core.view().flushed.scn;
  }

  /** A switchover needs everything applied: lets go of a delay; it comes back when the standby is set up again. */
  dropDelay(): void {
    this.#options.apply?.setDelay(0);
  }

  /**
   * Resolves when log up to `lsn` is durable here and applied. Rejects with OBS_STANDBY_NOT_CAUGHT_UP after `waitMs`, with
   * OBS_STANDBY_STOPPED when the puller is closed.
   */
  caughtUpTo(lsn: Lsn, waitMs: number): Promise<void> {
    if (this.#isHere(lsn)) return Promise.resolve();
    if (this.#closed) return Promise.reject(new ObError('OBS_STANDBY_STOPPED'));
    if (this.#waiters.size >= catchUpWaitersMax) {
      return Promise.reject(
        new ObError('OBS_PEER_BUSY', {
          what: 'callers that wait for this standby',
          limit: catchUpWaitersMax,
        }),
      );
    }
    return new Promise((resolve, reject) => {
      const timer = this.#options.clock.after(waitMs, () => {
        const { status, comment, sync, applied } = this.status();
        this.#settle(
          waiter,
          new ObError('OBS_STANDBY_NOT_CAUGHT_UP', {
            lsn,
            flushed: sync.lsn,
            applied: applied.lsn,
            status: comment === '' ? status : `${status}: ${comment}`,
          }),
        );
      });
      const waiter: Waiter = { lsn, resolve, reject, timer };
      this.#waiters.add(waiter);
    });
  }

  status(): StandbyStatus {
    const view = this.#core.view();
    const sync = this.#options.log.state().end;
    const applied = this.#options.apply?.applied ?? sync;
    const problem = this.#options.apply?.problem ?? null;
    return {
      status: problem === null ? view.status : 'NOT AVAILABLE',
      comment:
        problem === null
          ? view.comment
          : `applying stopped: ${problem instanceof Error ? problem.message : 'unknown failure'}`,
      transport: view.transport,
      lag: lagBehind(view.sourceEnd, {
        received: view.received.lsn > sync.lsn ? view.received : sync,
        flushed: sync,
        applied,
      }),
      sourceEnd: view.sourceEnd,
      received: view.received,
      sync,
      applied,
      recoveryUntilScn: view.recoveryUntil,
      knownEpoch: view.knownEpoch,
    };
  }

  #step(input: PullerInput): void {
    for (const effect of this.#core.step(input, this.#options.clock.now())) this.#do(effect);
    this.#tellStatus(this.#core.view());
  }

  #do(effect: PullerEffect): void {
    switch (effect.kind) {
      case 'connect':
        void this.#connect(effect.link, effect.address, effect.epoch);
        return;
      case 'subscribe':
        void this.#subscribe(effect.link, effect.from);
        return;
      case 'disconnect': {
        const connection = this.#links.get(effect.link);
        this.#links.delete(effect.link);
        connection?.close();
        return;
      }
      case 'ack': {
        const { lsn, scn } = this.#options.log.state().end;
        const applied = this.#options.apply?.applied ?? { lsn, scn };
        this.#links
          .get(effect.link)
          ?.ack(
            { flushedLsn: lsn, flushedScn: scn, appliedLsn: applied.lsn, appliedScn: applied.scn },
            effect.creditBytes,
          );
        return;
      }
      case 'read-archive':
        this.#archiveRead = this.#archiveRead.then(() =>
          this.#readArchive(effect.read, effect.from, effect.bytesMax),
        );
        return;
      case 'write':
        this.#writing = this.#write(effect.chunk);
        return;
      case 'source-end': {
        const now = this.#options.clock.now();
        if (this.#storedEndAt === null || now - this.#storedEndAt >= sourceEndStoreMs) {
          this.#storedEndAt = now;
          this.#options.onSourceEnd(effect.end);
        }
        return;
      }
      case 'epoch':
        this.#options.onEpoch(effect.epoch);
        return;
      case 'wake-at':
        this.#wake?.cancel();
        this.#wake =
          effect.at === null || this.#closed
            ? null
            : this.#options.clock.after(Math.max(0, effect.at - this.#options.clock.now()), () =>
                this.#step({ kind: 'wake' }),
              );
        return;
      default:
        unreachable(effect);
    }
  }

  async #connect(link: LinkId, address: number, epoch: RoleEpoch): Promise<void> {
    this.#links.set(link, null);
    try {
      const network = must(this.#sources.network, 'a network source');
      const connection = await network.connect(address, epoch);
      // The core may have given up on it meanwhile.
      if (!this.#links.has(link)) {
        connection.close();
        return;
      }
      this.#links.set(link, connection);
      connection.onClosed(error => this.#linkLost(link, error));
      if (!connection.open) return;
      const { roleEpoch, log } = connection.peer;
      this.#step({ kind: 'connected', link, epoch: roleEpoch, log, wall: this.#options.clock.wall() });
    } catch (error) {
      this.#linkLost(link, error);
    }
  }

  async #subscribe(link: LinkId, from: LogPosition): Promise<void> {
    const { clock, log } = this.#options;
    const connection = must(this.#links.get(link), 'the connection to subscribe on');
    try {
      const early: PullerInput[] = [];
      let accepted = false;
      // Chunks may come in the same turn as the acceptance they follow.
      const take = (input: PullerInput): void => {
        if (accepted) this.#step(input);
        else early.push(input);
      };
      const end = await connection.subscribe(from, log.state().proposalHistory, {
        onChunk: (chunk, datum) =>
          take({ kind: 'chunk', link, chunk, sourceEnd: datum.end, wall: clock.wall() }),
        onHeartbeat: datum =>
          take({
            kind: 'heartbeat',
            link,
            sourceEnd: datum.end,
            epoch: must(datum.epoch, 'the epoch of a heartbeat'),
            wall: clock.wall(),
          }),
        onEnded: error => this.#linkLost(link, error),
      });
      accepted = true;
      this.#step({ kind: 'subscribed', link, end, wall: clock.wall() });
      for (const input of early) this.#step(input);
    } catch (error) {
      this.#linkLost(link, error);
    }
  }

  #linkLost(link: LinkId, error: unknown): void {
    if (this.#isFatal(error)) return;
    if (!this.#links.has(link)) return;
    this.#storeSourceEnd(this.#core.view().sourceEnd);
    this.#step({ kind: 'link-lost', link, problem: pullProblem(error) });
  }

  async #readArchive(read: number, from: LogPosition, bytesMax: number): Promise<void> {
    const { clock } = this.#options;
    try {
      const found = await must(this.#sources.archive, 'an archive source').read(from, bytesMax);
      const wall = clock.wall();
      if (found === undefined) this.#step({ kind: 'archive-end', read, wall });
      else this.#step({ kind: 'archive-chunk', read, ...found, wall });
    } catch (error) {
      if (!this.#isFatal(error)) this.#step({ kind: 'archive-failed', read, problem: pullProblem(error) });
    }
  }

  async #write(chunk: LogChunk): Promise<void> {
    const { log } = this.#options;
    try {
      const end = await log.rawWrite(chunk);
      this.#step({ kind: 'written', end });
      this.#settleWaiters();
    } catch (error) {
      if (!this.#isFatal(error)) {
        this.#step({ kind: 'write-failed', end: log.state().end, problem: pullProblem(error) });
      }
    }
  }

  /** Hands a fatal error on; true if it was one. */
  #isFatal(error: unknown): boolean {
    const fatal = isFatal(error);
    if (fatal) this.#options.onFatal(error);
    return fatal;
  }

  #storeSourceEnd(end: SourceEnd | null): void {
    if (end === null) return;
    this.#storedEndAt = this.#options.clock.now();
    this.#options.onSourceEnd(end);
  }

  #tellStatus(view: PullerView): void {
    if (view.status === this.#shown) return;
    this.#shown = view.status;
    const { logger } = this.#options;
    const context = { status: view.status, comment: view.comment, lsn: view.flushed.lsn };
    if (view.status === 'NORMAL') logger.info(context, 'standby follows its source');
    else logger.warn(context, 'standby does not follow its source');
  }

  #isHere(lsn: Lsn): boolean {
    const flushed = this.#options.log.state().end.lsn;
    return flushed >= lsn && (this.#options.apply?.applied.lsn ?? flushed) >= lsn;
  }

  #settleWaiters(): void {
    for (const waiter of this.#waiters) if (this.#isHere(waiter.lsn)) this.#settle(waiter);
  }

  #settle(waiter: Waiter, error?: ObError): void {
    if (!this.#waiters.delete(waiter)) return;
    waiter.timer.cancel();
    if (error === undefined) waiter.resolve();
    else waiter.reject(error);
  }
}

const shapeOf = (sources: PullSources): { addresses: number; archive: boolean } => ({
  addresses: sources.network?.addresses ?? 0,
  archive: sources.archive !== null,
});
