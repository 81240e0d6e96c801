/**
 * Which statements of clients reach SQLite, and how each is to be run. SQLite offers no authorizer here, so the first
 * keywords decide, before the text is prepared: some PRAGMAs act while they are prepared, under EXPLAIN too.
 *
 * It must never let through what would change how the database is journalled or checkpointed (ATTACH, VACUUM INTO,
 * journal PRAGMAs), what lives in one connection only (TEMP objects, per-connection PRAGMAs), or what ends a shared
 * transaction (BEGIN, COMMIT). It fails closed: unknown keywords are refused, with SQLite's own text when it is a typo.
 */
import { ObError } from '../base/errors.ts';

export type StatementKind =
  /** changes nothing */
  | 'read'
  /** WITH …: reads or writes; preparing it tells */
  | 'with'
  /** changes rows */
  | 'write'
  /** changes the schema, or something a schema-dependent cache must hear of */
  | 'schema'
  /** VACUUM: outside transactions, by itself */
  | 'alone'
  /** SAVEPOINT, RELEASE, ROLLBACK TO: inside a write transaction */
  | 'savepoint'
  /** not a statement of SQLite: preparing it gives the syntax error */
  | 'unknown';

/** Names that start with this belong to the system. */
const hiddenPrefix = '__obs_';

/** PRAGMAs that only tell something; an argument names what about, and never sets anything. */
const tellingPragmas = new Set([
  'table_info',
  'table_xinfo',
  'table_list',
  'index_list',
  'index_info',
  'index_xinfo',
  'foreign_key_list',
  'foreign_key_check',
  'integrity_check',
  'quick_check',
]);

/** PRAGMAs that tell without an argument, and would set something with one. */
const bareTellingPragmas = new Set([
  'application_id',
  'auto_vacuum',
  'collation_list',
  'compile_options',
  'data_version',
  'encoding',
  'foreign_keys',
  'freelist_count',
  'function_list',
  'journal_mode',
  'max_page_count',
  'module_list',
  'page_count',
  'page_size',
  'pragma_list',
  'schema_version',
  'synchronous',
  'user_version',
]);

/** PRAGMAs that change the database file, and only it: replicated like any other write. */
const writingPragmas = new Set(['user_version', 'application_id', 'incremental_vacuum']);

interface Token {
  readonly kind: 'word' | 'quoted' | 'string' | 'symbol' | 'end';
  /** words upper case; quoted names and strings without their quotes; one character of a symbol */
  readonly text: string;
}

const end: Token = { kind: 'end', text: '' };

/** SQLite's tokens as far as the guard needs them: words, quoted names, strings; comments and spaces are skipped. */
class Tokens {
  readonly #sql: string;
  #at = 0;

  constructor(sql: string) {
    this.#sql = sql;
  }

  next(): Token {
    this.#skipBlank();
    const sql = this.#sql;
    const first = sql[this.#at];
    if (first === undefined) return end;
    if (first === "'") return { kind: 'string', text: this.#quoted("'") };
    if (first === '"' || first === '`') return { kind: 'quoted', text: this.#quoted(first) };
    if (first === '[') return { kind: 'quoted', text: this.#bracketed() };
    wordPattern.lastIndex = this.#at;
    const word = wordPattern.exec(sql)?.[0];
    if (word !== undefined) {
      this.#at += word.length;
      return { kind: 'word', text: word.toUpperCase() };
    }
    this.#at += 1;
    return { kind: 'symbol', text: first };
  }

  #skipBlank(): void {
    const sql = this.#sql;
    for (;;) {
      const code = sql.charCodeAt(this.#at);
      // what SQLite's tokenizer takes for a space, and the byte order mark it skips
      if (code === 32 || (code >= 9 && code <= 13) || code === 0xfeff) this.#at += 1;
      else if (code === 45 && sql.charCodeAt(this.#at + 1) === 45) {
        const newline = sql.indexOf('\n', this.#at);
        this.#at = newline < 0 ? sql.length : newline + 1;
      } else if (code === 47 && sql.charCodeAt(this.#at + 1) === 42) {
        const close = sql.indexOf('*/', this.#at + 2);
        this.#at = close < 0 ? sql.length : close + 2;
      } else return;
    }
  }

  #quoted(quote: string): string {
    const sql = this.#sql;
    let text = '';
    let from = this.#at + 1;
    for (;;) {
      const close = sql.indexOf(quote, from);
      if (close < 0) {
        this.#at = sql.length;
        return text + sql.slice(from);
      }
      text += sql.slice(from, close);
      if (sql[close + 1] !== quote) {
        this.#at = close + 1;
        return text;
      }
      text += quote;
      from = close + 2;
    }
  }

  #bracketed(): string {
    const close = this.#sql.indexOf(']', this.#at);
    const stop = close < 0 ? this.#sql.length : close;
    const text = this.#sql.slice(this.#at + 1, stop);
    this.#at = stop + 1;
    return text;
  }
}

const wordPattern = /[A-Za-z_0-9$\u0080-\uffff]+/y;

const forbid = (what: string, instead: string): never => {
  throw new ObError('OBS_SQL_FORBIDDEN', { what, instead });
};

/**
 * Says how a statement is to be run, or throws OBS_SQL_FORBIDDEN / OBS_SQL_HIDDEN_TABLE. `internal` work may name
 * hidden tables; nothing else is different for it.
 */
export function guardStatement(sql: string, options: { internal: boolean }): StatementKind {
  const tokens = new Tokens(sql);
  const first = tokens.next();
  if (!options.internal) refuseHiddenNames(sql);
  if (/load_extension/i.test(sql)) refuseWord(sql, 'LOAD_EXTENSION');
  if (first.kind !== 'word') return 'unknown';
  if (first.text !== 'EXPLAIN') return kindOf(first, tokens, sql);
  let explained = tokens.next();
  if (explained.text === 'QUERY') {
    tokens.next();
    explained = tokens.next();
  }
  const inner = kindOf(explained, tokens, sql);
  return inner === 'unknown' ? 'unknown' : 'read';
}

/** True when a statement surely takes no writer: what the queue of writers asks before anything is prepared. */
export function startsAsRead(sql: string): boolean {
  const first = new Tokens(sql).next();
  return first.kind === 'word' && readingWords.has(first.text);
}

const readingWords = new Set(['SELECT', 'VALUES', 'WITH', 'EXPLAIN', 'PRAGMA']);

/** First word of a statement, upper case, or an empty text. */
export function firstWord(sql: string): string {
  const first = new Tokens(sql).next();
  return first.kind === 'word' ? first.text : '';
}

function kindOf(first: Token, tokens: Tokens, sql: string): StatementKind {
  switch (first.text) {
    case 'SELECT':
    case 'VALUES':
      return 'read';
    case 'WITH':
      return 'with';
    case 'INSERT':
    case 'REPLACE':
    case 'UPDATE':
    case 'DELETE':
      return 'write';
    case 'CREATE':
      return guardCreate(tokens, sql);
    case 'ALTER':
    case 'DROP':
    case 'REINDEX':
    case 'ANALYZE':
      return 'schema';
    case 'VACUUM':
      return guardVacuum(tokens);
    case 'PRAGMA':
      return guardPragma(tokens);
    case 'SAVEPOINT':
    case 'RELEASE':
      return 'savepoint';
    case 'ROLLBACK':
      return guardRollback(tokens);
    case 'BEGIN':
    case 'COMMIT':
    case 'END':
      return forbid(`${first.text} as a statement`, 'Use the transaction commands of the protocol.');
    case 'ATTACH':
    case 'DETACH':
      return forbid(first.text, 'A tenant is one database; connect to the other tenant instead.');
    default:
      return 'unknown';
  }
}

function guardCreate(tokens: Tokens, sql: string): StatementKind {
  const noTemporary = (): never =>
    forbid('a temporary object', 'Use an ordinary table and drop it when it is done with.');
  let token = tokens.next();
  if (token.text === 'TEMP' || token.text === 'TEMPORARY') return noTemporary();
  if (token.text === 'UNIQUE') token = tokens.next();
  if (token.text === 'VIRTUAL') {
    // modules read tables they are told by name, in strings too
    if (sql.toLowerCase().includes(hiddenPrefix)) {
      throw new ObError('OBS_SQL_HIDDEN_TABLE', { name: 'in a virtual table' });
    }
    token = tokens.next();
  }
  let name = tokens.next();
  if (name.kind === 'word' && name.text === 'IF') {
    tokens.next();
    tokens.next();
    name = tokens.next();
  }
  const temporary = name.text.toUpperCase() === 'TEMP' && tokens.next().text === '.';
  return temporary ? noTemporary() : 'schema';
}

function guardVacuum(tokens: Tokens): StatementKind {
  for (let token = tokens.next(); token.kind !== 'end'; token = tokens.next()) {
    if (token.kind === 'word' && token.text === 'INTO') {
      forbid('VACUUM INTO', 'Use a backup: it is a consistent copy.');
    }
  }
  return 'alone';
}

function guardRollback(tokens: Tokens): StatementKind {
  let token = tokens.next();
  if (token.text === 'TRANSACTION') token = tokens.next();
  if (token.text === 'TO') return 'savepoint';
  return forbid('ROLLBACK as a statement', 'Use the transaction commands of the protocol.');
}

function guardPragma(tokens: Tokens): StatementKind {
  let name = tokens.next();
  let after = tokens.next();
  if (after.text === '.') {
    name = tokens.next();
    after = tokens.next();
  }
  const pragma = name.text.toLowerCase();
  const bare = after.kind === 'end' || after.text === ';';
  if (tellingPragmas.has(pragma) || (bare && bareTellingPragmas.has(pragma))) return 'read';
  if (writingPragmas.has(pragma)) return 'write';
  if (pragma === 'optimize') return 'schema';
  return forbid(
    `PRAGMA ${/^\w{1,64}$/.test(pragma) ? pragma : ''}`.trim(),
    'Session settings are set with SET; storage settings belong to the server.',
  );
}

function refuseHiddenNames(sql: string): void {
  if (!/__obs_/i.test(sql)) return;
  const tokens = new Tokens(sql);
  for (let token = tokens.next(); token.kind !== 'end'; token = tokens.next()) {
    const named = token.kind === 'word' || token.kind === 'quoted';
    if (named && token.text.toLowerCase().startsWith(hiddenPrefix)) {
      throw new ObError('OBS_SQL_HIDDEN_TABLE', { name: token.text.toLowerCase() });
    }
    // SQLite takes a string for a name where only a name may stand
    if (token.kind === 'string' && token.text.toLowerCase().startsWith(hiddenPrefix)) {
      throw new ObError('OBS_SQL_HIDDEN_TABLE', { name: token.text.toLowerCase() });
    }
  }
}

function refuseWord(sql: string, word: string): void {
  const tokens = new Tokens(sql);
  for (let token = tokens.next(); token.kind !== 'end'; token = tokens.next()) {
    if ((token.kind === 'word' || token.kind === 'quoted') && token.text.toUpperCase() === word) {
      forbid(word.toLowerCase(), 'Extensions cannot be loaded.');
    }
  }
}
