/**
 * The short answers: OK, EOF and error packets. The text of an OK packet is length-encoded (libmariadb calls anything
 * else malformed). Errors keep MySQL's own text where the number is MySQL's; ours carry their hint.
 */
import { ObError } from '../../base/errors.ts';
import type { PacketWriter } from './packet-writer.ts';
import { capability } from './wire-constants.ts';

interface OkFields {
  readonly changes: number;
  readonly lastInsertId: number | bigint;
  readonly status: number;
  readonly warnings: number;
  readonly info: string;
}

export function encodeOk(writer: PacketWriter, ok: OkFields): void {
  encodeOkBody(writer.begin().u8(0x00), ok);
}

/** Ends a list of rows or columns: an OK with another first byte, or the older EOF. */
export function encodeEnd(
  writer: PacketWriter,
  capabilities: number,
  end: { readonly status: number; readonly warnings: number },
): void {
  writer.begin().u8(0xfe);
  if ((capabilities & capability.deprecateEof) !== 0) {
    encodeOkBody(writer, { changes: 0, lastInsertId: 0, info: '', ...end });
  } else {
    writer.u16(end.warnings).u16(end.status).end();
  }
}

function encodeOkBody(writer: PacketWriter, ok: OkFields): void {
  const { lastInsertId } = ok;
  const isPlain = typeof lastInsertId === 'number' && lastInsertId >= 0;
  writer.length(ok.changes).length(isPlain ? lastInsertId : BigInt.asUintN(64, BigInt(lastInsertId)));
  writer.u16(ok.status).u16(Math.min(ok.warnings, 0xffff));
  if (ok.info !== '') writer.lengthEncodedText(ok.info);
  writer.end();
}

interface ErrorFields {
  readonly number: number;
  readonly sqlState: string;
  readonly message: string;
}

/** ER_UNKNOWN_ERROR: errors without a number of their own. */
const unnumbered = { number: 1105, sqlState: 'HY000' };
/** OceanBase's timeout, whose outcome is open too. */
const outcomeUnknown = { number: 4012, sqlState: 'HY000' };
/** Numbers below are MySQL's, and clients read the texts (ORMs find column names in them). */
const firstOwnNumber = 4_000;

/** What a client is told. Anything but an `ObError` is our bug and says nothing of its insides. */
export function errorFields(error: unknown): ErrorFields {
  const known = error instanceof ObError ? error : new ObError('OBS_SQL_INTERNAL', {}, error);
  const own = known.mysql ?? (known.kind === 'unknown' ? outcomeUnknown : unnumbered);
  const plain = known.mysql !== undefined && own.number < firstOwnNumber;
  return {
    number: own.number,
    sqlState: own.sqlState,
    message: plain ? known.message : `${known.message} (${known.code}. ${known.hint})`,
  };
}

export function encodeError(writer: PacketWriter, error: unknown): void {
  const { number, sqlState, message } = errorFields(error);
  writer.begin().u8(0xff).u16(number).text('#').text(sqlState).text(message.slice(0, 8_192)).end();
}

/** Before the client's capabilities are known there is no SQLSTATE in errors. */
export function encodeEarlyError(writer: PacketWriter, error: unknown): void {
  const { number, message } = errorFields(error);
  writer.begin().u8(0xff).u16(number).text(message.slice(0, 8_192)).end();
}
