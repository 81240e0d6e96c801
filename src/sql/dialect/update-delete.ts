/** UPDATE and DELETE of one table. Several tables in one statement are refused by name. */
import { ObError } from '../../base/errors.ts';
import { type Fragment, quoteName, sql, trimmed } from './fragment.ts';
import { rewriteAssignments, type ShapeLookup } from './insert.ts';
import { Rewriter } from './rewriter.ts';
import type { StatementText } from './statement-text.ts';
import { TokenCursor } from './token-cursor.ts';

const updateEnds = new Set(['where', 'order', 'limit', 'returning', 'from']);
const hintWords = new Set(['use', 'force', 'ignore']);

/** One UPDATE as SQLite text. Throws TableNeeded, OBS_SQL_PARSE, OBS_SQL_NOT_SUPPORTED. */
export function rewriteUpdate(statement: StatementText, shapeOf: ShapeLookup): Fragment {
  const cursor = new TokenCursor(statement);
  const rewriter = new Rewriter(statement);
  cursor.expect('update');
  let or = '';
  if (cursor.take('or'))
    or = ` OR ${cursor.expectOne('replace', 'ignore', 'abort', 'fail', 'rollback').toUpperCase()}`;
  cursor.take('low_priority');
  if (cursor.take('ignore')) or = ' OR IGNORE';
  const { table, text } = tableWithAlias(cursor, 'UPDATE of several tables');
  cursor.expect('set');
  const end = statement.find(cursor.at, cursor.end, updateEnds);
  const assignments = rewriteAssignments(rewriter, cursor.at, end, table, shapeOf);
  return sql`UPDATE${or} ${text} SET ${assignments}${tail(rewriter, end, cursor.end)}`;
}

/** One DELETE as SQLite text. */
export function rewriteDelete(statement: StatementText): Fragment {
  const cursor = new TokenCursor(statement);
  const rewriter = new Rewriter(statement);
  cursor.expect('delete');
  while (cursor.takeOne('low_priority', 'quick', 'ignore') !== undefined);
  if (!cursor.take('from')) {
    cursor.name();
    throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: 'DELETE of several tables' });
  }
  const { text } = tableWithAlias(cursor, 'DELETE of several tables');
  if (cursor.word() === 'using') throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: 'DELETE … USING' });
  if (!cursor.done && !updateEnds.has(cursor.word())) throw cursor.error();
  return sql`DELETE FROM ${text}${tail(rewriter, cursor.at, cursor.end)}`;
}

const tail = (rewriter: Rewriter, from: number, to: number): Fragment =>
  from < to ? sql` ${trimmed(rewriter.range(from, to))}` : [];

function tableWithAlias(
  cursor: TokenCursor,
  several: string,
): { readonly table: string; readonly text: string } {
  const table = cursor.qualifiedName().name;
  let text = quoteName(table);
  if (cursor.word() === 'partition' && cursor.symbol(1) === '(') {
    cursor.at++;
    cursor.brackets();
  }
  if (cursor.take('as')) {
    text += ` AS ${quoteName(cursor.name())}`;
  } else if (isAlias(cursor)) {
    text += ` AS ${quoteName(cursor.name())}`;
  }
  while (hintWords.has(cursor.word()) && (cursor.word(1) === 'index' || cursor.word(1) === 'key')) {
    cursor.at += 2;
    while (!cursor.done && cursor.symbol() !== '(') cursor.at++;
    cursor.brackets();
  }
  if (cursor.symbol() === ',' || /^(inner|left|right|cross|join|natural|straight_join)$/.test(cursor.word()))
    throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: several });
  return { table, text };
}

function isAlias(cursor: TokenCursor): boolean {
  const token = cursor.peek();
  if (token?.kind === 'quoted') return true;
  if (token?.kind !== 'word') return false;
  const word = token.lower;
  return (
    !updateEnds.has(word) &&
    !hintWords.has(word) &&
    !/^(set|using|inner|left|right|cross|join|natural|straight_join|indexed|not)$/.test(word)
  );
}
