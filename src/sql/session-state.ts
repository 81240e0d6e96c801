/**
 * What MySQL remembers of a session between statements, as the dialect and the connection see it: variables, schema,
 * LAST_INSERT_ID, ROW_COUNT, warnings. Holds no engine and runs nothing; `session.ts` does, and tells it the outcomes.
 */
import { warningsMax } from '../base/limits.ts';
import type { WallMicros } from '../base/scalars.ts';
import type { Clock } from '../platform/clock.ts';
import type { Cell, Column } from '../tenant/engine.ts';
import type { TenantAccess } from './directory.ts';
import type { DialectContext, RowsAnswer, TableShape } from './plan.ts';
import type { PrivilegeSet } from './privileges.ts';
import { errorFields } from './protocol/answers.ts';
import { SessionSettings } from './session-settings.ts';
import { type TableShapes, tableShapesOf } from './table-shapes.ts';

export interface SessionOwner {
  readonly tenant: TenantAccess;
  readonly user: string;
  readonly host: string;
  /** as they were at login */
  readonly privileges: PrivilegeSet;
  readonly connectionId: number;
}

interface Warning {
  readonly level: 'Error' | 'Warning' | 'Note';
  readonly number: number;
  readonly message: string;
}

const sysTenantName = 'sys';
const expression = (name: string): Column => ({ name, declaredType: null, table: null, originColumn: null });

export class SessionState implements DialectContext {
  readonly owner: SessionOwner;
  readonly settings = new SessionSettings();
  readonly shapes: TableShapes;
  readonly #clock: Clock;
  readonly #isInTransaction: () => boolean;
  schema: string | null = null;
  textIsBytes = false;
  lastInsertId: number | bigint = 0;
  /** -1 after a statement with rows and after an error, as ROW_COUNT() has it */
  rowCount = 0;
  foundRows = 0;
  /** tables loaded for the statement being translated */
  loadedTables: ReadonlyMap<string, TableShape | null> = new Map();
  #warnings: Warning[] = [];

  constructor(owner: SessionOwner, clock: Clock, isInTransaction: () => boolean) {
    this.owner = owner;
    this.shapes = tableShapesOf(owner.tenant.engine);
    this.#clock = clock;
    this.#isInTransaction = isInTransaction;
  }

  get tenant(): string {
    return this.owner.tenant.name;
  }
  get sys(): boolean {
    return this.owner.tenant.name === sysTenantName;
  }
  get user(): string {
    return `${this.owner.user}@${this.owner.host}`;
  }
  get connectionId(): number {
    return this.owner.connectionId;
  }
  get noBackslashEscapes(): boolean {
    return this.settings.noBackslashEscapes;
  }
  get ansiQuotes(): boolean {
    return this.settings.ansiQuotes;
  }
  get autocommit(): boolean {
    return this.settings.autocommit;
  }
  get inTransaction(): boolean {
    return this.#isInTransaction();
  }
  get wall(): WallMicros {
    return this.#clock.wall();
  }
  get warningCount(): number {
    return this.#warnings.length;
  }

  variable(name: string): Cell | undefined {
    return this.settings.variable(name);
  }

  userVariable(name: string): Cell {
    return this.settings.userVariable(name);
  }

  table(name: string): TableShape | null | undefined {
    const loaded = this.loadedTables.get(name.toLowerCase());
    return loaded === undefined ? this.shapes.get(name) : loaded;
  }

  /** A statement begins that is not about the warnings of the one before. */
  clearWarnings(): void {
    if (this.#warnings.length > 0) this.#warnings = [];
  }

  noteRows(count: number): void {
    this.rowCount = -1;
    this.foundRows = count;
  }

  /** The error becomes the session's only warning. */
  noteError(error: unknown): void {
    const { number, message } = errorFields(error);
    this.#warnings = [{ level: 'Error', number, message }];
    this.rowCount = -1;
  }

  warningRows(plan: { readonly errorsOnly: boolean; readonly countOnly: boolean }): RowsAnswer {
    const shown = plan.errorsOnly
      ? this.#warnings.filter(warning => warning.level === 'Error')
      : this.#warnings;
    if (plan.countOnly) {
      const name = plan.errorsOnly ? '@@session.error_count' : '@@session.warning_count';
      return { kind: 'rows', columns: [expression(name)], rows: [[shown.length]] };
    }
    return {
      kind: 'rows',
      columns: [expression('Level'), expression('Code'), expression('Message')],
      rows: shown.slice(0, warningsMax).map(warning => [warning.level, warning.number, warning.message]),
    };
  }

  /** As after a new login, but for the schema, which COM_RESET_CONNECTION leaves. */
  reset(): void {
    this.settings.reset();
    this.lastInsertId = 0;
    this.rowCount = 0;
    this.foundRows = 0;
    this.#warnings = [];
  }
}
