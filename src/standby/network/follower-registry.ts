/**
 * Who pulls from one tenant, how far each is, and the log kept for them. A follower's log is kept while it is connected and
 * for a grace time after; not when it is so far behind that keeping would fill the disk (it reads the archive then).
 * Bounded: the follower longest unheard makes room for a new one.
 */
import { followerHoldMs, followersMax, snapshotHoldMs } from '../../base/limits.ts';
import type { LogHold, LogPosition, LogReader } from '../../base/log-access.ts';
import { type Lsn, lsn, type Scn, scn, type WallMicros } from '../../base/scalars.ts';
import type { Clock, Timer } from '../../platform/clock.ts';
import type { FollowerView, PeerIdentity } from './peer-tenant.ts';

/** The connection that speaks for a follower. */
export interface FollowerSession {
  /** It speaks for the follower no longer: ends the connection, telling why. */
  dismiss(why: string): void;
}

interface Follower {
  peer: PeerIdentity;
  session: FollowerSession | null;
  ackedLsn: Lsn;
  ackedScn: Scn;
  appliedLsn: Lsn;
  appliedScn: Scn;
  ackedTime: WallMicros | null;
  hold: LogHold | null;
  heldFrom: Lsn;
  release: Timer | null;
}

export class FollowerRegistry {
  readonly #clock: Clock;
  readonly #holdBytesMax: number;
  readonly #followers = new Map<string, Follower>();
  /** ends the watch over the log's growth, while log is kept for somebody */
  #unwatch: (() => void) | null = null;

  /** @param holdBytesMax the most log kept for anybody: less than the log disk, or a standby could stop its primary */
  constructor(clock: Clock, holdBytesMax: number) {
    this.#clock = clock;
    this.#holdBytesMax = holdBytesMax;
  }

  view(): FollowerView[] {
    return [...this.#followers.values()].map(follower => ({
      site: follower.peer.site,
      localTenant: follower.peer.localTenant,
      address: follower.peer.address,
      user: follower.peer.user,
      connected: follower.session !== null,
      ackedLsn: follower.ackedLsn,
      ackedScn: follower.ackedScn,
      appliedLsn: follower.appliedLsn,
      appliedScn: follower.appliedScn,
      ackedTime: follower.ackedTime,
    }));
  }

  /** Keeps log from `from` on for a standby that is being created, until it subscribes or does not for long. */
  holdForSnapshot(peer: PeerIdentity, log: LogReader, from: Lsn): LogHold {
    const follower = this.#enter(peer);
    this.#keep(follower, log, from);
    follower.release = this.#clock.after(snapshotHoldMs, () => this.#drop(follower));
    return {
      advance: to => {
        follower.hold?.advance(to);
        follower.heldFrom = to;
      },
      release: () => this.#drop(follower),
    };
  }

  /** `session` subscribes from `from`. */
  subscribed(peer: PeerIdentity, session: FollowerSession, log: LogReader, from: LogPosition): void {
    const follower = this.#enter(peer);
    const before = follower.session;
    follower.session = session;
    before?.dismiss('a newer connection pulls for the same standby');
    follower.ackedLsn = from.lsn;
    follower.ackedScn = from.scn;
    follower.ackedTime = this.#clock.wall();
    this.#keep(follower, log, from.lsn);
  }

  acked(
    peer: PeerIdentity,
    session: FollowerSession,
    positions: { flushedLsn: Lsn; flushedScn: Scn; appliedLsn: Lsn; appliedScn: Scn },
    endLsn: Lsn,
  ): void {
    const follower = this.#followers.get(keyOf(peer));
    if (follower === undefined || follower.session !== session) return;
    // A follower cannot have more than there is; what it says only decides what is kept for it.
    if (positions.flushedLsn > endLsn || positions.flushedLsn < follower.ackedLsn) return;
    follower.ackedLsn = positions.flushedLsn;
    follower.ackedScn = positions.flushedScn;
    follower.appliedLsn = positions.appliedLsn;
    follower.appliedScn = positions.appliedScn;
    follower.ackedTime = this.#clock.wall();
    follower.hold?.advance(positions.flushedLsn);
    follower.heldFrom = positions.flushedLsn;
  }

  left(peer: PeerIdentity, session: FollowerSession): void {
    const follower = this.#followers.get(keyOf(peer));
    if (follower === undefined || follower.session !== session) return;
    follower.session = null;
    follower.release?.cancel();
    follower.release = this.#clock.after(followerHoldMs, () => this.#drop(follower));
  }

  /** Releases everything and cuts who is connected; the tenant is being closed. */
  close(): void {
    const followers = [...this.#followers.values()];
    this.#followers.clear();
    for (const follower of followers) {
      this.#drop(follower);
      follower.session?.dismiss('the tenant is closed here');
    }
    this.#unwatch?.();
    this.#unwatch = null;
  }

  #enter(peer: PeerIdentity): Follower {
    const key = keyOf(peer);
    const known = this.#followers.get(key);
    if (known !== undefined) {
      known.peer = peer;
      return known;
    }
    if (this.#followers.size >= followersMax) this.#forgetOne();
    const follower: Follower = {
      peer,
      session: null,
      ackedLsn: lsn(0),
      ackedScn: scn(0),
      appliedLsn: lsn(0),
      appliedScn: scn(0),
      ackedTime: null,
      hold: null,
      heldFrom: lsn(0),
      release: null,
    };
    this.#followers.set(key, follower);
    return follower;
  }

  #forgetOne(): void {
    let oldest: [string, Follower] | undefined;
    for (const entry of this.#followers) {
      if (entry[1].session !== null) continue;
      if (oldest === undefined || (entry[1].ackedTime ?? 0) < (oldest[1].ackedTime ?? 0)) oldest = entry;
    }
    // All are connected: the first to have come makes room.
    oldest ??= this.#followers.entries().next().value;
    if (oldest === undefined) return;
    this.#drop(oldest[1]);
    this.#followers.delete(oldest[0]);
    oldest[1].session?.dismiss(`more than ${followersMax} standbys pull from the tenant`);
  }

  #keep(follower: Follower, log: LogReader, from: Lsn): void {
    const hold = log.hold(`standby ${follower.peer.site}/${follower.peer.localTenant}`, from);
    this.#drop(follower);
    follower.hold = hold;
    follower.heldFrom = from;
    this.#unwatch ??= log.onCommitted(end => this.#dropFarBehind(end.lsn));
  }

  #dropFarBehind(endLsn: Lsn): void {
    for (const follower of this.#followers.values()) {
      if (follower.hold !== null && endLsn - follower.heldFrom > this.#holdBytesMax) this.#drop(follower);
    }
  }

  #drop(follower: Follower): void {
    follower.release?.cancel();
    follower.release = null;
    follower.hold?.release();
    follower.hold = null;
  }
}

const keyOf = (peer: PeerIdentity): string => `${peer.site}/${peer.localTenant}`;
