/**
 * Which MySQL type a result column has. The declared type is a promise SQLite does not keep (any column may hold
 * anything), so it is checked against the values of the finished result and widened until every value fits: a client
 * never receives bytes that its own reading of the type would reject.
 *
 * Integers are LONG unless a value needs LONGLONG: drivers turn every LONGLONG into a big integer.
 */
import type { Cell, Column } from '../../tenant/engine.ts';
import { parseTemporal } from './temporal.ts';
import { charset, columnFlag, type } from './wire-constants.ts';

export interface ColumnType {
  readonly type: number;
  readonly charset: number;
  readonly flags: number;
  /** display width in bytes */
  readonly length: number;
  /** 31: not fixed (floating point); 0 otherwise */
  readonly decimals: number;
}

const integer = (code: number, length: number): ColumnType => ({
  type: code,
  charset: charset.binary,
  flags: columnFlag.binary,
  length,
  decimals: 0,
});
const temporal = (code: number, length: number): ColumnType => ({
  type: code,
  charset: charset.binary,
  flags: columnFlag.binary,
  length,
  decimals: 0,
});
const textual = (code: number, length: number, flags = 0): ColumnType => ({
  type: code,
  charset: charset.utf8mb4,
  flags,
  length,
  decimals: 31,
});

const tiny = integer(type.tiny, 4);
const boolean = integer(type.tiny, 1);
const short = integer(type.short, 6);
const int24 = integer(type.int24, 9);
const long = integer(type.long, 11);
const longlong = integer(type.longlong, 20);
const year = integer(type.year, 4);
const double: ColumnType = { ...integer(type.double, 22), decimals: 31 };
const decimal: ColumnType = { ...integer(type.newDecimal, 65), decimals: 30 };
const date = temporal(type.date, 10);
const datetime = temporal(type.datetime, 26);
const timestamp = temporal(type.timestamp, 26);
const time = temporal(type.time, 17);
const varString = textual(type.varString, 262_140);
const char = textual(type.string, 1_020);
const text = textual(type.blob, 0xff_ff_ff_ff, columnFlag.blob);
const json: ColumnType = {
  type: type.json,
  charset: charset.utf8mb4,
  flags: columnFlag.blob | columnFlag.binary,
  length: 0xff_ff_ff_ff,
  decimals: 0,
};
const blob: ColumnType = {
  type: type.blob,
  charset: charset.binary,
  flags: columnFlag.blob | columnFlag.binary,
  length: 0xff_ff_ff_ff,
  decimals: 0,
};
const nothing: ColumnType = { ...integer(type.null, 0) };

const declared: ReadonlyMap<string, ColumnType> = new Map([
  ['TINYINT', tiny],
  ['BOOL', boolean],
  ['BOOLEAN', boolean],
  ['SMALLINT', short],
  ['MEDIUMINT', int24],
  ['INT', long],
  ['INTEGER', long],
  ['BIGINT', longlong],
  ['SERIAL', longlong],
  ['BIT', longlong],
  ['YEAR', year],
  ['FLOAT', double],
  ['DOUBLE', double],
  ['REAL', double],
  ['DECIMAL', decimal],
  ['NUMERIC', decimal],
  ['DEC', decimal],
  ['DATE', date],
  ['DATETIME', datetime],
  ['TIMESTAMP', timestamp],
  ['TIME', time],
  ['CHAR', char],
  ['VARCHAR', varString],
  ['ENUM', char],
  ['SET', char],
  ['TEXT', text],
  ['TINYTEXT', text],
  ['MEDIUMTEXT', text],
  ['LONGTEXT', text],
  ['CLOB', text],
  ['JSON', json],
  ['BLOB', blob],
  ['TINYBLOB', blob],
  ['MEDIUMBLOB', blob],
  ['LONGBLOB', blob],
  ['BINARY', blob],
  ['VARBINARY', blob],
]);

/** The declared type alone: what a PREPARE tells, and a result without values. */
export function declaredColumnType(column: Column): ColumnType {
  if (column.declaredType === null) return varString;
  const upper = column.declaredType.toUpperCase();
  if (/^TINYINT\s*\(\s*1\s*\)/.test(upper)) return boolean;
  const word = /^[A-Z_]+/.exec(upper)?.[0] ?? '';
  const known = declared.get(word) ?? varString;
  return /\bUNSIGNED\b/.test(upper) && isInteger(known)
    ? { ...known, flags: known.flags | columnFlag.unsigned }
    : known;
}

/** The declared type, widened until every value of the column fits. */
export function columnTypeOf(
  column: Column,
  rows: readonly (readonly Cell[])[],
  position: number,
): ColumnType {
  if (rows.length === 0) return declaredColumnType(column);
  const seen = survey(rows, position);
  if (column.declaredType === null) return seen.any ? typeOfValues(seen) : nothing;
  const promised = declaredColumnType(column);
  if (!seen.any) return promised;
  return fits(promised, seen, rows, position) ? promised : widened(promised, seen);
}

interface Survey {
  any: boolean;
  integers: boolean;
  /** integers beyond 2^53, which a double would round */
  wide: boolean;
  reals: boolean;
  texts: boolean;
  blobs: boolean;
  minimum: number;
  maximum: number;
}

function survey(rows: readonly (readonly Cell[])[], position: number): Survey {
  const seen: Survey = {
    any: false,
    integers: false,
    wide: false,
    reals: false,
    texts: false,
    blobs: false,
    minimum: 0,
    maximum: 0,
  };
  for (const row of rows) {
    const value = row[position];
    if (value === null || value === undefined) continue;
    seen.any = true;
    if (typeof value === 'number' || typeof value === 'bigint') {
      // An integer beyond 2^53 arrives as a bigint: a number that large is a real.
      if (typeof value === 'number' && !Number.isSafeInteger(value)) {
        seen.reals = true;
        continue;
      }
      seen.integers = true;
      if (typeof value === 'bigint') seen.wide = true;
      const number = Number(value);
      if (number < seen.minimum) seen.minimum = number;
      if (number > seen.maximum) seen.maximum = number;
    } else if (typeof value === 'string') seen.texts = true;
    else seen.blobs = true;
  }
  return seen;
}

function isInteger(column: ColumnType): boolean {
  switch (column.type) {
    case type.tiny:
    case type.short:
    case type.int24:
    case type.long:
    case type.longlong:
    case type.year:
      return true;
    default:
      return false;
  }
}

const signedBits: ReadonlyMap<number, number> = new Map([
  [type.tiny, 8],
  [type.short, 16],
  [type.int24, 24],
  [type.long, 32],
  [type.longlong, 64],
]);

function integerFits(column: ColumnType, seen: Survey): boolean {
  if (column.type === type.year) return seen.minimum >= 0 && seen.maximum <= 9_999;
  const bits = signedBits.get(column.type) ?? 64;
  if ((column.flags & columnFlag.unsigned) !== 0) return seen.minimum >= 0 && seen.maximum < 2 ** bits;
  if (bits === 64) return true;
  return seen.minimum >= -(2 ** (bits - 1)) && seen.maximum < 2 ** (bits - 1);
}

function fits(
  column: ColumnType,
  seen: Survey,
  rows: readonly (readonly Cell[])[],
  position: number,
): boolean {
  switch (column.type) {
    case type.tiny:
    case type.short:
    case type.int24:
    case type.long:
    case type.longlong:
    case type.year:
      return !seen.reals && !seen.texts && !seen.blobs && integerFits(column, seen);
    case type.double:
      return !seen.texts && !seen.blobs && !seen.wide;
    case type.newDecimal:
      return !seen.texts && !seen.blobs;
    case type.date:
    case type.datetime:
    case type.timestamp:
    case type.time:
      return (
        !seen.integers &&
        !seen.reals &&
        !seen.blobs &&
        everyText(rows, position, value => parseTemporal(value)?.kind === temporalKind(column.type))
      );
    case type.json:
      return !seen.integers && !seen.reals && !seen.blobs && everyText(rows, position, isJson);
    case type.blob:
      return column.charset === charset.binary || !seen.blobs;
    default:
      return !seen.blobs;
  }
}

const temporalKind = (code: number): 'date' | 'datetime' | 'time' => {
  if (code === type.date) return 'date';
  return code === type.time ? 'time' : 'datetime';
};

function everyText(
  rows: readonly (readonly Cell[])[],
  position: number,
  test: (value: string) => boolean,
): boolean {
  return rows.every(row => {
    const value = row[position];
    return typeof value !== 'string' || test(value);
  });
}

function isJson(value: string): boolean {
  try {
    JSON.parse(value);
    return true;
  } catch {
    return false; // the only question asked
  }
}

function widened(promised: ColumnType, seen: Survey): ColumnType {
  if (isInteger(promised) && !seen.reals && !seen.texts && !seen.blobs) return longlong;
  return typeOfValues(seen);
}

function typeOfValues(seen: Survey): ColumnType {
  if (seen.blobs) return blob;
  if (seen.texts) return varString;
  if (seen.reals) return seen.wide ? decimal : double;
  return integerFits(long, seen) ? long : longlong;
}
