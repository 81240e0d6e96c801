/**
 * MySQL's dates and times between their text (which is what SQLite holds) and the binary protocol's fields. Pure.
 * A text that is not exactly a date, a datetime or a time is not one: the column is then sent as text.
 */
import { ByteReader } from './byte-reader.ts';
import type { PacketWriter } from './packet-writer.ts';
import { ObError } from '../../base/errors.ts';

export interface Temporal {
  readonly kind: 'date' | 'datetime' | 'time';
  readonly negative: boolean;
  readonly year: number;
  readonly month: number;
  readonly day: number;
  /** of a time: up to 838 */
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly micros: number;
}

const datePattern = /^(\d{4})-(\d\d)-(\d\d)(?: ([01]\d|2[0-3]):([0-5]\d):([0-5]\d)(?:\.(\d{1,6}))?)?$/;
const timePattern = /^(-?)(\d{2,3}):([0-5]\d):([0-5]\d)(?:\.(\d{1,6}))?$/;

export function parseTemporal(text: string): Temporal | undefined {
  const date = datePattern.exec(text);
  if (date !== null) {
    const month = Number(date[2]);
    const day = Number(date[3]);
    if (month > 12 || day > 31) return undefined;
    return {
      kind: date[4] === undefined ? 'date' : 'datetime',
      negative: false,
      year: Number(date[1]),
      month,
      day,
      hour: Number(date[4] ?? 0),
      minute: Number(date[5] ?? 0),
      second: Number(date[6] ?? 0),
      micros: Number((date[7] ?? '').padEnd(6, '0')),
    };
  }
  const time = timePattern.exec(text);
  if (time === null) return undefined;
  return {
    kind: 'time',
    negative: time[1] === '-',
    year: 0,
    month: 0,
    day: 0,
    hour: Number(time[2]),
    minute: Number(time[3]),
    second: Number(time[4]),
    micros: Number((time[5] ?? '').padEnd(6, '0')),
  };
}

/** The length-prefixed binary form; trailing zero fields are left out, as the protocol has it. */
export function encodeTemporal(writer: PacketWriter, value: Temporal): void {
  if (value.kind === 'time') {
    encodeTime(writer, value);
    return;
  }
  const withTime = value.hour !== 0 || value.minute !== 0 || value.second !== 0 || value.micros !== 0;
  const withDate = withTime || value.year !== 0 || value.month !== 0 || value.day !== 0;
  if (!withDate) {
    writer.u8(0);
    return;
  }
  writer.u8(value.micros !== 0 ? 11 : withTime ? 7 : 4);
  writer.u16(value.year).u8(value.month).u8(value.day);
  if (withTime) writer.u8(value.hour).u8(value.minute).u8(value.second);
  if (value.micros !== 0) writer.u32(value.micros);
}

function encodeTime(writer: PacketWriter, value: Temporal): void {
  if (value.hour === 0 && value.minute === 0 && value.second === 0 && value.micros === 0) {
    writer.u8(0);
    return;
  }
  writer.u8(value.micros !== 0 ? 12 : 8).u8(value.negative ? 1 : 0);
  writer.u32(Math.trunc(value.hour / 24)).u8(value.hour % 24);
  writer.u8(value.minute).u8(value.second);
  if (value.micros !== 0) writer.u32(value.micros);
}

const two = (value: number): string => String(value).padStart(2, '0');
const fraction = (micros: number): string => (micros === 0 ? '' : `.${String(micros).padStart(6, '0')}`);

/** A bound DATE (`dateOnly`), DATETIME or TIMESTAMP, as the text SQLite will hold. */
export function decodeDateParameter(reader: ByteReader, dateOnly: boolean): string {
  const length = reader.u8('date length');
  const fields = new ByteReader(reader.bytes(length, 'date'));
  if (length !== 0 && length !== 4 && length !== 7 && length !== 11) {
    throw new ObError('OBS_SQL_MALFORMED_PACKET', { what: 'date length' });
  }
  const year = length >= 4 ? fields.u16('year') : 0;
  const month = length >= 4 ? fields.u8('month') : 0;
  const day = length >= 4 ? fields.u8('day') : 0;
  const date = `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}`;
  if (dateOnly) return date;
  const hour = length >= 7 ? fields.u8('hour') : 0;
  const minute = length >= 7 ? fields.u8('minute') : 0;
  const second = length >= 7 ? fields.u8('second') : 0;
  const micros = length >= 11 ? fields.u32('microseconds') : 0;
  return `${date} ${two(hour)}:${two(minute)}:${two(second)}${fraction(micros)}`;
}

export function decodeTimeParameter(reader: ByteReader): string {
  const length = reader.u8('time length');
  const fields = new ByteReader(reader.bytes(length, 'time'));
  if (length !== 0 && length !== 8 && length !== 12) {
    throw new ObError('OBS_SQL_MALFORMED_PACKET', { what: 'time length' });
  }
  if (length === 0) return '00:00:00';
  const sign = fields.u8('sign') === 0 ? '' : '-';
  const hours = fields.u32('days') * 24 + fields.u8('hour');
  const minute = fields.u8('minute');
  const second = fields.u8('second');
  const micros = length === 12 ? fields.u32('microseconds') : 0;
  return `${sign}${two(hours)}:${two(minute)}:${two(second)}${fraction(micros)}`;
}
