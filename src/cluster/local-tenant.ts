/**
 * The role manager's hands on the leading replica of a tenant: its engine, its log and its pull. Does what it is told, each
 * call idempotent, and decides nothing.
 *
 * Keeps W1 on the local side: writes are refused in memory before anything is awaited, and the engine is opened for writes
 * by `promote` alone, in the term it was told in.
 */
import { ObError } from '../base/errors.ts';
import type { AccessMode, LogPosition } from '../base/log-access.ts';
import type { Lsn, Scn } from '../base/scalars.ts';
import { encodeRoleEntry, type RoleEntry } from '../codec/role-entry.ts';
import type { LocalObservation, LocalTenant } from '../role/ports.ts';
import type { LogSuffix, SourceContact } from '../role/row.ts';
import { countLogSuffix } from './log-suffix.ts';
import type { LeaderTerm } from './leader-term.ts';
import type { TenantReplica } from './tenant-replica.ts';

/** The pull of a standby, as the role manager starts and stops it. */
export interface UnitPull {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** ends pulling for good; the engine is about to lead */
  close(): Promise<void>;
  follow(address: string): Promise<void>;
  caughtUpTo(end: Lsn, waitMs: number): Promise<void>;
  contact(): SourceContact;
}

export class UnitLocalTenant implements LocalTenant {
  readonly #replica: TenantReplica;
  readonly #term: LeaderTerm;
  readonly #pull: UnitPull;
  #refusal: string | null = null;

  constructor(parts: { replica: TenantReplica; term: LeaderTerm; pull: UnitPull }) {
    this.#replica = parts.replica;
    this.#term = parts.term;
    this.#pull = parts.pull;
  }

  /** True when this copy takes writes. */
  get writable(): boolean {
    return (
      this.#refusal === null &&
      this.#replica.engine.state().mode === 'leader' &&
      this.#replica.log.state().accessMode === 'APPEND'
    );
  }

  /** Why writes are refused although the engine leads; null when they are not. */
  get refusal(): string | null {
    return this.#refusal;
  }

  observe(): Promise<LocalObservation> {
    const { end, accessMode, modeVersion } = this.#replica.log.state();
    const { appliedLsn, readableScn } = this.#replica.engine.state();
    return Promise.resolve({
      end,
      accessMode,
      modeVersion,
      appliedLsn,
      replayableScn: readableScn,
      applyProblem: this.#applyProblem(),
      writable: this.writable,
      contact: this.#pull.contact(),
    });
  }

  #applyProblem(): string | null {
    const { problem } = this.#replica.apply;
    if (problem === null) return null;
    return problem instanceof Error ? problem.message : 'unknown failure';
  }

  async refuseWrites(why: string): Promise<void> {
    this.#refusal = why;
    if (this.#replica.engine.state().mode === 'leader') await this.#replica.engine.drainWrites(why, 0);
  }

  async drainWrites(why: string, drainMs: number): Promise<void> {
    this.#refusal = why;
    if (this.#replica.engine.state().mode === 'leader') await this.#replica.engine.drainWrites(why, drainMs);
  }

  async appendRoleEntry(entry: RoleEntry): Promise<LogPosition> {
    const { endLsn } = this.#replica.log.append({ kind: 'role', body: [encodeRoleEntry(entry)] });
    await this.#replica.log.committed(endLsn);
    return this.#replica.log.state().end;
  }

  async changeMode(to: AccessMode, referenceScn: Scn): Promise<void> {
    const { accessMode, modeVersion } = this.#replica.log.state();
    if (accessMode === to) return;
    await this.#replica.log.changeMode({ to, expectedModeVersion: modeVersion, referenceScn });
  }

  flashback(to: Scn): Promise<LogPosition> {
    return this.#replica.log.flashback(to);
  }

  async promote(): Promise<void> {
    if (this.#replica.engine.state().mode !== 'leader') {
      await this.#pull.close();
      await this.#replica.promote(this.#term);
    } else {
      this.#replica.engine.resumeWrites();
    }
    this.#refusal = null;
  }

  async demote(): Promise<void> {
    await this.#replica.demote();
    this.#refusal = null;
  }

  async stopPulling(): Promise<void> {
    await this.#pull.stop();
    // What is here is shown, unless it is kept back on purpose: a failover cuts the log behind what is shown.
    const { apply } = this.#replica;
    await this.#term.race(apply.idle());
    // What is kept back stays so, however old it gets meanwhile.
    if (apply.delayMs > 0) await apply.stop();
  }

  startPulling(): Promise<void> {
    this.#replica.apply.start();
    return this.#pull.start();
  }

  follow(address: string): Promise<void> {
    return this.#pull.follow(address);
  }

  async caughtUpTo(end: Lsn, waitMs: number): Promise<void> {
    if (this.#replica.log.state().end.lsn >= end && this.#replica.engine.state().appliedLsn >= end) return;
    try {
      await this.#pull.caughtUpTo(end, waitMs);
    } catch (error) {
      const { lsn } = this.#replica.log.state().end;
      throw new ObError('OBS_ROLE_NOT_SYNCED', { at: lsn, end }, error);
    }
  }

  countSuffix(cut: LogPosition): Promise<LogSuffix> {
    return countLogSuffix(this.#replica.log, cut);
  }
}
