/**
 * Reads MySQL text as MySQL does: backslash escapes, three kinds of quotes, three kinds of comments, versioned comments
 * whose content counts, introducers, hexadecimal and bit literals. A literal that is read differently from what the
 * client's escaping assumed is an injection hole, so nothing here guesses: what cannot be read is a syntax error.
 *
 * Works on bytes too: with `textIsBytes` each character is one byte, and literals are read back as UTF-8 or kept as blobs.
 * Must never throw for any text, and never loop without consuming a character.
 */
import { dialectTokensMax } from '../../base/limits.ts';
import type { LexicalMode } from '../plan.ts';

type TokenKind =
  /** keyword or bare identifier; `lower` is the lower-case text */
  | 'word'
  /** `quoted` (or "quoted" with ANSI_QUOTES) identifier */
  | 'quoted'
  | 'string'
  | 'number'
  /** x'..', 0x.. and _binary '..' : bytes */
  | 'blob'
  | 'symbol'
  /** ? */
  | 'parameter'
  /** @name, or @'name' */
  | 'user-variable'
  /** @@name, @@session.name */
  | 'system-variable';

export interface Token {
  readonly kind: TokenKind;
  readonly start: number;
  readonly end: number;
  /** a word as written; the decoded name, string or number; a symbol's characters; a variable's name without @ */
  readonly text: string;
  /** lower case of a word; '' for every other kind, so that keywords are never mistaken for quoted names */
  readonly lower: string;
  /** value of a blob literal, else null */
  readonly bytes: Uint8Array | null;
  /** white space or a comment stands before it */
  readonly spaced: boolean;
}

export interface LexError {
  /** offset of the character that cannot be read */
  readonly position: number;
  readonly what: string;
}

export interface LexResult {
  readonly tokens: readonly Token[];
  /** token indexes of the top-level semicolons */
  readonly semicolons: readonly number[];
  readonly error: LexError | null;
  /** a hint asks for READ_CONSISTENCY(WEAK) */
  readonly weak: boolean;
}

const weakHint = /\bread_consistency\s*\(\s*weak\s*\)/i;
const versionHere = 80_000;

const isWordStart = (code: number): boolean =>
  (code >= 97 && code <= 122) || (code >= 65 && code <= 90) || code === 95 || code >= 128;
const isDigit = (code: number): boolean => code >= 48 && code <= 57;
const isWordPart = (code: number): boolean => isWordStart(code) || isDigit(code) || code === 36;
const isSpace = (code: number): boolean => code === 32 || (code >= 9 && code <= 13);
const isHex = (code: number): boolean =>
  isDigit(code) || (code >= 97 && code <= 102) || (code >= 65 && code <= 70);

const symbols3 = new Set(['<=>', '->>']);
const symbols2 = new Set(['<=', '>=', '<>', '!=', '&&', '||', '<<', '>>', ':=', '->']);
const symbols1 = new Set('()[],.;+-*/%<>=!&|^~{}:');
/** characters a longer symbol may start with */
const longSymbolStarts = new Set('<>!&|:-');
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The bytes of a text whose characters are bytes, as UTF-8 text; null where they are not UTF-8. */
function textOfBytes(text: string): string | null {
  try {
    return strictUtf8.decode(Buffer.from(text, 'latin1'));
  } catch {
    return null;
  }
}

/** What a backslash and this character mean inside a literal. `%` and `_` keep their backslash: LIKE reads it. */
function unescaped(character: string): string {
  switch (character) {
    case '0':
      return '\0';
    case 'b':
      return '\b';
    case 'n':
      return '\n';
    case 'r':
      return '\r';
    case 't':
      return '\t';
    case 'Z':
      return '\x1a';
    case '%':
    case '_':
      return `\\${character}`;
    default:
      return character;
  }
}

/** One pass over a text. `lex` is the door; the class only holds the position. */
class Lexer {
  readonly #text: string;
  readonly #mode: LexicalMode;
  #at = 0;
  #spaced = false;
  #depthOfVersioned = 0;
  /** the next backslash is here, as far as it was looked for */
  #backslashAt = -1;
  readonly tokens: Token[] = [];
  readonly semicolons: number[] = [];
  error: LexError | null = null;
  weak = false;

  constructor(text: string, mode: LexicalMode) {
    this.#text = text;
    this.#mode = mode;
  }

  run(): void {
    const text = this.#text;
    while (this.error === null) {
      this.#skipBlank();
      if (this.#at >= text.length || this.error !== null) break;
      if (this.tokens.length >= dialectTokensMax) {
        this.#fail(this.#at, `more than ${dialectTokensMax} words in one statement`);
        break;
      }
      this.#next(text.charCodeAt(this.#at));
      this.#spaced = false;
    }
    if (this.error === null && this.#depthOfVersioned > 0) this.#fail(text.length, 'a comment is not closed');
  }

  #fail(position: number, what: string): void {
    this.error ??= { position, what };
  }

  #push(kind: TokenKind, start: number, text: string, lower = '', bytes: Uint8Array | null = null): void {
    this.tokens.push({ kind, start, end: this.#at, text, lower, bytes, spaced: this.#spaced });
  }

  #skipBlank(): void {
    const text = this.#text;
    for (;;) {
      const code = text.charCodeAt(this.#at);
      if (isSpace(code)) {
        this.#at++;
      } else if (code === 35) {
        this.#skipLine();
      } else if (code === 45 && text.charCodeAt(this.#at + 1) === 45 && this.#dashesStartComment()) {
        this.#skipLine();
      } else if (code === 47 && text.charCodeAt(this.#at + 1) === 42) {
        if (!this.#blockComment()) return;
      } else if (this.#depthOfVersioned > 0 && code === 42 && text.charCodeAt(this.#at + 1) === 47) {
        this.#depthOfVersioned--;
        this.#at += 2;
      } else {
        return;
      }
      this.#spaced = true;
    }
  }

  /** `--` needs a blank or the end behind it: `5--3` is arithmetic. */
  #dashesStartComment(): boolean {
    const after = this.#at + 2;
    return after >= this.#text.length || this.#text.charCodeAt(after) <= 32;
  }

  #skipLine(): void {
    const end = this.#text.indexOf('\n', this.#at);
    this.#at = end < 0 ? this.#text.length : end + 1;
  }

  /** Skips a comment, or enters a versioned one whose content counts. */
  #blockComment(): boolean {
    const text = this.#text;
    const head = /^\/\*(M?)!(\d{5,6})?/.exec(text.slice(this.#at, this.#at + 10));
    if (head !== null && head[1] === '' && Number(head[2] ?? 0) <= versionHere) {
      this.#at += head[0].length;
      this.#depthOfVersioned++;
      return true;
    }
    const end = text.indexOf('*/', this.#at + 2);
    if (end < 0) {
      this.#fail(this.#at, 'a comment is not closed');
      return false;
    }
    if (text.charCodeAt(this.#at + 2) === 43 && weakHint.test(text.slice(this.#at, end))) this.weak = true;
    this.#at = end + 2;
    return true;
  }

  #next(code: number): void {
    const text = this.#text;
    const start = this.#at;
    if (isWordStart(code)) return this.#wordOrPrefixed(start, code);
    if (isDigit(code) || (code === 46 && this.#numberMayStartWithDot(start))) return this.#number(start);
    if (code === 39) return this.#string(start, 39);
    if (code === 34) return this.#mode.ansiQuotes ? this.#quoted(start, 34) : this.#string(start, 34);
    if (code === 96) return this.#quoted(start, 96);
    if (code === 64) return this.#variable(start);
    if (code === 63) {
      this.#at++;
      return this.#push('parameter', start, '?');
    }
    return this.#symbol(start, text);
  }

  /** `.5` is a number, but the `.` of `t.5` or `x.1e` belongs to a name. */
  #numberMayStartWithDot(start: number): boolean {
    if (!isDigit(this.#text.charCodeAt(start + 1))) return false;
    const before = this.tokens.at(-1);
    return (
      before === undefined || before.end !== start || (before.kind !== 'word' && before.kind !== 'quoted')
    );
  }

  #symbol(start: number, text: string): void {
    const one = text.charAt(start);
    if (!symbols1.has(one)) return this.#fail(start, 'this character has no meaning here');
    let found = one;
    if (longSymbolStarts.has(one)) {
      const three = text.slice(start, start + 3);
      const two = three.slice(0, 2);
      found = symbols3.has(three) ? three : symbols2.has(two) ? two : one;
    }
    if (found === ';') this.semicolons.push(this.tokens.length);
    this.#at += found.length;
    this.#push('symbol', start, found);
  }

  #wordOrPrefixed(start: number, code: number): void {
    const text = this.#text;
    let end = start + 1;
    while (isWordPart(text.charCodeAt(end))) end++;
    if (text.charCodeAt(end) === 39 && end === start + 1) {
      const prefix = code | 32;
      if (prefix === 120) return this.#quotedDigits(start, 16);
      if (prefix === 98) return this.#quotedDigits(start, 2);
      if (prefix === 110) {
        this.#at = end;
        return this.#string(start, 39);
      }
    }
    this.#at = end;
    const raw = text.slice(start, end);
    if (code === 95 && this.#introducer(start, raw.toLowerCase())) return;
    const word = this.#mode.textIsBytes ? this.#name(start, raw) : raw;
    this.#push('word', start, word, word.toLowerCase());
  }

  /** `_utf8mb4 '..'` is the string, `_binary '..'` its bytes. */
  #introducer(start: number, lower: string): boolean {
    const text = this.#text;
    if (!/^_(utf8mb4|utf8mb3|utf8|ascii|latin1|binary)$/.test(lower)) return false;
    let at = this.#at;
    while (isSpace(text.charCodeAt(at))) at++;
    const quote = text.charCodeAt(at);
    const hexadecimal = (quote | 32) === 120 && text.charCodeAt(at + 1) === 39;
    if (quote !== 39 && !(quote === 34 && !this.#mode.ansiQuotes) && !hexadecimal) return false;
    this.#at = at;
    if (hexadecimal) {
      this.#quotedDigits(at, 16);
    } else {
      this.#string(start, quote);
    }
    const last = this.tokens.at(-1);
    if (this.error !== null || last === undefined) return true;
    if (lower === '_binary' && last.kind === 'string') {
      const bytes = Buffer.from(this.#rawOf(at, quote), this.#mode.textIsBytes ? 'latin1' : 'utf8');
      this.tokens[this.tokens.length - 1] = { ...last, kind: 'blob', text: '', bytes };
    } else if (lower !== '_binary' && last.kind === 'blob' && last.bytes !== null) {
      const value = textOfBytes(Buffer.from(last.bytes).toString('latin1'));
      if (value === null) this.#fail(start, 'these bytes are not UTF-8');
      else this.tokens[this.tokens.length - 1] = { ...last, kind: 'string', text: value, bytes: null };
    }
    return true;
  }

  /** The unescaped characters of the literal that starts at `at`, before they were read as UTF-8. */
  #rawOf(at: number, quote: number): string {
    const keep = this.#at;
    this.#at = at;
    this.#backslashAt = -1;
    const value = this.#literal(at, quote) ?? '';
    this.#at = keep;
    return value;
  }

  #name(start: number, raw: string): string {
    const name = textOfBytes(raw);
    if (name === null) this.#fail(start, 'this name is not UTF-8');
    return name ?? raw;
  }

  #number(start: number): void {
    const text = this.#text;
    const rest = text.slice(start, start + 2);
    if (rest === '0x' && isHex(text.charCodeAt(start + 2))) return this.#bareDigits(start, 16);
    if (rest === '0b' && /[01]/.test(text.charAt(start + 2))) return this.#bareDigits(start, 2);
    let end = start;
    while (isDigit(text.charCodeAt(end))) end++;
    if (end > start && isWordStart(text.charCodeAt(end)) && !/^e[-+]?\d/i.test(text.slice(end, end + 3))) {
      while (isWordPart(text.charCodeAt(end))) end++;
      this.#at = end;
      const raw = text.slice(start, end);
      const word = this.#mode.textIsBytes ? this.#name(start, raw) : raw;
      return this.#push('quoted', start, word);
    }
    if (text.charCodeAt(end) === 46) {
      end++;
      while (isDigit(text.charCodeAt(end))) end++;
    }
    const exponent = /^e[-+]?\d+/i.exec(text.slice(end, end + 8));
    if (exponent !== null) {
      end += exponent[0].length;
      while (isDigit(text.charCodeAt(end))) end++;
    }
    this.#at = end;
    this.#push('number', start, text.slice(start, end));
  }

  #bareDigits(start: number, base: 2 | 16): void {
    let end = start + 2;
    while (isWordPart(this.#text.charCodeAt(end))) end++;
    this.#at = end;
    this.#digits(start, this.#text.slice(start + 2, end), base);
  }

  #quotedDigits(start: number, base: 2 | 16): void {
    const end = this.#text.indexOf("'", start + 2);
    if (end < 0) return this.#fail(start, 'a literal is not closed');
    this.#at = end + 1;
    this.#digits(start, this.#text.slice(start + 2, end), base);
  }

  #digits(start: number, digits: string, base: 2 | 16): void {
    if (base === 2) {
      if (!/^[01]{0,64}$/.test(digits))
        return this.#fail(start, 'a bit literal has 0 and 1 only, 64 at most');
      return this.#push('number', start, BigInt.asIntN(64, BigInt(`0b${digits || '0'}`)).toString());
    }
    if (!/^[0-9a-fA-F]*$/.test(digits)) return this.#fail(start, 'this is not a hexadecimal literal');
    const even = digits.length % 2 === 0 ? digits : `0${digits}`;
    this.#push('blob', start, '', '', Buffer.from(even, 'hex'));
  }

  /** Unescaped characters up to the closing quote; leaves the position behind it. Jumps from mark to mark: values may be long. */
  #literal(start: number, quote: number): string | null {
    const text = this.#text;
    const mark = quote === 39 ? "'" : quote === 34 ? '"' : '`';
    let value = '';
    let from = this.#at + 1;
    let close = text.indexOf(mark, from);
    for (;;) {
      if (close >= 0 && close < from) close = text.indexOf(mark, from);
      const escape = this.#nextBackslash(from);
      if (escape < text.length && (close < 0 || escape < close)) {
        if (escape + 1 >= text.length) break;
        value += text.slice(from, escape) + unescaped(text.charAt(escape + 1));
        from = escape + 2;
      } else if (close < 0) {
        break;
      } else if (text.charCodeAt(close + 1) === quote) {
        value += text.slice(from, close + 1);
        from = close + 2;
      } else {
        this.#at = close + 1;
        return value === '' ? text.slice(from, close) : value + text.slice(from, close);
      }
    }
    this.#at = text.length;
    this.#fail(start, 'a string is not closed');
    return null;
  }

  /** Position of the first backslash that escapes from `from` on; the text's length when there is none. */
  #nextBackslash(from: number): number {
    if (this.#mode.noBackslashEscapes) return this.#text.length;
    if (this.#backslashAt < from) {
      const found = this.#text.indexOf('\\', from);
      this.#backslashAt = found < 0 ? this.#text.length : found;
    }
    return this.#backslashAt;
  }

  #string(start: number, quote: number): void {
    const value = this.#literal(start, quote);
    if (value === null) return;
    if (!this.#mode.textIsBytes) return this.#push('string', start, value);
    const text = textOfBytes(value);
    if (text === null) return this.#push('blob', start, '', '', Buffer.from(value, 'latin1'));
    this.#push('string', start, text);
  }

  /** Quoted names know no backslash. */
  #quoted(start: number, quote: number): void {
    const text = this.#text;
    let at = start + 1;
    for (;;) {
      at = text.indexOf(String.fromCharCode(quote), at);
      if (at < 0) return this.#fail(start, 'a quoted name is not closed');
      if (text.charCodeAt(at + 1) !== quote) break;
      at += 2;
    }
    this.#at = at + 1;
    const mark = String.fromCharCode(quote);
    const raw = text.slice(start + 1, at).replaceAll(mark + mark, mark);
    const name = this.#mode.textIsBytes ? this.#name(start, raw) : raw;
    if (name === '' || name.includes('\0')) return this.#fail(start, 'this is not a name');
    this.#push('quoted', start, name);
  }

  #variable(start: number): void {
    const text = this.#text;
    const system = text.charCodeAt(start + 1) === 64;
    const from = start + (system ? 2 : 1);
    const quote = text.charCodeAt(from);
    if (quote === 39 || quote === 34 || quote === 96) {
      this.#at = from;
      const value = this.#literal(start, quote);
      if (value !== null) this.#push(system ? 'system-variable' : 'user-variable', start, value);
      return;
    }
    let end = from;
    while (isWordPart(text.charCodeAt(end)) || text.charCodeAt(end) === 46) end++;
    if (system && end === from) return this.#fail(start, 'a variable has no name');
    this.#at = end;
    let name = text.slice(from, end);
    if (system && name.endsWith('.') && text.charCodeAt(end) === 96) {
      const close = text.indexOf('`', end + 1);
      if (close < 0) return this.#fail(start, 'a quoted name is not closed');
      name += text.slice(end + 1, close);
      this.#at = close + 1;
    }
    this.#push(system ? 'system-variable' : 'user-variable', start, name);
  }
}

/** All tokens of a text, comments dropped. Never throws; an unreadable text has `error` and the tokens before it. */
export function lex(text: string, mode: LexicalMode): LexResult {
  const lexer = new Lexer(text, mode);
  lexer.run();
  return { tokens: lexer.tokens, semicolons: lexer.semicolons, error: lexer.error, weak: lexer.weak };
}
