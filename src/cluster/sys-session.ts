/**
 * The root service's one session in the sys tenant: statements and transactions one after another, each durable when its
 * promise resolves.
 */
import { assert } from '../base/assert.ts';
import { sysRowsMax } from '../base/limits.ts';
import type { Cell, EngineSession, TenantEngine } from '../tenant/engine.ts';

export type SysRow = Readonly<Record<string, Cell>>;

export class SysSession {
  readonly #session: EngineSession;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(engine: TenantEngine) {
    this.#session = engine.openSession({ internal: true });
  }

  async query(sql: string, ...parameters: Cell[]): Promise<SysRow[]> {
    return this.#inTurn(() => this.#rows(sql, parameters));
  }

  async run(sql: string, ...parameters: Cell[]): Promise<number> {
    return this.#inTurn(() => this.#change(sql, parameters));
  }

  /** All of `work`'s statements or none; committed when it resolves. */
  async transaction<Value>(work: (statements: Statements) => Promise<Value>): Promise<Value> {
    return this.#inTurn(async () => {
      await this.#session.begin('write');
      try {
        const value = await work({
          query: (sql, ...parameters) => this.#rows(sql, parameters),
          run: (sql, ...parameters) => this.#change(sql, parameters),
        });
        await this.#session.commit();
        return value;
      } catch (error) {
        if (this.#session.inTransaction) await this.#session.rollback();
        throw error;
      }
    });
  }

  async close(): Promise<void> {
    await this.#inTurn(() => this.#session.close());
  }

  async #rows(sql: string, parameters: readonly Cell[]): Promise<SysRow[]> {
    const result = await this.#session.execute({ sql, parameters, rowsMax: sysRowsMax });
    assert(result.kind === 'rows', 'a query of the sys tenant has rows');
    return result.rows.map(row =>
      Object.fromEntries(result.columns.map((column, index) => [column.name, row[index] ?? null])),
    );
  }

  async #change(sql: string, parameters: readonly Cell[]): Promise<number> {
    const result = await this.#session.execute({ sql, parameters, rowsMax: sysRowsMax });
    return result.kind === 'done' ? result.changes : 0;
  }

  #inTurn<Value>(work: () => Promise<Value>): Promise<Value> {
    const turn = this.#turn.then(work);
    this.#turn = turn.catch(() => {});
    return turn;
  }
}

export interface Statements {
  readonly query: (sql: string, ...parameters: Cell[]) => Promise<SysRow[]>;
  readonly run: (sql: string, ...parameters: Cell[]) => Promise<number>;
}
