/**
 * Reads a statement's tokens from left to right for the grammars that are parsed and not rewritten: DDL, SET, SHOW, users,
 * ALTER SYSTEM. What does not fit is error 1064 with the position.
 */
import type { ObError } from '../../base/errors.ts';
import type { Token } from './lexer.ts';
import type { StatementText } from './statement-text.ts';

export class TokenCursor {
  readonly statement: StatementText;
  at: number;
  readonly end: number;

  constructor(statement: StatementText, at = 0, end = statement.tokens.length) {
    this.statement = statement;
    this.at = at;
    this.end = end;
  }

  get done(): boolean {
    return this.at >= this.end;
  }

  peek(ahead = 0): Token | undefined {
    return this.at + ahead < this.end ? this.statement.tokens[this.at + ahead] : undefined;
  }

  /** Lower-case word ahead, or ''. */
  word(ahead = 0): string {
    return this.peek(ahead)?.lower ?? '';
  }

  symbol(ahead = 0): string {
    const token = this.peek(ahead);
    return token?.kind === 'symbol' ? token.text : '';
  }

  error(): ObError {
    return this.statement.errorAt(this.at);
  }

  /** True, and past them, if these words come next. */
  take(...words: readonly string[]): boolean {
    if (!words.every((word, index) => this.word(index) === word)) return false;
    this.at += words.length;
    return true;
  }

  expect(...words: readonly string[]): void {
    for (const word of words) if (!this.take(word)) throw this.error();
  }

  /** The one of `words` that comes next, consumed; undefined if none does. */
  takeOne<Word extends string>(...words: readonly Word[]): Word | undefined {
    const found = words.find(word => this.word() === word);
    if (found !== undefined) this.at++;
    return found;
  }

  expectOne<Word extends string>(...words: readonly Word[]): Word {
    const found = this.takeOne(...words);
    if (found === undefined) throw this.error();
    return found;
  }

  takeSymbol(symbol: string): boolean {
    if (this.symbol() !== symbol) return false;
    this.at++;
    return true;
  }

  expectSymbol(symbol: string): void {
    if (!this.takeSymbol(symbol)) throw this.error();
  }

  expectEnd(): void {
    if (!this.done) throw this.error();
  }

  /** A bare or quoted name. */
  name(): string {
    const token = this.peek();
    if (token?.kind !== 'word' && token?.kind !== 'quoted') throw this.error();
    this.at++;
    return token.text;
  }

  /** A name that may be qualified; the qualifier is null without one. */
  qualifiedName(): { readonly schema: string | null; readonly name: string } {
    const first = this.name();
    return this.takeSymbol('.') ? { schema: first, name: this.name() } : { schema: null, name: first };
  }

  string(): string {
    const token = this.peek();
    if (token?.kind !== 'string') throw this.error();
    this.at++;
    return token.text;
  }

  /** A name written as a word, a quoted name or a string: tenants and users may be given as any of them. */
  nameOrString(): string {
    return this.peek()?.kind === 'string' ? this.string() : this.name();
  }

  /** A whole number that JS holds exactly. */
  integer(): number {
    const token = this.peek();
    const value = Number(token?.text);
    if (token?.kind !== 'number' || !/^\d+$/.test(token.text) || !Number.isSafeInteger(value))
      throw this.error();
    this.at++;
    return value;
  }

  /** Past the bracket that closes the one here; the range inside. */
  brackets(): readonly [number, number] {
    if (this.symbol() !== '(') throw this.error();
    const close = this.statement.partner(this.at);
    const range = [this.at + 1, close] as const;
    this.at = close + 1;
    return range;
  }
}
