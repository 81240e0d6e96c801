/**
 * Runs the archiver's core against a log and a store: does what its effects say, reports back, answers callers. Decides
 * nothing about rounds, manifests or epochs itself.
 *
 * A crash needs no clean-up here: what no manifest names is an orphan, and the next archiver continues from the chain.
 */
import { AssertionError, assert, must, unreachable } from '../base/assert.ts';
import { isSurvivable, ObError } from '../base/errors.ts';
import { archiverNoticeMs, idleArchiveMsDefault, optionalHoldBytesDefault } from '../base/limits.ts';
import type { LogChunk, LogHold, LogPosition, LogReader } from '../base/log-access.ts';
import { type Lsn, lsn, type RoleEpoch, type Scn, scn } from '../base/scalars.ts';
import type { RoundRecord, SealRecord } from '../codec/manifest.ts';
import type { Clock, Timer } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import type { ObjectStore } from '../platform/object-store.ts';
import type { Random } from '../platform/random.ts';
import { ArchiveCore } from './archive-core.ts';
import { type ArchivedTenant, ensureFormat } from './archive-format.ts';
import type {
  ActivityResult,
  ArchiverEffect,
  ArchiverInput,
  Outcome,
  RoundState,
} from './archiver-language.ts';
import { TenantLayout } from './layout.ts';
import { readLogRun } from './log-run.ts';
import { ManifestChain } from './manifest-chain.ts';
import { SegmentShelf } from './segment-shelf.ts';

export interface ArchiverOptions {
  readonly log: LogReader;
  readonly store: ObjectStore;
  readonly tenant: ArchivedTenant;
  readonly epoch: RoleEpoch;
  readonly siteId: string;
  /** of the role change that made this epoch; the archiver claims with it where the role manager could not */
  readonly operationId: string;
  /** where this epoch began to write, if an older epoch may have archived beyond it (failover); else null */
  readonly openedAt: LogPosition | null;
  readonly binding: 'Optional' | 'Mandatory';
  readonly pieceSwitchIntervalMs: number;
  readonly lagTargetMs: number;
  /** begin a new round even where an open one could go on (ALTER SYSTEM ARCHIVELOG) */
  readonly newRound?: boolean;
  readonly idleMs?: number;
  readonly optionalHoldBytes?: number;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** a higher epoch owns the archive: this site is not the primary any more */
  readonly onFenced: (error: ObError) => void;
  /** a broken invariant: the process must end */
  readonly onFatal: (error: Error) => void;
}

/** What DBA_OB_ARCHIVELOG shows. */
export interface ArchiverStatus {
  readonly dest: string;
  readonly state: RoundState;
  readonly comment: string;
  readonly epoch: RoleEpoch;
  readonly round: RoundRecord | null;
  /** everything below is archived */
  readonly archivedLsn: Lsn;
  readonly checkpointScn: Scn;
  readonly lagBytes: number;
  readonly manifestNumber: number;
  readonly sealed: SealRecord | null;
}

interface Caller {
  readonly resolve: () => void;
  readonly reject: (error: ObError) => void;
  readonly timer: Timer | null;
}

export class Archiver {
  readonly #options: ArchiverOptions;
  readonly #core: ArchiveCore;
  readonly #chain: ManifestChain;
  readonly #shelf: SegmentShelf;
  readonly #nonce: string;
  readonly #runs = new Map<number, LogChunk>();
  readonly #callers = new Map<number, Caller>();
  #nextRunId = 1;
  #nextToken = 1;
  #isOpen = false;
  #formatIsChecked = false;
  #hold: LogHold | null = null;
  #unsubscribe: (() => void) | null = null;
  #wake: Timer | null = null;
  #notice: Timer | null = null;
  #hintIsBusy = false;
  #isStepping = false;
  readonly #inputs: ArchiverInput[] = [];

  constructor(options: ArchiverOptions) {
    this.#options = options;
    this.#nonce = options.random.uuid();
    const layout = new TenantLayout(options.tenant.incarnation);
    this.#chain = new ManifestChain(options.store, layout, options.tenant);
    this.#shelf = new SegmentShelf(options.store, layout, options.tenant);
    this.#core = new ArchiveCore({
      epoch: options.epoch,
      siteId: options.siteId,
      operationId: options.operationId,
      openedAt: options.openedAt,
      newRound: options.newRound ?? false,
      binding: options.binding,
      pieceSwitchMicros: options.pieceSwitchIntervalMs * 1_000,
      lagTargetMs: options.lagTargetMs,
      idleMs: Math.max(options.lagTargetMs, options.idleMs ?? idleArchiveMsDefault),
      optionalHoldBytes: options.optionalHoldBytes ?? optionalHoldBytesDefault,
    });
  }

  /** Begins to archive; from here on the log is held. Errors show in `status()` and heal by themselves where they can. */
  start(): void {
    assert(!this.#isOpen && this.#hold === null, 'an archiver starts once');
    this.#isOpen = true;
    const { log } = this.#options;
    this.#hold = log.hold('archive', log.state().beginLsn);
    this.#unsubscribe = log.onCommitted(() => {
      this.#noticeCommits();
    });
    this.#step({ kind: 'begin', committed: log.state().end });
  }

  status(): ArchiverStatus {
    const view = this.#core.view();
    const end = view.head?.state.end ?? null;
    const committed = this.#options.log.state().end.lsn;
    return {
      dest: this.#options.store.name,
      state: view.state,
      comment: view.comment,
      epoch: this.#options.epoch,
      round: view.round,
      archivedLsn: end?.lsn ?? lsn(0),
      checkpointScn: end?.scn ?? scn(0),
      lagBytes: Math.max(0, committed - (end?.lsn ?? 0)),
      manifestNumber: view.head?.state.number ?? 0,
      sealed: view.sealed,
    };
  }

  get archivedLsn(): Lsn {
    return this.status().archivedLsn;
  }

  /**
   * Resolves when everything below `to` is in the archive, sooner than the lag target would have it. Rejects with
   * OBS_ARCHIVE_FENCED, _SEALED, _STOPPED, _DIVERGED, or OBS_ARCHIVE_UNAVAILABLE after `withinMs`.
   */
  flushTo(to: Lsn, withinMs: number): Promise<void> {
    return this.#wait(withinMs, token => ({ kind: 'flush', token, to }));
  }

  /**
   * Archives up to the sealed end and writes the seal: nothing but a claim of a higher epoch can follow in this archive.
   * The same seal again is fine. Rejects as `flushTo` does; after OBS_ARCHIVE_UNAVAILABLE the seal may still appear.
   */
  seal(record: SealRecord, withinMs: number): Promise<void> {
    return this.#wait(withinMs, token => ({ kind: 'seal', token, record }));
  }

  /** DEFER: stops sending, keeps the round. Within seconds, even when the media is dead. */
  suspend(): void {
    this.#step({ kind: 'suspend' });
  }

  resume(): void {
    this.#step({ kind: 'resume' });
  }

  /** NOARCHIVELOG: ends the round. Resolves within seconds even when the media does not take the record. */
  async stop(): Promise<void> {
    if (!this.#isOpen) return;
    await this.#wait(null, token => ({ kind: 'stop', token }));
    this.close();
  }

  /** Leaves everything as it is: the role moved, or the process ends. The round goes on elsewhere. */
  close(): void {
    this.#isOpen = false;
    this.#unsubscribe?.();
    this.#hold?.release();
    this.#wake?.cancel();
    this.#notice?.cancel();
    this.#runs.clear();
    for (const token of this.#callers.keys()) this.#answer(token, { kind: 'stopped', state: 'STOP' });
  }

  #wait(withinMs: number | null, inputOf: (token: number) => ArchiverInput): Promise<void> {
    if (!this.#isOpen) return Promise.reject(this.#refusal({ kind: 'stopped', state: 'STOP' }));
    const token = this.#nextToken++;
    return new Promise<void>((resolve, reject) => {
      const giveUp = () => {
        const { comment } = this.#core.view();
        const why = comment === '' ? `not done in ${withinMs} ms` : comment;
        this.#callers.delete(token);
        reject(new ObError('OBS_ARCHIVE_UNAVAILABLE', { dest: this.#options.store.name, why }));
        this.#step({ kind: 'forget', token });
      };
      const timer = withinMs === null ? null : this.#options.clock.after(withinMs, giveUp);
      this.#callers.set(token, { resolve, reject, timer });
      this.#step(inputOf(token));
    });
  }

  /** Commits come thousands a second; the core is told a few times. */
  #noticeCommits(): void {
    if (this.#notice !== null) return;
    this.#notice = this.#options.clock.after(archiverNoticeMs, () => {
      this.#notice = null;
      this.#step({ kind: 'committed', end: this.#options.log.state().end });
    });
  }

  /** Inputs that come while effects are being performed (a callback asked for something) wait their turn. */
  #step(input: ArchiverInput): void {
    this.#inputs.push(input);
    if (this.#isStepping) return;
    const { clock, onFatal } = this.#options;
    this.#isStepping = true;
    try {
      for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
        if (!this.#isOpen) continue;
        const effects = this.#core.step(next, { mono: clock.now(), wall: clock.wall() });
        for (const effect of effects) this.#perform(effect);
      }
    } catch (error) {
      this.close();
      onFatal(error instanceof Error ? error : new Error(String(error)));
    } finally {
      this.#isStepping = false;
    }
  }

  #perform(effect: ArchiverEffect): void {
    switch (effect.kind) {
      case 'loadChain':
        return this.#work(effect.generation, async () => {
          if (!this.#formatIsChecked) await ensureFormat(this.#options.store, this.#options.tenant);
          this.#formatIsChecked = true;
          return { kind: 'chainLoaded', head: await this.#chain.load(effect.known) };
        });
      case 'readRun':
        return this.#work(effect.generation, () => this.#readRun(effect));
      case 'storeRun':
        return this.#work(effect.generation, async () => {
          const chunk = must(this.#runs.get(effect.run.runId), 'a run in hand');
          const { roundId, epoch, run } = effect;
          const record = await this.#shelf.store(chunk, { roundId, pieceId: run.pieceId, epoch });
          return { kind: 'segmentStored', runId: run.runId, record };
        });
      case 'writeManifest':
        return this.#work(effect.generation, () => this.#writeManifest(effect));
      case 'merge':
        return this.#work(effect.generation, async () => ({
          kind: 'segmentsMerged',
          by: await this.#shelf.merge(effect.merge.segments, effect.epoch),
        }));
      case 'deleteObjects':
        return this.#work(effect.generation, async () => {
          for (const key of effect.keys) await this.#options.store.delete(key);
          return { kind: 'objectsDeleted' };
        });
      case 'forgetRuns':
        this.#runs.clear();
        return;
      case 'holdFrom':
        this.#hold?.advance(effect.lsn);
        return;
      case 'wakeAt':
        this.#setWake(effect.at);
        return;
      case 'reply':
        this.#answer(effect.token, effect.outcome);
        return;
      case 'stateChanged':
        this.#options.logger.info({ state: effect.state, comment: effect.comment }, 'archive round');
        return;
      case 'fenced':
        this.#options.logger.warn({ epoch: effect.epoch, site: effect.siteId }, 'archive fenced');
        this.#options.onFenced(this.#refusal({ kind: 'fenced', epoch: effect.epoch }));
        return;
      default:
        unreachable(effect);
    }
  }

  async #readRun(effect: Extract<ArchiverEffect, { kind: 'readRun' }>): Promise<ActivityResult> {
    const { log, store } = this.#options;
    const reading = await readLogRun(log, store.name, effect);
    switch (reading.kind) {
      case 'empty':
        return { kind: 'runEmpty' };
      case 'recycled':
        return { kind: 'runRecycled', begin: reading.begin };
      case 'run': {
        const { chunk, firstScn, pieceId, substantial } = reading;
        const runId = this.#nextRunId++;
        this.#runs.set(runId, chunk);
        return {
          kind: 'runRead',
          run: { runId, start: chunk.start, end: chunk.end, firstScn, pieceId, substantial },
        };
      }
      default:
        return unreachable(reading);
    }
  }

  async #writeManifest(effect: Extract<ArchiverEffect, { kind: 'writeManifest' }>): Promise<ActivityResult> {
    const { epoch, siteId, clock } = this.#options;
    const wall = clock.wall();
    const draft = { epoch, siteId, nonce: this.#nonce, wall, records: effect.records };
    const head = await this.#chain.append(effect.head, draft);
    if (head === 'lost') return { kind: 'manifestLost' };
    void this.#writeHint(head.state.number);
    return { kind: 'manifestWritten', head };
  }

  async #writeHint(number: number): Promise<void> {
    if (this.#hintIsBusy) return;
    this.#hintIsBusy = true;
    try {
      await this.#chain.hint(number);
    } catch (error) {
      // readers then search a little longer
      this.#options.logger.debug({ error: String(error) }, 'archive hint was not written');
    } finally {
      this.#hintIsBusy = false;
    }
  }

  /** Runs one effect and reports its result; only broken invariants get past the core. */
  #work(generation: number, task: () => Promise<ActivityResult>): void {
    task().then(
      result => {
        this.#step({ kind: 'done', generation, result });
      },
      (error: unknown) => {
        if (isSurvivable(error)) {
          const failure = { kind: error.kind, message: error.message };
          this.#step({ kind: 'done', generation, result: { kind: 'failed', failure } });
          return;
        }
        if (!this.#isOpen) return;
        this.close();
        this.#options.onFatal(error instanceof Error ? error : new AssertionError(String(error)));
      },
    );
  }

  #setWake(at: number | null): void {
    this.#wake?.cancel();
    this.#wake = null;
    if (at === null || !this.#isOpen) return;
    const { clock } = this.#options;
    this.#wake = clock.after(Math.max(0, at - clock.now()), () => {
      this.#step({ kind: 'wake' });
    });
  }

  #answer(token: number, outcome: Outcome): void {
    const caller = this.#callers.get(token);
    if (caller === undefined) return;
    this.#callers.delete(token);
    caller.timer?.cancel();
    if (outcome.kind === 'ok') caller.resolve();
    else caller.reject(this.#refusal(outcome));
  }

  #refusal(outcome: Exclude<Outcome, { kind: 'ok' }>): ObError {
    const dest = this.#options.store.name;
    switch (outcome.kind) {
      case 'fenced':
        return new ObError('OBS_ARCHIVE_FENCED', { dest, epoch: outcome.epoch });
      case 'sealed':
        return new ObError('OBS_ARCHIVE_SEALED', {
          dest,
          lsn: outcome.by.lsn,
          switchoverId: outcome.by.switchoverId,
        });
      case 'diverged':
        return new ObError('OBS_ARCHIVE_DIVERGED', { dest, lsn: outcome.lsn });
      case 'stopped':
        return new ObError('OBS_ARCHIVE_STOPPED', { dest, state: outcome.state });
      default:
        return unreachable(outcome);
    }
  }
}
