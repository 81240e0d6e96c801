import fc from 'fast-check';
import { expect, test } from 'vitest';
import { committedEndsMax } from '../base/limits.ts';
import type { LogPosition } from '../base/log-access.ts';
import { lsn, scn } from '../base/scalars.ts';
import { LogEnds } from './log-ends.ts';

const at = (value: number, checksum = value): LogPosition => ({ lsn: lsn(value), scn: scn(value), checksum });

test('an index finds what a list of all ends would', () => {
  const steps = fc.array(
    fc.oneof(
      fc.record({ kind: fc.constant('push' as const), by: fc.integer({ min: 1, max: 50 }) }),
      fc.record({ kind: fc.constant('cut' as const), by: fc.nat(5) }),
      fc.record({ kind: fc.constant('trim' as const), by: fc.nat(5) }),
    ),
    { maxLength: 300 },
  );
  fc.assert(
    fc.property(steps, fc.array(fc.nat(4_000), { maxLength: 20 }), (actions, places) => {
      const index = new LogEnds([at(100)]);
      let ends = [at(100)];
      let committed = 0;
      for (const { kind, by } of actions) {
        const newest = ends.at(-1)?.lsn ?? 0;
        if (kind === 'push') {
          ends.push(at(newest + by));
          index.push(at(newest + by));
        } else {
          const place = Math.max(committed, ends.length - 1 - by);
          const end = ends[place] ?? at(100);
          if (kind === 'cut') {
            ends = ends.slice(0, place + 1);
            index.cut(end);
          } else {
            committed = place;
            index.trim(end.lsn);
          }
        }
      }
      const low = index.low.lsn;
      const kept = ends.filter(end => end.lsn >= low);
      expect(kept.length).toBeGreaterThanOrEqual(Math.min(ends.length, committedEndsMax));
      for (const place of places.map(lsn)) {
        expect(index.find(place)).toEqual(kept.find(end => end.lsn === place));
        expect(index.floor(place)).toEqual(kept.filter(end => end.lsn <= place).at(-1));
        if (place >= low) expect(index.countBehind(place)).toBe(ends.filter(end => end.lsn > place).length);
      }
    }),
  );
});

test('a cut before everything known, and a new beginning, leave one position', () => {
  const index = new LogEnds([at(500), at(600)]);
  index.cut(at(200));
  expect([index.low, index.floor(lsn(900))]).toEqual([at(200), at(200)]);
  index.push(at(300));
  index.restart(at(7_000));
  expect(index.low).toEqual(at(7_000));
});
