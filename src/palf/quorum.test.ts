import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LogPosition } from '../base/log-access.ts';
import { lsn, scn } from '../base/scalars.ts';
import { majorityEnd } from './quorum.ts';

const position = (at: number): LogPosition => ({ lsn: lsn(at), scn: scn(0), checksum: 0 });

test('the majority end is the furthest position that more than half of the members have flushed', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(1_000), { minLength: 1, maxLength: 7 }), ends => {
      // The slow twin: try every position.
      const reached = ends.filter(end => ends.filter(other => other >= end).length * 2 > ends.length);
      expect(majorityEnd(ends.map(position)).lsn).toBe(Math.max(...reached));
    }),
  );
});
