/**
 * Taking a leader's config record: one durable step that says "this record, and this leader's log from its start on".
 *
 * A record is taken only when the flushed log is the leader's up to the leader's start and the record's barrier; what lies
 * behind that and did not come from this leader is abandoned, and cut off in the same step. So `accepted` can be read as:
 * holds everything that was committed before this leader, and nothing that is not in its log. Nothing is acknowledged to a
 * leader before: a replica that restarts in between cannot tell what it got from it from what is abandoned. A replica that
 * takes part no more stands in no quorum, and takes the record as it is.
 *
 * A record may tell of flashbacks that this replica has not made; the log is cut at the lowest of them. If the leader began
 * at or before the cut, the cut is made in the step that takes the record: before, the flashback may still be undone by
 * another leader, and this replica may hold the last copy of what it cuts off. If the leader's log goes on behind it, it was
 * written on after the cut, which only happens when a quorum has taken it: then the cut comes first, alone, and the log
 * behind it is pushed as any other (M3).
 *
 * Keeps C1, C3, C5, M2, and L7 except where a flashback says otherwise.
 */
import type { ConfigVersion, LogPosition } from '../base/log-access.ts';
import { type MonoMs, monoMs, type NodeId, type ProposalId } from '../base/scalars.ts';
import { type ConfigRecord, compareVersions, haveSameVoters, replicasOf } from '../codec/config-record.ts';
import type { PalfMessageOf } from '../codec/palf-message.ts';
import { lastCutVersion, missedCut } from './flashback-cuts.ts';
import type { Receiver } from './receiver.ts';
import type { Replica } from './replica.ts';

export class RecordAcceptor {
  readonly #replica: Replica;
  readonly #receiver: Receiver;
  #doubtful: { readonly proposal: ProposalId; readonly until: MonoMs } | undefined;

  constructor(replica: Replica, receiver: Receiver) {
    this.#replica = replica;
    this.#receiver = receiver;
  }

  onConfig(from: NodeId, message: PalfMessageOf<'config'>): void {
    const { meta, cutter, isClosing, self } = this.#replica;
    if (cutter.isBusy || isClosing || meta.wanted.impaired === 'rebuilding') return;
    const { record, proposal } = message;
    const order = compareVersions(record.version, meta.wanted.config.version);
    if (order < 0) return;
    const takesPart = replicasOf(record).includes(self);
    if (order === 0 && (meta.wanted.accepted >= proposal || !takesPart)) return this.#confirm(from, message);
    const cut = this.#dueCut(record);
    if (cut === 'unknown' || (cut !== null && meta.wanted.checkpointLsn > cut.lsn))
      return this.#rebuild(from, message);
    if (cut === null) this.#receiver.madeCuts();
    if (!takesPart) return this.#takeOutside(from, message, cut);
    const needed = Math.max(message.start.lsn, message.barrier);
    if (cut !== null && needed > cut.lsn) return this.#cutAlone(message, cut);
    return this.#take(from, message, cut);
  }

  /**
   * Whether a record that an arbiter holds is one for this replica to take. It is taken as it would have been from its leader:
   * that this comes late, and by another way, makes no difference to anybody; or for what it says alone.
   */
  mayTakeRecord(from: NodeId, message: PalfMessageOf<'record'>): boolean {
    const { record } = message;
    const { meta, cutter, isClosing, self } = this.#replica;
    if (cutter.isBusy || isClosing || meta.wanted.impaired !== null || record.arbiter !== from) return false;
    if (compareVersions(record.version, meta.wanted.config.version) <= 0) return false;
    // A flashback is made with its leader's word alone.
    if (!record.members.includes(self) || missedCut(record, meta.wanted.cutApplied) !== null) return false;
    return this.#holdsBasis(message) || this.#missesNothing(message);
  }

  /**
   * Nothing is acknowledged: so nothing counts for the record's leader that did not before, even where a higher proposal was
   * promised meanwhile. What did not come from that leader and lies behind its start goes, as always: who
   * has a leader's record has a beginning of that leader's log, which candidates rely on. Without that beginning the record is taken, and its
   * leader's log is not: what this replica accepted stays what it was.
   */
  takeRecord(message: PalfMessageOf<'record'>): void {
    const { log, meta } = this.#replica;
    const { record, start } = message;
    const { proposalId: proposal } = record.version;
    const isNewLeader = meta.wanted.accepted < proposal && this.#holdsBasis(message);
    const decide = () => {
      meta.change({
        config: record,
        ...(isNewLeader ? { accepted: proposal } : {}),
        ...this.#cutsOf(record),
      });
      this.#trace(record);
    };
    const keep = start.lsn > log.committed.lsn ? start : log.committed;
    if (isNewLeader && log.tail.lsn > keep.lsn) this.#begin(keep, false, decide);
    else decide();
  }

  /**
   * Whether nothing that was committed can be missing here, though this replica lacks the log that the record's maker began with: what nobody
   * else holds of that is abandoned as any other tail. By a list of two nothing is committed without both, and one of other voters
   * that is agreed on without this replica is taken by the arbiter; it took none since a record that is no newer than the own. (Of more members
   * it does not follow: some of them may agree without this replica and the arbiter, commit, and come back to the list they had.)
   */
  #missesNothing({ record, since }: PalfMessageOf<'record'>): boolean {
    const { config } = this.#replica;
    const isSame = record.members.length <= 2 && haveSameVoters(record, config);
    return isSame && compareVersions(since, config.version) <= 0;
  }

  /** The durable log is that of the proposal's leader up to its start and the barrier. */
  #holdsBasis({ record, start, barrier }: PalfMessageOf<'record'>): boolean {
    const { log, meta } = this.#replica;
    const { proposalId: proposal } = record.version;
    const { committed, flushed } = log;
    const shared = meta.durable.accepted === proposal ? flushed : committed;
    const needed = Math.max(start.lsn, barrier);
    if (needed <= shared.lsn) return true;
    return start.lsn === needed && needed <= flushed.lsn && log.holds(start) === true;
  }

  /** Where the record's flashbacks cut this log, if it may hold something of what they cut off. */
  #dueCut(record: ConfigRecord): LogPosition | 'unknown' | null {
    const { meta, log } = this.#replica;
    // A log that was compared with the leader's to its end, such as a copy of it, has the cuts in it.
    return this.#receiver.compared >= log.tail.lsn ? null : missedCut(record, meta.wanted.cutApplied);
  }

  #cutsOf(record: ConfigRecord): { readonly cutApplied: ConfigVersion } {
    const { cutApplied } = this.#replica.meta.wanted;
    const last = lastCutVersion(record);
    return { cutApplied: compareVersions(last, cutApplied) > 0 ? last : cutApplied };
  }

  #confirm(from: NodeId, { proposal, record }: PalfMessageOf<'config'>): void {
    this.#replica.meta.thenSend(from, {
      kind: 'config-ack',
      proposal,
      version: record.version,
      ...this.#replica.health,
    });
  }

  #take(from: NodeId, message: PalfMessageOf<'config'>, cut: LogPosition | null): void {
    const { log, meta } = this.#replica;
    const { start, barrier, record, proposal } = message;
    // What was committed is in every leader's log: that it parts here cannot be, and would be no reason to take the record.
    const holdsStart = log.holds(start);
    const isShared = holdsStart === true || (start.lsn <= this.#receiver.matched && holdsStart !== false);
    if (isShared) this.#receiver.matchUpTo(start.lsn);
    if (!isShared || Math.min(log.flushed.lsn, this.#receiver.matched) < Math.max(start.lsn, barrier))
      return this.#receiver.mismatch(from);
    const isNewLeader = meta.wanted.accepted < proposal;
    const decide = () => {
      meta.change({
        config: record,
        accepted: proposal,
        ...this.#cutsOf(record),
        // What it lost it had acknowledged to earlier leaders: what of it was committed is in the log up to this one's start.
        ...(isNewLeader && meta.wanted.impaired === 'damaged' ? { impaired: null } : {}),
      });
      this.#confirm(from, message);
      this.#receiver.acknowledge();
      this.#trace(record);
    };
    const keep = this.#keep(cut, isNewLeader);
    if (keep === undefined) decide();
    else this.#begin(keep, cut !== null, decide);
  }

  /** Where the log must be cut as this leader's record is taken, or undefined. */
  #keep(cut: LogPosition | null, isNewLeader: boolean): LogPosition | undefined {
    const { log } = this.#replica;
    // What a leader that is new to this replica did not send is abandoned.
    const limit = isNewLeader ? this.#receiver.matched : log.tail.lsn;
    if (cut !== null && cut.lsn <= limit) return log.tail.lsn > cut.lsn ? this.#cutPosition(cut) : undefined;
    return log.tail.lsn > limit ? log.floor(limit) : undefined;
  }

  /** Where this log is cut so that nothing of it lies behind `cut`. */
  #cutPosition(cut: LogPosition): LogPosition {
    const { log } = this.#replica;
    // Up to the lowest cut that it missed committed log is everybody's, so the cut is a boundary of it.
    if (log.committed.lsn >= cut.lsn) return cut;
    return log.floor(cut.lsn) ?? log.committed;
  }

  #cutAlone({ record }: PalfMessageOf<'config'>, cut: LogPosition): void {
    const { log, meta } = this.#replica;
    const decide = () => meta.change(this.#cutsOf(record));
    if (log.tail.lsn > cut.lsn) return this.#begin(this.#cutPosition(cut), true, decide);
    decide();
    this.#receiver.tellEnd();
  }

  #takeOutside(from: NodeId, message: PalfMessageOf<'config'>, cut: LogPosition | null): void {
    const { log, meta } = this.#replica;
    const { record } = message;
    const decide = () => {
      meta.change({ config: record, ...this.#cutsOf(record) });
      this.#confirm(from, message);
      this.#trace(record);
    };
    if (cut === null || log.tail.lsn <= cut.lsn) decide();
    else this.#begin(this.#cutPosition(cut), true, decide);
  }

  #begin(to: LogPosition, flashback: boolean, decide: () => void): void {
    this.#receiver.cutTo(to.lsn);
    this.#replica.cutter.begin({ to, flashback, decide, done: () => this.#receiver.tellEnd() });
  }

  #trace(record: ConfigRecord): void {
    this.#replica.out.trace({
      event: 'config',
      proposalId: record.version.proposalId,
      sequence: record.version.sequence,
      members: record.members.join(' '),
    });
  }

  /**
   * The database holds what a flashback cuts off, or where to cut is not known, or this is a copy that was made after it:
   * the leader is shown where the log ends, and has a lease's time to show that it is its own.
   */
  #rebuild(from: NodeId, { proposal, record, start }: PalfMessageOf<'config'>): void {
    const { now, settings, out } = this.#replica;
    const base = record.cuts.at(-1)?.at ?? start;
    if (this.#doubtful?.proposal !== proposal)
      this.#doubtful = { proposal, until: monoMs(now + settings.leaseMs) };
    if (now < this.#doubtful.until) return this.#receiver.mismatch(from);
    this.#doubtful = { proposal, until: monoMs(now + settings.leaseMs) };
    out.push({ kind: 'rebuildFrom', peer: from, base });
  }
}
