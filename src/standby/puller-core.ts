/**
 * Decides what a standby does next to get its source's log: connect, subscribe, read the archive, write, wait. The network
 * comes first; the archive stands in while the network is down or its source has recycled what is needed here. Pure:
 * `step(input, now)` returns effects and never touches a clock, a socket or a disk.
 *
 * Nothing is written here that does not continue this log byte for byte: positions and chained checksums are checked on
 * arrival, whatever the source says of itself (S1, S7). Nothing after recovery-until is written (S6). At most one write is
 * under way; what has arrived and is not written is bounded by the credit given.
 */
import { assert, unreachable } from '../base/assert.ts';
import { archiveReadBytes, rawWriteBytes } from '../base/limits.ts';
import type { LogChunk, LogPosition } from '../base/log-access.ts';
import {
  type Lsn,
  lsn,
  type MonoMs,
  monoMs,
  type RoleEpoch,
  type Scn,
  scn,
  scnUnlimited,
  type WallMicros,
} from '../base/scalars.ts';
import { cutChunk, joinChunks } from './chunk-cut.ts';
import { CreditMeter } from './credit-meter.ts';
import { needsSomebody, type PullProblem, statusOf } from './pull-problem.ts';
import type {
  LinkId,
  PullerEffect,
  PullerInput,
  PullerOptions,
  PullerView,
  PullSourcesShape,
} from './puller-messages.ts';
import type { SourceEnd } from './sync-status.ts';

/** Waiting times between attempts. */
const retryFirstMs = 100;
const retryMaxMs = 5_000;
/** Between attempts that cannot succeed before somebody changes something. */
export const retryHopelessMs = 5_000;
/** The network may be away this long before the archive is read instead. */
export const networkPatienceMs = 2_000;
/** Between looks at an archive whose end was reached. */
const archivePollMs = 1_000;

type Network =
  | { readonly kind: 'idle'; readonly retryAt: MonoMs }
  | { readonly kind: 'connecting' | 'connected' | 'subscribing' | 'streaming'; readonly link: LinkId };

type Archive =
  | { readonly kind: 'idle'; readonly retryAt: MonoMs }
  | { readonly kind: 'reading'; readonly read: number };

interface Arrived {
  readonly chunk: LogChunk;
  /** where its credit goes, or null for the archive's */
  readonly link: LinkId | null;
}

const start: LogPosition = { lsn: lsn(0), scn: scn(0), checksum: 0 };
const epochStart = monoMs(0);

export class PullerCore {
  #sources: PullSourcesShape;
  #until: Scn;
  #canceled = false;
  #untilReached = false;
  #running = false;
  #knownEpoch: RoleEpoch;
  #sourceEnd: SourceEnd | null;

  /** end of what has arrived and passed its checks */
  #received: LogPosition = start;
  #flushed: LogPosition = start;
  #queue: Arrived[] = [];
  #queuedBytes = 0;
  #writing: readonly Arrived[] | null = null;
  #writeProblem: PullProblem | null = null;
  #writeRetryAt = epochStart;

  #network: Network = { kind: 'idle', retryAt: epochStart };
  #networkProblem: PullProblem | null = null;
  #networkFailures = 0;
  #networkDownSince: MonoMs | null = null;
  #address = 0;
  #nextLink = 1;
  /** the source's log begins after what is needed here */
  #gapUntil: Lsn | null = null;

  #archive: Archive = { kind: 'idle', retryAt: epochStart };
  #archiveProblem: PullProblem | null = null;
  #archiveFailures = 0;
  #archiveServes = false;
  #nextRead = 1;

  readonly #credit: CreditMeter;
  #jitter: number;
  #effects: PullerEffect[] = [];
  #wakeAt: MonoMs | null = null;

  constructor(options: PullerOptions) {
    this.#sources = options.sources;
    this.#until = options.recoveryUntil;
    this.#knownEpoch = options.knownEpoch;
    this.#sourceEnd = options.sourceEnd;
    this.#credit = new CreditMeter(options.bandwidthBytesPerSecond);
    this.#jitter = options.jitterSeed >>> 0;
  }

  step(input: PullerInput, now: MonoMs): PullerEffect[] {
    this.#effects = [];
    this.#take(input, now);
    this.#plan(now);
    assert(this.#flushed.lsn <= this.#received.lsn, 'what is durable has arrived');
    assert(
      this.#writing !== null || this.#queue.length > 0 || this.#received.lsn === this.#flushed.lsn,
      'all that arrived is queued or written',
    );
    return this.#effects;
  }

  view(): PullerView {
    return {
      ...this.#status(),
      received: this.#received,
      flushed: this.#flushed,
      recoveryUntil: this.#until,
      sourceEnd: this.#sourceEnd,
      knownEpoch: this.#knownEpoch,
      synchronised: this.#sourceEnd !== null && this.#flushed.lsn >= this.#sourceEnd.lsn,
    };
  }

  #take(input: PullerInput, now: MonoMs): void {
    switch (input.kind) {
      case 'start':
        assert(!this.#running, 'a puller starts once, or after it stopped');
        this.#running = true;
        this.#flushed = input.end;
        this.#received = input.end;
        this.#untilReached = this.#until <= input.end.scn;
        this.#forgetProblems();
        return;
      case 'stop':
        this.#running = false;
        this.#leaveNetwork(now);
        this.#leaveArchive();
        this.#dropQueue();
        return;
      case 'sources':
        this.#leaveNetwork(now);
        this.#leaveArchive();
        this.#sources = input.sources;
        this.#address = 0;
        this.#gapUntil = null;
        this.#forgetProblems();
        return;
      case 'until':
        assert(input.scn >= this.#received.scn, 'recovery-until is never before what is here');
        this.#until = input.scn;
        this.#canceled = false;
        this.#untilReached = input.scn <= this.#received.scn;
        this.#forgetProblems();
        return;
      case 'cancel':
        this.#canceled = true;
        this.#leaveNetwork(now);
        this.#leaveArchive();
        this.#dropQueue();
        return;
      case 'connected':
        if (this.#isLink(input.link, 'connecting')) this.#connected(input, now);
        return;
      case 'subscribed':
        if (!this.#isLink(input.link, 'subscribing')) return;
        this.#network = { kind: 'streaming', link: input.link };
        this.#networkProblem = null;
        this.#networkFailures = 0;
        this.#networkDownSince = null;
        this.#gapUntil = null;
        this.#credit.reset(now);
        this.#heard(input.end, input.wall);
        return;
      case 'link-lost':
        if (this.#isLink(input.link)) this.#linkLost(input.problem, now);
        return;
      case 'chunk':
        if (!this.#isLink(input.link, 'streaming')) return;
        this.#heard(input.sourceEnd, input.wall);
        this.#arrived(input.chunk, input.link, now);
        return;
      case 'heartbeat':
        if (!this.#isLink(input.link, 'streaming')) return;
        if (input.epoch < this.#knownEpoch) {
          this.#linkLost(this.#stale(input.epoch), now);
          return;
        }
        this.#sawEpoch(input.epoch);
        this.#heard(input.sourceEnd, input.wall);
        this.#effects.push({ kind: 'ack', link: input.link, creditBytes: 0 });
        return;
      case 'archive-chunk':
        if (!this.#isRead(input.read)) return;
        if (input.epoch < this.#knownEpoch) {
          // Where the newer epoch left this archive's history is not known: log beyond that place must not come here.
          this.#archiveFailed(this.#stale(input.epoch), now);
          return;
        }
        this.#sawEpoch(input.epoch);
        this.#archive = { kind: 'idle', retryAt: now };
        this.#archiveFailures = 0;
        this.#archiveProblem = null;
        this.#archiveServes = true;
        this.#heardAtLeast(input.archivedEnd, input.wall);
        this.#arrived(input.chunk, null, now);
        return;
      case 'archive-end':
        if (!this.#isRead(input.read)) return;
        this.#archive = { kind: 'idle', retryAt: later(now, archivePollMs) };
        this.#archiveFailures = 0;
        this.#archiveProblem = null;
        this.#archiveServes = true;
        this.#heardAtLeast(this.#received, input.wall);
        return;
      case 'archive-failed':
        if (this.#isRead(input.read)) this.#archiveFailed(input.problem, now);
        return;
      case 'written':
        this.#written(input.end, now);
        return;
      case 'write-failed':
        assert(this.#writing !== null, 'a write that failed was under way');
        this.#writing = null;
        this.#flushed = input.end;
        this.#dropQueue();
        this.#leaveNetwork(now);
        this.#leaveArchive();
        this.#writeProblem = input.problem;
        this.#writeRetryAt = later(now, needsSomebody(input.problem) ? retryHopelessMs : retryFirstMs * 10);
        return;
      case 'wake':
        this.#wakeAt = null;
        return;
      default:
        unreachable(input);
    }
  }

  #connected(input: Extract<PullerInput, { kind: 'connected' }>, now: MonoMs): void {
    if (input.epoch < this.#knownEpoch) {
      this.#linkLost(this.#stale(input.epoch), now);
      return;
    }
    this.#sawEpoch(input.epoch);
    if (input.log === null) {
      this.#linkLost(
        { code: 'OBS_PEER_NOT_READY', message: 'the tenant of the source is not open yet', begin: null },
        now,
      );
      return;
    }
    if (input.log.end.lsn >= this.#received.lsn) this.#heard(input.log.end, input.wall);
    if (this.#received.lsn < input.log.beginLsn) {
      this.#linkLost(
        {
          code: 'OBS_LOG_RECYCLED',
          message: `the source has log from LSN ${input.log.beginLsn} on, needed is LSN ${this.#received.lsn}`,
          begin: input.log.beginLsn,
        },
        now,
      );
      return;
    }
    this.#network = { kind: 'connected', link: input.link };
    this.#leaveArchive();
  }

  #linkLost(problem: PullProblem, now: MonoMs): void {
    this.#networkProblem = problem;
    this.#networkFailures += 1;
    this.#networkDownSince ??= now;
    if (problem.code === 'OBS_LOG_RECYCLED') this.#gapUntil = problem.begin ?? lsn(this.#received.lsn + 1);
    this.#address = (this.#address + 1) % Math.max(1, this.#sources.addresses);
    this.#leaveNetwork(
      later(
        now,
        needsSomebody(problem) ? this.#jittered(retryHopelessMs) : this.#backoff(this.#networkFailures),
      ),
    );
  }

  #archiveFailed(problem: PullProblem, now: MonoMs): void {
    this.#archiveProblem = problem;
    this.#archiveFailures += 1;
    this.#archiveServes = false;
    this.#archive = {
      kind: 'idle',
      retryAt: later(now, needsSomebody(problem) ? retryHopelessMs : this.#backoff(this.#archiveFailures)),
    };
  }

  /** Log came: checks that it continues this log, cuts it at recovery-until, queues it. */
  #arrived(chunk: LogChunk, link: LinkId | null, now: MonoMs): void {
    const cut = cutChunk(chunk, this.#received, this.#until);
    if (cut.kind === 'problem') {
      const problem: PullProblem = { code: cut.code, message: cut.message, begin: null };
      if (link === null) this.#archiveFailed(problem, now);
      else this.#linkLost(problem, now);
      return;
    }
    if (cut.chunk.bytes.length > 0) {
      this.#queue.push({ chunk: cut.chunk, link });
      this.#queuedBytes += cut.chunk.bytes.length;
      this.#received = cut.chunk.end;
    }
    if (cut.reachedUntil) {
      this.#untilReached = true;
      this.#leaveNetwork(now);
      this.#leaveArchive();
    }
    // The archive has brought this log to where the network can go on: try it at once.
    if (this.#gapUntil !== null && this.#received.lsn >= this.#gapUntil) {
      this.#gapUntil = null;
      if (this.#network.kind === 'idle') this.#network = { kind: 'idle', retryAt: now };
    }
  }

  #written(end: LogPosition, now: MonoMs): void {
    const written = this.#writing;
    assert(written !== null, 'a write that is done was under way');
    this.#writing = null;
    this.#writeProblem = null;
    assert(end.lsn === written.at(-1)?.chunk.end.lsn, 'a write ends where its last chunk ends');
    this.#flushed = end;
    if (this.#queue.length === 0) this.#received = end;
    if (this.#network.kind !== 'streaming') return;
    const { link } = this.#network;
    let bytes = 0;
    for (const arrived of written) if (arrived.link === link) bytes += arrived.chunk.bytes.length;
    this.#credit.owe(bytes);
    this.#effects.push({ kind: 'ack', link, creditBytes: this.#credit.take(now) });
  }

  /** Does what the state asks for: one place decides, whatever came. */
  #plan(now: MonoMs): void {
    if (this.#running && !this.#canceled && !this.#untilReached && now >= this.#writeRetryAt) {
      this.#planNetwork(now);
      this.#planArchive(now);
    }
    this.#planWrite(now);
    this.#planCredit(now);
    this.#planWake(now);
  }

  #planNetwork(now: MonoMs): void {
    if (this.#sources.addresses === 0) return;
    if (this.#network.kind === 'idle' && now >= this.#network.retryAt) {
      const link = this.#nextLink;
      this.#nextLink += 1;
      this.#network = { kind: 'connecting', link };
      this.#effects.push({ kind: 'connect', link, address: this.#address, epoch: this.#knownEpoch });
    }
    // A subscription starts from this log's durable end, so what came from the archive is written first.
    const quiet = this.#queue.length === 0 && this.#writing === null && this.#archive.kind === 'idle';
    if (this.#network.kind === 'connected' && quiet) {
      const { link } = this.#network;
      this.#network = { kind: 'subscribing', link };
      this.#effects.push({ kind: 'subscribe', link, from: this.#flushed });
    }
  }

  #planArchive(now: MonoMs): void {
    if (!this.#archiveWanted(now)) {
      if (this.#network.kind === 'streaming') this.#archiveServes = false;
      return;
    }
    if (this.#archive.kind !== 'idle' || now < this.#archive.retryAt) return;
    if (this.#queuedBytes >= rawWriteBytes) return;
    const read = this.#nextRead;
    this.#nextRead += 1;
    this.#archive = { kind: 'reading', read };
    this.#effects.push({ kind: 'read-archive', read, from: this.#received, bytesMax: archiveReadBytes });
  }

  #archiveWanted(now: MonoMs): boolean {
    if (!this.#sources.archive) return false;
    if (this.#sources.addresses === 0) return true;
    // The source that counts says that this log is not its: another copy of it is not asked for a second opinion.
    const code = this.#networkProblem?.code;
    if (code === 'OBS_STANDBY_DIVERGED' || code === 'OBS_PEER_INCARNATION') return false;
    switch (this.#network.kind) {
      case 'connected':
      case 'subscribing':
      case 'streaming':
        return false;
      case 'idle':
      case 'connecting':
        return (
          this.#gapUntil !== null ||
          (this.#networkDownSince !== null && now - this.#networkDownSince >= networkPatienceMs)
        );
      default:
        return unreachable(this.#network);
    }
  }

  #planWrite(now: MonoMs): void {
    if (this.#writing !== null || this.#queue.length === 0 || now < this.#writeRetryAt) return;
    let count = 0;
    let bytes = 0;
    for (const arrived of this.#queue) {
      if (count > 0 && bytes + arrived.chunk.bytes.length > rawWriteBytes) break;
      bytes += arrived.chunk.bytes.length;
      count += 1;
    }
    const taken = this.#queue.splice(0, count);
    this.#queuedBytes -= bytes;
    this.#writing = taken;
    this.#effects.push({ kind: 'write', chunk: joinChunks(taken.map(arrived => arrived.chunk)) });
  }

  #planCredit(now: MonoMs): void {
    if (this.#network.kind !== 'streaming') return;
    const creditBytes = this.#credit.take(now);
    if (creditBytes > 0) this.#effects.push({ kind: 'ack', link: this.#network.link, creditBytes });
  }

  #planWake(now: MonoMs): void {
    const times: number[] = [];
    if (this.#running && !this.#canceled && !this.#untilReached) {
      if (this.#writeRetryAt > now) times.push(this.#writeRetryAt);
      else {
        if (this.#network.kind === 'idle' && this.#sources.addresses > 0) times.push(this.#network.retryAt);
        if (this.#sources.archive && this.#archive.kind === 'idle') {
          if (this.#archiveWanted(now)) {
            if (this.#queuedBytes < rawWriteBytes) times.push(this.#archive.retryAt);
          } else if (this.#networkDownSince !== null && this.#networkDownSince + networkPatienceMs > now) {
            times.push(this.#networkDownSince + networkPatienceMs);
          }
        }
        if (this.#network.kind === 'streaming') times.push(...this.#credit.dueAt(now));
      }
    }
    const at = times.length === 0 ? null : monoMs(Math.max(Math.min(...times), now));
    if (at !== this.#wakeAt) {
      this.#wakeAt = at;
      this.#effects.push({ kind: 'wake-at', at });
    }
  }

  #leaveNetwork(retryAt: MonoMs): void {
    if (this.#network.kind !== 'idle') this.#effects.push({ kind: 'disconnect', link: this.#network.link });
    this.#network = { kind: 'idle', retryAt };
  }

  /** What a read under way will bring is ignored. */
  #leaveArchive(): void {
    this.#archive = { kind: 'idle', retryAt: epochStart };
    this.#archiveServes = false;
  }

  /** Forgets what has arrived and is not being written. */
  #dropQueue(): void {
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#received = this.#writing?.at(-1)?.chunk.end ?? this.#flushed;
  }

  #forgetProblems(): void {
    this.#networkProblem = null;
    this.#networkFailures = 0;
    this.#networkDownSince = null;
    this.#archiveProblem = null;
    this.#archiveFailures = 0;
    this.#writeProblem = null;
    this.#writeRetryAt = epochStart;
  }

  #isLink(link: LinkId, kind?: Network['kind']): boolean {
    if (this.#network.kind === 'idle' || this.#network.link !== link) return false;
    return kind === undefined || this.#network.kind === kind;
  }

  #isRead(read: number): boolean {
    return this.#archive.kind === 'reading' && this.#archive.read === read;
  }

  #sawEpoch(epoch: RoleEpoch): void {
    if (epoch <= this.#knownEpoch) return;
    this.#knownEpoch = epoch;
    this.#effects.push({ kind: 'epoch', epoch });
  }

  #heard(end: LogPosition, wall: WallMicros): void {
    this.#sourceEnd = { lsn: end.lsn, scn: end.scn, wall, epoch: this.#knownEpoch };
    this.#effects.push({ kind: 'source-end', end: this.#sourceEnd });
  }

  /** An archive tells what it has, which may be less than what was known of its source. */
  #heardAtLeast(end: LogPosition, wall: WallMicros): void {
    if (this.#sourceEnd === null || end.lsn >= this.#sourceEnd.lsn) this.#heard(end, wall);
  }

  #stale(epoch: RoleEpoch): PullProblem {
    return {
      code: 'OBS_STANDBY_SOURCE_STALE',
      message: `the source is at role epoch ${epoch}, this standby has seen ${this.#knownEpoch}`,
      begin: null,
    };
  }

  #backoff(failures: number): number {
    return this.#jittered(Math.min(retryMaxMs, retryFirstMs * 2 ** Math.min(failures - 1, 16)));
  }

  /** Between three quarters and five quarters of it, so that standbys do not come back all at once. */
  #jittered(ms: number): number {
    this.#jitter = (Math.imul(this.#jitter, 1_664_525) + 1_013_904_223) >>> 0;
    return ms * (0.75 + (this.#jitter / 0x1_0000_0000) * 0.5);
  }

  #status(): Pick<PullerView, 'status' | 'comment' | 'transport'> {
    const idle = { transport: null } as const;
    if (this.#sources.addresses === 0 && !this.#sources.archive) {
      return { status: 'NOT AVAILABLE', comment: 'no log restore source is set', ...idle };
    }
    if (!this.#running) return { status: 'NOT AVAILABLE', comment: 'pulling is stopped', ...idle };
    if (this.#canceled) {
      return {
        status: 'RESTORE SUSPEND',
        comment: 'recovery was cancelled: RECOVER STANDBY UNTIL … goes on',
        ...idle,
      };
    }
    if (this.#untilReached) {
      return {
        status: 'RESTORE SUSPEND',
        comment: `recovery stands at its bound, SCN ${this.#until}`,
        ...idle,
      };
    }
    if (this.#writeProblem !== null) {
      return { status: statusOf(this.#writeProblem), comment: this.#writeProblem.message, ...idle };
    }
    const bounded = this.#until === scnUnlimited ? '' : `recovers until SCN ${this.#until}`;
    if (this.#network.kind === 'streaming') {
      const status = this.#credit.throttling ? 'STANDBY IN THROTTLING' : 'NORMAL';
      return { status, comment: bounded, transport: 'network' };
    }
    if (this.#archiveServes) {
      const why =
        this.#networkProblem === null ? bounded : `from the archive, since: ${this.#networkProblem.message}`;
      return { status: 'NORMAL', comment: why, transport: 'archive' };
    }
    const problems = [this.#networkProblem, this.#archiveProblem].filter(problem => problem !== null);
    const worst = problems.find(needsSomebody) ?? problems[0];
    if (worst === undefined) return { status: 'NOT AVAILABLE', comment: 'connecting', ...idle };
    return { status: statusOf(worst), comment: problems.map(problem => problem.message).join('; '), ...idle };
  }
}

const later = (now: MonoMs, ms: number): MonoMs => monoMs(now + ms);
