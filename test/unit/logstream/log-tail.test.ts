/** What the newest log of a stream keeps in memory. */
import { expect, test } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import { tailBytesIdle, tailKeepMs } from '../../../src/base/limits.ts';
import { lsn, monoMs, proposalId } from '../../../src/base/scalars.ts';
import type { ClosedGroup } from '../../../src/codec/group-builder.ts';
import { LogTail } from '../../../src/logstream/log-tail.ts';
import { groupsAfter, logStart } from '../../support/log-groups.ts';

const closed = (...texts: readonly string[]): ClosedGroup[] =>
  groupsAfter(logStart, 10, texts).map(group => ({ ...group, proposalId: proposalId(1) }));
const groups = closed(...Array.from({ length: 120 }, (_, index) => `keep-alive ${index}`));

/** The group as it lies among other bytes. */
function within(group: ClosedGroup, buffer: Uint8Array, at: number): ClosedGroup {
  buffer.set(group.bytes, at);
  return { ...group, bytes: buffer.subarray(at, at + group.bytes.length) };
}

test('an idle stream keeps a few KiB, whatever its groups came in', () => {
  const tail = new LogTail();
  for (const [index, group] of groups.entries()) {
    const received = new Uint8Array(65_536);
    tail.push([within(group, received, 30_000)], monoMs(index * (tailKeepMs / 10)));
    // The bytes around it belong to others.
    received.fill(0, 0, 30_000);
  }
  const end = groups.at(-1)?.end.lsn ?? lsn(0);
  const kept = groups.flatMap(group => tail.groups(group.start.lsn, 1, end) ?? []);
  expect(kept.length).toBeGreaterThan(10);
  expect(kept).toEqual(groups.slice(-kept.length));
  const buffers = new Set(kept.map(({ bytes }) => bytes.buffer));
  const pinned = [...buffers].reduce((sum, buffer) => sum + buffer.byteLength, 0);
  expect(pinned).toBeLessThanOrEqual(3 * tailBytesIdle);
});

test('a group that fills most of its buffer is kept as it is', () => {
  const tail = new LogTail();
  const group = must(closed('x'.repeat(10_000))[0], 'group');
  tail.push([group], monoMs(0));
  expect(tail.read(lsn(0), 1, group.end.lsn)?.bytes).toBe(group.bytes);
});
