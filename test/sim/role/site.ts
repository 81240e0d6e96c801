/**
 * A site of the role simulation: the real role core over a model of a tenant's log and engine. What a crash keeps (row,
 * journal, log, mode, restore source) is here apart from what it loses (core, engine, pending effects).
 */
import { must } from '../../../src/base/assert.ts';
import { ObError } from '../../../src/base/errors.ts';
import type { AccessMode, LogPosition } from '../../../src/base/log-access.ts';
import { lsn, type Scn, scn, type WallMicros } from '../../../src/base/scalars.ts';
import type { RoleEntry } from '../../../src/codec/role-entry.ts';
import { RoleCore, type RoleInput, type RoleOutput } from '../../../src/role/core.ts';
import type { LocalObservation } from '../../../src/role/ports.ts';
import type { RoleEffect, RoleSettings } from '../../../src/role/procedure.ts';
import type { LogSuffix, RoleRow, SourceContact } from '../../../src/role/row.ts';
import type { JournalEntry } from '../../../src/role/steps.ts';

/** One log entry is one LSN long. */
export type ModelEntry =
  | { readonly kind: 'write'; readonly id: number; readonly scn: number }
  | { readonly kind: 'role'; readonly entry: RoleEntry; readonly scn: number };

export interface PendingEffect {
  readonly effectId: number;
  readonly effect: RoleEffect;
  /** a peer request that was delivered and has no answer yet */
  waiting: boolean;
  tries: number;
}

const hash = (previous: number, entry: ModelEntry): number => {
  const text = JSON.stringify(entry);
  let value = previous ^ 0x811c9dc5;
  for (let at = 0; at < text.length; at += 1)
    value = Math.imul(value ^ text.charCodeAt(at), 0x01000193) >>> 0;
  return value;
};

export class ModelSite {
  readonly name: string;
  readonly address: string;
  readonly settings: RoleSettings;

  // Durable.
  row: RoleRow;
  readonly journal = new Map<string, JournalEntry>();
  log: ModelEntry[] = [];
  #checksums: number[] = [0];
  mode: AccessMode;
  modeVersion = 1;
  /** address of another site, 'archive', or null */
  restoreSource: string | null;
  readonly followers = new Set<string>();
  contact: SourceContact = { end: null, time: null };
  /** so many of the last entries are not applied: a delay keeps them back, or they could not be */
  unapplied = 0;
  applyProblem: string | null = null;
  /** name of the archive chain this site is configured with */
  archiveName: string | null = null;

  /** what a row goes back to in a crash: set by mutants whose compare-and-set is not durable */
  undurable: RoleRow | null = null;

  // Lost in a crash.
  core: RoleCore | null = null;
  generation = 0;
  startTime = 0;
  engineOpen = false;
  refused = false;
  pulling = false;
  pending: PendingEffect[] = [];

  constructor(options: {
    row: RoleRow;
    settings: RoleSettings;
    mode: AccessMode;
    restoreSource: string | null;
  }) {
    this.name = options.row.site;
    this.address = must(options.settings.address, 'address of a model site');
    this.settings = options.settings;
    this.row = options.row;
    this.mode = options.mode;
    this.restoreSource = options.restoreSource;
  }

  get up(): boolean {
    return this.core !== null;
  }

  /** A client's write would be taken and acknowledged at this instant. */
  get writable(): boolean {
    return this.up && this.engineOpen && !this.refused && this.mode === 'APPEND';
  }

  get end(): LogPosition {
    return this.positionAt(this.log.length);
  }

  positionAt(length: number): LogPosition {
    const last = this.log[length - 1];
    return {
      lsn: lsn(length),
      scn: scn(last?.scn ?? 0),
      checksum: must(this.#checksums[length], 'checksum at a position'),
    };
  }

  append(entry: ModelEntry): void {
    this.log.push(entry);
    this.#checksums.push(hash(must(this.#checksums[this.#checksums.length - 1], 'last checksum'), entry));
  }

  truncate(length: number): void {
    this.log.length = length;
    this.unapplied = 0;
    this.#checksums.length = length + 1;
  }

  start(now: WallMicros): readonly RoleOutput[] {
    this.generation += 1;
    this.startTime = now;
    this.core = new RoleCore({ row: this.row, settings: this.settings, now });
    return this.core.step({ kind: 'boot' }, now);
  }

  crash(): void {
    if (this.undurable !== null) this.row = this.undurable;
    this.undurable = null;
    this.core = null;
    this.engineOpen = false;
    this.refused = false;
    this.pulling = false;
    this.pending = [];
  }

  step(input: RoleInput, now: WallMicros): readonly RoleOutput[] {
    return must(this.core, 'core of a running site').step(input, now);
  }

  observe(): LocalObservation {
    const applied = this.positionAt(this.log.length - this.unapplied);
    return {
      end: this.end,
      accessMode: this.mode,
      modeVersion: this.modeVersion,
      appliedLsn: applied.lsn,
      replayableScn: applied.scn,
      applyProblem: this.applyProblem,
      writable: this.writable,
      contact: this.contact,
    };
  }

  appendRoleEntry(entry: RoleEntry, now: WallMicros): LogPosition {
    if (this.mode !== 'APPEND') throw new ObError('OBS_LOG_NOT_APPENDABLE', { mode: this.mode });
    this.append({ kind: 'role', entry, scn: Math.max(now, this.end.scn + 1) });
    return this.end;
  }

  changeMode(to: AccessMode): void {
    if (this.mode === to) return;
    this.mode = to;
    this.modeVersion += 1;
  }

  flashback(to: Scn): LogPosition {
    if (this.mode !== 'FLASHBACK') throw new ObError('OBS_LOG_NOT_APPENDABLE', { mode: this.mode });
    let length = this.log.length;
    while (length > 0 && must(this.log[length - 1], 'entry').scn > to) length -= 1;
    this.truncate(length);
    return this.end;
  }

  countSuffix(cut: LogPosition): LogSuffix {
    const after = this.log.slice(cut.lsn);
    return { transactions: after.filter(entry => entry.kind === 'write').length, end: this.end };
  }
}
