/**
 * Rewrites the tokens of queries and expressions into SQLite's dialect, one pass from left to right: literals, names, operators,
 * functions, select lists, table references. What has no meaning in SQLite is refused by name; everything unknown passes
 * and SQLite judges it. Column names stay those MySQL would show: a select item that was rewritten gets its own text as alias.
 */
import { ObError } from '../../base/errors.ts';
import type { MentionedViews } from '../views/view-names.ts';
import {
  type Fragment,
  joined,
  type Piece,
  quoteBytes,
  quoteName,
  quoteText,
  sql,
  textOf,
  trimmed,
} from './fragment.ts';
import { bareFunctions, functionRewrites } from './functions.ts';
import { informationSchemaTable } from './information-schema.ts';
import type { Token } from './lexer.ts';
import {
  fromClauseEnds,
  introducedLiterals,
  isNoFunction,
  notSupportedWords,
  quotedWords,
  selectListEnds,
  selectModifiers,
  tableAliasBreakers,
  tableIntroducers,
} from './rewrite-words.ts';
import { hasAlias, isPlainColumn } from './select-items.ts';
import { rewriteSpecialCall } from './special-calls.ts';
import type { StatementText } from './statement-text.ts';
import { addInterval, isIntervalUnit } from './time-functions.ts';

const notSupported = (what: string): ObError => new ObError('OBS_SQL_NOT_SUPPORTED', { what });

/** What a rewrite found besides the text. */
export interface RewriteNotes {
  /** FOR UPDATE or LOCK IN SHARE MODE stood there */
  locking: boolean;
}

/** The rewritten tokens with their output positions, so that an operator can take back its left operand. */
class Output {
  pieces: Piece[] = [];
  /** where the operand that ended last begins; -1 when the last piece was no operand */
  operandFrom = -1;

  push(spaced: boolean, fragment: Fragment): void {
    if (spaced && this.pieces.length > 0) this.pieces.push(' ');
    for (const piece of fragment) this.pieces.push(piece);
  }

  pushOperand(spaced: boolean, fragment: Fragment): void {
    const from = this.pieces.length;
    this.push(spaced, fragment);
    this.operandFrom = from;
  }

  takeOperand(): Fragment {
    const operand = this.pieces.splice(this.operandFrom);
    if (operand[0] === ' ') operand.shift();
    this.operandFrom = -1;
    return operand;
  }
}

export class Rewriter {
  readonly statement: StatementText;
  readonly notes: RewriteNotes = { locking: false };
  /** `VALUES(c)` means the row that could not be inserted; the value of this is its name for SQLite */
  upsertRow: string | null = null;
  /** qualifiers with another name in SQLite (`new` of INSERT … AS new is `excluded`) */
  readonly qualifiers = new Map<string, string>();

  #views: MentionedViews = { kind: null, unqualified: false };

  constructor(statement: StatementText) {
    this.statement = statement;
  }

  /** The whole statement, with the virtual schemas it names. */
  rangeWithViews(views: MentionedViews): Fragment {
    this.#views = views;
    return this.range(0, this.statement.tokens.length);
  }

  /** The tokens [from, to) rewritten. */
  range(from: number, to: number): Fragment {
    const output = new Output();
    let tablesFollow = false;
    let at = from;
    while (at < to) {
      const token = this.statement.tokens[at];
      if (token === undefined) break;
      if (token.kind === 'word') {
        if (tableIntroducers.has(token.lower)) tablesFollow = true;
        else if (fromClauseEnds.has(token.lower)) tablesFollow = false;
      }
      at = this.#step(at, to, token, output, tablesFollow);
    }
    return output.pieces;
  }

  #step(at: number, to: number, token: Token, output: Output, tablesFollow: boolean): number {
    switch (token.kind) {
      case 'word':
        return this.#word(at, to, token, output, tablesFollow);
      case 'quoted':
        return this.#path(at, to, token, output, tablesFollow);
      case 'string':
        return this.#string(at, to, token, output);
      case 'blob':
        output.pushOperand(token.spaced, [quoteBytes(token.bytes ?? new Uint8Array())]);
        return at + 1;
      case 'number':
        output.pushOperand(token.spaced, [token.text]);
        return at + 1;
      case 'parameter':
        output.pushOperand(token.spaced, [{ kind: 'client', index: this.statement.parameterNumber(at) }]);
        return at + 1;
      case 'user-variable':
        if (this.statement.symbol(at + 1) === ':=') throw notSupported('assigning variables inside a query');
        output.pushOperand(token.spaced, [
          { kind: 'session', value: { kind: 'user-variable', name: token.text.toLowerCase() } },
        ]);
        return at + 1;
      case 'system-variable':
        output.pushOperand(token.spaced, [
          { kind: 'session', value: { kind: 'system-variable', name: token.text.toLowerCase() } },
        ]);
        return at + 1;
      case 'symbol':
        return this.#symbol(at, to, token, output);
    }
  }

  #symbol(at: number, to: number, token: Token, output: Output): number {
    const { statement } = this;
    switch (token.text) {
      case '(': {
        const close = statement.partner(at);
        const inner = this.range(at + 1, close);
        const compound = this.#isCompoundMember(at);
        output.pushOperand(token.spaced, compound ? sql`SELECT * FROM (${inner})` : sql`(${inner})`);
        return close + 1;
      }
      case '+':
      case '-':
        if (statement.word(at + 1) === 'interval' && output.operandFrom >= 0)
          return this.#interval(at, to, token.text, output);
        break;
      case '&&':
        return this.#operator(at, output, 'AND');
      case '<=>':
        return this.#operator(at, output, 'IS');
      case '!':
        return this.#operator(at, output, 'NOT');
      case '^':
        throw notSupported('the operator ^');
      case ':=':
        throw notSupported('the operator :=');
      case '{':
        throw notSupported('ODBC escapes');
      default:
    }
    output.push(token.spaced, [token.text]);
    output.operandFrom = -1;
    return at + 1;
  }

  #operator(at: number, output: Output, text: string): number {
    output.push(true, [text]);
    if (this.statement.tokens[at + 1]?.spaced === false) output.push(false, [' ']);
    output.operandFrom = -1;
    return at + 1;
  }

  /** `(SELECT …) UNION (SELECT …)`: SQLite takes no brackets around the members of a compound. */
  #isCompoundMember(at: number): boolean {
    if (this.statement.word(at + 1) !== 'select') return false;
    const before = this.statement.word(at - 1);
    if (at === 0 || before === 'union' || before === 'except' || before === 'intersect') return true;
    return (before === 'all' || before === 'distinct') && this.statement.word(at - 2) === 'union';
  }

  #string(at: number, to: number, token: Token, output: Output): number {
    const { statement } = this;
    let value = token.text;
    let next = at + 1;
    while (next < to && statement.tokens[next]?.kind === 'string')
      value += statement.tokens[next++]?.text ?? '';
    const isPattern = statement.word(at - 1) === 'like';
    output.pushOperand(token.spaced, [quoteText(value)]);
    if (isPattern && value.includes('\\') && statement.word(next) !== 'escape')
      output.push(true, ["ESCAPE '\\'"]);
    return next;
  }

  #word(at: number, to: number, token: Token, output: Output, tablesFollow: boolean): number {
    const { statement } = this;
    const word = token.lower;
    if (statement.symbol(at - 1) !== '.' && statement.symbol(at + 1) !== '.') {
      if (statement.symbol(at + 1) === '(') {
        const end = this.#call(at, token, output);
        if (end > at) return end;
      }
      const end = this.#keyword(at, to, word, token, output);
      if (end > at) return end;
    }
    return this.#path(at, to, token, output, tablesFollow);
  }

  /** Keywords with a meaning of their own; the unchanged index when `word` is none. */
  #keyword(at: number, to: number, word: string, token: Token, output: Output): number {
    const { statement } = this;
    const refused = notSupportedWords[word];
    if (refused !== undefined && Object.hasOwn(notSupportedWords, word)) throw notSupported(refused);
    const bare = bareFunctions.get(word);
    if (bare !== undefined) {
      output.pushOperand(token.spaced, bare);
      return at + 1;
    }
    const next = statement.word(at + 1);
    switch (word) {
      case 'select':
        return this.#select(at, to, token, output);
      case 'div':
        return this.#operator(at, output, '/');
      case 'mod':
        return this.#operator(at, output, '%');
      case 'straight_join':
        return this.#operator(at, output, 'JOIN');
      case 'binary':
        return at + 1;
      case 'from':
        if (next !== 'dual') break;
        return at + 2;
      case 'use':
      case 'force':
      case 'ignore':
        if (next !== 'index' && next !== 'key') break;
        return this.#indexHint(at);
      case 'for':
        if (next !== 'update' && next !== 'share') break;
        return this.#lockingClause(at + 2, to);
      case 'lock':
        if (next !== 'in' || statement.word(at + 2) !== 'share') break;
        return this.#lockingClause(at + 4, to);
      case 'collate':
        return this.#collation(at, token, output);
      case 'null':
      case 'true':
      case 'false':
        output.pushOperand(token.spaced, [token.text]);
        return at + 1;
      case 'interval':
        throw statement.errorAt(at);
      default:
        if (introducedLiterals.has(word) && statement.tokens[at + 1]?.kind === 'string') return at + 1;
        if (quotedWords.has(word)) {
          output.pushOperand(token.spaced, [quoteName(token.text)]);
          return at + 1;
        }
    }
    return at;
  }

  #indexHint(at: number): number {
    let open = at + 2;
    while (this.statement.tokens[open] !== undefined && this.statement.symbol(open) !== '(') open++;
    const close = this.statement.partner(open);
    if (close < 0) throw this.statement.errorAt(open);
    return close + 1;
  }

  /** The rest of FOR UPDATE [OF t, …] [NOWAIT | SKIP LOCKED]. */
  #lockingClause(at: number, to: number): number {
    this.notes.locking = true;
    let next = at;
    if (this.statement.word(next) === 'of') {
      next += 2;
      while (next < to && this.statement.symbol(next) === ',') next += 2;
    }
    if (this.statement.word(next) === 'nowait') return next + 1;
    return this.statement.word(next) === 'skip' ? next + 2 : next;
  }

  #collation(at: number, token: Token, output: Output): number {
    const name = this.statement.tokens[at + 1];
    if (name === undefined) throw this.statement.errorAt(at + 1);
    const collation = collationOf(name.text);
    output.push(token.spaced, [`COLLATE ${collation}`]);
    return at + 2;
  }

  #interval(at: number, to: number, sign: '+' | '-', output: Output): number {
    const { statement } = this;
    let unit = at + 2;
    while (unit < to && !(isIntervalUnit(statement.word(unit)) && unit > at + 2)) {
      unit = statement.symbol(unit) === '(' ? statement.partner(unit) + 1 : unit + 1;
    }
    if (unit >= to) throw statement.errorAt(at + 1);
    const count = this.range(at + 2, unit);
    const time = output.takeOperand();
    output.pushOperand(true, addInterval(time, sign, count, statement.word(unit)));
    return unit + 1;
  }

  /** A name, qualified or not. A table's database is dropped: a tenant is one database. */
  #path(at: number, to: number, token: Token, output: Output, tablesFollow: boolean): number {
    const { statement } = this;
    const parts: Token[] = [token];
    let next = at + 1;
    while (next + 1 < to && statement.symbol(next) === '.') {
      const part = statement.tokens[next + 1];
      if (part?.kind !== 'word' && part?.kind !== 'quoted') break;
      parts.push(part);
      next += 2;
    }
    const virtual = tablesFollow && this.#isTable(at) ? this.#virtualTable(parts, next, to) : null;
    if (virtual !== null) {
      output.pushOperand(token.spaced, virtual);
      return next;
    }
    const shown =
      parts.length === 3 || (parts.length === 2 && tablesFollow && this.#isTable(at))
        ? parts.slice(1)
        : parts;
    const names = shown.map(part => (part.kind === 'quoted' ? quoteName(part.text) : part.text));
    const qualifier = names.length > 1 ? this.qualifiers.get(shown[0]?.text.toLowerCase() ?? '') : undefined;
    if (qualifier !== undefined) names[0] = qualifier;
    output.pushOperand(token.spaced, [names.join('.')]);
    return next;
  }

  /** A table of oceanbase or information_schema; null for the tenant's own. */
  #virtualTable(parts: readonly Token[], next: number, to: number): Fragment | null {
    const qualifier = parts.length === 2 ? (parts[0]?.text.toLowerCase() ?? '') : '';
    const name = parts.at(-1)?.text ?? '';
    if (qualifier === 'oceanbase') return [`oceanbase.${quoteName(name)}`];
    const isInformation = qualifier === 'information_schema';
    const assumed =
      parts.length === 1 && this.#views.kind === 'information_schema' && this.#views.unqualified;
    if (!isInformation && !assumed) return null;
    const table = informationSchemaTable(name);
    if (table === undefined) {
      if (isInformation) throw new ObError('OBS_SQL_NO_SUCH_TABLE', { table: `information_schema.${name}` });
      return null;
    }
    const following = next < to ? this.statement.tokens[next] : undefined;
    const aliased =
      following?.kind === 'quoted' ||
      (following?.kind === 'word' && !tableAliasBreakers.has(following.lower));
    return aliased ? table : sql`${table} AS ${quoteName(name)}`;
  }

  /** Whether the name at `at` stands where a table does, and not in a join condition. */
  #isTable(at: number): boolean {
    const before = this.statement.word(at - 1);
    if (tableIntroducers.has(before)) return true;
    if (this.statement.symbol(at - 1) === '(') return tableIntroducers.has(this.statement.word(at - 2));
    if (this.statement.symbol(at - 1) !== ',') return false;
    for (let index = at - 1; index >= 0; index--) {
      const symbol = this.statement.symbol(index);
      if (symbol === ')') index = this.statement.partner(index);
      else if (symbol === '(') return false;
      const word = this.statement.word(index);
      if (word === 'on' || word === 'using' || word === 'set') return false;
      if (tableIntroducers.has(word)) return true;
    }
    return false;
  }

  // --- functions ---

  /** A function call rewritten; the unchanged index when SQLite takes it as it is. */
  #call(at: number, token: Token, output: Output): number {
    const { statement } = this;
    const close = statement.partner(at + 1);
    const special = rewriteSpecialCall(this, token.lower, at + 2, close);
    const rewrite = special === null ? functionRewrites.get(token.lower) : undefined;
    const fragment = special ?? rewrite?.(this.arguments(at + 2, close)) ?? null;
    if (fragment === null) {
      if (token.lower === 'values' || isNoFunction(token.lower)) return at;
      output.pushOperand(token.spaced, sql`${token.text}(${this.range(at + 2, close)})`);
      return close + 1;
    }
    output.pushOperand(token.spaced, fragment);
    return close + 1;
  }

  /** The values between commas, each fit to stand in any expression. */
  arguments(from: number, to: number): Fragment[] {
    return this.statement.list(from, to).map(([start, end]) => this.argument(start, end));
  }

  /** In brackets unless it is one operand, so that an operator around it cannot split it. */
  argument(start: number, end: number): Fragment {
    const fragment = trimmed(this.range(start, end));
    return this.#isOneOperand(start, end) ? fragment : sql`(${fragment})`;
  }

  #isOneOperand(start: number, end: number): boolean {
    if (end - start === 1) return true;
    const open = this.statement.symbol(start) === '(' ? start : start + 1;
    if (this.statement.symbol(open) === '(' && this.statement.partner(open) === end - 1) return true;
    return end - start === 3 && this.statement.symbol(start + 1) === '.';
  }

  // --- select lists ---

  #select(at: number, to: number, token: Token, output: Output): number {
    const { statement } = this;
    output.push(token.spaced, [token.text]);
    let next = at + 1;
    for (; selectModifiers.has(statement.word(next)) && next < to; next++) {
      const modifier = statement.word(next);
      if (modifier === 'distinct' || modifier === 'distinctrow') output.push(true, ['DISTINCT']);
    }
    const end = statement.find(next, to, selectListEnds);
    const items = statement.list(next, end).map(([start, stop]) => this.#selectItem(start, stop));
    output.push(true, joined(items, ', '));
    output.operandFrom = -1;
    return end;
  }

  #selectItem(start: number, end: number): Fragment {
    const { statement } = this;
    const fragment = trimmed(this.range(start, end));
    const source = statement.source(start, end);
    const only = end - start === 1 ? statement.tokens[start] : undefined;
    if (only?.kind === 'string') return sql`${fragment} AS ${quoteName(only.text || ' ')}`;
    if (isPlainColumn(statement, start, end) || hasAlias(statement, start, end)) return fragment;
    if (textOf(fragment) === source) return fragment;
    return source.includes('\0') ? fragment : sql`${fragment} AS ${quoteName(source)}`;
  }
}

/** MySQL's collation as one of SQLite's: `_bin` compares bytes, the others ignore the case of ASCII letters. */
export const collationOf = (name: string): 'BINARY' | 'NOCASE' =>
  /_ci$/i.test(name) || /^nocase$/i.test(name) ? 'NOCASE' : 'BINARY';
