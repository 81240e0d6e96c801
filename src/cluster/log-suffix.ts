/** Counts what a log holds after a cut: the exact size of what a failover could not save. */
import { suffixReadBytes } from '../base/limits.ts';
import type { LogPosition, LogReader } from '../base/log-access.ts';
import { ObError } from '../base/errors.ts';
import { isProblem } from '../codec/clog.ts';
import { EntryAssembler } from '../codec/entry-assembler.ts';
import type { LogSuffix } from '../role/row.ts';

/** `cut` is a group boundary of this log. Throws OBS_LOG_RECYCLED when the suffix is not all here any more. */
export async function countLogSuffix(log: LogReader, cut: LogPosition): Promise<LogSuffix> {
  const { end, stream } = log.state();
  const assembler = new EntryAssembler(cut);
  let transactions = 0;
  let at = cut.lsn;
  while (at < end.lsn) {
    const chunk = await log.read(at, suffixReadBytes);
    const entries = assembler.push(chunk.bytes);
    if (isProblem(entries))
      throw new ObError('OBS_LOG_CORRUPT', { stream, lsn: entries.lsn, what: entries.what });
    for (const entry of entries) transactions += entry.transactions;
    at = chunk.end.lsn;
  }
  return { transactions, end };
}
