/**
 * Commit rule: the position that a majority of the log-sync members has flushed (L4). The sorted list's element
 * ⌊n/2⌋ counted from the furthest: 1st of 1, 2nd of 2, 2nd of 3, 3rd of 4, 3rd of 5.
 */
import { assert, must } from '../base/assert.ts';
import type { LogPosition } from '../base/log-access.ts';

/** @param flushed each log-sync member's flushed end as far as the leader knows */
export function majorityEnd(flushed: readonly LogPosition[]): LogPosition {
  assert(flushed.length > 0, 'a log stream has a member');
  const descending = [...flushed].sort((a, b) => b.lsn - a.lsn);
  return must(descending[Math.floor(descending.length / 2)], 'majority position');
}
