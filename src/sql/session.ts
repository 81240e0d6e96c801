/**
 * One client's session on one tenant: turns statement text into plans (through the dialect), runs them against the
 * tenant's engine, and keeps MySQL's rules about autocommit, implicit commits and privileges. Knows nothing of packets.
 *
 * An answer is returned only after the engine released it, so it is as durable as the engine says (K4). Statements run
 * one after another; the caller must await each. After any error the session stays usable.
 */
import { unreachable } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import { tableRequestsMax } from '../base/limits.ts';
import type { ServerOperations } from '../cluster/cluster-operations.ts';
import type { Clock } from '../platform/clock.ts';
import type { Random } from '../platform/random.ts';
import type { Cell, Column, EngineSession, StatementResult } from '../tenant/engine.ts';
import type { FrontEndLimits } from './front-end-limits.ts';
import type {
  Assignment,
  EnginePlan,
  Plan,
  PlanAnswer,
  PlanParameter,
  Privilege,
  RowsAnswer,
  SchemaQuery,
  SessionRow,
  StatementServices,
} from './plan.ts';
import { holds, privilegeOf } from './privileges.ts';
import { status } from './protocol/wire-constants.ts';
import { type SessionOwner, SessionState } from './session-state.ts';
import { executeUserStatement } from './user-statements.ts';

/** What a session needs of the process around it. */
export interface SessionHost {
  readonly services: StatementServices;
  readonly operations: ServerOperations;
  readonly limits: FrontEndLimits;
  readonly clock: Clock;
  readonly random: Random;
  sessions(): readonly SessionRow[];
  /** false: there is no such connection that this tenant may end */
  kill(connectionId: number, tenant: string): boolean;
}

interface DoneAnswer {
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

const plainOk: DoneAnswer = { kind: 'ok', changes: 0, lastInsertId: 0, info: '' };

const isEngine = (plan: Plan): plan is EnginePlan => plan.kind === 'engine';

export class Session {
  readonly #host: SessionHost;
  readonly #state: SessionState;
  #engine: EngineSession;
  /**
   * The client was told that a transaction is open. The engine may have ended it since (idle limit, drain, lost
   * leadership) and says so at its next call: until then a COMMIT must reach the engine, or it would be told OK.
   */
  #promised = false;
  /**
   * A READ COMMITTED transaction is open that has only read: its reads see what is committed by then, each for itself, and
   * nobody waits for it. Its first write takes the writer and begins a transaction of the engine.
   */
  #deferred = false;
  #readOnlyTransaction = false;
  /** foreign_key_checks changed inside a transaction: SQLite takes it only outside of one */
  #foreignKeysWanted: boolean | undefined;
  #idleSeconds: number | undefined;

  constructor(host: SessionHost, owner: SessionOwner) {
    this.#host = host;
    this.#state = new SessionState(owner, host.clock, () => this.#open);
    this.#engine = this.#openEngine();
  }

  get owner(): SessionOwner {
    return this.#state.owner;
  }

  get schema(): string | null {
    return this.#state.schema;
  }

  get inTransaction(): boolean {
    return this.#open;
  }

  get warningCount(): number {
    return this.#state.warningCount;
  }

  /** The client's own wait_timeout, if it set one. */
  get idleMs(): number {
    return this.#idleSeconds === undefined ? this.#host.limits.idleMs : this.#idleSeconds * 1_000;
  }

  /** Status flags of OK and EOF packets. */
  get statusFlags(): number {
    let flags = 0;
    if (this.#state.autocommit) flags |= status.autocommit;
    if (this.#state.noBackslashEscapes) flags |= status.noBackslashEscapes;
    if (this.#deferred || this.#engine.inTransaction) {
      flags |= status.inTransaction;
      if (this.#readOnlyTransaction) flags |= status.inReadOnlyTransaction;
    }
    return flags;
  }

  /** The statements of a client's text. */
  split(source: StatementText): readonly string[] {
    // Nearly every text is one statement, and then there is nothing to read.
    if (!source.text.includes(';')) return [source.text];
    this.#state.textIsBytes = source.textIsBytes;
    return this.#host.services.dialect.splitStatements(source.text, this.#state);
  }

  /** Parameter markers of one statement. */
  countParameters(source: StatementText): number {
    this.#state.textIsBytes = source.textIsBytes;
    return this.#host.services.dialect.countParameters(source.text, this.#state);
  }

  /** Plans of one statement, tables it asked for loaded. */
  async translate(source: StatementText): Promise<readonly Plan[]> {
    const { dialect } = this.#host.services;
    this.#state.textIsBytes = source.textIsBytes;
    let plans = dialect.translate(source.text, this.#state);
    if (plans[0]?.kind !== 'tables') return plans;
    try {
      for (let request = 0; request < tableRequestsMax; request++) {
        const [plan] = plans;
        if (plan?.kind !== 'tables') return plans;
        const loaded = await this.#state.shapes.load(this.owner.tenant.engine, plan.names, name =>
          this.#host.services.loadTableShape(this.#query, name),
        );
        this.#state.loadedTables = new Map([...this.#state.loadedTables, ...loaded]);
        plans = dialect.translate(source.text, this.#state);
      }
    } finally {
      this.#state.loadedTables = new Map();
    }
    if (plans[0]?.kind !== 'tables') return plans;
    throw new ObError('OBS_SQL_STATEMENT_UNSETTLED');
  }

  /** Runs one statement. Throws `ObError`; the error is then the session's only warning. */
  async run(source: StatementText, parameters: readonly Cell[]): Promise<StatementAnswer> {
    try {
      const plans = await this.translate(source);
      const [only] = plans;
      if (plans.length === 1 && only?.kind === 'engine') return await this.runPrepared(only, parameters);
      return await this.#runUnit(plans, parameters);
    } catch (error) {
      this.#state.noteError(error);
      throw error;
    }
  }

  /** Runs a plan kept with a prepared statement. */
  async runPrepared(plan: EnginePlan, parameters: readonly Cell[]): Promise<StatementAnswer> {
    try {
      if (!this.#runsAlone(plan)) return await this.#runPlan(plan, parameters);
      // nearly every statement comes here, and each promise costs: as `#runPlan`, with one
      this.#state.clearWarnings();
      this.#mustHold(privilegeOf(plan.class));
      const request = this.#request(plan, parameters);
      if (!request.weak) {
        const admitted = this.owner.tenant.admit();
        if (admitted !== undefined) await admitted;
      }
      return this.#executed(plan, await this.#engine.execute(request));
    } catch (error) {
      this.#state.noteError(error);
      throw error;
    }
  }

  /** No transaction is open, and the plan neither begins nor ends one. */
  #runsAlone(plan: EnginePlan): boolean {
    if (this.#open || plan.class === 'ddl' || plan.class === 'savepoint') return false;
    return this.#state.autocommit || !takesWriter(plan);
  }

  /** Columns of a plan's result, without running it. Empty where they are only known by running it. */
  async describe(plans: readonly Plan[]): Promise<readonly Column[]> {
    const failed = plans.find(plan => plan.kind === 'error');
    if (failed?.kind === 'error') throw failed.error;
    const [plan] = plans;
    if (plans.length !== 1 || plan === undefined) return [];
    if (plan.kind === 'rows') return plan.columns;
    return plan.kind === 'engine' ? (await this.#call(engine => engine.describe(plan.sql))).columns : [];
  }

  /** COM_INIT_DB, and the database named at login. A tenant is one database: most names mean it. */
  async useSchema(name: string): Promise<void> {
    await this.run({ text: `USE ${quoted(name)}`, textIsBytes: false }, []);
  }

  /** Columns of a table, for COM_FIELD_LIST. */
  async columnsOf(table: string): Promise<readonly Column[]> {
    const text = `SELECT * FROM ${quoted(table)}`;
    return this.describe(await this.translate({ text, textIsBytes: false }));
  }

  /** COM_RESET_CONNECTION: rolls back and forgets, as after a new login. */
  async reset(): Promise<void> {
    await this.#engine.close();
    this.#engine = this.#openEngine();
    this.#promised = false;
    this.#deferred = false;
    this.#state.reset();
    this.#foreignKeysWanted = undefined;
    this.#idleSeconds = undefined;
  }

  /** Rolls back what is open. Never rejects. */
  close(): Promise<void> {
    return this.#engine.close();
  }

  #openEngine(): EngineSession {
    const { idleInTransactionMs } = this.#host.limits;
    return this.owner.tenant.engine.openSession({ idleInTransactionMs });
  }

  /** A transaction is open as far as the client knows. */
  get #open(): boolean {
    return this.#promised || this.#deferred || this.#engine.inTransaction;
  }

  /** Every call of the engine passes here, so that what the client was told stays what the engine says. */
  async #call<Result>(call: (engine: EngineSession) => Promise<Result>): Promise<Result> {
    try {
      return await call(this.#engine);
    } finally {
      this.#promised = this.#engine.inTransaction;
    }
  }

  /** All plans of one statement. Several engine plans happen together or not at all. */
  async #runUnit(plans: readonly Plan[], parameters: readonly Cell[]): Promise<StatementAnswer> {
    const [only] = plans;
    if (only === undefined) return plainOk;
    if (plans.length === 1) return this.#runPlan(only, parameters);
    const enginePlans = plans.filter(isEngine);
    for (const plan of enginePlans) this.#mustHold(privilegeOf(plan.class));
    const ddl = enginePlans.some(plan => plan.class === 'ddl');
    if (ddl) await this.#commitOpen();
    const begins = enginePlans.length > 1 && !this.#open;
    // Without autocommit the transaction stays open behind the statement; DDL commits always.
    const ends = begins && (ddl || this.#state.autocommit);
    if (this.#deferred && enginePlans.some(takesWriter)) await this.#beginDeferred();
    if (begins) await this.owner.tenant.admit();
    if (begins)
      await this.#call(engine => engine.begin('write', { lockWaitMs: this.#host.limits.lockWaitMs }));
    let answer: StatementAnswer = plainOk;
    try {
      for (const plan of plans) {
        answer = isEngine(plan)
          ? await this.#execute(plan, parameters)
          : await this.#runPlan(plan, parameters);
      }
    } catch (error) {
      if (ends && this.#engine.inTransaction) await this.#call(engine => engine.rollback());
      if (ddl) this.#state.shapes.clear();
      throw error;
    }
    if (ends) await this.#call(engine => engine.commit());
    if (ddl) this.#state.shapes.clear();
    return answer;
  }

  async #runPlan(plan: Plan, parameters: readonly Cell[]): Promise<StatementAnswer> {
    if (plan.kind !== 'warnings') this.#state.clearWarnings();
    switch (plan.kind) {
      case 'engine':
        return this.#runEngine(plan, parameters);
      case 'begin':
        await this.#commitOpen();
        await this.#begin(plan.readOnly);
        return plainOk;
      case 'commit':
      case 'rollback':
        return this.#end(plan.kind, plan.chain === true);
      case 'set':
        for (const assignment of plan.assignments) await this.#assign(assignment);
        return plainOk;
      case 'use':
        this.#state.schema = plan.schema;
        return plainOk;
      case 'rows':
      case 'ok':
        return this.#answer(plan);
      case 'view':
        return this.#answer(await this.#runView(plan.sql, bind(plan.parameters, parameters)));
      case 'admin':
        this.#mustHold('SUPER');
        await this.#commitOpen();
        return this.#answer(
          await this.#host.services.executeAdmin(plan.statement, {
            tenant: this.#state.tenant,
            sys: this.#state.sys,
            operations: this.#host.operations,
          }),
        );
      case 'user':
        return this.#runUserStatement(plan);
      case 'warnings':
        return this.#state.warningRows(plan);
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

  async #runEngine(plan: EnginePlan, parameters: readonly Cell[]): Promise<StatementAnswer> {
    this.#mustHold(privilegeOf(plan.class));
    if (plan.class === 'ddl') {
      await this.#commitOpen();
      this.#state.shapes.clear();
    } else if (!this.#open && !this.#state.autocommit && takesWriter(plan)) {
      // Reads before the first write of such a session take no snapshot: nobody waits for a client that only reads.
      await this.#begin(false);
    }
    if (plan.class === 'savepoint' && !this.#open) return plainOk;
    if (this.#deferred && takesWriter(plan)) await this.#beginDeferred();
    const answer = await this.#execute(plan, parameters);
    if (plan.class === 'ddl') this.#state.shapes.clear();
    return answer;
  }

  async #execute(plan: EnginePlan, parameters: readonly Cell[]): Promise<StatementAnswer> {
    const request = this.#request(plan, parameters);
    const admitted = request.weak ? undefined : this.owner.tenant.admit();
    if (admitted !== undefined) await admitted;
    const result = await this.#call(engine => engine.execute(request));
    return this.#executed(plan, result);
  }

  #request(plan: EnginePlan, parameters: readonly Cell[]) {
    return {
      sql: plan.sql,
      parameters: bind(plan.parameters, parameters),
      rowsMax: this.#host.limits.resultRowsMax,
      weak: this.#mayBeOld(plan),
    };
  }

  #executed(plan: EnginePlan, result: StatementResult): StatementAnswer {
    if (result.kind === 'done') return this.#done(plan, result);
    this.#state.noteRows(result.rows.length);
    return result;
  }

  /** Of what only reads; a write goes to the leader whatever was asked for. */
  #mayBeOld(plan: EnginePlan): boolean {
    return (plan.weak === true || this.#state.settings.weakReads) && !takesWriter(plan);
  }

  #done(plan: EnginePlan, result: Extract<StatementResult, { kind: 'done' }>): DoneAnswer {
    const counts = plan.class === 'insert' || plan.class === 'update' || plan.class === 'delete';
    const changes = counts ? result.changes : 0;
    this.#state.rowCount = changes;
    if (plan.class !== 'insert' || changes === 0) return { kind: 'ok', changes, lastInsertId: 0, info: '' };
    // MySQL tells the first id of a multi-row INSERT, SQLite the last. The ids of one statement follow each other.
    const last = result.lastInsertRowid;
    const before = changes - 1;
    const lastInsertId =
      typeof last === 'bigint' ? last - BigInt(before) : last > before ? last - before : last;
    this.#state.lastInsertId = lastInsertId;
    return { kind: 'ok', changes, lastInsertId, info: '' };
  }

  #answer(answer: PlanAnswer): StatementAnswer {
    if (answer.kind === 'rows') {
      this.#state.noteRows(answer.rows.length);
      return answer;
    }
    const changes = answer.changes ?? 0;
    this.#state.rowCount = changes;
    return { kind: 'ok', changes, lastInsertId: 0, info: answer.info ?? '' };
  }

  #runView(sql: string, parameters: readonly Cell[]): Promise<RowsAnswer> {
    return this.#host.services.runView(sql, parameters, {
      tenant: this.#state.tenant,
      sys: this.#state.sys,
      schema: this.#state.schema,
      operations: this.#host.operations,
      rowsMax: this.#host.limits.resultRowsMax,
      query: this.#query,
      dialect: this.#state,
      sessions: () => this.#visibleSessions(),
    });
  }

  /** A tenant that takes no writes gives read transactions: clients that always BEGIN can read a standby. */
  async #begin(readOnly: boolean): Promise<void> {
    const { tenant } = this.owner;
    if (!this.#state.settings.weakReads) await tenant.admit();
    const reads = readOnly || this.#state.settings.readOnlyTransactions || !tenant.writable();
    this.#readOnlyTransaction = reads;
    this.#deferred = this.#state.settings.takeReadsCommitted() && !reads;
    if (this.#deferred) return;
    await this.#call(engine =>
      engine.begin(reads ? 'read' : 'write', { lockWaitMs: this.#host.limits.lockWaitMs }),
    );
  }

  async #end(how: 'commit' | 'rollback', chain: boolean): Promise<DoneAnswer> {
    const readOnly = this.#readOnlyTransaction;
    const open = this.#open;
    if (this.#deferred) this.#deferred = false;
    else if (open) await this.#call(engine => (how === 'commit' ? engine.commit() : engine.rollback()));
    await this.#afterTransaction();
    if (open && chain) await this.#begin(readOnly);
    return plainOk;
  }

  /** MySQL's implicit commit. */
  async #commitOpen(): Promise<void> {
    if (!this.#open) return;
    if (this.#deferred) this.#deferred = false;
    else await this.#call(engine => engine.commit());
    await this.#afterTransaction();
  }

  /** The first write of a transaction that has only read. It stays open, and deferred, if the writer is not to be had. */
  async #beginDeferred(): Promise<void> {
    await this.owner.tenant.admit();
    await this.#call(engine => engine.begin('write', { lockWaitMs: this.#host.limits.lockWaitMs }));
    this.#deferred = false;
  }

  async #afterTransaction(): Promise<void> {
    const wanted = this.#foreignKeysWanted;
    if (wanted === undefined) return;
    this.#foreignKeysWanted = undefined;
    await this.#call(engine => engine.setForeignKeys(wanted));
  }

  async #assign(assignment: Assignment): Promise<void> {
    if (assignment.scope === 'global') this.#mustHold('SUPER');
    const change = this.#state.settings.assign(assignment);
    switch (change.kind) {
      case 'autocommit':
        if (change.on) await this.#commitOpen();
        return;
      case 'foreign-keys':
        if (this.#open) this.#foreignKeysWanted = change.on;
        else await this.#call(engine => engine.setForeignKeys(change.on));
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
    await this.owner.tenant.admit();
    const session = this.owner.tenant.engine.openSession({ internal: true });
    try {
      return this.#answer(
        await executeUserStatement(plan.statement, {
          session,
          random: this.#host.random,
          user: this.owner.user,
          privileges: this.owner.privileges,
        }),
      );
    } finally {
      await session.close();
    }
  }

  #kill(connectionId: number): DoneAnswer {
    if (connectionId !== this.#state.connectionId) this.#mustHold('SUPER');
    if (!this.#host.kill(connectionId, this.#state.tenant)) {
      throw new ObError('OBS_SQL_NO_SUCH_CONNECTION', { connection: connectionId });
    }
    return plainOk;
  }

  #visibleSessions(): readonly SessionRow[] {
    const rows = this.#host.sessions();
    return this.#state.sys ? rows : rows.filter(row => row.tenant === this.#state.tenant);
  }

  #mustHold(privilege: Privilege | null): void {
    if (privilege !== null && !holds(this.owner.privileges, privilege)) {
      throw new ObError('OBS_SQL_PRIVILEGE', { privilege });
    }
  }

  readonly #query: SchemaQuery = async (sql, parameters = []) => {
    const rowsMax = this.#host.limits.resultRowsMax;
    const result = await this.#call(engine => engine.execute({ sql, parameters, rowsMax, weak: true }));
    return result.kind === 'rows' ? result : { kind: 'rows', columns: [], rows: [] };
  };
}

const takesWriter = (plan: EnginePlan): boolean =>
  plan.locking === true || (plan.class !== 'select' && plan.class !== 'show');

const quoted = (name: string): string => `\`${name.replaceAll('`', '``')}\``;

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
