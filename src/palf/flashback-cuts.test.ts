import fc from 'fast-check';
import { expect, test } from 'vitest';
import { configCutsMax } from '../base/limits.ts';
import type { ConfigVersion, LogPosition } from '../base/log-access.ts';
import { lsn, proposalId, scn } from '../base/scalars.ts';
import { noVersion } from '../codec/config-record.ts';
import { type Cuts, lastCutVersion, missedCut, withCut } from './flashback-cuts.ts';

const at = (place: number): LogPosition => ({ lsn: lsn(place), scn: scn(place), checksum: place });
const version = (number: number): ConfigVersion => ({ proposalId: proposalId(number), sequence: number });
const none: Cuts = { cuts: [], cutsForgotten: noVersion };

/** Cuts at these places, by records 1, 2, 3 … */
const cutAt = (places: readonly number[]) =>
  places.reduce((cuts, place, index) => withCut(cuts, at(place), version(index + 1)), none);

test('a log is cut at the lowest cut that it missed, or not at a guess', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(30), { minLength: 1, maxLength: 20 }), places => {
      const cuts = cutAt(places);
      expect(lastCutVersion(cuts)).toEqual(version(places.length));
      for (let made = 0; made <= places.length; made++) {
        const missed = missedCut(cuts, made === 0 ? noVersion : version(made));
        if (missed === 'unknown') continue;
        const lowest = Math.min(...places.slice(made));
        expect(missed).toEqual(made === places.length ? null : at(lowest));
      }
    }),
  );
});

test('as many cuts as a record has room for are told of, however they lie', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(30), { maxLength: configCutsMax }), places => {
      expect(missedCut(cutAt(places), noVersion)).not.toBe('unknown');
    }),
  );
});

test('who missed more of them than a record has room for is told so', () => {
  const places = Array.from({ length: configCutsMax + 2 }, (_, index) => index * 10);
  const cuts = cutAt(places);
  expect(cuts.cuts).toHaveLength(configCutsMax);
  expect(missedCut(cuts, noVersion)).toBe('unknown');
  expect(missedCut(cuts, version(1))).toBe('unknown');
  expect(missedCut(cuts, version(2))).toEqual(at(20));
});
