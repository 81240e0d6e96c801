/**
 * One client's session on one tenant: turns statement text into plans (through the dialect), runs them against the
 * tenant's engine, and keeps what MySQL keeps per session — autocommit, the open transaction, LAST_INSERT_ID,
 * ROW_COUNT, warnings, variables. Knows nothing of packets.
 *
 * An answer is returned only after the engine released it, so it is as durable as the engine says (K4). Statements run
 * one after another; the caller must await each. After any error the session stays usable.
 */
import { unreachable } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import { tableRequestsMax, warningsMax } from '../base/limits.ts';
import type { WallMicros } from '../base/scalars.ts';
import type { Operations } from '../cluster/operations.ts';
import type { Clock } from '../platform/clock.ts';
import type { Random } from '../platform/random.ts';
import type { Cell, Column, EngineSession, StatementResult } from '../tenant/engine.ts';
import type { TenantAccess } from './directory.ts';
import type { FrontEndLimits } from './front-end-limits.ts';
import type {
  Assignment,
  DialectContext,
  EnginePlan,
  Plan,
  PlanAnswer,
  PlanParameter,
  RowsAnswer,
  SchemaQuery,
  SessionRow,
  StatementServices,
  TableShape,
} from './plan.ts';
import { holds, privilegeOf, type PrivilegeSet } from './privileges.ts';
import { errorFields } from './protocol/answers.ts';
import { status } from './protocol/wire-constants.ts';
import { SessionSettings } from './session-settings.ts';
import { type TableShapes, tableShapesOf } from './table-shapes.ts';
import { executeUserStatement } from './user-statements.ts';

/** What a session needs of the process around it. */
export interface SessionHost {
  readonly services: StatementServices;
  readonly operations: Operations;
  readonly limits: FrontEndLimits;
  readonly clock: Clock;
  readonly random: Random;
  sessions(): readonly SessionRow[];
  /** false: there is no such connection that this tenant may end */
  kill(connectionId: number, tenant: string): boolean;
}

export interface SessionOwner {
  readonly tenant: TenantAccess;
  readonly user: string;
  readonly host: string;
  readonly privileges: PrivilegeSet;
  readonly connectionId: number;
}

export interface DoneAnswer {
  readonly kind: 'ok';
  readonly changes: number;
  readonly lastInsertId: number | bigint;
  readonly info: string;
}

export type StatementAnswer = DoneAnswer | RowsAnswer;

/** A statement's text as it came: see `textIsBytes` of the dialect's context. */
export interface StatementText {
  readonly text: string;
  readonly textIsBytes: boolean;
}

interface Warning {
  readonly level: 'Error' | 'Warning' | 'Note';
  readonly number: number;
  readonly message: string;
}

const sysTenantName = 'sys';
const plainOk: DoneAnswer = { kind: 'ok', changes: 0, lastInsertId: 0, info: '' };
const textColumn = (name: string): Column => ({ name, declaredType: null, table: null, originColumn: null });

export class Session implements DialectContext {
  readonly #host: SessionHost;
  readonly #owner: SessionOwner;
  readonly #settings = new SessionSettings();
  readonly #shapes: TableShapes;
  #engine: EngineSession;
  #schema: string | null;
  #textIsBytes = false;
  #lastInsertId: number | bigint = 0;
  #rowCount = 0;
  #foundRows = 0;
  #warnings: Warning[] = [];
  #readOnlyTransaction = false;
  /** foreign_key_checks changed inside a transaction: SQLite takes it only outside of one */
  #foreignKeysWanted: boolean | undefined;
  #idleSeconds: number | undefined;
  /** tables loaded for the statement being translated */
  #loaded: ReadonlyMap<string, TableShape | null> = new Map();

  constructor(host: SessionHost, owner: SessionOwner) {
    this.#host = host;
    this.#owner = owner;
    this.#shapes = tableShapesOf(owner.tenant.engine);
    this.#engine = owner.tenant.engine.openSession({ idleInTransactionMs: host.limits.idleInTransactionMs });
    this.#schema = null;
  }

  // --- what the dialect sees ---

  get tenant(): string {
    return this.#owner.tenant.name;
  }
  get sys(): boolean {
    return this.#owner.tenant.name === sysTenantName;
  }
  get schema(): string | null {
    return this.#schema;
  }
  get user(): string {
    return `${this.#owner.user}@${this.#owner.host}`;
  }
  get connectionId(): number {
    return this.#owner.connectionId;
  }
  get noBackslashEscapes(): boolean {
    return this.#settings.noBackslashEscapes;
  }
  get ansiQuotes(): boolean {
    return this.#settings.ansiQuotes;
  }
  get textIsBytes(): boolean {
    return this.#textIsBytes;
  }
  get autocommit(): boolean {
    return this.#settings.autocommit;
  }
  get inTransaction(): boolean {
    return this.#engine.inTransaction;
  }
  get lastInsertId(): number | bigint {
    return this.#lastInsertId;
  }
  get rowCount(): number {
    return this.#rowCount;
  }
  get foundRows(): number {
    return this.#foundRows;
  }
  get wall(): WallMicros {
    return this.#host.clock.wall();
  }
  variable(name: string): Cell | undefined {
    return this.#settings.variable(name);
  }
  userVariable(name: string): Cell {
    return this.#settings.userVariable(name);
  }
  table(name: string): TableShape | null | undefined {
    const loaded = this.#loaded.get(name.toLowerCase());
    return loaded === undefined ? this.#shapes.get(name) : loaded;
  }

  // --- what the connection sees ---

  get owner(): SessionOwner {
    return this.#owner;
  }

  /** The client's own wait_timeout, if it set one. */
  get idleMs(): number {
    return this.#idleSeconds === undefined ? this.#host.limits.idleMs : this.#idleSeconds * 1_000;
  }

  get warningCount(): number {
    return this.#warnings.length;
  }

  /** Status flags of OK and EOF packets. */
  get statusFlags(): number {
    let flags = 0;
    if (this.#settings.autocommit) flags |= status.autocommit;
    if (this.#settings.noBackslashEscapes) flags |= status.noBackslashEscapes;
    if (this.#engine.inTransaction) {
      flags |= status.inTransaction;
      if (this.#readOnlyTransaction) flags |= status.inReadOnlyTransaction;
    }
    return flags;
  }

  /** The statements of a client's text. */
  split(source: StatementText): readonly string[] {
    this.#textIsBytes = source.textIsBytes;
    // Nearly every text is one statement, and then there is nothing to read.
    if (!source.text.includes(';')) return [source.text];
    return this.#host.services.dialect.splitStatements(source.text, this);
  }

  /** Parameter markers of one statement. */
  countParameters(source: StatementText): number {
    this.#textIsBytes = source.textIsBytes;
    return this.#host.services.dialect.countParameters(source.text, this);
  }

  /** Plans of one statement, tables it asked for loaded. */
  async translate(source: StatementText): Promise<readonly Plan[]> {
    const { dialect } = this.#host.services;
    this.#textIsBytes = source.textIsBytes;
    let plans = dialect.translate(source.text, this);
    if (plans[0]?.kind !== 'tables') return plans;
    try {
      for (let request = 0; request < tableRequestsMax; request++) {
        const [plan] = plans;
        if (plan?.kind !== 'tables') return plans;
        const loaded = await this.#shapes.load(this.#owner.tenant.engine, plan.names, name =>
          this.#host.services.loadTableShape(this.#query, name),
        );
        this.#loaded = new Map([...this.#loaded, ...loaded]);
        this.#textIsBytes = source.textIsBytes;
        plans = dialect.translate(source.text, this);
      }
    } finally {
      this.#loaded = new Map();
    }
    throw new ObError('OBS_SQL_STATEMENT_UNSETTLED');
  }

  /** Runs one statement. Throws `ObError`; the error is then the session's only warning. */
  async run(source: StatementText, parameters: readonly Cell[]): Promise<StatementAnswer> {
    try {
      return await this.#runAll(await this.translate(source), parameters);
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /** Runs a plan kept with a prepared statement. */
  async runPrepared(plan: EnginePlan, parameters: readonly Cell[]): Promise<StatementAnswer> {
    try {
      return await this.#runPlan(plan, parameters);
    } catch (error) {
      throw this.#failed(error);
    }
  }

  /** Columns of a plan's result, without running it. Empty where they are only known by running it. */
  async describe(plans: readonly Plan[]): Promise<readonly Column[]> {
    const plan = plans.at(-1);
    if (plans.length !== 1 || plan === undefined) return [];
    if (plan.kind === 'error') throw plan.error;
    if (plan.kind === 'rows') return plan.columns;
    if (plan.kind !== 'engine') return [];
    return (await this.#engine.describe(plan.sql)).columns;
  }

  /** COM_INIT_DB, and the database named at login. Throws OBS_SQL_UNKNOWN_DATABASE. */
  async useSchema(name: string): Promise<void> {
    await this.run({ text: `USE \`${name.replaceAll('`', '``')}\``, textIsBytes: false }, []);
  }

  /** Columns of a table, for COM_FIELD_LIST. */
  async columnsOf(table: string): Promise<readonly Column[]> {
    const plans = await this.translate({
      text: `SELECT * FROM \`${table.replaceAll('`', '``')}\``,
      textIsBytes: false,
    });
    return this.describe(plans);
  }

  /** As after a new login: COM_RESET_CONNECTION. */
  async reset(): Promise<void> {
    if (this.#engine.inTransaction) await this.#engine.rollback();
    await this.#engine.close();
    this.#engine = this.#owner.tenant.engine.openSession({
      idleInTransactionMs: this.#host.limits.idleInTransactionMs,
    });
    this.#settings.reset();
    this.#foreignKeysWanted = undefined;
    this.#idleSeconds = undefined;
    this.#lastInsertId = 0;
    this.#rowCount = 0;
    this.#foundRows = 0;
    this.#warnings = [];
  }

  /** Rolls back what is open. Never rejects. */
  close(): Promise<void> {
    return this.#engine.close();
  }

  // --- running plans ---

  #failed(error: unknown): unknown {
    const { number, message } = errorFields(error);
    this.#warnings = [{ level: 'Error', number, message }];
    this.#rowCount = -1;
    return error;
  }

  async #runAll(plans: readonly Plan[], parameters: readonly Cell[]): Promise<StatementAnswer> {
    const [only] = plans;
    if (only === undefined) return plainOk;
    if (plans.length === 1) return this.#runPlan(only, parameters);
    const enginePlans = plans.filter(plan => plan.kind === 'engine');
    if (enginePlans.some(plan => plan.class === 'ddl')) await this.#commitOpen();
    // Several engine plans are one statement to the client: all of it happens or nothing.
    const ownTransaction = enginePlans.length > 1 && !this.#engine.inTransaction;
    if (ownTransaction) await this.#engine.begin('write', { lockWaitMs: this.#host.limits.lockWaitMs });
    let answer: StatementAnswer = plainOk;
    try {
      for (const plan of plans) answer = await this.#runPlan(plan, parameters, true);
    } catch (error) {
      if (ownTransaction && this.#engine.inTransaction) await this.#engine.rollback();
      throw error;
    }
    if (ownTransaction) await this.#engine.commit();
    this.#shapes.clear();
    return answer;
  }

  async #runPlan(plan: Plan, parameters: readonly Cell[], partOfUnit = false): Promise<StatementAnswer> {
    if (plan.kind !== 'warnings' && this.#warnings.length > 0) this.#warnings = [];
    switch (plan.kind) {
      case 'engine':
        return this.#runEngine(plan, parameters, partOfUnit);
      case 'begin':
        await this.#commitOpen();
        await this.#begin(plan.readOnly);
        return plainOk;
      case 'commit':
      case 'rollback':
        return this.#end(plan);
      case 'set':
        for (const assignment of plan.assignments) await this.#assign(assignment);
        return plainOk;
      case 'use':
        this.#schema = plan.schema;
        return plainOk;
      case 'rows':
      case 'ok':
        return this.#answer(plan);
      case 'view':
        this.#mustHold('SELECT');
        return this.#answer(
          await this.#host.services.runView(plan.sql, bind(plan.parameters, parameters), {
            tenant: this.tenant,
            sys: this.sys,
            schema: this.#schema,
            operations: this.#host.operations,
            rowsMax: this.#host.limits.resultRowsMax,
            query: this.#query,
            dialect: this,
            sessions: () => this.#visibleSessions(),
          }),
        );
      case 'admin':
        this.#mustHold('SUPER');
        await this.#commitOpen();
        return this.#answer(
          await this.#host.services.executeAdmin(plan.statement, {
            tenant: this.tenant,
            sys: this.sys,
            operations: this.#host.operations,
          }),
        );
      case 'user':
        return this.#runUserStatement(plan);
      case 'warnings':
        return this.#showWarnings(plan);
      case 'kill':
        return this.#kill(plan.connectionId);
      case 'tables':
        throw new ObError('OBS_SQL_STATEMENT_UNSETTLED');
      case 'error':
        throw plan.error;
      default:
        return unreachable(plan);
    }
  }

  async #runEngine(
    plan: EnginePlan,
    parameters: readonly Cell[],
    partOfUnit: boolean,
  ): Promise<StatementAnswer> {
    const needed = privilegeOf(plan.class);
    if (needed !== null) this.#mustHold(needed);
    if (!partOfUnit) {
      if (plan.class === 'ddl') await this.#commitOpen();
      else if (!this.#settings.autocommit && !this.#engine.inTransaction) {
        if (plan.locking === true || (plan.class !== 'select' && plan.class !== 'show')) {
          await this.#begin(false);
        }
      }
    }
    if (plan.class === 'savepoint' && !this.#engine.inTransaction) return plainOk;
    if (plan.class === 'ddl') this.#shapes.clear();
    const result = await this.#engine.execute({
      sql: plan.sql,
      parameters: bind(plan.parameters, parameters),
      rowsMax: this.#host.limits.resultRowsMax,
    });
    if (plan.class === 'ddl') this.#shapes.clear();
    return this.#answerOf(plan, result);
  }

  #answerOf(plan: EnginePlan, result: StatementResult): StatementAnswer {
    if (result.kind === 'rows') {
      this.#rowCount = -1;
      this.#foundRows = result.rows.length;
      return result;
    }
    const counts = plan.class === 'insert' || plan.class === 'update' || plan.class === 'delete';
    const changes = counts ? result.changes : 0;
    this.#rowCount = changes;
    if (plan.class !== 'insert' || changes === 0) return { kind: 'ok', changes, lastInsertId: 0, info: '' };
    // MySQL tells the first id of a multi-row INSERT; SQLite the last. Ids of one statement follow each other.
    const last = result.lastInsertRowid;
    const first =
      typeof last === 'bigint' ? last - BigInt(changes - 1) : last >= changes ? last - (changes - 1) : last;
    this.#lastInsertId = first;
    return { kind: 'ok', changes, lastInsertId: first, info: '' };
  }

  #answer(answer: PlanAnswer): StatementAnswer {
    if (answer.kind === 'rows') {
      this.#rowCount = -1;
      this.#foundRows = answer.rows.length;
      return answer;
    }
    this.#rowCount = answer.changes ?? 0;
    return { kind: 'ok', changes: answer.changes ?? 0, lastInsertId: 0, info: answer.info ?? '' };
  }

  /** A tenant that takes no writes gives read transactions: clients that always BEGIN can read a standby. */
  async #begin(readOnly: boolean): Promise<void> {
    this.#readOnlyTransaction =
      readOnly || this.#settings.readOnlyTransactions || !this.#owner.tenant.writable();
    await this.#engine.begin(this.#readOnlyTransaction ? 'read' : 'write', {
      lockWaitMs: this.#host.limits.lockWaitMs,
    });
  }

  async #end(plan: { readonly kind: 'commit' | 'rollback'; readonly chain?: boolean }): Promise<DoneAnswer> {
    const readOnly = this.#readOnlyTransaction;
    const open = this.#engine.inTransaction;
    if (open) await (plan.kind === 'commit' ? this.#engine.commit() : this.#engine.rollback());
    await this.#afterTransaction();
    if (open && plan.chain === true) await this.#begin(readOnly);
    return plainOk;
  }

  /** MySQL's implicit commit. */
  async #commitOpen(): Promise<void> {
    if (!this.#engine.inTransaction) return;
    await this.#engine.commit();
    await this.#afterTransaction();
  }

  async #afterTransaction(): Promise<void> {
    const wanted = this.#foreignKeysWanted;
    if (wanted === undefined) return;
    this.#foreignKeysWanted = undefined;
    await this.#engine.setForeignKeys(wanted);
  }

  async #assign(assignment: Assignment): Promise<void> {
    if (assignment.scope === 'global') this.#mustHold('SUPER');
    const change = this.#settings.assign(assignment);
    switch (change.kind) {
      case 'autocommit':
        if (change.on) await this.#commitOpen();
        return;
      case 'foreign-keys':
        if (this.#engine.inTransaction) this.#foreignKeysWanted = change.on;
        else await this.#engine.setForeignKeys(change.on);
        return;
      case 'idle-limit':
        this.#idleSeconds = change.seconds;
        return;
      case 'none':
        return;
      default:
        return unreachable(change);
    }
  }

  async #runUserStatement(plan: Extract<Plan, { kind: 'user' }>): Promise<StatementAnswer> {
    await this.#commitOpen();
    const session = this.#owner.tenant.engine.openSession({ internal: true });
    try {
      return this.#answer(
        await executeUserStatement(plan.statement, {
          session,
          random: this.#host.random,
          user: this.#owner.user,
          privileges: this.#owner.privileges,
        }),
      );
    } finally {
      await session.close();
    }
  }

  #showWarnings(plan: { readonly errorsOnly: boolean; readonly countOnly: boolean }): RowsAnswer {
    const shown = plan.errorsOnly
      ? this.#warnings.filter(warning => warning.level === 'Error')
      : this.#warnings;
    if (plan.countOnly) {
      const name = plan.errorsOnly ? '@@session.error_count' : '@@session.warning_count';
      return { kind: 'rows', columns: [textColumn(name)], rows: [[shown.length]] };
    }
    return {
      kind: 'rows',
      columns: [textColumn('Level'), textColumn('Code'), textColumn('Message')],
      rows: shown.slice(0, warningsMax).map(warning => [warning.level, warning.number, warning.message]),
    };
  }

  #kill(connectionId: number): DoneAnswer {
    if (connectionId !== this.connectionId) this.#mustHold('SUPER');
    if (!this.#host.kill(connectionId, this.tenant)) {
      throw new ObError('OBS_SQL_NO_SUCH_CONNECTION', { connection: connectionId });
    }
    return plainOk;
  }

  #visibleSessions(): readonly SessionRow[] {
    const rows = this.#host.sessions();
    return this.sys ? rows : rows.filter(row => row.tenant === this.tenant);
  }

  #mustHold(privilege: Parameters<typeof holds>[1]): void {
    if (!holds(this.#owner.privileges, privilege)) throw new ObError('OBS_SQL_PRIVILEGE', { privilege });
  }

  readonly #query: SchemaQuery = async (sql, parameters = []) => {
    const result = await this.#engine.execute({
      sql,
      parameters,
      rowsMax: this.#host.limits.resultRowsMax,
    });
    return result.kind === 'rows' ? result : { kind: 'rows', columns: [], rows: [] };
  };
}

/** The SQLite statement's parameters, from the client's and the plan's own. */
function bind(wanted: readonly PlanParameter[] | undefined, given: readonly Cell[]): readonly Cell[] {
  if (wanted === undefined) return given;
  return wanted.map(parameter => {
    if (parameter.kind === 'value') return parameter.value;
    const value = given[parameter.index];
    if (value === undefined) {
      throw new ObError('OBS_SQL_PARAMETER_COUNT', {
        command: 'EXECUTE',
        given: given.length,
        wanted: wanted.length,
      });
    }
    return value;
  });
}
