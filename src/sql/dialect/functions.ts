/**
 * MySQL functions SQLite lacks or reads differently, each as an SQLite expression. Nothing is registered in the engine: the
 * rewritten text means the same on every replica, in every reader of the file. All times are UTC.
 */
import { ObError } from '../../base/errors.ts';
import { type Fragment, joined, quoteText, type SessionValue, sql, textOf } from './fragment.ts';
import { addInterval, dateFormat, extractUnit, timestampDifference } from './time-functions.ts';

/** Takes the rewritten arguments; null when the number of arguments is not one it knows (the text then stays as it is). */
export type FunctionRewrite = (args: readonly Fragment[]) => Fragment | null;

const session = (value: SessionValue): Fragment => [{ kind: 'session', value }];
const constant = (text: string): FunctionRewrite => {
  const fragment: Fragment = [text];
  return () => fragment;
};
const sessionValue =
  (value: SessionValue): FunctionRewrite =>
  args =>
    args.length === 0 ? session(value) : null;

const renamed =
  (name: string, least = 1): FunctionRewrite =>
  args =>
    args.length < least ? null : sql`${name}(${joined(args, ', ')})`;

/** One argument, or nothing. */
const unary =
  (build: (argument: Fragment) => Fragment): FunctionRewrite =>
  ([only, ...rest]) =>
    only === undefined || rest.length > 0 ? null : build(only);

const binary =
  (build: (first: Fragment, second: Fragment) => Fragment): FunctionRewrite =>
  ([first, second, ...rest]) =>
    first === undefined || second === undefined || rest.length > 0 ? null : build(first, second);

const timestampNow = "strftime('%Y-%m-%d %H:%M:%f', 'now')";

/** NOW(), NOW(6): SQLite knows milliseconds, shown as microseconds when digits were asked for. */
const now: FunctionRewrite = ([digits]) => {
  const count = digits === undefined ? 0 : Number(textOf(digits));
  if (!(count > 0)) return ["datetime('now')"];
  return count <= 3 ? [`substr(${timestampNow}, 1, ${20 + count})`] : [`(${timestampNow} || '000')`];
};

const part = (unit: string): FunctionRewrite => unary(value => extractUnit(unit, value));

const padded =
  (left: boolean): FunctionRewrite =>
  ([text, width, fill, ...rest]) => {
    if (text === undefined || width === undefined || rest.length > 0) return null;
    const padding = sql`substr(replace(hex(zeroblob(${width})), '00', ${fill ?? "' '"}), 1, (${width}) - length(${text}))`;
    const longer = sql`substr(${text}, 1, ${width})`;
    const whole = left ? sql`${padding} || ${text}` : sql`${text} || ${padding}`;
    return sql`CASE WHEN length(${text}) >= (${width}) THEN ${longer} ELSE ${whole} END`;
  };

const uuid =
  "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-' || " +
  "substr('89ab', 1 + (abs(random()) & 3), 1) || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))";

const refused =
  (name: string): FunctionRewrite =>
  () => {
    throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: `the function ${name}()` });
  };

/** SCN to `YYYY-MM-DD hh:mm:ss.ffffff`: OceanBase's function, used in every lag query. */
const scnToTimestamp = unary(
  scn =>
    sql`(strftime('%Y-%m-%d %H:%M:%S', CAST(${scn} AS INTEGER) / 1000000, 'unixepoch') || printf('.%06d', CAST(${scn} AS INTEGER) % 1000000))`,
);

const timestampToScn = unary(
  time =>
    sql`(unixepoch(${time}) * 1000000 + CASE WHEN instr(${time}, '.') > 0 THEN CAST(substr(substr(${time}, instr(${time}, '.') + 1) || '000000', 1, 6) AS INTEGER) ELSE 0 END)`,
);

export const functionRewrites: ReadonlyMap<string, FunctionRewrite> = new Map<string, FunctionRewrite>([
  // session
  ['database', sessionValue({ kind: 'schema' })],
  ['schema', sessionValue({ kind: 'schema' })],
  ['user', sessionValue({ kind: 'user' })],
  ['current_user', sessionValue({ kind: 'user' })],
  ['session_user', sessionValue({ kind: 'user' })],
  ['system_user', sessionValue({ kind: 'user' })],
  ['version', sessionValue({ kind: 'system-variable', name: 'version' })],
  ['connection_id', sessionValue({ kind: 'connection-id' })],
  ['last_insert_id', args => (args.length === 0 ? session({ kind: 'last-insert-id' }) : (args[0] ?? null))],
  ['row_count', sessionValue({ kind: 'row-count' })],
  ['found_rows', sessionValue({ kind: 'found-rows' })],
  ['charset', constant("'utf8mb4'")],
  ['collation', constant("'utf8mb4_bin'")],
  ['any_value', unary(value => value)],

  // text
  ['concat', args => (args.length === 0 ? null : sql`(${joined(args, ' || ')})`)],
  ['left', binary((text, count) => sql`substr(${text}, 1, ${count})`)],
  ['right', binary((text, count) => sql`substr(${text}, -(${count}), ${count})`)],
  ['mid', renamed('substr', 2)],
  ['locate', binary((needle, text) => sql`instr(${text}, ${needle})`)],
  ['length', unary(text => sql`octet_length(${text})`)],
  ['char_length', renamed('length')],
  ['character_length', renamed('length')],
  ['ucase', renamed('upper')],
  ['lcase', renamed('lower')],
  ['lpad', padded(true)],
  ['rpad', padded(false)],
  ['repeat', binary((text, count) => sql`replace(hex(zeroblob(${count})), '00', ${text})`)],
  ['space', unary(count => sql`replace(hex(zeroblob(${count})), '00', ' ')`)],
  ['ascii', renamed('unicode')],
  ['ord', renamed('unicode')],
  ['uuid', args => (args.length === 0 ? [uuid] : null)],
  [
    'strcmp',
    binary((a, b) => sql`CASE WHEN ${a} = ${b} THEN 0 WHEN ${a} < ${b} THEN -1 WHEN ${a} > ${b} THEN 1 END`),
  ],
  [
    'field',
    ([value, ...choices]) =>
      value === undefined || choices.length === 0
        ? null
        : sql`CASE ${value} ${joined(
            choices.map((choice, index) => sql`WHEN ${choice} THEN ${String(index + 1)}`),
            ' ',
          )} ELSE 0 END`,
  ],
  [
    'elt',
    ([number, ...choices]) =>
      number === undefined || choices.length === 0
        ? null
        : sql`CASE ${number} ${joined(
            choices.map((choice, index) => sql`WHEN ${String(index + 1)} THEN ${choice}`),
            ' ',
          )} END`,
  ],
  [
    'find_in_set',
    binary(
      (needle, set) =>
        sql`CASE WHEN instr(',' || ${set} || ',', ',' || ${needle} || ',') = 0 THEN 0 ELSE 1 + length(substr(',' || ${set}, 1, instr(',' || ${set} || ',', ',' || ${needle} || ',') - 1)) - length(replace(substr(',' || ${set}, 1, instr(',' || ${set} || ',', ',' || ${needle} || ',') - 1), ',', '')) END`,
    ),
  ],
  ['json_unquote', unary(value => value)],
  ['format', refused('FORMAT')],
  ['load_file', refused('LOAD_FILE')],
  ['load_extension', refused('LOAD_EXTENSION')],
  ['get_lock', refused('GET_LOCK')],
  ['release_lock', refused('RELEASE_LOCK')],
  ['sleep', refused('SLEEP')],
  ['benchmark', refused('BENCHMARK')],

  // conditions and numbers
  ['isnull', unary(value => sql`(${value} IS NULL)`)],
  ['nvl', renamed('ifnull', 2)],
  ['greatest', renamed('max', 2)],
  ['least', renamed('min', 2)],
  ['rand', args => (args.length > 1 ? null : ['((random() & 9007199254740991) / 9007199254740992.0)'])],
  ['truncate', binary((x, digits) => sql`(trunc((${x}) * pow(10, ${digits})) / pow(10, ${digits}))`)],

  // time
  ['now', now],
  ['current_timestamp', now],
  ['localtime', now],
  ['localtimestamp', now],
  ['sysdate', now],
  ['utc_timestamp', now],
  ['curdate', constant("date('now')")],
  ['current_date', constant("date('now')")],
  ['utc_date', constant("date('now')")],
  ['curtime', constant("time('now')")],
  ['current_time', constant("time('now')")],
  ['utc_time', constant("time('now')")],
  [
    'unix_timestamp',
    args =>
      args.length === 0 ? ["unixepoch('now')"] : args[0] === undefined ? null : sql`unixepoch(${args[0]})`,
  ],
  [
    'from_unixtime',
    ([seconds, format, ...rest]) => {
      if (seconds === undefined || rest.length > 0) return null;
      const time = sql`datetime(${seconds}, 'unixepoch')`;
      return format === undefined ? time : dateFormat(time, format);
    },
  ],
  ['year', part('year')],
  ['quarter', part('quarter')],
  ['month', part('month')],
  ['day', part('day')],
  ['dayofmonth', part('day')],
  ['hour', part('hour')],
  ['minute', part('minute')],
  ['second', part('second')],
  ['microsecond', part('microsecond')],
  ['dayofyear', unary(time => sql`CAST(strftime('%j', ${time}) AS INTEGER)`)],
  ['dayofweek', unary(time => sql`(CAST(strftime('%w', ${time}) AS INTEGER) + 1)`)],
  ['weekday', unary(time => sql`((CAST(strftime('%w', ${time}) AS INTEGER) + 6) % 7)`)],
  ['last_day', unary(time => sql`date(${time}, 'start of month', '+1 month', '-1 day')`)],
  ['date_format', binary(dateFormat)],
  ['datediff', binary((a, b) => sql`CAST(julianday(date(${a})) - julianday(date(${b})) AS INTEGER)`)],
  [
    'timestampdiff',
    ([unit, from, to]) =>
      unit === undefined || from === undefined || to === undefined
        ? null
        : timestampDifference(textOf(unit).trim().toLowerCase(), from, to),
  ],
  [
    'timestampadd',
    ([unit, count, time]) =>
      unit === undefined || count === undefined || time === undefined
        ? null
        : addInterval(time, '+', count, textOf(unit).trim().toLowerCase()),
  ],
  ['adddate', binary((time, days) => addInterval(time, '+', days, 'day'))],
  ['subdate', binary((time, days) => addInterval(time, '-', days, 'day'))],
  ['scn_to_timestamp', scnToTimestamp],
  ['timestamp_to_scn', timestampToScn],
]);

/** Words that are functions without brackets too. */
export const bareFunctions: ReadonlyMap<string, Fragment> = new Map<string, Fragment>([
  ['current_user', session({ kind: 'user' })],
  ['localtime', ["datetime('now')"]],
  ['localtimestamp', ["datetime('now')"]],
  ['utc_timestamp', ["datetime('now')"]],
  ['utc_date', ["date('now')"]],
  ['utc_time', ["time('now')"]],
]);

const castTypes: Readonly<Record<string, (value: Fragment) => Fragment>> = {
  signed: value => sql`CAST(${value} AS INTEGER)`,
  unsigned: value => sql`CAST(${value} AS INTEGER)`,
  integer: value => sql`CAST(${value} AS INTEGER)`,
  int: value => sql`CAST(${value} AS INTEGER)`,
  bigint: value => sql`CAST(${value} AS INTEGER)`,
  char: value => sql`CAST(${value} AS TEXT)`,
  nchar: value => sql`CAST(${value} AS TEXT)`,
  varchar: value => sql`CAST(${value} AS TEXT)`,
  text: value => sql`CAST(${value} AS TEXT)`,
  binary: value => sql`CAST(${value} AS BLOB)`,
  varbinary: value => sql`CAST(${value} AS BLOB)`,
  decimal: value => sql`CAST(${value} AS NUMERIC)`,
  numeric: value => sql`CAST(${value} AS NUMERIC)`,
  double: value => sql`CAST(${value} AS REAL)`,
  float: value => sql`CAST(${value} AS REAL)`,
  real: value => sql`CAST(${value} AS REAL)`,
  date: value => sql`date(${value})`,
  datetime: value => sql`datetime(${value})`,
  timestamp: value => sql`datetime(${value})`,
  time: value => sql`time(${value})`,
  year: value => sql`CAST(${value} AS INTEGER)`,
  json: value => sql`json(${value})`,
};

/** CAST(value AS type), CONVERT(value, type). */
export function castTo(value: Fragment, type: string, length: Fragment | null): Fragment {
  const build = castTypes[type];
  if (build === undefined)
    throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: `CAST AS ${type.toUpperCase()}` });
  if (length !== null && /char|text/.test(type)) return sql`substr(${build(value)}, 1, ${length})`;
  return build(value);
}

/** GROUP_CONCAT's parts in SQLite's order. */
export function groupConcat(options: {
  readonly distinct: boolean;
  readonly values: readonly Fragment[];
  readonly order: Fragment | null;
  readonly separator: string | null;
}): Fragment {
  const { distinct, values, order, separator } = options;
  const value = values.length === 1 ? (values[0] ?? []) : sql`(${joined(values, ' || ')})`;
  const sorted: Fragment = order === null ? [] : sql` ORDER BY ${order}`;
  if (!distinct) return sql`group_concat(${value}, ${quoteText(separator ?? ',')}${sorted})`;
  const plain = sql`group_concat(DISTINCT ${value}${sorted})`;
  if (separator === null || separator === ',') return plain;
  throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: 'GROUP_CONCAT(DISTINCT … SEPARATOR …)' });
}
