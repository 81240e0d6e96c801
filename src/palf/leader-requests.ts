/**
 * What is asked of a leader: entries, raw groups, another access mode, a flashback, other members. Decides what is refused
 * and why, and answers every token exactly once: what was taken and is not done when the term ends is `abandoned`.
 *
 * Must never: order an entry outside APPEND or outside the lease, a raw group outside RAW_WRITE (M1, E10); change the mode of
 * a log that is not quiet and committed, or let a mode act before a quorum took it (M2); cut below the checkpoint (L7).
 */
import { assert } from '../base/assert.ts';
import { entryBodyBytesMax } from '../base/limits.ts';
import type { LogPosition } from '../base/log-access.ts';
import { type Lsn, lsn, type MonoMs, monoMs, type NodeId, scn } from '../base/scalars.ts';
import { type ConfigRecord, compareVersions } from '../codec/config-record.ts';
import { mayFollow, takesEntries, takesFlashback, takesRawGroups } from './access-mode.ts';
import { applyStep, isRefusal, type MembershipStep, stepsOf } from './config-change.ts';
import type { PalfRefusal } from './effects.ts';
import { withCut } from './flashback-cuts.ts';
import type { PalfInput, Token } from './inputs.ts';
import type { Leadership, Opening } from './leadership.ts';
import { lastProposal } from './proposal-history.ts';
import { hasLogQuorum, logQuorumValue } from './quorum.ts';
import type { Replica } from './replica.ts';

type Asked<K extends PalfInput['kind']> = Extract<PalfInput, { kind: K }>;

export interface RequestsHost {
  /** Another proposal of this leader's. */
  open(opening: Opening): void;
  readonly isHandingOver: boolean;
}

/** What is left of a change when its first step was agreed on. */
interface NextSteps {
  readonly token: Token;
  readonly steps: readonly MembershipStep[];
  /** who must count first */
  readonly added: NodeId;
  readonly deadline: MonoMs;
}

export class LeaderRequests {
  readonly #replica: Replica;
  readonly #leadership: Leadership;
  readonly #host: RequestsHost;
  #modeChange: Asked<'changeMode'> | undefined;
  #rawWrites: { readonly token: Token; readonly end: LogPosition }[] = [];
  /** whose record change is in flight */
  #changing: Token | undefined;
  #next: NextSteps | undefined;

  constructor(replica: Replica, leadership: Leadership, host: RequestsHost) {
    this.#replica = replica;
    this.#leadership = leadership;
    this.#host = host;
  }

  get isModeChanging(): boolean {
    return this.#modeChange !== undefined;
  }

  /** Something taken is not done, and changes more than the log. */
  get isBusy(): boolean {
    return this.#modeChange !== undefined || this.#changing !== undefined || this.#leadership.isChanging;
  }

  get #record(): ConfigRecord {
    return this.#leadership.agreed;
  }

  // --- writing ---

  propose(input: Asked<'propose'>): void {
    const { out, log } = this.#replica;
    const refusal = this.#notWritable(takesEntries(this.#record.accessMode));
    if (refusal !== undefined) return out.refuse(input.token, refusal);
    const bytes = input.entry.body.reduce((sum, fragment) => sum + fragment.length, 0);
    if (bytes > entryBodyBytesMax) return out.refuse(input.token, { why: 'entry-too-large' });
    if (!log.hasRoomFor(bytes)) return out.refuse(input.token, { why: 'window-full' });
    const floor = scn(Math.max(input.wall, this.#record.referenceScn + 1));
    const owner = { proposalId: this.#leadership.proposal, committedEnd: log.committed.lsn };
    out.reply(input.token, { kind: 'ordered', ...log.order(input.entry, floor, owner) });
    this.#replica.askFlush();
  }

  rawWrite(input: Asked<'rawWrite'>): void {
    const { out, log } = this.#replica;
    const { token, groups, start } = input;
    const refusal = this.#notWritable(takesRawGroups(this.#record.accessMode));
    if (refusal !== undefined) return out.refuse(token, refusal);
    const { tail, committed } = log;
    if (start.lsn !== tail.lsn) return out.refuse(token, { why: 'not-at-end', end: tail });
    if (start.checksum !== tail.checksum || start.scn !== tail.scn)
      return out.refuse(token, { why: 'diverged', at: tail.lsn });
    let era = lastProposal(log.history);
    for (const group of groups) {
      if (group.header.proposalId < era) return out.refuse(token, { why: 'diverged', at: group.start.lsn });
      era = group.header.proposalId;
    }
    const misplaced = log.firstMisplaced(groups);
    if (misplaced !== undefined) return out.refuse(token, { why: 'block-boundary', at: misplaced.start.lsn });
    const bytes = groups.reduce((sum, group) => sum + group.bytes.length, 0);
    if (!log.hasRoomFor(bytes)) return out.refuse(token, { why: 'window-full' });
    const end = groups.at(-1)?.end ?? tail;
    if (end.lsn === committed.lsn) return out.reply(token, { kind: 'written', end });
    log.adopt(groups);
    this.#rawWrites.push({ token, end });
    this.#replica.askFlush();
  }

  /** Why nothing may be written now, or undefined. */
  #notWritable(modeTakesIt: boolean): PalfRefusal | undefined {
    if (this.#modeChange !== undefined) return { why: 'mode-changing' };
    if (this.#host.isHandingOver) return { why: 'transferring' };
    if (!this.#leadership.holdsLease) return { why: 'no-lease' };
    return modeTakesIt ? undefined : { why: 'access-mode', accessMode: this.#record.accessMode };
  }

  /** At the end of each step: what waits for the log to be committed. */
  advance(): void {
    const { log, out } = this.#replica;
    let done = 0;
    for (const { token, end } of this.#rawWrites) {
      if (end.lsn > log.committed.lsn) break;
      out.reply(token, { kind: 'written', end });
      done += 1;
    }
    if (done > 0) this.#rawWrites.splice(0, done);
    if (this.#next !== undefined) this.#goOn(this.#next);
    const change = this.#modeChange;
    const isFree = this.#changing === undefined && !this.#leadership.isChanging;
    if (change !== undefined && isFree && this.#leadership.isDrained) this.#beginModeChange(change);
  }

  // --- access mode ---

  changeMode(input: Asked<'changeMode'>): void {
    const { out, log, meta } = this.#replica;
    const { token, to } = input;
    const { accessMode, modeVersion } = this.#record;
    if (this.isBusy || this.#host.isHandingOver) return out.refuse(token, { why: 'busy' });
    if (!this.#leadership.holdsLease) return out.refuse(token, { why: 'no-lease' });
    if (input.expectedModeVersion !== modeVersion)
      return out.refuse(token, { why: 'mode-version', actual: modeVersion });
    if (!mayFollow(accessMode, to))
      return out.refuse(token, { why: 'mode-transition', from: accessMode, to });
    // A log that ends before what the database holds would write another history under it.
    const { checkpointLsn } = meta.wanted;
    if (to === 'APPEND' && log.tail.lsn < checkpointLsn)
      return out.refuse(token, { why: 'behind-checkpoint', end: log.tail.lsn, checkpointLsn });
    // From here on nothing new is ordered; what is under way is finished first, so that the seal is exact.
    this.#modeChange = input;
    this.advance();
  }

  #beginModeChange({ to, token, referenceScn }: Asked<'changeMode'>): void {
    const { committed } = this.#replica.log;
    const record = this.#record;
    const modeVersion = record.modeVersion + 1;
    const change = {
      accessMode: to,
      modeVersion,
      sealed: to === 'APPEND' ? null : record.accessMode === 'APPEND' ? committed : record.sealed,
      referenceScn: scn(Math.max(record.referenceScn, referenceScn)),
    };
    const outcome = { kind: 'mode-changed', modeVersion } as const;
    if (to === 'APPEND') {
      // Entries of a proposal of their own, above every era that was inherited.
      this.#modeChange = undefined;
      this.#host.open({
        token,
        cut: null,
        change: before => ({ ...before, ...change }),
        outcome: () => outcome,
      });
      return;
    }
    this.#changing = token;
    this.#leadership.propose(change, () => {
      this.#changing = undefined;
      this.#modeChange = undefined;
      this.#replica.out.reply(token, outcome);
    });
  }

  /**
   * The first cut that this replica and a quorum can make. A replica whose database holds more needs a copy of this one's, and
   * there is none before the cut is agreed on.
   */
  get #lowestCut(): Lsn {
    const { self, meta } = this.#replica;
    const { checkpointLsn } = meta.wanted;
    const room = logQuorumValue([this.#record], member =>
      member === self
        ? -Number(checkpointLsn)
        : -Number(this.#leadership.peer(member)?.checkpoint ?? Number.MAX_SAFE_INTEGER),
    );
    return lsn(Math.max(checkpointLsn, -room));
  }

  /**
   * Decided by the first record of another proposal, whose term begins at the cut: so that no ack of what was cut off can be
   * taken for one of what is written there later.
   */
  flashback({ token, cut }: Asked<'flashback'>): void {
    const { out, log } = this.#replica;
    const { accessMode } = this.#record;
    if (this.isBusy || this.#host.isHandingOver) return out.refuse(token, { why: 'busy' });
    if (!takesFlashback(accessMode)) return out.refuse(token, { why: 'access-mode', accessMode });
    if (!this.#leadership.holdsLease) return out.refuse(token, { why: 'no-lease' });
    const base = this.#lowestCut;
    if (cut.lsn < base) return out.refuse(token, { why: 'below-base', base });
    if (!this.#leadership.isDrained) return out.refuse(token, { why: 'busy' });
    if (cut.lsn >= log.committed.lsn) return out.reply(token, { kind: 'flashed-back', end: log.committed });
    this.#host.open({
      token,
      cut,
      change: before => ({ ...before, ...withCut(before, cut, before.version) }),
      outcome: () => ({ kind: 'flashed-back', end: cut }),
    });
  }

  // --- members ---

  changeConfig(input: Asked<'changeConfig'>): void {
    const { out } = this.#replica;
    const { token, change, expectedVersion } = input;
    if (compareVersions(expectedVersion, this.#record.version) !== 0)
      return out.refuse(token, { why: 'config-version', actual: this.#record.version });
    if (this.isBusy || this.#host.isHandingOver) return out.refuse(token, { why: 'busy' });
    if (!this.#leadership.holdsLease) return out.refuse(token, { why: 'no-lease' });
    const steps = stepsOf(change, this.#record);
    // All steps must be possible before the first is made.
    let record = this.#record;
    for (const step of steps) {
      const after = applyStep(record, step, this.#replica.self);
      if (isRefusal(after)) return out.refuse(token, after);
      record = { ...record, ...after };
    }
    const refusal = this.#notReady(record, steps);
    if (refusal !== undefined) return out.refuse(token, refusal);
    this.#changing = token;
    this.#makeSteps(token, steps);
  }

  #makeSteps(token: Token, steps: readonly MembershipStep[]): void {
    const [step, ...rest] = steps;
    assert(step !== undefined, 'a change has a step');
    const after = applyStep(this.#record, step, this.#replica.self);
    assert(!isRefusal(after), 'a step that was checked is possible');
    this.#leadership.propose(after, version => {
      if (rest.length === 0) {
        this.#changing = undefined;
        this.#replica.out.reply(token, { kind: 'config-changed', version });
        return;
      }
      const { now, settings } = this.#replica;
      this.#next = { token, steps: rest, added: step.node, deadline: monoMs(now + settings.leaseMs) };
    });
  }

  /** A member goes when the one that replaces it counts. */
  #goOn(next: NextSteps): void {
    const { now, out } = this.#replica;
    if (this.#leadership.isChanging) return;
    if (this.#leadership.isSound(next.added) && this.#leadership.isCaughtUp(next.added)) {
      this.#next = undefined;
      this.#makeSteps(next.token, next.steps);
    } else if (now >= next.deadline) {
      this.#next = undefined;
      this.#changing = undefined;
      out.reply(next.token, { kind: 'abandoned' });
    }
  }

  /** Whether the members after the change could go on committing at once. */
  #notReady(record: ConfigRecord, steps: readonly MembershipStep[]): PalfRefusal | undefined {
    const promoted = steps.find(step => step.kind === 'promote')?.node;
    if (promoted !== undefined && !this.#leadership.isCaughtUp(promoted)) {
      const end = this.#leadership.peer(promoted)?.flushed ?? lsn(0);
      return { why: 'not-caught-up', node: promoted, end, needed: this.#replica.log.committed.lsn };
    }
    const isReady = hasLogQuorum(record, node => this.#leadership.isCaughtUp(node));
    return isReady ? undefined : { why: 'no-quorum' };
  }

  /** The term ends. */
  abandon(): void {
    const { out } = this.#replica;
    const tokens = new Set(this.#rawWrites.map(({ token }) => token));
    if (this.#modeChange !== undefined) tokens.add(this.#modeChange.token);
    if (this.#changing !== undefined) tokens.add(this.#changing);
    for (const token of tokens) out.reply(token, { kind: 'abandoned' });
    this.#rawWrites = [];
    this.#modeChange = undefined;
    this.#changing = undefined;
    this.#next = undefined;
  }
}
