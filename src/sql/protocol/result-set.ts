/**
 * Encodes a result: column count, definitions, rows in the text or the binary protocol, end. One pass over the rows
 * per column to settle its type, one to write them; no object per row.
 */
import type { Cell, Column } from '../../tenant/engine.ts';
import { encodeEnd } from './answers.ts';
import { type ColumnType, columnTypeOf, declaredColumnType } from './column-types.ts';
import type { PacketWriter } from './packet-writer.ts';
import { encodeTemporal, parseTemporal } from './temporal.ts';
import { capability, type } from './wire-constants.ts';

interface ResultSet {
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly Cell[])[];
}

export interface ResultFrame {
  readonly capabilities: number;
  readonly schema: string;
  readonly status: number;
  readonly warnings: number;
}

export function encodeResultSet(
  writer: PacketWriter,
  result: ResultSet,
  protocol: 'text' | 'binary',
  frame: ResultFrame,
): void {
  const types = result.columns.map((column, position) => columnTypeOf(column, result.rows, position));
  writer.begin().length(result.columns.length).end();
  encodeColumns(writer, result.columns, types, frame);
  if ((frame.capabilities & capability.deprecateEof) === 0) encodeEnd(writer, frame.capabilities, frame);
  if (protocol === 'text') for (const row of result.rows) encodeTextRow(writer, row);
  else for (const row of result.rows) encodeBinaryRow(writer, row, types);
  encodeEnd(writer, frame.capabilities, frame);
}

/** Column definitions alone, by their declared types (PREPARE, FIELD_LIST). */
export function encodeDeclaredColumns(
  writer: PacketWriter,
  columns: readonly Column[],
  frame: ResultFrame,
  options: { readonly withDefault?: boolean } = {},
): void {
  encodeColumns(writer, columns, columns.map(declaredColumnType), frame, options.withDefault);
}

/** Definitions of `count` unnamed parameters, as a PREPARE announces them. */
export function encodeParameters(writer: PacketWriter, count: number, frame: ResultFrame): void {
  const parameter: Column = { name: '?', declaredType: null, table: null, originColumn: null };
  for (let index = 0; index < count; index++) {
    encodeColumns(writer, [parameter], [declaredColumnType(parameter)], frame);
  }
}

function encodeColumns(
  writer: PacketWriter,
  columns: readonly Column[],
  types: readonly ColumnType[],
  frame: ResultFrame,
  withDefault = false,
): void {
  columns.forEach((column, position) => {
    const shape = types[position] ?? declaredColumnType(column);
    const table = column.table ?? '';
    writer
      .begin()
      .lengthEncodedText('def')
      .lengthEncodedText(table === '' ? '' : frame.schema)
      .lengthEncodedText(table)
      .lengthEncodedText(table)
      .lengthEncodedText(column.name)
      .lengthEncodedText(column.originColumn ?? '')
      .length(0x0c)
      .u16(shape.charset)
      .u32(shape.length)
      .u8(shape.type)
      .u16(shape.flags)
      .u8(shape.decimals)
      .zeros(2);
    if (withDefault) writer.u8(0xfb); // NULL: no default
    writer.end();
  });
}

function encodeTextRow(writer: PacketWriter, row: readonly Cell[]): void {
  writer.begin();
  for (const value of row) {
    if (value === null) writer.u8(0xfb);
    else if (typeof value === 'string') writer.lengthEncodedText(value);
    else if (typeof value === 'number') {
      if (Number.isInteger(value)) writer.lengthEncodedInteger(value);
      else writer.lengthEncodedText(realText(value));
    } else if (typeof value === 'bigint') writer.lengthEncodedText(String(value));
    else writer.lengthEncodedBytes(value);
  }
  writer.end();
}

function encodeBinaryRow(writer: PacketWriter, row: readonly Cell[], types: readonly ColumnType[]): void {
  writer.begin().u8(0x00);
  // NULL bitmap: one bit a column, from bit 2 on.
  let bits = 0;
  let bit = 2;
  for (let position = 0; position < types.length; position++) {
    if (row[position] === null || row[position] === undefined) bits |= 1 << bit;
    if (++bit === 8) {
      writer.u8(bits);
      bits = 0;
      bit = 0;
    }
  }
  if (bit > 0) writer.u8(bits);
  types.forEach((shape, position) => {
    const value = row[position];
    if (value !== null && value !== undefined) encodeBinaryCell(writer, value, shape);
  });
  writer.end();
}

function encodeBinaryCell(writer: PacketWriter, value: Exclude<Cell, null>, shape: ColumnType): void {
  switch (shape.type) {
    case type.tiny:
      writer.u8(Number(value) & 0xff);
      return;
    case type.short:
    case type.year:
      writer.u16(Number(value));
      return;
    case type.long:
    case type.int24:
      writer.u32(Number(value));
      return;
    case type.longlong:
      writer.u64(typeof value === 'bigint' ? value : Number(value));
      return;
    case type.double:
      writer.double(Number(value));
      return;
    case type.date:
    case type.datetime:
    case type.timestamp:
    case type.time: {
      // `columnTypeOf` chose the type because every text of the column parses.
      const parsed = typeof value === 'string' ? parseTemporal(value) : undefined;
      if (parsed === undefined) writer.u8(0);
      else encodeTemporal(writer, parsed);
      return;
    }
    default:
      encodeAsText(writer, value);
  }
}

function encodeAsText(writer: PacketWriter, value: Exclude<Cell, null>): void {
  if (typeof value === 'string') writer.lengthEncodedText(value);
  else if (typeof value === 'number') {
    writer.lengthEncodedText(Number.isInteger(value) ? String(value) : realText(value));
  } else if (typeof value === 'bigint') writer.lengthEncodedText(String(value));
  else writer.lengthEncodedBytes(value);
}

/** MySQL writes 1e100 as 1e100 and has no infinities; SQLite's become the largest double's neighbours in text. */
function realText(value: number): string {
  if (Number.isFinite(value)) return String(value).replace('e+', 'e');
  return value > 0 ? '1.7976931348623157e308' : '-1.7976931348623157e308';
}
