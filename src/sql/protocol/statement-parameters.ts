/**
 * COM_STMT_EXECUTE: the parameter values of a prepared statement. Integers become numbers (bigints beyond 2^53), dates
 * and decimals text, byte strings blobs or text by their type. Values are copied out of the packet.
 */
import { isUtf8 } from 'node:buffer';
import { ObError } from '../../base/errors.ts';
import type { Cell } from '../../tenant/engine.ts';
import type { ByteReader } from './byte-reader.ts';
import { decodeDateParameter, decodeTimeParameter } from './temporal.ts';
import { type } from './wire-constants.ts';

/** Type codes and unsigned flags, as the client bound them last: it need not repeat them. */
export type ParameterTypes = readonly number[];

const unsignedFlag = 0x8000;

/** Reads from behind the iteration count. `longData` holds values sent ahead, by position. */
export function decodeParameters(
  reader: ByteReader,
  count: number,
  boundBefore: ParameterTypes,
  longData: ReadonlyMap<number, readonly Uint8Array[]>,
): { readonly values: readonly Cell[]; readonly types: ParameterTypes } {
  if (count === 0) return { values: [], types: [] };
  const nulls = reader.bytes((count + 7) >> 3, 'NULL bitmap');
  const bindsTypes = reader.u8('new parameters flag') === 1;
  let types = boundBefore;
  if (bindsTypes) {
    const read: number[] = [];
    for (let index = 0; index < count; index++) read.push(reader.u16('parameter type'));
    types = read;
  }
  if (types.length !== count) throw new ObError('OBS_SQL_MALFORMED_PACKET', { what: 'parameter types' });
  const values: Cell[] = [];
  for (let index = 0; index < count; index++) {
    const bound = types[index] ?? type.null;
    const ahead = longData.get(index);
    if (ahead !== undefined) values.push(fromLongData(ahead, bound & 0xff));
    else if ((((nulls[index >> 3] ?? 0) >> (index & 7)) & 1) === 1) values.push(null);
    else values.push(decodeValue(reader, bound & 0xff, (bound & unsignedFlag) !== 0));
  }
  return { values, types };
}

function decodeValue(reader: ByteReader, code: number, unsigned: boolean): Cell {
  switch (code) {
    case type.null:
      return null;
    case type.tiny:
      return unsigned ? reader.u8('TINY') : reader.i8('TINY');
    case type.short:
    case type.year:
      return unsigned ? reader.u16('SHORT') : reader.i16('SHORT');
    case type.long:
    case type.int24:
      return unsigned ? reader.u32('LONG') : reader.i32('LONG');
    case type.longlong:
      return unsigned ? reader.u64('LONGLONG') : reader.i64('LONGLONG');
    case type.float:
      return reader.float('FLOAT');
    case type.double:
      return reader.double('DOUBLE');
    case type.date:
      return decodeDateParameter(reader, true);
    case type.datetime:
    case type.timestamp:
      return decodeDateParameter(reader, false);
    case type.time:
      return decodeTimeParameter(reader);
    case type.decimal:
    case type.newDecimal:
    case type.varchar:
    case type.varString:
    case type.string:
    case type.enum:
    case type.set:
    case type.json:
      return textOrBlob(reader.lengthEncodedBytes('text'));
    case type.bit:
    case type.tinyBlob:
    case type.mediumBlob:
    case type.longBlob:
    case type.blob:
    case type.geometry:
      return new Uint8Array(reader.lengthEncodedBytes('blob'));
    default:
      throw new ObError('OBS_SQL_MALFORMED_PACKET', { what: `parameter type ${code}` });
  }
}

function fromLongData(parts: readonly Uint8Array[], code: number): Cell {
  const whole = Buffer.concat(parts);
  switch (code) {
    case type.bit:
    case type.tinyBlob:
    case type.mediumBlob:
    case type.longBlob:
    case type.blob:
    case type.geometry:
      return new Uint8Array(whole);
    default:
      return textOrBlob(whole);
  }
}

/** Drivers bind byte buffers as strings: what is not UTF-8 is a blob, or its bytes would change. */
function textOrBlob(bytes: Buffer): Cell {
  return isUtf8(bytes) ? bytes.toString('utf8') : new Uint8Array(bytes);
}
