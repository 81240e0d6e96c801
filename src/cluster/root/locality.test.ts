import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  checkZones,
  defaultLocality,
  type Locality,
  localityText,
  parseLocality,
  parsePrimaryZone,
  primaryZoneText,
  zonePriority,
} from './locality.ts';

const zones = new Map([
  ['zone1', 1],
  ['zone2', 1],
  ['zone3', 2],
]);

test('a locality is read in all its spellings and shown in one', () => {
  const shown = (text: string): string => localityText(parseLocality(text));
  expect(shown('F@zone1,F@zone2, F@zone3 , R@zone4')).toBe(
    'FULL{1}@zone1, FULL{1}@zone2, FULL{1}@zone3, READONLY{1}@zone4',
  );
  expect(shown('full{ 2 }@zone1, readonly{3}@zone1')).toBe('FULL{2}@zone1, READONLY{3}@zone1');
  expect(shown('F,R{2}@zone1')).toBe('FULL{1}@zone1, READONLY{2}@zone1');
});

test('what is shown is read back as what it was', () => {
  const item = fc.record({
    type: fc.constantFrom('F' as const, 'R' as const),
    count: fc.integer({ min: 1, max: 2 }),
    zone: fc.constantFrom('zone1', 'zone2', 'z-3'),
  });
  const localities = fc
    .uniqueArray(item, { selector: ({ type, zone }) => `${type}${zone}`, maxLength: 4 })
    .filter(items => items.some(({ type }) => type === 'F'));
  fc.assert(
    fc.property(localities, locality => {
      const read = parseLocality(localityText(locality));
      expect(read).toEqual(expect.arrayContaining(locality));
      expect(read).toHaveLength(locality.length);
      expect(parseLocality(localityText([...locality].reverse()))).toEqual(read);
    }),
  );
});

test.each([
  ['', 'OBS_LOCALITY_SYNTAX', 'a replica is missing'],
  ['F@zone1,', 'OBS_LOCALITY_SYNTAX', 'a replica is missing'],
  ['F', 'OBS_LOCALITY_SYNTAX', "'F' names no zone"],
  ['F@zone1, F', 'OBS_LOCALITY_SYNTAX', "'F' names no zone"],
  ['F@zone1@zone2', 'OBS_LOCALITY_SYNTAX', 'names two zones'],
  ['F@zone 1', 'OBS_LOCALITY_SYNTAX', 'is no zone name'],
  ['F{0}@zone1', 'OBS_LOCALITY_SYNTAX', 'not there'],
  ['F{x}@zone1', 'OBS_LOCALITY_SYNTAX', 'is no replica'],
  ['F@zone1, FULL@zone1', 'OBS_LOCALITY_SYNTAX', 'two entries of FULL'],
  ['L@zone1', 'OBS_LOCALITY_REPLICA_TYPE', "type 'L'"],
  ['F@zone1, COLUMNSTORE@zone2', 'OBS_LOCALITY_REPLICA_TYPE', "type 'COLUMNSTORE'"],
  ['R@zone1', 'OBS_LOCALITY_NO_FULL', 'without a full replica'],
  ['F{8}@zone1', 'OBS_LOCALITY_TOO_LARGE', '8 FULL replicas'],
  ['F@zone1, R{13}@zone2', 'OBS_LOCALITY_TOO_LARGE', '13 READONLY replicas'],
  [`F@${'z'.repeat(5_000)}`, 'OBS_LOCALITY_SYNTAX', 'longer than'],
])('locality %s is refused by name', (text, code, message) => {
  expect(() => parseLocality(text)).toThrow(expect.objectContaining({ code }) as Error);
  expect(() => parseLocality(text)).toThrow(message);
});

test('zones that are not there, and zones with too few servers, are named', () => {
  const check = (text: string): void => checkZones(parseLocality(text), zones);
  check('F@zone1, F@zone2, F,R@zone3');
  expect(() => check('F@zone1, R@zone9')).toThrow(
    "there is no zone 'zone9'; the zones are zone1, zone2, zone3",
  );
  expect(() => check('F@zone1, R@zone1')).toThrow(
    'zone zone1 is to hold 2 replica(s) and has 1 server(s) for them',
  );
});

test('by default every zone has a full replica, at most so many', () => {
  const text = (locality: Locality): string => localityText(locality);
  expect(text(defaultLocality(['zone1'], 3))).toBe('FULL{1}@zone1');
  expect(text(defaultLocality(['b', 'a', 'b', 'c', 'd'], 3))).toBe('FULL{1}@a, FULL{1}@b, FULL{1}@c');
  expect(text(defaultLocality(['a', 'a', 'a', 'a'], 3))).toBe('FULL{3}@a');
  expect(text(defaultLocality(['b', 'a', 'a'], 3))).toBe('FULL{2}@a, FULL{1}@b');
  expect(text(defaultLocality(['a', 'b'], 3))).toBe('FULL{1}@a, FULL{1}@b');
});

test('a primary zone ranks the zones', () => {
  const known = new Set(zones.keys());
  const parsed = parsePrimaryZone('zone2 ; zone1, zone3', known);
  expect(primaryZoneText(parsed)).toBe('zone2;zone1,zone3');
  expect(['zone1', 'zone2', 'zone3', 'zone4'].map(zone => zonePriority(parsed, zone))).toEqual([1, 0, 1, 2]);
  const none = parsePrimaryZone('random', known);
  expect([primaryZoneText(none), zonePriority(none, 'zone1')]).toEqual(['RANDOM', 0]);
});

test.each([
  ['zone1;', 'a zone is missing'],
  ['zone9', "there is no zone 'zone9'"],
  ['zone1,zone1', "zone 'zone1' is there twice"],
])('primary zone %s is refused by name', (text, why) => {
  expect(() => parsePrimaryZone(text, new Set(zones.keys()))).toThrow(why);
});
