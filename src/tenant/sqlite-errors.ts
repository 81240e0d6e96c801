/**
 * What SQLite and its binding throw, as errors of the catalogue with MySQL's numbers. The texts are SQLite's, which are
 * stable over many years; a text that is not known keeps its words under OBS_SQL_FAILED. Nothing is swallowed: what is
 * no answer of SQLite's passes through.
 */
import { ObError } from '../base/errors.ts';
import { firstWord } from './statement-guard.ts';

interface SqliteError extends Error {
  readonly code: string;
}

/** True for an error SQLite itself answered with (of the given primary code, if one is named). */
export const isSqliteError = (error: unknown, code?: string): error is SqliteError =>
  error instanceof Error &&
  error.name === 'SqliteError' &&
  typeof (error as { code?: unknown }).code === 'string' &&
  (code === undefined || (error as SqliteError).code.startsWith(code));

/** The error as the client shall see it; anything that is not about the statement comes back unchanged. */
export function statementError(error: unknown, sql: string): unknown {
  if (isSqliteError(error)) return fromSqlite(error, sql);
  if (error instanceof RangeError || error instanceof TypeError) return fromBinding(error);
  return error;
}

function fromBinding(error: RangeError | TypeError): unknown {
  const { message } = error;
  if (message.includes('more than one statement')) return new ObError('OBS_SQL_ONE_STATEMENT');
  if (message.includes('contains no statements')) return new ObError('OBS_SQL_EMPTY');
  if (/^Too (few|many) parameter values/.test(message)) {
    return new ObError('OBS_SQL_PARAMETER_COUNT', {
      command: 'the statement',
      given: message.startsWith('Too few') ? 'too few' : 'too many',
      wanted: 'its',
    });
  }
  if (/named param/i.test(message)) return new ObError('OBS_SQL_NAMED_PARAMETERS', { message });
  if (/bind|too big/i.test(message)) return new ObError('OBS_SQL_PARAMETER_VALUE', { message });
  return error;
}

function fromSqlite(error: SqliteError, sql: string): ObError {
  const { code, message } = error;
  if (code.startsWith('SQLITE_CONSTRAINT')) return fromConstraint(error, sql);
  if (code === 'SQLITE_ERROR') return fromText(error);
  if (code.startsWith('SQLITE_IOERR') || code.startsWith('SQLITE_CANTOPEN')) {
    return new ObError('OBS_SQL_IO', { message: `${code}: ${message}` }, error);
  }
  if (code.startsWith('SQLITE_CORRUPT') || code === 'SQLITE_NOTADB') {
    return new ObError('OBS_SQL_CORRUPT', { message }, error);
  }
  if (code.startsWith('SQLITE_BUSY') || code.startsWith('SQLITE_LOCKED')) {
    return new ObError('OBS_SQL_BUSY', { message }, error);
  }
  switch (code) {
    case 'SQLITE_MISMATCH':
      return new ObError('OBS_SQL_VALUE_TYPE', { message }, error);
    case 'SQLITE_FULL':
      return new ObError('OBS_SQL_DISK_FULL', { message }, error);
    case 'SQLITE_TOOBIG':
      return new ObError('OBS_SQL_TOO_BIG', { message }, error);
    case 'SQLITE_NOMEM':
      return new ObError('OBS_SQL_NO_MEMORY', { message }, error);
    default:
      return new ObError('OBS_SQL_FAILED', { message }, error);
  }
}

function fromConstraint(error: SqliteError, sql: string): ObError {
  const { code, message } = error;
  const about = message.slice(message.indexOf(': ') + 2);
  switch (code) {
    case 'SQLITE_CONSTRAINT_PRIMARYKEY':
    case 'SQLITE_CONSTRAINT_UNIQUE':
    case 'SQLITE_CONSTRAINT_ROWID':
      return new ObError('OBS_SQL_DUPLICATE_KEY', { key: about }, error);
    case 'SQLITE_CONSTRAINT_NOTNULL':
      return new ObError('OBS_SQL_NOT_NULL', { column: about.slice(about.indexOf('.') + 1) }, error);
    case 'SQLITE_CONSTRAINT_FOREIGNKEY':
      // SQLite does not say which side failed; what the statement does usually tells
      return firstWord(sql) === 'DELETE'
        ? new ObError('OBS_SQL_FOREIGN_KEY_PARENT', {}, error)
        : new ObError('OBS_SQL_FOREIGN_KEY', {}, error);
    case 'SQLITE_CONSTRAINT_CHECK':
      return new ObError('OBS_SQL_CHECK', { constraint: about }, error);
    case 'SQLITE_CONSTRAINT_TRIGGER':
      return new ObError('OBS_SQL_RAISED', { message }, error);
    case 'SQLITE_CONSTRAINT_DATATYPE':
      return new ObError('OBS_SQL_VALUE_TYPE', { message }, error);
    default:
      return new ObError('OBS_SQL_FAILED', { message }, error);
  }
}

type TextRule = readonly [RegExp, (message: string, found: string) => ObError];

const textRules: readonly TextRule[] = [
  [/^no such table: (.*)$/, (_, table) => new ObError('OBS_SQL_NO_SUCH_TABLE', { table })],
  [/^no such view: (.*)$/, (_, table) => new ObError('OBS_SQL_NO_SUCH_TABLE', { table })],
  [/^no such column: (.*)$/, (_, column) => new ObError('OBS_SQL_NO_SUCH_COLUMN', { column })],
  [/^table .* has no column named (.*)$/, (_, column) => new ObError('OBS_SQL_NO_SUCH_COLUMN', { column })],
  [/^ambiguous column name: (.*)$/, (_, column) => new ObError('OBS_SQL_AMBIGUOUS_COLUMN', { column })],
  [/^(?:table|view) (.*) already exists$/, (_, table) => new ObError('OBS_SQL_TABLE_EXISTS', { table })],
  [/^there is already .* named (.*)$/, (_, table) => new ObError('OBS_SQL_TABLE_EXISTS', { table })],
  [/^index (.*) already exists$/, (_, index) => new ObError('OBS_SQL_INDEX_EXISTS', { index })],
  [/^no such index: (.*)$/, (_, index) => new ObError('OBS_SQL_NO_SUCH_INDEX', { index })],
  [/^duplicate column name: (.*)$/, (_, column) => new ObError('OBS_SQL_COLUMN_EXISTS', { column })],
  [/^no such function: (.*)$/, (_, name) => new ObError('OBS_SQL_NO_SUCH_FUNCTION', { name })],
  [/^no such savepoint: (.*)$/, (_, name) => new ObError('OBS_SQL_NO_SUCH_SAVEPOINT', { name })],
  [
    /(columns? but .* values? (?:was|were) supplied|values for .* columns|term should be)/,
    message => new ObError('OBS_SQL_COLUMN_COUNT', { message }),
  ],
  [
    /(syntax error|^incomplete input$|^unrecognized token|parser stack overflow)/,
    message => new ObError('OBS_SQL_SYNTAX', { message }),
  ],
];

function fromText(error: SqliteError): ObError {
  for (const [pattern, make] of textRules) {
    const found = pattern.exec(error.message);
    if (found !== null) return make(error.message, found[1] ?? '');
  }
  return new ObError('OBS_SQL_FAILED', { message: error.message }, error);
}
