/**
 * The prepared statements of one connection, with what COM_STMT_SEND_LONG_DATA piled up for their next execution.
 * Bounded in number and bytes. Statement ids are never used again while the connection lives.
 */
import { ObError } from '../base/errors.ts';
import { longDataBytesMax, preparedStatementsMax } from '../base/limits.ts';
import type { EnginePlan } from './plan.ts';
import type { ParameterTypes } from './protocol/statement-parameters.ts';
import { lastPreparedId } from './protocol/wire-constants.ts';
import type { StatementText } from './session.ts';

export interface PreparedStatement {
  readonly id: number;
  readonly source: StatementText;
  readonly parameterCount: number;
  /** kept when it depends on the text alone; else each execution translates again */
  readonly plan: EnginePlan | null;
  /** as bound last */
  types: ParameterTypes;
  readonly longData: Map<number, Uint8Array[]>;
  /** what went wrong with long data, which has no answer of its own */
  longDataError: ObError | null;
}

export class PreparedStatements {
  readonly #statements = new Map<number, PreparedStatement>();
  #lastId = 0;
  #longDataBytes = 0;

  get size(): number {
    return this.#statements.size;
  }

  add(source: StatementText, parameterCount: number, plan: EnginePlan | null): PreparedStatement {
    if (this.#statements.size >= preparedStatementsMax) {
      throw new ObError('OBS_SQL_TOO_MANY_PREPARED', { max: preparedStatementsMax });
    }
    this.#lastId++;
    const statement: PreparedStatement = {
      id: this.#lastId,
      source,
      parameterCount,
      plan,
      types: [],
      longData: new Map(),
      longDataError: null,
    };
    this.#statements.set(statement.id, statement);
    return statement;
  }

  /** Throws OBS_SQL_UNKNOWN_PREPARED. Some drivers say 0xFFFFFFFF for the statement prepared last. */
  get(id: number, command: string): PreparedStatement {
    const statement = this.#statements.get(id === lastPreparedId ? this.#lastId : id);
    if (statement === undefined) {
      throw new ObError('OBS_SQL_UNKNOWN_PREPARED', { statement: id, command });
    }
    return statement;
  }

  /** Adds to a parameter's value. Errors wait for the execution: this command has no answer. */
  addLongData(id: number, position: number, bytes: Uint8Array): void {
    const statement = this.#statements.get(id);
    if (statement === undefined) return;
    if (position >= statement.parameterCount || this.#longDataBytes + bytes.length > longDataBytesMax) {
      statement.longDataError ??= new ObError('OBS_SQL_LONG_DATA', { max: longDataBytesMax });
      return;
    }
    this.#longDataBytes += bytes.length;
    const parts = statement.longData.get(position);
    if (parts === undefined) statement.longData.set(position, [new Uint8Array(bytes)]);
    else parts.push(new Uint8Array(bytes));
  }

  dropLongData(statement: PreparedStatement): void {
    for (const parts of statement.longData.values()) {
      for (const part of parts) this.#longDataBytes -= part.length;
    }
    statement.longData.clear();
    statement.longDataError = null;
  }

  remove(id: number): void {
    const statement = this.#statements.get(id);
    if (statement === undefined) return;
    this.dropLongData(statement);
    this.#statements.delete(id);
  }

  clear(): void {
    this.#statements.clear();
    this.#longDataBytes = 0;
  }
}
