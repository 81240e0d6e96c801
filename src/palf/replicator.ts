/**
 * A leader's log on its way to the other replicas. New groups go out as the own write begins, as the bytes that go to the
 * disk; several pushes may be on their way, bounded in groups and bytes. What a replica misses is read from the own log.
 *
 * Where two logs meet is found with whole positions: the other's end, if this log holds it; else the other's committed end,
 * which it must hold. If that is gone here, the other needs a copy, and also if another log is there and no flashback says
 * why. Nothing is sent again before the other said what it lacks, or was silent for a renewal's time: then it is asked, with
 * a push of nothing at the end of the log.
 */
import { pushBytesMax } from '../base/limits.ts';
import type { LogPosition } from '../base/log-access.ts';
import { type Lsn, lsn, type NodeId, type ProposalId } from '../base/scalars.ts';
import { samePosition } from '../codec/clog.ts';
import type { ClosedGroup } from '../codec/group-builder.ts';
import type { PalfMessage, PalfMessageOf } from '../codec/palf-message.ts';
import type { LogReadResult } from './inputs.ts';
import type { PeerProgress } from './peer-progress.ts';
import type { Replica } from './replica.ts';

export class Replicator {
  readonly #replica: Replica;
  readonly #proposal: ProposalId;
  /** who got a message that names the committed end, in this step */
  readonly #told = new Set<NodeId>();

  constructor(replica: Replica, proposal: ProposalId) {
    this.#replica = replica;
    this.#proposal = proposal;
  }

  /** At the end of each step. */
  endStep(): void {
    this.#told.clear();
  }

  /** Sends what the peer does not have, as far as bounds allow. */
  pump(peer: PeerProgress): void {
    const { log } = this.#replica;
    while (peer.next !== undefined && peer.readId === 0 && peer.mayPush) {
      const { next } = peer;
      if (next.lsn >= log.tail.lsn) return;
      if (next.lsn < log.flushed.lsn) return this.#read(peer, next.lsn);
      if (log.holds(next) !== true) return this.#fallBack(peer);
      const groups = log.groupsFrom(next.lsn, pushBytesMax);
      if (groups.length === 0) return;
      this.#push(peer, next, groups);
    }
  }

  #read(peer: PeerProgress, from: Lsn): void {
    peer.readId = this.#replica.out.nextId();
    this.#replica.out.push({
      kind: 'readLog',
      readId: peer.readId,
      from,
      to: this.#replica.log.flushed.lsn,
      bytesMax: pushBytesMax,
    });
  }

  /** The log that was read for a peer. */
  onRead(peer: PeerProgress, result: LogReadResult): void {
    peer.readId = 0;
    const { next } = peer;
    if (next === undefined) return;
    switch (result.kind) {
      case 'failed':
        // No group begins there, or it cannot be read now: then again at the next tick.
        if (peer.fallback !== undefined) this.#fallBack(peer);
        return;
      case 'gone':
        return this.#rebuild(peer);
      case 'groups':
        if (!samePosition(result.start, next)) return this.#fallBack(peer);
        peer.fallback = undefined;
        if (result.groups.length === 0) return;
        this.#push(peer, next, result.groups);
        return this.pump(peer);
    }
  }

  /** This log does not hold the position: the search goes on where the other's committed log ends. */
  #fallBack(peer: PeerProgress): void {
    const { fallback, next } = peer;
    peer.next = fallback;
    peer.fallback = undefined;
    if (fallback !== undefined) return this.pump(peer);
    if (next !== undefined) this.#tellParted(peer);
  }

  /** This log does not hold what is committed there: the other knows whether a flashback that it has not made is why. */
  #tellParted({ node, committed: at }: PeerProgress): void {
    if (at === undefined) return;
    const { committed } = this.#replica.log;
    this.#replica.out.send(node, { kind: 'parted', proposal: this.#proposal, at, base: committed });
  }

  #push(peer: PeerProgress, prev: LogPosition, groups: readonly ClosedGroup[]): void {
    let bytes = 0;
    let end = prev;
    for (const group of groups) {
      bytes += group.bytes.length;
      end = group.end;
    }
    if (!peer.hasInFlight) peer.progressAt = this.#replica.now;
    peer.sent(end, groups.length, bytes);
    this.#send(peer.node, prev, groups);
  }

  #send(to: NodeId, prev: LogPosition, groups: readonly ClosedGroup[]): void {
    const committed = this.#replica.log.committed.lsn;
    this.#told.add(to);
    this.#replica.out.send(to, { kind: 'push', proposal: this.#proposal, prev, committed, groups });
  }

  /** Asks where the other's log ends: nothing, behind the end of this one. */
  probe(peer: PeerProgress): void {
    this.#send(peer.node, this.#replica.log.tail, []);
  }

  /** At each tick: what stands still is asked about. */
  retry(peer: PeerProgress): void {
    const { log, now, settings } = this.#replica;
    if (peer.readId !== 0) return;
    const waits = peer.next === undefined || peer.flushed < log.flushed.lsn;
    if (waits && now - peer.progressAt >= settings.renewMs) this.probe(peer);
    else this.pump(peer);
  }

  /** The other needs a copy: told again at each tick, when it says where its log ends, until that is log that is there. */
  #rebuild(peer: PeerProgress): void {
    peer.next = undefined;
    peer.fallback = undefined;
    this.#replica.out.send(peer.node, {
      kind: 'rebuild',
      proposal: this.#proposal,
      base: this.#replica.meta.durable.base,
    });
  }

  onAck(peer: PeerProgress, message: PalfMessageOf<'ack'>): void {
    const { log, now } = this.#replica;
    // An ack of what was not sent is not one.
    const flushed = lsn(Math.min(message.flushed, log.tail.lsn));
    peer.acknowledge(flushed, message.received, now);
    if (message.received > message.flushed) peer.progressAt = now;
    if (peer.next === undefined || peer.next.lsn < message.received)
      this.#goOn(peer, message.received, flushed);
    this.pump(peer);
  }

  /** It has more than was thought. Log that is being read for it is what it has already, and says nothing of where it goes on. */
  #goOn(peer: PeerProgress, received: Lsn, flushed: Lsn): void {
    const { log } = this.#replica;
    const next = log.find(received) ?? peer.next ?? log.find(flushed);
    if (next === peer.next) return;
    peer.next = next;
    peer.fallback = undefined;
    peer.readId = 0;
  }

  /** Its log ends at `end`, which may be this log's or not; up to `committed` it is. */
  onMismatch(peer: PeerProgress, { end, committed }: { end: LogPosition; committed: LogPosition }): void {
    const { log, now } = this.#replica;
    peer.forgetSent();
    peer.progressAt = now;
    peer.committed = committed;
    const holdsEnd = end.lsn <= log.tail.lsn ? log.holds(end) : false;
    const holdsCommitted = committed.lsn <= log.tail.lsn ? log.holds(committed) : false;
    peer.next = holdsEnd === false ? (holdsCommitted === false ? undefined : committed) : end;
    peer.fallback = holdsEnd === undefined && holdsCommitted !== false ? committed : undefined;
    if (peer.next === undefined) return this.#tellParted(peer);
    // It has everything, and does not know that it is this log.
    if (peer.next.lsn === log.tail.lsn) this.probe(peer);
    else this.pump(peer);
  }

  /** The committed end moved: told to those who will not hear of it with the next log. */
  tellCommitted(peers: Iterable<PeerProgress>): void {
    const { log, out } = this.#replica;
    if (!log.isFlushed) return;
    const message: PalfMessage = {
      kind: 'commit',
      proposal: this.#proposal,
      committed: log.committed.lsn,
    };
    for (const { node } of peers) if (!this.#told.has(node)) out.send(node, message);
  }
}
