/**
 * Runs writes that are ready together in one SQLite transaction: each is atomic by itself, and one that fails does not
 * disturb its neighbours.
 *
 * A statement that fails undoes itself (SQLite's statement journal). Where that is not all that happens (a statement
 * that rolls the whole transaction back, a COMMIT that is refused), the batch is undone and its statements run again
 * one by one, which shows each its own outcome. Deferred foreign keys are checked at COMMIT, where a neighbour's write
 * could heal or spoil them: a schema that has any is written one by one from the start.
 */
import { assert, must } from '../base/assert.ts';
import { bindable } from './cells.ts';
import type { StatementResult } from './engine.ts';
import type { SqlConnection } from './sql-connection.ts';
import type { PreparedStatement } from './statement-cache.ts';
import type { StatementKind } from './statement-guard.ts';
import { isSqliteError, statementError } from './sqlite-errors.ts';
import type { Statement } from './worker-messages.ts';

type Outcome =
  | { readonly kind: 'done'; readonly result: StatementResult }
  | { readonly kind: 'failed'; readonly error: unknown };

export interface BatchOutcome {
  readonly outcomes: readonly Outcome[];
  /** statements that changed something: transactions of the redo record */
  readonly transactions: number;
}

export interface GuardedStatement {
  readonly statement: Statement;
  readonly kind: StatementKind;
}

/** Runs a batch on the writer, which must be outside a transaction. Never throws for a statement's failure. */
export function runBatch(writer: SqlConnection, batch: readonly GuardedStatement[]): BatchOutcome {
  assert(!writer.inTransaction, 'a batch starts outside transactions');
  const shared = batch.length > 1 && batch.every(({ kind }) => kind !== 'alone');
  const outcomes = (shared ? runShared(writer, batch) : undefined) ?? batch.map(one => runAlone(writer, one));
  assert(!writer.inTransaction, 'a batch ends outside transactions');
  return { outcomes, transactions: countTransactions(batch, outcomes) };
}

/** Runs the statements one by one, each in a transaction of its own. */
export function runOneByOne(writer: SqlConnection, batch: readonly GuardedStatement[]): BatchOutcome {
  const outcomes = batch.map(one => runAlone(writer, one));
  return { outcomes, transactions: countTransactions(batch, outcomes) };
}

/** Undefined if the batch could not stay together; then nothing of it was kept. */
function runShared(writer: SqlConnection, batch: readonly GuardedStatement[]): Outcome[] | undefined {
  const outcomes: Outcome[] = [];
  try {
    writer.beginWrite();
    for (const one of batch) {
      const outcome = runStatement(writer, one, 'shared');
      outcomes.push(outcome);
      // a statement that fails may take the whole transaction with it
      if (outcome.kind === 'failed' && !writer.inTransaction) break;
    }
    if (writer.inTransaction) {
      writer.commit();
      return outcomes;
    }
  } catch (error) {
    if (!isSqliteError(error)) throw error;
    // the statement it is about meets it again when it runs alone
    if (writer.inTransaction) writer.exec('ROLLBACK');
  }
  writer.forget();
  return undefined;
}

function runAlone(writer: SqlConnection, one: GuardedStatement): Outcome {
  const outcome = runStatement(writer, one, 'alone');
  // One that only writes rows cannot have begun one: asking costs as much as a twentieth of it.
  if (one.kind !== 'write') assert(!writer.inTransaction, 'a statement by itself leaves no transaction');
  return outcome;
}

function runStatement(writer: SqlConnection, one: GuardedStatement, place: 'shared' | 'alone'): Outcome {
  const { statement, kind } = one;
  try {
    const prepared = writer.statement(statement.sql, kind);
    const result =
      place === 'alone'
        ? runInOwnTransaction(writer, prepared, statement)
        : runUndoable(writer, prepared, statement);
    return { kind: 'done', result };
  } catch (error) {
    writer.commitFailed();
    return { kind: 'failed', error: statementError(error, statement.sql) };
  } finally {
    if (kind === 'schema' || kind === 'alone') writer.schemaMayHaveChanged();
  }
}

/**
 * Runs a statement inside the open transaction so that a failure leaves nothing of it: one that returns rows may be
 * given up for its size after it has written.
 */
export function runUndoable(
  writer: SqlConnection,
  prepared: PreparedStatement,
  statement: Statement,
): StatementResult {
  const bound = bindable(statement.parameters);
  if (prepared.readOnly || !prepared.returnsRows) {
    return prepared.run(bound, statement.rowsMax);
  }
  writer.exec('SAVEPOINT __obs_statement');
  try {
    const result = prepared.run(bound, statement.rowsMax);
    writer.exec('RELEASE __obs_statement');
    return result;
  } catch (error) {
    if (writer.inTransaction) writer.exec('ROLLBACK TO __obs_statement; RELEASE __obs_statement');
    throw error;
  }
}

function runInOwnTransaction(
  writer: SqlConnection,
  prepared: PreparedStatement,
  statement: Statement,
): StatementResult {
  const bound = bindable(statement.parameters);
  // SQLite's own transaction around a single statement does the same, without two more calls
  if (!prepared.returnsRows || prepared.kind === 'alone') {
    return prepared.run(bound, statement.rowsMax);
  }
  writer.beginWrite();
  try {
    const result = prepared.run(bound, statement.rowsMax);
    writer.commit();
    return result;
  } catch (error) {
    if (writer.inTransaction) writer.exec('ROLLBACK');
    throw error;
  }
}

function countTransactions(batch: readonly GuardedStatement[], outcomes: readonly Outcome[]): number {
  let count = 0;
  for (let index = 0; index < outcomes.length; index++) {
    const outcome = must(outcomes[index], 'an outcome');
    if (outcome.kind === 'failed') continue;
    const { kind } = must(batch[index], 'the statement of an outcome');
    const { result } = outcome;
    if (kind === 'write' && result.kind === 'done' && result.changes === 0) continue;
    count += 1;
  }
  return count;
}
