/** One client's session as the dialect sees it, over an in-memory SQLite database: translates, runs, answers. */
import Database from 'better-sqlite3';
import { wallMicros } from '../../src/base/scalars.ts';
import { loadTableShape } from '../../src/sql/dialect/table-shape.ts';
import { MysqlDialect } from '../../src/sql/dialect/translate.ts';
import type { DialectContext, Plan, PlanParameter, RowsAnswer, TableShape } from '../../src/sql/plan.ts';
import type { Cell } from '../../src/tenant/engine.ts';

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] };

export interface Answered {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
  readonly changes: number;
}

export class DialectSession {
  readonly database = new Database(':memory:');
  readonly dialect = new MysqlDialect();
  readonly context: Mutable<DialectContext>;
  readonly variables = new Map<string, Cell>();
  readonly userVariables = new Map<string, Cell>();
  #shapes = new Map<string, TableShape | null>();

  constructor(context: Partial<DialectContext> = {}) {
    this.context = {
      tenant: 'shop',
      sys: false,
      schema: 'app',
      user: 'root@localhost',
      connectionId: 7,
      noBackslashEscapes: false,
      ansiQuotes: false,
      textIsBytes: false,
      autocommit: true,
      inTransaction: false,
      lastInsertId: 0,
      rowCount: 0,
      foundRows: 0,
      wall: wallMicros(1_700_000_000_000_000),
      variable: name => this.variables.get(name),
      userVariable: name => this.userVariables.get(name) ?? null,
      table: name => this.#shapes.get(name.toLowerCase()),
      ...context,
    };
  }

  /** Plans of one statement, tables it asks for loaded. */
  async plans(text: string): Promise<readonly Plan[]> {
    for (;;) {
      const plans = this.dialect.translate(text, this.context);
      const [first] = plans;
      if (first?.kind !== 'tables') return plans;
      for (const name of first.names)
        this.#shapes.set(
          name.toLowerCase(),
          await loadTableShape((sql, given) => this.#query(sql, given), name),
        );
    }
  }

  /** The SQLite text of each plan; what is not the engine's shows as its kind. */
  async translated(text: string): Promise<readonly string[]> {
    return (await this.plans(text)).map(plan => {
      if (plan.kind === 'engine' || plan.kind === 'view') return plan.sql;
      return plan.kind === 'error' ? plan.error.message : plan.kind;
    });
  }

  /** Runs one statement. Throws the plan's error, or SQLite's. */
  async run(text: string, parameters: readonly Cell[] = []): Promise<Answered> {
    let answer: Answered = { columns: [], rows: [], changes: 0 };
    for (const plan of await this.plans(text)) {
      if (plan.kind === 'error') throw plan.error;
      if (plan.kind === 'rows')
        answer = { columns: plan.columns.map(({ name }) => name), rows: plan.rows, changes: 0 };
      if (plan.kind !== 'engine') continue;
      answer = this.#execute(plan.sql, bound(plan.parameters, parameters));
      if (plan.class === 'ddl') this.#shapes = new Map();
    }
    return answer;
  }

  #execute(sql: string, parameters: readonly Cell[]): Answered {
    const statement = this.database.prepare<unknown[], unknown[]>(sql);
    const given = parameters.map(value => (Number.isInteger(value) ? BigInt(value as number) : value));
    if (!statement.reader) {
      const { changes, lastInsertRowid } = statement.run(...given);
      this.context.lastInsertId = lastInsertRowid;
      this.context.rowCount = changes;
      return { columns: [], rows: [], changes };
    }
    const columns = statement.columns().map(({ name }) => name);
    return { columns, rows: statement.raw(true).all(...given) as Cell[][], changes: 0 };
  }

  #query(sql: string, parameters: readonly Cell[] = []): Promise<RowsAnswer> {
    const { columns, rows } = this.#execute(sql, parameters);
    const shown = columns.map(name => ({ name, declaredType: null, table: null, originColumn: null }));
    return Promise.resolve({ kind: 'rows', columns: shown, rows });
  }
}

function bound(wanted: readonly PlanParameter[] | undefined, given: readonly Cell[]): readonly Cell[] {
  if (wanted === undefined) return given;
  return wanted.map(parameter =>
    parameter.kind === 'value' ? parameter.value : (given[parameter.index] ?? null),
  );
}
