/**
 * Tells in one look whether a statement means the same in MySQL and in SQLite, so that it may pass untouched. Fails closed: whatever
 * it does not know takes the slow way, which must give the same statement (a test holds both to it). One pass, no backtracking: the
 * text comes from outside.
 */

/** Words that are read differently, or ask for something, wherever they stand. */
const wordsWithMeaning: ReadonlySet<string> = new Set(
  [
    'autoincrement binary collate current_user date default deferrable delayed distinctrow div dual dumpfile escape',
    'except for force high_priority ignore indexed intersect interval into join lateral localtime localtimestamp lock',
    'low_priority mod natural notnull of outfile partition quick regexp replace returning rlike rollup select separator',
    'share skip sounds straight_join time timestamp transaction union use using utc_date utc_time utc_timestamp values',
    'window with xor sql_big_result sql_buffer_result sql_cache sql_calc_found_rows sql_no_cache sql_small_result',
  ].flatMap(line => line.split(' ')),
);

/** Words before a bracket that are the same in both. */
const sameCalls: ReadonlySet<string> = new Set(
  'count sum min max avg coalesce ifnull lower upper abs in and or not where between when then else by exists'.split(
    ' ',
  ),
);

/** longer texts gain nothing */
const plainLength = 4_096;

const isLetter = (code: number): boolean => (code >= 97 && code <= 122) || (code >= 65 && code <= 90);
const isDigit = (code: number): boolean => code >= 48 && code <= 57;
const isWordPart = (code: number): boolean => isLetter(code) || isDigit(code) || code === 95;
const isSpace = (code: number): boolean => code === 32 || (code >= 9 && code <= 13);

/** One pass over one text. */
class Look {
  readonly #text: string;
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  isPlain(): boolean {
    switch (this.#word()) {
      case 'select':
        return this.#rest(true);
      case 'update':
        return this.#name() && this.#word() === 'set' && this.#rest(false);
      case 'delete':
        if (this.#word() !== 'from' || !this.#name()) return false;
        return this.#at >= this.#text.length || (this.#word() === 'where' && this.#rest(false));
      default:
        return false;
    }
  }

  /** The word here in lower case, past it and the blanks behind it. '' when there is none, or no blank or end behind it. */
  #word(): string {
    const from = this.#at;
    const end = this.#wordEnd();
    const word = this.#text.slice(from, end).toLowerCase();
    this.#at = this.#skipSpaces(end);
    return end === from || (this.#at === end && end < this.#text.length) ? '' : word;
  }

  #name(): boolean {
    const word = isLetter(this.#text.charCodeAt(this.#at)) ? this.#word() : '';
    return word !== '' && !wordsWithMeaning.has(word);
  }

  #wordEnd(): number {
    let end = this.#at;
    while (isWordPart(this.#text.charCodeAt(end))) end++;
    return end;
  }

  #skipSpaces(from: number): number {
    let at = from;
    while (isSpace(this.#text.charCodeAt(at))) at++;
    return at;
  }

  /** A string literal in a select list would be named differently, so FROM must come before the first one. */
  #rest(isSelect: boolean): boolean {
    const text = this.#text;
    let stringsAllowed = !isSelect;
    while (this.#at < text.length) {
      const code = text.charCodeAt(this.#at);
      if (isLetter(code)) {
        const word = this.#plainWord();
        if (word === null) return false;
        if (word === 'from') stringsAllowed = true;
      } else if (isDigit(code)) {
        if (!this.#wholeNumber()) return false;
      } else if (code === 39) {
        if (!stringsAllowed || !this.#string()) return false;
      } else if (isSpace(code)) {
        this.#at++;
      } else if (!this.#symbol(code)) {
        return false;
      }
    }
    return true;
  }

  /** The word here, lower case; null when it, or what follows it, is not the same in both. */
  #plainWord(): string | null {
    const from = this.#at;
    const end = this.#wordEnd();
    const word = this.#text.slice(from, end).toLowerCase();
    if (wordsWithMeaning.has(word)) return null;
    const next = this.#text.charCodeAt(this.#skipSpaces(end));
    // a literal's prefix, a qualified name, or a call
    if (next === 46 || (next === 39 && this.#text.charCodeAt(end) === 39)) return null;
    if (next === 40 && !sameCalls.has(word)) return null;
    const code = this.#text.charCodeAt(end);
    if (code === 36 || code >= 128) return null;
    this.#at = end;
    return word;
  }

  #wholeNumber(): boolean {
    while (isDigit(this.#text.charCodeAt(this.#at))) this.#at++;
    const code = this.#text.charCodeAt(this.#at);
    return !isWordPart(code) && code !== 46 && code !== 36 && !(code >= 128);
  }

  /** A string that needs no reading and has no neighbour. */
  #string(): boolean {
    const close = this.#text.indexOf("'", this.#at + 1);
    if (close < 0) return false;
    for (let at = this.#at + 1; at < close; at++) {
      const code = this.#text.charCodeAt(at);
      if (code === 92 || code === 0) return false;
    }
    this.#at = close + 1;
    return this.#text.charCodeAt(this.#skipSpaces(close + 1)) !== 39;
  }

  #symbol(code: number): boolean {
    const next = this.#text.charCodeAt(this.#at + 1);
    this.#at++;
    switch (code) {
      case 40: // (
      case 41: // )
      case 42: // *
      case 43: // +
      case 44: // ,
      case 37: // %
      case 61: // =
      case 63: // ?
        return true;
      case 60: // < but not <=>
        return !(next === 61 && this.#text.charCodeAt(this.#at + 1) === 62);
      case 62: // >
        return true;
      case 45: // - but no comment
        return next !== 45;
      default:
        return false;
    }
  }
}

export const isPlain = (text: string): boolean => text.length <= plainLength && new Look(text).isPlain();
