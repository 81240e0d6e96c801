/**
 * The archiver's decisions: when to read, send, name, merge and remove; how a round lives; when it is fenced. Pure: the
 * driver (`archiver.ts`) does what the effects say and reports back; nothing is remembered but what the chain on the
 * media says, so that a crash at any point is only a restart.
 *
 * One activity at a time, except that the segments of a batch are stored side by side while the next is read. Must
 * never name log that is not committed (R1), leave a hole inside a round (R2), write after a higher epoch's claim (R4),
 * or let log go that a reader of the archive would miss (R5). Dead media hold up neither STOP nor DEFER.
 */
import { assert, must, unreachable } from '../base/assert.ts';
import {
  archiverRetryMsMax,
  archiverRetryMsMin,
  archiverStopMs,
  deletionsMax,
  retiredKeepMs,
  segmentsInFlightMax,
  segmentTargetBytes,
} from '../base/limits.ts';
import type { LogPosition } from '../base/log-access.ts';
import { type Lsn, lsn, type MonoMs, monoMs } from '../base/scalars.ts';
import type { ManifestRecord, SegmentRecord } from '../codec/manifest.ts';
import type {
  ActivityFailure,
  ActivityResult,
  ArchiverEffect,
  ArchiverInput,
  ArchiverSettings,
  ArchiverTime,
  ArchiverView,
  Outcome,
  ReadRun,
  RoundState,
} from './archiver-language.ts';
import { type Answer, type Waiter, Waiters } from './waiters-core.ts';
import { describeRound, type Failing, type Mode } from './round-state-core.ts';
import { type Batch, batchRecords, nextRead, openBatch, withRun } from './batch-core.ts';
import { type ChainHead, headEpochOf, openRoundOf, ownerOf } from './chain-core.ts';
import { type Merge, nextMerge } from './compaction-core.ts';

type Activity =
  | { readonly kind: 'none' }
  | { readonly kind: 'load' }
  | { readonly kind: 'batch'; readonly batch: Batch }
  | { readonly kind: 'manifest'; readonly purpose: 'archive' | 'stop' }
  | { readonly kind: 'merge'; readonly merge: Merge }
  | { readonly kind: 'delete'; readonly keys: readonly string[] };

export class ArchiveCore {
  readonly #settings: ArchiverSettings;
  #mode: Mode = { kind: 'new' };
  #activity: Activity = { kind: 'none' };
  #generation = 0;
  #head: ChainHead | null = null;
  /** the head may be older than what lies on the media */
  #headIsStale = true;
  #committed: LogPosition | null = null;
  #pendingSince: MonoMs | null = null;
  #lookAgainAt: MonoMs | null = null;
  /** log below this is gone before it was archived */
  #gapTo: Lsn | null = null;
  #roundOpened = false;
  /** the last round that was seen open */
  #roundSeen: number | null = null;
  /** when to look for merges and removals again; null: when the chain has grown */
  #housekeepAt: MonoMs | null = monoMs(0);
  #failing: Failing | null = null;
  readonly #waiters = new Waiters();
  #suspendBy: MonoMs | null = null;
  #held: Lsn | null = null;
  #shown: { state: RoundState; comment: string } = { state: 'PREPARE', comment: '' };
  #effects: ArchiverEffect[] = [];

  constructor(settings: ArchiverSettings) {
    assert(settings.epoch > 0 && settings.siteId !== '', 'an archiver writes under an epoch of a site');
    assert(settings.lagTargetMs >= 0 && settings.pieceSwitchMicros > 0, 'archive intervals are positive');
    this.#settings = settings;
  }

  step(input: ArchiverInput, now: ArchiverTime): readonly ArchiverEffect[] {
    this.#effects = [];
    this.#take(input, now);
    this.#advance(now);
    this.#holdLog();
    this.#show(now);
    this.#effects.push({ kind: 'wakeAt', at: this.#nextWake(now) });
    return this.#effects;
  }

  view(): ArchiverView {
    const state = this.#head?.state ?? null;
    return {
      ...this.#shown,
      head: this.#head,
      round: state?.rounds.at(-1) ?? null,
      committed: this.#committed,
      fenced: this.#mode.kind === 'fenced',
      sealed: state === null ? null : (ownerOf(state)?.sealed ?? null),
    };
  }

  #take(input: ArchiverInput, now: ArchiverTime): void {
    switch (input.kind) {
      case 'begin':
        assert(this.#mode.kind === 'new', 'an archiver begins once');
        this.#mode = { kind: 'running' };
        this.#committed = input.committed;
        return;
      case 'committed':
        this.#onCommitted(input.end, now);
        return;
      case 'wake':
        return;
      case 'suspend':
        if (this.#mode.kind !== 'running') return;
        this.#mode = { kind: 'suspended' };
        this.#suspendBy = after(now.mono, archiverStopMs);
        this.#answer(this.#waiters.refuseAll({ kind: 'stopped', state: 'SUSPEND' }));
        return;
      case 'resume':
        if (this.#mode.kind !== 'suspended') return;
        this.#mode = { kind: 'running' };
        this.#failing = null;
        this.#headIsStale = true;
        return;
      case 'stop':
        this.#onStop(input.token, now);
        return;
      case 'flush':
      case 'seal':
        this.#onWait(input);
        return;
      case 'forget':
        this.#waiters.forget(input.token);
        return;
      case 'done':
        if (input.generation === this.#generation) this.#onDone(input.result, now);
        return;
      default:
        unreachable(input);
    }
  }

  #onCommitted(end: LogPosition, now: ArchiverTime): void {
    this.#committed = end;
    const archived = this.#archivedEnd();
    if (this.#pendingSince === null && end.lsn > archived) this.#pendingSince = now.mono;
  }

  #onStop(token: number, now: ArchiverTime): void {
    switch (this.#mode.kind) {
      case 'running':
      case 'suspended':
        this.#mode = { kind: 'stopping', token, until: after(now.mono, archiverStopMs) };
        this.#failing = null;
        this.#answer(this.#waiters.refuseAll({ kind: 'stopped', state: 'STOPPING' }));
        return;
      case 'new':
        this.#mode = { kind: 'stopped' };
        break;
      case 'stopping':
      case 'stopped':
      case 'fenced':
        break;
      default:
        unreachable(this.#mode);
    }
    this.#reply(token, { kind: 'ok' });
  }

  #onWait(waiter: Waiter): void {
    if (this.#mode.kind === 'fenced') this.#reply(waiter.token, { kind: 'fenced', epoch: this.#mode.epoch });
    else if (this.#mode.kind !== 'running')
      this.#reply(waiter.token, { kind: 'stopped', state: this.#shown.state });
    else this.#waiters.add(waiter);
  }

  #onDone(result: ActivityResult, now: ArchiverTime): void {
    switch (result.kind) {
      case 'chainLoaded':
        assert(this.#activity.kind === 'load', 'a chain was asked for');
        this.#adoptHead(result.head);
        return;
      case 'runRead':
        this.#onRun(result.run, now);
        return;
      case 'runEmpty':
        this.#patchBatch({ reading: false });
        this.#finishBatch(now);
        return;
      case 'runRecycled':
        this.#abandon();
        assert(result.begin > this.#archivedEnd() || this.#head?.state.end === null, 'recycled log is a gap');
        this.#gapTo = result.begin;
        return;
      case 'segmentStored': {
        const batch = this.#batch();
        this.#patchBatch({ stored: new Map([...batch.stored, [result.runId, result.record]]) });
        this.#finishBatch(now);
        return;
      }
      case 'manifestWritten':
        this.#onManifest(result.head);
        return;
      case 'manifestLost':
        this.#abandon();
        this.#headIsStale = true;
        return;
      case 'segmentsMerged':
        this.#onMerged(result.by);
        return;
      case 'objectsDeleted': {
        assert(this.#activity.kind === 'delete', 'objects were to be removed');
        this.#write([{ kind: 'objectsDeleted', keys: this.#activity.keys }], 'archive');
        return;
      }
      case 'failed':
        this.#onFailure(result.failure, now);
        return;
      default:
        unreachable(result);
    }
  }

  #onFailure(failure: ActivityFailure, now: ArchiverTime): void {
    this.#abandon();
    this.#headIsStale = true;
    const attempts = (this.#failing?.attempts ?? 0) + 1;
    const lasting =
      failure.kind !== 'unavailable' && failure.kind !== 'unknown' && failure.kind !== 'not-leader';
    const pauseMs = lasting
      ? archiverRetryMsMax
      : Math.min(archiverRetryMsMax, archiverRetryMsMin * 2 ** Math.min(attempts - 1, 16));
    this.#failing = {
      since: this.#failing?.since ?? now.mono,
      attempts,
      retryAt: after(now.mono, pauseMs),
      lasting,
      message: failure.message,
    };
    if (failure.kind === 'diverged')
      this.#answer(this.#waiters.refuseAll({ kind: 'diverged', lsn: lsn(this.#archivedEnd()) }));
  }

  #adoptHead(head: ChainHead): void {
    this.#head = head;
    this.#headIsStale = false;
    this.#activity = { kind: 'none' };
    this.#failing = null;
    this.#housekeepAt = monoMs(0);
    this.#roundSeen = openRoundOf(head.state)?.roundId ?? this.#roundSeen;
    if (must(this.#committed, 'a committed end').lsn <= this.#archivedEnd()) this.#pendingSince = null;
  }

  #onManifest(head: ChainHead): void {
    assert(this.#activity.kind === 'manifest', 'a manifest was to be written');
    const { purpose } = this.#activity;
    const before = this.#archivedEnd();
    this.#adoptHead(head);
    const archived = this.#archivedEnd();
    if (archived > before) this.#gapTo = null;
    if (openRoundOf(head.state) !== null) this.#roundOpened = true;
    this.#lookAgainAt = null;
    if (purpose === 'stop') this.#finishStop();
  }

  // --- deciding what comes next ---

  #advance(now: ArchiverTime): void {
    const mode = this.#mode;
    if (mode.kind === 'new' || mode.kind === 'stopped' || mode.kind === 'fenced') return;
    if (mode.kind === 'stopping' && now.mono >= mode.until) {
      this.#abandon();
      this.#finishStop();
      return;
    }
    if (mode.kind === 'suspended') {
      if (this.#activity.kind !== 'none' && now.mono >= must(this.#suspendBy, 'a bound of suspending'))
        this.#abandon();
      return;
    }
    if (this.#activity.kind !== 'none') return;
    if (this.#failing !== null && now.mono < this.#failing.retryAt) return;
    if (this.#head === null || this.#headIsStale) {
      this.#activity = { kind: 'load' };
      this.#effects.push({ kind: 'loadChain', generation: this.#next(), known: this.#head });
      return;
    }
    if (!this.#owns(this.#head)) return;
    const sealed = ownerOf(this.#head.state)?.sealed ?? null;
    if (sealed !== null) {
      this.#answer(this.#waiters.sealed(sealed));
      if (mode.kind === 'stopping') this.#finishStop();
      return;
    }
    this.#answer(this.#waiters.flushedTo(this.#archivedEnd()));
    if (mode.kind === 'stopping') {
      this.#endRound();
      return;
    }
    if (this.#isEndedElsewhere(this.#head)) {
      this.#mode = { kind: 'stopped' };
      this.#answer(this.#waiters.refuseAll({ kind: 'stopped', state: 'STOP' }));
      return;
    }
    const { end } = this.#head.state;
    this.#answer(this.#waiters.refuseSeals(end, this.#settings.epoch));
    const seal = this.#waiters.sealAt(this.#archivedEnd());
    if (seal !== null) {
      this.#write([{ kind: 'sealed', ...seal }], 'archive');
      return;
    }
    if (this.#isLogDue(now)) this.#startBatch(now);
    else if (this.#housekeepAt !== null && now.mono >= this.#housekeepAt) this.#keepHouse(now);
  }

  /** True when the archive is this epoch's; begins the claim or ends the archiver otherwise. */
  #owns(head: ChainHead): boolean {
    const { epoch, siteId, operationId, openedAt } = this.#settings;
    const owner = ownerOf(head.state);
    const headEpoch = headEpochOf(head.state);
    if (headEpoch === epoch && owner?.siteId === siteId) return true;
    if (owner !== null && headEpoch >= epoch) {
      this.#mode = { kind: 'fenced', epoch: headEpoch };
      this.#answer(this.#waiters.refuseAll({ kind: 'fenced', epoch: headEpoch }));
      this.#effects.push({ kind: 'fenced', epoch: headEpoch, siteId: owner.siteId });
      return false;
    }
    this.#write([{ kind: 'claim', epoch, siteId, operationId, cut: openedAt }], 'archive');
    return false;
  }

  /** The tenant leads elsewhere, and archiving was ended there: it is not begun again by one who has not heard. */
  #isEndedElsewhere({ state }: ChainHead): boolean {
    const last = state.rounds.at(-1);
    return last !== undefined && last.roundId === this.#roundSeen && last.status === 'STOP';
  }

  #isLogDue(now: ArchiverTime): boolean {
    const pending = must(this.#committed, 'a committed end').lsn - this.#archivedEnd();
    if (pending <= 0) return false;
    this.#pendingSince ??= now.mono;
    if (this.#waiters.isPressing(this.#archivedEnd()) || pending >= segmentTargetBytes) return true;
    if (this.#lookAgainAt !== null && now.mono < this.#lookAgainAt) return false;
    return now.mono >= this.#pendingSince + this.#collectMs();
  }

  /** Half of the target is for gathering, half for the way to the media. */
  #collectMs(): number {
    return this.#settings.lagTargetMs / 2;
  }

  #startBatch(now: ArchiverTime): void {
    const { state } = must(this.#head, 'a chain');
    const forceRound = this.#settings.newRound && !this.#roundOpened;
    const batch = openBatch(state, {
      since: now.mono,
      gapTo: this.#gapTo,
      forceRound,
      pieceSwitchMicros: this.#settings.pieceSwitchMicros,
    });
    this.#generation += 1;
    this.#readNext(batch);
  }

  #readNext(batch: Batch): void {
    this.#activity = { kind: 'batch', batch: { ...batch, reading: true } };
    const { from, continues } = nextRead(batch);
    this.#effects.push({
      kind: 'readRun',
      generation: this.#generation,
      from,
      continues,
      bytesMax: segmentTargetBytes,
      pieces: batch.pieces,
    });
  }

  #onRun(run: ReadRun, now: ArchiverTime): void {
    let batch = this.#batch();
    assert(batch.reading, 'a run was asked for');
    const waited = now.mono - must(this.#pendingSince, 'a time since log is pending');
    if (
      batch.runs.length === 0 &&
      !run.substantial &&
      !this.#waiters.isPressing(this.#archivedEnd()) &&
      waited < this.#settings.idleMs
    ) {
      this.#abandon();
      this.#lookAgainAt = after(now.mono, Math.max(1, this.#collectMs()));
      return;
    }
    batch = withRun(batch, run);
    this.#activity = { kind: 'batch', batch };
    this.#effects.push({
      kind: 'storeRun',
      generation: this.#generation,
      run,
      roundId: batch.roundId,
      epoch: this.#settings.epoch,
    });
    const left = must(this.#committed, 'a committed end').lsn - run.end.lsn;
    if (batch.runs.length < segmentsInFlightMax && left >= segmentTargetBytes) this.#readNext(batch);
  }

  #finishBatch(now: ArchiverTime): void {
    const batch = this.#batch();
    if (batch.reading || batch.stored.size < batch.runs.length) return;
    if (batch.runs.length === 0) {
      this.#abandon();
      this.#lookAgainAt = after(now.mono, Math.max(1, this.#collectMs()));
      return;
    }
    // what was committed since the batch began has waited since then at most
    this.#pendingSince = batch.since;
    this.#effects.push({ kind: 'forgetRuns' });
    this.#write(batchRecords(batch), 'archive');
  }

  #keepHouse(now: ArchiverTime): void {
    const { state } = must(this.#head, 'a chain');
    const merge = nextMerge(state);
    if (merge !== undefined) {
      this.#activity = { kind: 'merge', merge };
      this.#effects.push({ kind: 'merge', generation: this.#next(), merge, epoch: this.#settings.epoch });
      return;
    }
    const oldest = now.wall - retiredKeepMs * 1_000;
    const keys = state.retired.filter(({ wall }) => wall <= oldest).map(({ key }) => key);
    if (keys.length === 0) {
      const first = state.retired[0];
      const waitMs = first === undefined ? 0 : (first.wall - oldest) / 1_000;
      this.#housekeepAt = first === undefined ? null : after(now.mono, Math.max(1_000, waitMs));
      return;
    }
    this.#activity = { kind: 'delete', keys: keys.slice(0, deletionsMax) };
    this.#effects.push({ kind: 'deleteObjects', generation: this.#next(), keys: this.#activity.keys });
  }

  #onMerged(by: SegmentRecord): void {
    assert(this.#activity.kind === 'merge', 'a merge was asked for');
    const removed = this.#activity.merge.segments.map(({ key }) => key);
    this.#write([{ kind: 'segmentsMerged', removed, by }], 'archive');
  }

  #endRound(): void {
    const open = openRoundOf(must(this.#head, 'a chain').state);
    if (open === null) this.#finishStop();
    else this.#write([{ kind: 'roundEnded', roundId: open.roundId, status: 'STOP', comment: '' }], 'stop');
  }

  #finishStop(): void {
    assert(this.#mode.kind === 'stopping', 'a stop was asked for');
    this.#reply(this.#mode.token, { kind: 'ok' });
    this.#mode = { kind: 'stopped' };
  }

  // --- small parts ---

  #write(records: readonly ManifestRecord[], purpose: 'archive' | 'stop'): void {
    this.#activity = { kind: 'manifest', purpose };
    const head = must(this.#head, 'a chain');
    this.#effects.push({ kind: 'writeManifest', generation: this.#next(), head, records });
  }

  #next(): number {
    this.#generation += 1;
    return this.#generation;
  }

  /** Late answers of what was going on count nothing any more. */
  #abandon(): void {
    if (this.#activity.kind === 'batch') this.#effects.push({ kind: 'forgetRuns' });
    if (this.#activity.kind === 'manifest') this.#headIsStale = true;
    this.#activity = { kind: 'none' };
    this.#generation += 1;
  }

  #batch(): Batch {
    if (this.#activity.kind !== 'batch') throw new Error('invariant broken: a batch is going on');
    return this.#activity.batch;
  }

  #patchBatch(change: Partial<Batch>): void {
    this.#activity = { kind: 'batch', batch: { ...this.#batch(), ...change } };
  }

  #archivedEnd(): number {
    return this.#head?.state.end?.lsn ?? 0;
  }

  #answer(answers: readonly Answer[]): void {
    for (const { token, outcome } of answers) this.#reply(token, outcome);
  }

  #reply(token: number, outcome: Outcome): void {
    this.#effects.push({ kind: 'reply', token, outcome });
  }

  /** R5: only what a manifest names may go. */
  #holdLog(): void {
    if (this.#head === null || this.#committed === null) return;
    const archived = this.#archivedEnd();
    const { binding, optionalHoldBytes } = this.#settings;
    const from =
      binding === 'Mandatory' ? archived : Math.max(archived, this.#committed.lsn - optionalHoldBytes);
    if (this.#held !== null && from <= this.#held) return;
    this.#held = lsn(from);
    this.#effects.push({ kind: 'holdFrom', lsn: this.#held });
  }

  #show(now: ArchiverTime): void {
    const { state, comment } = describeRound({
      mode: this.#mode,
      isBusy: this.#activity.kind !== 'none',
      failing: this.#failing,
      gapTo: this.#gapTo,
      archive: this.#head?.state ?? null,
      epoch: this.#settings.epoch,
      committed: this.#committed,
      now: now.mono,
    });
    if (state === this.#shown.state && comment === this.#shown.comment) return;
    this.#shown = { state, comment };
    this.#effects.push({ kind: 'stateChanged', state, comment });
  }

  #nextWake(now: ArchiverTime): MonoMs | null {
    const mode = this.#mode;
    if (mode.kind === 'new' || mode.kind === 'stopped' || mode.kind === 'fenced') return null;
    if (mode.kind === 'suspended') return this.#activity.kind === 'none' ? null : this.#suspendBy;
    const times: number[] = [];
    if (mode.kind === 'stopping') times.push(mode.until);
    if (this.#activity.kind === 'none') times.push(...this.#idleUntil());
    if (times.length === 0) return null;
    const at = monoMs(Math.min(...times));
    assert(at > now.mono, 'an archiver that has something to do does it');
    return at;
  }

  /** When there is something to do again, with nothing going on. */
  #idleUntil(): readonly number[] {
    if (this.#failing !== null) return [this.#failing.retryAt];
    if (this.#head !== null && (ownerOf(this.#head.state)?.sealed ?? null) !== null) return [];
    const times: number[] = [];
    if (this.#pendingSince !== null)
      times.push(Math.max(this.#pendingSince + this.#collectMs(), this.#lookAgainAt ?? 0));
    if (this.#housekeepAt !== null) times.push(this.#housekeepAt);
    return times;
  }
}

const after = (now: MonoMs, ms: number): MonoMs => monoMs(now + ms);
