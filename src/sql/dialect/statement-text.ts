/**
 * One statement's tokens with what every rewrite asks of them: bracket partners, parameter numbers, the original text
 * between two tokens. Brackets that do not pair are refused here, once, so that later steps never look past an end.
 */
import { ObError } from '../../base/errors.ts';
import { dialectNestingMax } from '../../base/limits.ts';
import type { LexicalMode } from '../plan.ts';
import { type LexError, lex, type Token } from './lexer.ts';

/** Error 1064. Names the word only, never what follows it: the rest of a statement may hold a password. */
function syntaxError(text: string, position: number, near: string): ObError {
  let line = 1;
  for (let at = text.indexOf('\n'); at >= 0 && at < position; at = text.indexOf('\n', at + 1)) line++;
  return new ObError('OBS_SQL_PARSE', { near, line, position: position + 1 });
}

const nearLength = 64;

/** How an error names a token: literals are never shown. */
function nearOf(token: Token | undefined): string {
  if (token === undefined) return 'the end of the statement';
  switch (token.kind) {
    case 'string':
    case 'blob':
      return 'a string literal';
    case 'user-variable':
      return '@…';
    case 'system-variable':
      return `@@${token.text.slice(0, nearLength)}`;
    default:
      return `'${token.text.slice(0, nearLength)}'`;
  }
}

export class StatementText {
  readonly text: string;
  readonly tokens: readonly Token[];
  /** by bracket */
  readonly #partners = new Map<number, number>();
  /** by parameter */
  readonly #parameterNumbers = new Map<number, number>();
  readonly parameterCount: number;
  /** a hint says that what it reads may be a little old */
  readonly weak: boolean;

  /** Throws OBS_SQL_PARSE for text that cannot be read, several statements, or brackets that do not pair. */
  constructor(text: string, mode: LexicalMode) {
    const { tokens, semicolons, error, weak } = lex(text, mode);
    this.text = text;
    this.weak = weak;
    if (error !== null) throw this.#unreadable(error);
    let count = tokens.length;
    for (let at = semicolons.length - 1; at >= 0 && semicolons[at] === count - 1; at--) count--;
    const inner = semicolons[0];
    if (inner !== undefined && inner < count) throw syntaxError(text, tokens[inner]?.start ?? 0, "';'");
    this.tokens = count === tokens.length ? tokens : tokens.slice(0, count);
    this.parameterCount = this.#pair();
  }

  #unreadable(error: LexError): ObError {
    return syntaxError(this.text, error.position, error.what);
  }

  #pair(): number {
    const open: number[] = [];
    let parameters = 0;
    this.tokens.forEach((token, index) => {
      if (token.kind === 'parameter') this.#parameterNumbers.set(index, parameters++);
      if (token.kind !== 'symbol') return;
      if (token.text === '(') {
        if (open.length >= dialectNestingMax) throw this.errorAt(index);
        open.push(index);
      } else if (token.text === ')') {
        const partner = open.pop();
        if (partner === undefined) throw this.errorAt(index);
        this.#partners.set(partner, index);
        this.#partners.set(index, partner);
      }
    });
    if (open.length > 0) throw this.errorAt(this.tokens.length);
    return parameters;
  }

  errorAt(index: number): ObError {
    const token = this.tokens[index];
    return syntaxError(this.text, token?.start ?? this.text.length, nearOf(token));
  }

  /** Index of the bracket that closes (or opens) the one at `index`. */
  partner(index: number): number {
    return this.#partners.get(index) ?? -1;
  }

  /** Which of the client's `?` the token at `index` is, from 0. */
  parameterNumber(index: number): number {
    return this.#parameterNumbers.get(index) ?? 0;
  }

  word(index: number): string {
    return this.tokens[index]?.lower ?? '';
  }

  symbol(index: number): string {
    const token = this.tokens[index];
    return token?.kind === 'symbol' ? token.text : '';
  }

  /** The client's own text of the tokens [from, to). */
  source(from: number, to: number): string {
    const first = this.tokens[from];
    const last = this.tokens[to - 1];
    return first === undefined || last === undefined || to <= from
      ? ''
      : this.text.slice(first.start, last.end);
  }

  /** Ranges of the tokens [from, to) between commas outside brackets; none for an empty range. */
  list(from: number, to: number): readonly (readonly [number, number])[] {
    const ranges: [number, number][] = [];
    let start = from;
    for (let at = from; at < to; at++) {
      const symbol = this.symbol(at);
      if (symbol === '(') {
        at = this.partner(at);
      } else if (symbol === ',') {
        ranges.push([start, at]);
        start = at + 1;
      }
    }
    if (to > from) ranges.push([start, to]);
    return ranges;
  }

  /** First index in [from, to) outside brackets whose word is in `words`; `to` when there is none. */
  find(from: number, to: number, words: ReadonlySet<string>): number {
    for (let at = from; at < to; at++) {
      const token = this.tokens[at];
      if (token?.kind === 'symbol' && token.text === '(') at = this.partner(at);
      else if (token?.kind === 'word' && words.has(token.lower)) return at;
    }
    return to;
  }
}
