/** What an item of a select list is, told from its tokens: SQLite names some results as MySQL does, the others need an alias. */
import { bareFunctions } from './functions.ts';
import type { StatementText } from './statement-text.ts';
import { isIntervalUnit } from './time-functions.ts';

const intervalWord = new Set(['interval']);

/** words that cannot end an expression, so the word behind them is no alias */
const aliasBreakers = new Set([
  'and',
  'or',
  'not',
  'is',
  'like',
  'in',
  'between',
  'div',
  'mod',
  'collate',
  'binary',
  'then',
  'else',
  'when',
  'case',
  'escape',
  'interval',
  'select',
  'distinct',
]);

/** `a`, `t`.`a`, t.*, db.t.a: SQLite names the column as MySQL does. */
export function isPlainColumn(statement: StatementText, start: number, end: number): boolean {
  for (let at = start; at < end; at++) {
    const token = statement.tokens[at];
    const isName = token?.kind === 'word' || token?.kind === 'quoted' || statement.symbol(at) === '*';
    if ((at - start) % 2 === 0 ? !isName : statement.symbol(at) !== '.') return false;
  }
  return (end - start) % 2 === 1 && (end - start > 1 || !bareFunctions.has(statement.word(start)));
}

/** Whether the item names itself already, with AS or without. */
export function hasAlias(statement: StatementText, start: number, end: number): boolean {
  if (end - start < 2) return false;
  const last = statement.tokens[end - 1];
  if (last === undefined || (last.kind !== 'word' && last.kind !== 'quoted' && last.kind !== 'string'))
    return false;
  const before = statement.tokens[end - 2];
  if (before?.lower === 'as') return true;
  if (isIntervalUnit(last.lower) && statement.find(start, end, intervalWord) < end) return false;
  if (last.lower === 'end' || last.lower === 'null' || last.lower === 'true' || last.lower === 'false')
    return false;
  if (before?.kind === 'symbol') return before.text === ')';
  return before !== undefined && (before.kind !== 'word' || !aliasBreakers.has(before.lower));
}
