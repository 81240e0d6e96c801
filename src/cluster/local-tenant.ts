/**
 * The role manager's hands on this site's copy of a tenant: its engine, its log and its pull. Does what it is told, each
 * call idempotent, and decides nothing.
 *
 * Keeps W1 on the local side: writes are refused in memory before anything is awaited, and the engine is opened for writes
 * by `promote` alone.
 */
import { ObError } from '../base/errors.ts';
import type { AccessMode, LogAccess, LogPosition } from '../base/log-access.ts';
import type { Lsn, Scn } from '../base/scalars.ts';
import { encodeRoleEntry, type RoleEntry } from '../codec/role-entry.ts';
import type { LocalObservation, LocalTenant } from '../role/ports.ts';
import type { LogSuffix, SourceContact } from '../role/row.ts';
import type { TenantEngine } from '../tenant/engine.ts';
import { countLogSuffix } from './log-suffix.ts';

/** The pull of a standby, as the role manager starts and stops it. */
export interface UnitPull {
  start(): Promise<void>;
  stop(): Promise<void>;
  /** ends pulling and applying; the engine is about to lead */
  close(): Promise<void>;
  follow(address: string): Promise<void>;
  caughtUpTo(end: Lsn, waitMs: number): Promise<void>;
  contact(): SourceContact;
}

export class UnitLocalTenant implements LocalTenant {
  readonly #log: LogAccess;
  readonly #engine: TenantEngine;
  readonly #pull: UnitPull;
  #refusal: string | null = null;

  constructor(parts: { log: LogAccess; engine: TenantEngine; pull: UnitPull }) {
    this.#log = parts.log;
    this.#engine = parts.engine;
    this.#pull = parts.pull;
  }

  /** True when this copy takes writes. */
  get writable(): boolean {
    return (
      this.#refusal === null &&
      this.#engine.state().mode === 'leader' &&
      this.#log.state().accessMode === 'APPEND'
    );
  }

  /** Why writes are refused although the engine leads; null when they are not. */
  get refusal(): string | null {
    return this.#refusal;
  }

  observe(): Promise<LocalObservation> {
    const { end, accessMode, modeVersion } = this.#log.state();
    const { appliedLsn, readableScn } = this.#engine.state();
    return Promise.resolve({
      end,
      accessMode,
      modeVersion,
      appliedLsn,
      replayableScn: readableScn,
      writable: this.writable,
      contact: this.#pull.contact(),
    });
  }

  async refuseWrites(why: string): Promise<void> {
    this.#refusal = why;
    if (this.#engine.state().mode === 'leader') await this.#engine.drainWrites(why, 0);
  }

  async drainWrites(why: string, drainMs: number): Promise<void> {
    this.#refusal = why;
    if (this.#engine.state().mode === 'leader') await this.#engine.drainWrites(why, drainMs);
  }

  async appendRoleEntry(entry: RoleEntry): Promise<LogPosition> {
    const { endLsn } = this.#log.append({ kind: 'role', body: [encodeRoleEntry(entry)] });
    await this.#log.committed(endLsn);
    return this.#log.state().end;
  }

  async changeMode(to: AccessMode, referenceScn: Scn): Promise<void> {
    const { accessMode, modeVersion } = this.#log.state();
    if (accessMode === to) return;
    await this.#log.changeMode({ to, expectedModeVersion: modeVersion, referenceScn });
  }

  flashback(to: Scn): Promise<LogPosition> {
    return this.#log.flashback(to);
  }

  async promote(): Promise<void> {
    if (this.#engine.state().mode !== 'leader') {
      await this.#pull.close();
      await this.#engine.promote();
    } else {
      this.#engine.resumeWrites();
    }
    this.#refusal = null;
  }

  async demote(): Promise<void> {
    if (this.#engine.state().mode === 'leader') await this.#engine.demote();
    this.#refusal = null;
  }

  stopPulling(): Promise<void> {
    return this.#pull.stop();
  }

  startPulling(): Promise<void> {
    return this.#pull.start();
  }

  follow(address: string): Promise<void> {
    return this.#pull.follow(address);
  }

  async caughtUpTo(end: Lsn, waitMs: number): Promise<void> {
    if (this.#log.state().end.lsn >= end && this.#engine.state().appliedLsn >= end) return;
    try {
      await this.#pull.caughtUpTo(end, waitMs);
    } catch (error) {
      const { lsn } = this.#log.state().end;
      throw new ObError('OBS_ROLE_NOT_SYNCED', { at: lsn, end }, error);
    }
  }

  countSuffix(cut: LogPosition): Promise<LogSuffix> {
    return countLogSuffix(this.#log, cut);
  }
}
