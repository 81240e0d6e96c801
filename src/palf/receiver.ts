/**
 * A replica's log as it follows a leader's: takes groups that fit, cuts off what does not, says how far it is.
 *
 * How far the log was compared with this leader's is what may be acknowledged. The leader holds everything committed, so
 * the own committed end is shared as well, unless a flashback is due here: that is never acknowledged unseen. A tail that parts from the leader's log was abandoned by
 * a majority; it goes, durably, before anything is acknowledged that was written in its place. Never under the committed end
 * (L7): if the logs part there, somebody flashed back, and the record that says so comes first (`record-acceptor`).
 *
 * An ack is made by the write that makes it true, and its proposal is durable before that write begins (L8, E5). What arrives
 * twice is acknowledged again, what arrives too early is answered with where this log ends.
 */
import { windowBytesMax, windowGroupsMax } from '../base/limits.ts';
import type { LogPosition } from '../base/log-access.ts';
import type { Lsn, MonoMs, NodeId, ProposalId } from '../base/scalars.ts';
import { lsn, monoMs, proposalId } from '../base/scalars.ts';
import { samePosition } from '../codec/clog.ts';
import type { PalfMessage, PalfMessageOf } from '../codec/palf-message.ts';
import type { PalfSend } from './effects.ts';
import type { Replica } from './replica.ts';

export class Receiver {
  readonly #replica: Replica;
  /** whose log `matched` speaks of */
  #proposal: ProposalId = proposalId(0);
  #from: NodeId | null = null;
  #matched: Lsn = lsn(0);
  /** what was acknowledged to the leader last */
  #promised: Lsn = lsn(0);
  /** the leader's committed end, as far as it was told */
  #told: Lsn = lsn(0);
  /** log a mended replica must have */
  #mendAt: Lsn | undefined;
  /** when the leader pushed last */
  #pushedAt: MonoMs = monoMs(0);
  #mismatchAt: { readonly end: Lsn; readonly at: MonoMs } | undefined;
  #copyAskedUntil: MonoMs = monoMs(0);
  /** a record of this leader was seen, and no flashback of it is due here */
  #hasMadeCuts = false;

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  /** A message of this proposal's leader was heard. */
  follow(from: NodeId, proposal: ProposalId): void {
    this.#from = from;
    if (proposal === this.#proposal) return;
    const { meta, log, cutter } = this.#replica;
    this.#proposal = proposal;
    // Of the log of the leader that was accepted, everything here is a prefix, but for what is being cut off with its record.
    const end = Math.min(log.tail.lsn, cutter.endsAt?.lsn ?? log.tail.lsn);
    this.#matched = lsn(meta.wanted.accepted === proposal ? end : 0);
    this.#told = lsn(0);
    this.#promised = lsn(0);
    this.#mendAt = undefined;
    this.#mismatchAt = undefined;
    this.#copyAskedUntil = monoMs(0);
    this.#hasMadeCuts = false;
  }

  /** How far the log is the leader's, if no flashback is due here. */
  get matched(): Lsn {
    return lsn(Math.max(this.#matched, this.#replica.log.committed.lsn));
  }

  /** How far the log was compared with the leader's, or taken from it. */
  get compared(): Lsn {
    return this.#matched;
  }

  /** The log up to `at` is the leader's, as the leader's own words show. */
  matchUpTo(at: Lsn): void {
    this.#matched = lsn(Math.max(this.#matched, at));
  }

  /** The leader's record tells of no flashback that is due here. */
  madeCuts(): void {
    this.#hasMadeCuts = true;
  }

  /** The log is about to end here. */
  cutTo(at: Lsn): void {
    this.#matched = lsn(Math.min(this.#matched, at));
    this.#told = lsn(Math.min(this.#told, at));
  }

  get #takesLog(): boolean {
    const { cutter, isClosing } = this.#replica;
    return !cutter.isBusy && !isClosing;
  }

  onPush(from: NodeId, message: PalfMessageOf<'push'>): void {
    const { log, cutter, meta, now } = this.#replica;
    // What was begun is finished, over restarts too. A leader whose log ends before this one's committed end flashed back.
    if (meta.wanted.impaired === 'rebuilding')
      return this.#askForCopy(from, message.prev.lsn < log.committed.lsn ? message.prev : log.committed);
    if (!this.#takesLog) return;
    this.#pushedAt = now;
    const { prev, groups } = message;
    const misplaced = log.firstMisplaced(groups)?.start.lsn ?? log.firstOutOfEra(groups);
    if (misplaced !== undefined) return this.#foreign(from, 'groups out of place', misplaced);
    const fit = log.fit(prev, groups);
    switch (fit.kind) {
      case 'unknown':
        return this.mismatch(from);
      case 'parts': {
        if (fit.at.lsn < this.matched) {
          if (fit.at.lsn < log.committed.lsn) return this.mismatch(from);
          return this.#foreign(from, 'two logs of one leader', fit.at.lsn);
        }
        this.matchUpTo(fit.at.lsn);
        cutter.begin({ to: fit.at, flashback: false, decide: () => {}, done: () => this.tellEnd() });
        return;
      }
      case 'continues': {
        const bytes = fit.groups.reduce((sum, group) => sum + group.bytes.length, 0);
        // Bounded is what waits for the disk: what waits for a commit is what the leader took, in one raw write or many.
        const isFull = log.pendingBytes + bytes > windowBytesMax || log.pendingGroups > 2 * windowGroupsMax;
        // Comes again.
        if (isFull && bytes > 0) return;
        log.receive(fit.groups);
        this.matchUpTo(fit.matched);
        this.commit(message.committed);
        if (fit.groups.length === 0) this.#ack();
        else this.#replica.askFlush();
      }
    }
  }

  /** The leader's committed end. */
  commit(committed: Lsn): void {
    this.#told = lsn(Math.max(this.#told, committed));
    this.#replica.log.commit(lsn(Math.min(this.#told, this.matched)));
  }

  /** The leader has no log for this replica, and more is committed than it knows to have: it says where it stands. */
  onQuiet(from: NodeId): void {
    const { log, now, settings } = this.#replica;
    const isQuiet = now - this.#pushedAt >= settings.renewMs && this.#takesLog && !log.isFlushing;
    if (isQuiet && this.#told > log.committed.lsn) this.mismatch(from);
  }

  /** A durable write ended, of the log or of the image that says whose log it is. */
  flushed(): void {
    if (this.#from === null) return;
    this.commit(this.#told);
    this.#mend();
    if (this.#durableEnd(this.#replica.log.flushed.lsn) > this.#promised) this.#ack();
  }

  /** What a write of the log up to `end` promises to the leader. */
  promise(end: Lsn): readonly PalfSend[] {
    if (this.#from === null || this.#replica.isClosing) return [];
    return [{ to: this.#from, message: this.#ackOf(this.#durableEnd(end)) }];
  }

  /** What may be acknowledged when the log is durable up to `end`. */
  #durableEnd(end: Lsn): Lsn {
    const isAccepted = this.#replica.meta.durable.accepted === this.#proposal;
    return lsn(isAccepted ? Math.min(end, this.#matched) : 0);
  }

  #ackOf(flushed: Lsn): PalfMessage {
    const { log, health } = this.#replica;
    this.#promised = flushed;
    return {
      kind: 'ack',
      proposal: this.#proposal,
      flushed,
      received: lsn(Math.min(log.tail.lsn, this.#matched)),
      ...health,
    };
  }

  #ack(): void {
    const end = this.#durableEnd(this.#replica.log.flushed.lsn);
    if (this.#from !== null) this.#replica.answer(this.#from, this.#ackOf(end));
  }

  /** With the image that is about to accept this leader: its log up to what is durable now. */
  acknowledge(): void {
    const { log, meta } = this.#replica;
    const end = lsn(Math.min(log.flushed.lsn, this.#matched));
    if (this.#from !== null) meta.thenSend(this.#from, this.#ackOf(end));
  }

  /** Where this log ends: once for each end, unless the leader does not seem to hear it. */
  mismatch(from: NodeId): void {
    const { log, now, settings, health } = this.#replica;
    const last = this.#mismatchAt;
    if (last?.end === log.tail.lsn && now - last.at < settings.renewMs / 4) return;
    this.#mismatchAt = { end: log.tail.lsn, at: now };
    this.#replica.answer(from, {
      kind: 'mismatch',
      proposal: this.#proposal,
      end: log.tail,
      committed: log.committed,
      ...health,
    });
  }

  /** Where this log ends, now that it does. */
  tellEnd(): void {
    this.#mismatchAt = undefined;
    if (this.#from !== null) this.mismatch(this.#from);
  }

  #foreign(from: NodeId, what: string, at: Lsn): void {
    this.#replica.out.trace({ event: 'foreign', from, what, lsn: at });
  }

  // --- lost log ---

  /** What was lost here was at most the leader's log up to `end`. */
  onMend(message: PalfMessageOf<'mend'>): void {
    if (message.mendings !== this.#replica.meta.wanted.mendings) return;
    this.#mendAt = lsn(Math.min(this.#mendAt ?? message.end, message.end));
    this.#mend();
  }

  /** Whole again: the log holds what this leader began with, and everything ever acknowledged. */
  #mend(): void {
    const { meta, log, out } = this.#replica;
    if (this.#mendAt === undefined || meta.wanted.impaired !== 'damaged') return;
    const isWhole =
      meta.durable.accepted === this.#proposal &&
      Math.min(log.flushed.lsn, this.#matched) >= this.#mendAt &&
      this.#from !== null;
    if (!isWhole) return;
    this.#mendAt = undefined;
    meta.change({ impaired: null });
    this.acknowledge();
    out.trace({ event: 'mended', lsn: log.flushed.lsn });
  }

  onRebuild(from: NodeId, message: PalfMessageOf<'rebuild'>): void {
    if (this.#replica.log.committed.lsn < message.base.lsn) this.#askForCopy(from, message.base);
  }

  /** Committed log that the leader does not have, and no flashback that says why: nothing but a copy brings them together. */
  onParted(from: NodeId, { at, base }: PalfMessageOf<'parted'>): void {
    const isSo = this.#hasMadeCuts && this.#takesLog && samePosition(at, this.#replica.log.committed);
    if (!isSo) return;
    this.#foreign(from, 'a leader without what is committed here', at.lsn);
    this.#askForCopy(from, base);
  }

  /** Again and again, but not with every message. */
  #askForCopy(peer: NodeId, base: LogPosition): void {
    const { now, settings, out } = this.#replica;
    if (now < this.#copyAskedUntil) return;
    this.#copyAskedUntil = monoMs(now + settings.leaseMs);
    out.push({ kind: 'rebuildFrom', peer, base });
  }

  /** This replica stands itself, or its log goes on from elsewhere: what was known of it is not. */
  restart(): void {
    this.#proposal = proposalId(0);
    this.#from = null;
  }
}
