/**
 * The root service's one session in the sys tenant: statements and transactions one after another, each durable when its
 * promise resolves.
 */
import { assert } from '../base/assert.ts';
import { sysRowsMax } from '../base/limits.ts';
import type { Cell, EngineSession, TenantEngine } from '../tenant/engine.ts';
import { Turns } from './turns.ts';

export type SysRow = Readonly<Record<string, Cell>>;

export class SysSession {
  readonly #session: EngineSession;
  readonly #turns = new Turns();

  constructor(engine: TenantEngine) {
    this.#session = engine.openSession({ internal: true });
  }

  async query(sql: string, ...parameters: Cell[]): Promise<SysRow[]> {
    return this.#turns.run(() => this.#rows(sql, parameters));
  }

  async run(sql: string, ...parameters: Cell[]): Promise<number> {
    return this.#turns.run(() => this.#change(sql, parameters));
  }

  /** All of `work`'s statements or none; committed when it resolves. */
  async transaction<Value>(work: (statements: Statements) => Promise<Value>): Promise<Value> {
    return this.#turns.run(async () => {
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
    await this.#turns.run(() => this.#session.close());
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
}

export interface Statements {
  readonly query: (sql: string, ...parameters: Cell[]) => Promise<SysRow[]>;
  readonly run: (sql: string, ...parameters: Cell[]) => Promise<number>;
}
