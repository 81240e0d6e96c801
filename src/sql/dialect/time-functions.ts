/** MySQL's date arithmetic and formats as SQLite date expressions. Times are `YYYY-MM-DD hh:mm:ss[.ffffff]` text in UTC. */
import { ObError } from '../../base/errors.ts';
import { type Fragment, quoteText, sql, textOf } from './fragment.ts';

/** unit → [SQLite's unit, how many of it, keeps a bare date a date] */
const intervalUnits: Readonly<Record<string, readonly [string, string, boolean]>> = {
  microsecond: ['seconds', '0.000001', false],
  second: ['seconds', '1', false],
  minute: ['minutes', '1', false],
  hour: ['hours', '1', false],
  day: ['days', '1', true],
  week: ['days', '7', true],
  month: ['months', '1', true],
  quarter: ['months', '3', true],
  year: ['years', '1', true],
};

export const isIntervalUnit = (word: string): boolean => Object.hasOwn(intervalUnits, word);

/** `time + INTERVAL count unit`. Month ends stay month ends (31 January + 1 month is the last of February). */
export function addInterval(time: Fragment, sign: '+' | '-', count: Fragment, unit: string): Fragment {
  const row = intervalUnits[unit];
  if (row === undefined)
    throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: `INTERVAL … ${unit.toUpperCase()}` });
  const [name, factor, keepsDates] = row;
  const scaled = factor === '1' ? sql`(${count})` : sql`(${count}) * ${factor}`;
  const amount = sign === '-' ? sql`-(${scaled})` : scaled;
  const modifier = sql`${amount} || ${quoteText(` ${name}`)}`;
  const floor = name === 'months' || name === 'years' ? ", 'floor'" : '';
  if (unit === 'microsecond') return sql`(strftime('%Y-%m-%d %H:%M:%f', ${time}, ${modifier}) || '000')`;
  const moment = sql`datetime(${time}, ${modifier}${floor})`;
  if (!keepsDates) return moment;
  return sql`CASE WHEN length(${time}) = 10 THEN date(${time}, ${modifier}${floor}) ELSE ${moment} END`;
}

const strftimeParts: Readonly<Record<string, string>> = {
  year: '%Y',
  month: '%m',
  day: '%d',
  hour: '%H',
  minute: '%M',
  second: '%S',
};

/** EXTRACT(unit FROM time), YEAR(time) and so on. */
export function extractUnit(unit: string, time: Fragment): Fragment {
  if (unit === 'quarter') return sql`((CAST(strftime('%m', ${time}) AS INTEGER) + 2) / 3)`;
  if (unit === 'microsecond')
    return sql`CAST(round((CAST(strftime('%f', ${time}) AS REAL) - CAST(strftime('%S', ${time}) AS INTEGER)) * 1000000) AS INTEGER)`;
  const format = strftimeParts[unit];
  if (format === undefined)
    throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: `EXTRACT(${unit.toUpperCase()} …)` });
  return sql`CAST(strftime('${format}', ${time}) AS INTEGER)`;
}

const secondsPerUnit: Readonly<Record<string, number>> = {
  second: 1,
  minute: 60,
  hour: 3600,
  day: 86_400,
  week: 604_800,
};
const monthsPerUnit: Readonly<Record<string, number>> = { month: 1, quarter: 3, year: 12 };

/** TIMESTAMPDIFF: whole units from `from` to `to`, towards zero. */
export function timestampDifference(unit: string, from: Fragment, to: Fragment): Fragment {
  const seconds = secondsPerUnit[unit];
  if (seconds !== undefined) {
    const difference = sql`(unixepoch(${to}) - unixepoch(${from}))`;
    return seconds === 1 ? difference : sql`(${difference} / ${String(seconds)})`;
  }
  const months = monthsPerUnit[unit];
  if (months === undefined)
    throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: `TIMESTAMPDIFF(${unit.toUpperCase()} …)` });
  const count = (time: Fragment): Fragment =>
    sql`(CAST(strftime('%Y', ${time}) AS INTEGER) * 12 + CAST(strftime('%m', ${time}) AS INTEGER))`;
  const rest = (time: Fragment): Fragment => sql`strftime('%d %H:%M:%f', ${time})`;
  const whole = sql`(${count(to)} - ${count(from)})`;
  return sql`((${whole} - (${whole} > 0 AND ${rest(to)} < ${rest(from)}) + (${whole} < 0 AND ${rest(to)} > ${rest(from)})) / ${String(months)})`;
}

/** MySQL's specifier → SQLite's; the others need names of days and months, which SQLite has not. */
const formatSpecifiers: Readonly<Record<string, string>> = {
  Y: '%Y',
  m: '%m',
  d: '%d',
  e: '%e',
  H: '%H',
  k: '%k',
  h: '%I',
  I: '%I',
  l: '%l',
  i: '%M',
  s: '%S',
  S: '%S',
  p: '%p',
  j: '%j',
  w: '%w',
  T: '%H:%M:%S',
  f: '%f',
  '%': '%%',
};

/** DATE_FORMAT with a literal format. */
export function dateFormat(time: Fragment, format: Fragment): Fragment {
  const literal = /^'((?:[^']|'')*)'$/.exec(textOf(format));
  if (literal === null)
    throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: 'DATE_FORMAT with a format that is no literal' });
  const translated = (literal[1] ?? '').replaceAll(/%(.)/g, (_, specifier: string) => {
    const found = formatSpecifiers[specifier];
    if (found === undefined || specifier === 'f')
      throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: `DATE_FORMAT with %${specifier}` });
    return found;
  });
  return sql`strftime('${translated}', ${time})`;
}
