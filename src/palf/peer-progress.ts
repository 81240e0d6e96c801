/**
 * What a leader knows of one other replica: how far its log is, what is on its way to it, what it said last. Counts for
 * nothing by itself: `leadership` asks it for what the quorums need.
 */
import { pushBytesInFlightMax, pushGroupsMax } from '../base/limits.ts';
import type { LogPosition } from '../base/log-access.ts';
import { type Lsn, lsn, type MonoMs, monoMs, type NodeId } from '../base/scalars.ts';
import { compareVersions, noVersion } from '../codec/config-record.ts';
import type { ConfigVersion } from '../base/log-access.ts';
import type { LogHealth } from '../codec/palf-message.ts';

export class PeerProgress {
  readonly node: NodeId;
  /** durable there, and the leader's log */
  flushed: Lsn = lsn(0);
  /** arrived there, and the leader's log; what of it was not durable may be lost since: nothing is decided by it */
  received: Lsn = lsn(0);
  /** it took a record of this leader's as a member: its log holds what the leader began with */
  hasAccepted = false;
  /** the newest record of this leader's that it took */
  version: ConfigVersion = noVersion;
  /** end of what was sent; undefined until it is known where its log and the leader's meet */
  next: LogPosition | undefined;
  /** a claimed end that is not known here: log is read there, and compared. If it is not there, the search goes on at this position. */
  fallback: LogPosition | undefined;
  /** where its committed log ends, as it said last */
  committed: LogPosition | undefined;
  /** a read of the leader's own log under way; 0 for none */
  readId = 0;
  /** when the newest request for the lease that it granted was sent */
  grantedAt: MonoMs | undefined;
  answeredAt: MonoMs = monoMs(0);
  /** when a record was sent last */
  recordSentAt: MonoMs = monoMs(0);
  /** when it last came further */
  progressAt: MonoMs;
  priority = Number.MAX_SAFE_INTEGER;
  isHealthy = false;
  /** its database holds everything below; unknown before its first answer */
  checkpoint: Lsn = lsn(Number.MAX_SAFE_INTEGER);
  isImpaired = false;
  /** answers in a row that showed it fitter to lead */
  fitterCount = 0;
  #mendings = -1;
  #inFlight: { readonly end: Lsn; readonly groups: number; readonly bytes: number }[] = [];
  #groupsInFlight = 0;
  #bytesInFlight = 0;

  constructor(node: NodeId, now: MonoMs) {
    this.node = node;
    this.progressAt = now;
  }

  get mendings(): number {
    return this.#mendings;
  }

  get hasInFlight(): boolean {
    return this.#inFlight.length > 0;
  }

  get mayPush(): boolean {
    return this.#groupsInFlight < pushGroupsMax && this.#bytesInFlight < pushBytesInFlightMax;
  }

  /**
   * Any answer. False: it was given before the replica lost log, and counts for nothing. One that lost log since the last
   * answer begins again.
   */
  hear(health: LogHealth, now: MonoMs): boolean {
    if (health.mendings < this.#mendings) return false;
    if (health.mendings > this.#mendings && this.#mendings >= 0) {
      this.flushed = lsn(0);
      this.received = lsn(0);
      this.hasAccepted = false;
      this.version = noVersion;
      this.forgetSent();
      this.next = undefined;
    }
    this.#mendings = health.mendings;
    this.isImpaired = health.impaired;
    this.checkpoint = health.checkpoint;
    this.answeredAt = now;
    return true;
  }

  sent(end: LogPosition, groups: number, bytes: number): void {
    this.next = end;
    if (groups === 0) return;
    this.#inFlight.push({ end: end.lsn, groups, bytes });
    this.#groupsInFlight += groups;
    this.#bytesInFlight += bytes;
  }

  /** Durable there up to `flushed`, and arrived up to `received`. */
  acknowledge(flushed: Lsn, received: Lsn, now: MonoMs): void {
    if (flushed > this.flushed) {
      this.flushed = flushed;
      this.progressAt = now;
    }
    this.received = lsn(Math.max(this.received, received, flushed));
    let done = 0;
    for (const push of this.#inFlight) {
      if (push.end > this.received) break;
      done += 1;
      this.#groupsInFlight -= push.groups;
      this.#bytesInFlight -= push.bytes;
    }
    if (done > 0) this.#inFlight.splice(0, done);
  }

  /** What was sent is as if it were not. */
  forgetSent(): void {
    this.#inFlight = [];
    this.#groupsInFlight = 0;
    this.#bytesInFlight = 0;
    this.readId = 0;
  }

  /** Its log counts no more, until it takes a record as a member again. */
  degrade(): void {
    this.hasAccepted = false;
  }

  took(version: ConfigVersion, asMember: boolean): void {
    if (compareVersions(version, this.version) > 0) this.version = version;
    if (asMember) this.hasAccepted = true;
  }
}
