/**
 * Calls whose brackets hold more than a list of expressions: CAST, TRIM, EXTRACT, GROUP_CONCAT and their kin. The words inside
 * (AS, FROM, SEPARATOR …) tell the operands apart, so these are read here and not by the table of functions.
 */
import { type Fragment, joined, sql, trimmed } from './fragment.ts';
import { castTo, groupConcat } from './functions.ts';
import type { Rewriter } from './rewriter.ts';
import { addInterval, extractUnit } from './time-functions.ts';

const asWord = new Set(['as']);
const usingWord = new Set(['using']);
const inWord = new Set(['in']);
const fromWord = new Set(['from']);
const forWord = new Set(['for']);
const separatorWord = new Set(['separator']);
const orderWord = new Set(['order']);

/** Calls whose brackets hold more than a list of expressions. */
export function rewriteSpecialCall(
  rewriter: Rewriter,
  name: string,
  from: number,
  to: number,
): Fragment | null {
  const { statement } = rewriter;
  switch (name) {
    case 'values':
      if (rewriter.upsertRow === null || to !== from + 1) return null;
      return sql`${rewriter.upsertRow}.${trimmed(rewriter.range(from, to))}`;
    case 'cast': {
      const as = statement.find(from, to, asWord);
      return cast(rewriter, from, as, as + 1, to);
    }
    case 'convert': {
      const using = statement.find(from, to, usingWord);
      if (using < to) return sql`(${trimmed(rewriter.range(from, using))})`;
      const [value, type] = statement.list(from, to);
      if (value === undefined || type === undefined) throw statement.errorAt(to);
      return cast(rewriter, value[0], value[1], type[0], type[1]);
    }
    case 'date_add':
    case 'date_sub':
    case 'adddate':
    case 'subdate':
      return dateAdd(rewriter, name.endsWith('sub') || name === 'subdate' ? '-' : '+', from, to);
    case 'extract': {
      if (statement.word(from + 1) !== 'from') throw statement.errorAt(from + 1);
      return extractUnit(statement.word(from), rewriter.argument(from + 2, to));
    }
    case 'substring':
    case 'substr':
    case 'mid':
      return substring(rewriter, from, to);
    case 'position': {
      const within = statement.find(from, to, inWord);
      return sql`instr(${rewriter.argument(within + 1, to)}, ${rewriter.argument(from, within)})`;
    }
    case 'trim':
      return trim(rewriter, from, to);
    case 'group_concat':
      return aggregatedText(rewriter, from, to);
    default:
      return null;
  }
}

function cast(rewriter: Rewriter, from: number, valueEnd: number, typeFrom: number, to: number): Fragment {
  const { statement } = rewriter;
  const type = statement.word(typeFrom);
  if (type === '') throw statement.errorAt(typeFrom);
  const sized =
    statement.symbol(typeFrom + 1) === '('
      ? rewriter.range(typeFrom + 2, statement.partner(typeFrom + 1))
      : null;
  if (typeFrom >= to) throw statement.errorAt(to);
  return castTo(rewriter.argument(from, valueEnd), type, sized);
}

function dateAdd(rewriter: Rewriter, sign: '+' | '-', from: number, to: number): Fragment | null {
  const { statement } = rewriter;
  const [time, amount] = statement.list(from, to);
  if (time === undefined || amount === undefined) throw statement.errorAt(to);
  if (statement.word(amount[0]) !== 'interval') return null;
  const unit = statement.word(amount[1] - 1);
  return addInterval(
    rewriter.argument(...time),
    sign,
    trimmed(rewriter.range(amount[0] + 1, amount[1] - 1)),
    unit,
  );
}

function substring(rewriter: Rewriter, from: number, to: number): Fragment | null {
  const { statement } = rewriter;
  const start = statement.find(from, to, fromWord);
  if (start === to) return sql`substr(${joined(rewriter.arguments(from, to), ', ')})`;
  const length = statement.find(start, to, forWord);
  const rest = length < to ? sql`, ${rewriter.argument(length + 1, to)}` : [];
  return sql`substr(${rewriter.argument(from, start)}, ${rewriter.argument(start + 1, length)}${rest})`;
}

/** TRIM([BOTH | LEADING | TRAILING] [characters] FROM text); SQLite trims characters, MySQL whole strings. */
function trim(rewriter: Rewriter, from: number, to: number): Fragment | null {
  const { statement } = rewriter;
  const middle = statement.find(from, to, fromWord);
  if (middle === to) return null;
  const side = statement.word(from);
  const named = side === 'both' || side === 'leading' || side === 'trailing';
  const name = side === 'leading' ? 'ltrim' : side === 'trailing' ? 'rtrim' : 'trim';
  const start = named ? from + 1 : from;
  const characters = start < middle ? sql`, ${rewriter.argument(start, middle)}` : [];
  return sql`${name}(${rewriter.argument(middle + 1, to)}${characters})`;
}

function aggregatedText(rewriter: Rewriter, from: number, to: number): Fragment {
  const { statement } = rewriter;
  const distinct = statement.word(from) === 'distinct';
  const separatorAt = statement.find(from, to, separatorWord);
  const orderAt = statement.find(from, separatorAt, orderWord);
  const separator = separatorAt < to ? statement.tokens[separatorAt + 1] : undefined;
  if (separatorAt < to && separator?.kind !== 'string') throw statement.errorAt(separatorAt + 1);
  return groupConcat({
    distinct,
    values: rewriter.arguments(distinct ? from + 1 : from, orderAt),
    order: orderAt < separatorAt ? trimmed(rewriter.range(orderAt + 2, separatorAt)) : null,
    separator: separator?.text ?? null,
  });
}
