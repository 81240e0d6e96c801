import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lsn, scn } from '../base/scalars.ts';
import {
  type CheckpointRecord,
  checkpointFileBytes,
  checkpointSlotPosition,
  decodeCheckpointFile,
  encodeCheckpointFile,
  encodeCheckpointSlot,
} from './checkpoint-record.ts';

const records: fc.Arbitrary<CheckpointRecord> = fc.record({
  position: fc.record({
    lsn: fc.maxSafeNat().map(lsn),
    scn: fc.maxSafeNat().map(scn),
    checksum: fc.nat(2 ** 32 - 1),
  }),
  databasePages: fc.nat(2 ** 32 - 2),
  pageBytes: fc.constantFrom(512, 4096, 65_536),
  incarnation: fc.uuid(),
});

const fileOf = (...slots: readonly [CheckpointRecord, number][]): Uint8Array => {
  const file = new Uint8Array(checkpointFileBytes);
  for (const [record, sequence] of slots) {
    file.set(encodeCheckpointSlot(record, sequence), checkpointSlotPosition(sequence));
  }
  return file;
};

test('a file gives back the record it was made with', () => {
  fc.assert(
    fc.property(records, record => {
      expect(decodeCheckpointFile(encodeCheckpointFile(record))).toEqual({
        kind: 'checkpoint',
        record,
        sequence: 0,
      });
    }),
  );
});

test('of two whole slots the newer one counts, on either side', () => {
  fc.assert(
    fc.property(records, records, fc.nat(1000), (older, newer, sequence) => {
      const file = fileOf([older, sequence], [newer, sequence + 1]);
      expect(decodeCheckpointFile(file)).toMatchObject({ record: newer, sequence: sequence + 1 });
    }),
  );
});

test('a damaged slot gives way to the other, whichever bit was flipped', () => {
  fc.assert(
    fc.property(records, records, fc.nat(), fc.nat(7), (older, newer, place, bit) => {
      const file = fileOf([older, 4], [newer, 5]);
      const length = encodeCheckpointSlot(newer, 5).length;
      const at = checkpointSlotPosition(5) + (place % length);
      file[at] = (file[at] as number) ^ (1 << bit);
      expect(decodeCheckpointFile(file)).toMatchObject({ record: older, sequence: 4 });
    }),
  );
});

test('a file without a whole slot is a problem, never "no checkpoint"', () => {
  expect(decodeCheckpointFile(new Uint8Array(0)).kind).toBe('problem');
  expect(decodeCheckpointFile(new Uint8Array(checkpointFileBytes)).kind).toBe('problem');
});
