import fc from 'fast-check';
import { expect, test } from 'vitest';
import { dumpArchiveObject } from '../../../src/archive/dump.ts';
import { logStreamId, lsn, roleEpoch, scn, wallMicros } from '../../../src/base/scalars.ts';
import { type BackupRecord, decodeBackup, encodeBackup } from '../../../src/codec/backup.ts';
import { decodeManifest, encodeManifest, type Manifest, noHash } from '../../../src/codec/manifest.ts';
import { decodeSegment, encodeSegment, type SegmentHeader } from '../../../src/codec/segment.ts';

const whole = fc.nat({ max: Number.MAX_SAFE_INTEGER - 2 ** 33 });
const position = fc.record({ lsn: whole.map(lsn), scn: whole.map(scn), checksum: fc.nat(0xffff_ffff) });
const name = fc.string({ minLength: 1, maxLength: 20 });
const hash = fc.uint8Array({ minLength: 32, maxLength: 32 }).map(bytes => Buffer.from(bytes).toString('hex'));

const segment: fc.Arbitrary<{ header: SegmentHeader; body: Uint8Array }> = fc
  .record({
    stream: whole.map(logStreamId),
    incarnation: fc.uuid(),
    epoch: whole.map(roleEpoch),
    start: position,
    endChecksum: fc.nat(0xffff_ffff),
    body: fc.uint8Array({ maxLength: 300 }),
    compression: fc.constantFrom('none' as const, 'zstd' as const),
  })
  .map(({ endChecksum, body, ...rest }) => ({
    body,
    header: {
      ...rest,
      end: { lsn: lsn(rest.start.lsn + 1_000), scn: scn(rest.start.scn + 5), checksum: endChecksum },
      rawBytes: 1_000,
    },
  }));

const record = fc.record({
  key: name,
  sha256: hash,
  storedBytes: whole,
  roundId: whole,
  pieceId: whole,
  epoch: whole.map(roleEpoch),
  start: position,
  end: position,
});

const manifest: fc.Arbitrary<Manifest> = fc.record({
  number: whole.map(value => value + 1),
  previousHash: fc.constantFrom(noHash, 'ab'.repeat(32)),
  incarnation: name,
  stream: whole.map(logStreamId),
  epoch: whole.map(roleEpoch),
  siteId: name,
  nonce: name,
  wall: whole.map(wallMicros),
  fullAt: fc.constant(1),
  state: fc.constant(null),
  records: fc.array(
    fc.oneof(
      fc.record({
        kind: fc.constant('claim' as const),
        epoch: whole.map(roleEpoch),
        siteId: name,
        operationId: name,
        cut: fc.option(position),
      }),
      fc.record({
        kind: fc.constant('sealed' as const),
        lsn: whole.map(lsn),
        scn: whole.map(scn),
        checksum: fc.nat(0xffff_ffff),
        epoch: whole.map(roleEpoch),
        switchoverId: name,
      }),
      fc.record({
        kind: fc.constant('segmentsAdded' as const),
        segments: fc.array(record, { minLength: 1, maxLength: 3 }),
      }),
      fc.record({
        kind: fc.constant('segmentsMerged' as const),
        removed: fc.array(name, { minLength: 2, maxLength: 4 }),
        by: record,
      }),
    ),
    { maxLength: 4 },
  ),
});

const backup: fc.Arbitrary<BackupRecord> = fc.record({
  backupId: name,
  incarnation: name,
  tenantName: name,
  siteId: name,
  wall: whole.map(wallMicros),
  pageBytes: fc.constantFrom(512, 4_096, 65_536),
  fileBytes: whole,
  blockBytes: fc.constant(16_777_216),
  proposalHistory: fc.constant([]),
  start: fc.constant({ lsn: lsn(10), scn: scn(20), checksum: 30 }),
  minimum: fc.constant({ lsn: lsn(40), scn: scn(50), checksum: 60 }),
  pieces: fc.array(
    fc.record({
      key: name,
      sha256: hash,
      position: whole,
      rawBytes: fc.integer({ min: 1, max: 100 }),
      storedBytes: whole,
    }),
    { maxLength: 3 },
  ),
});

const flipped = (bytes: Uint8Array, at: number): Uint8Array => {
  const copy = bytes.slice();
  const index = Math.floor(at / 8) % copy.length;
  copy[index] = (copy[index] ?? 0) ^ (1 << (at % 8));
  return copy;
};

test('a segment decodes to what was encoded', () => {
  fc.assert(
    fc.property(segment, ({ header, body }) => {
      expect(decodeSegment(encodeSegment(header, body))).toEqual({ kind: 'segment', header, body });
    }),
  );
});

test('a manifest decodes to what was encoded', () => {
  fc.assert(
    fc.property(manifest, value => {
      fc.pre(value.number > 1);
      expect(decodeManifest(encodeManifest(value))).toEqual({ kind: 'manifest', manifest: value });
    }),
  );
});

test('a backup record decodes to what was encoded', () => {
  fc.assert(
    fc.property(backup, value => {
      expect(decodeBackup(encodeBackup(value))).toEqual({ kind: 'backup', record: value });
    }),
  );
});

test('no flipped bit of an archive object is accepted', () => {
  const encoded = fc.oneof(
    segment.map(({ header, body }) => encodeSegment(header, body)),
    manifest.filter(value => value.number > 1).map(encodeManifest),
    backup.map(encodeBackup),
  );
  fc.assert(
    fc.property(encoded, fc.nat(), (bytes, at) => {
      const damaged = flipped(bytes, at);
      for (const decode of [decodeSegment, decodeManifest, decodeBackup])
        expect(decode(damaged).kind).toBe('problem');
    }),
    { numRuns: 2_000 },
  );
});

test('no cut or lengthened archive object is accepted, and foreign bytes never throw', () => {
  const encoded = fc.oneof(
    segment.map(({ header, body }) => encodeSegment(header, body)),
    manifest.filter(value => value.number > 1).map(encodeManifest),
    backup.map(encodeBackup),
  );
  fc.assert(
    fc.property(encoded, fc.nat(), fc.uint8Array({ maxLength: 200 }), (bytes, at, noise) => {
      for (const wrong of [
        bytes.subarray(0, at % bytes.length),
        Buffer.concat([bytes, new Uint8Array(1)]),
        noise,
      ])
        for (const decode of [decodeSegment, decodeManifest, decodeBackup])
          expect(decode(new Uint8Array(wrong)).kind).toBe('problem');
    }),
  );
});

test('objects of the archive are dumped by their kind, other bytes are not', () => {
  fc.assert(
    fc.property(manifest, segment, (value, { header, body }) => {
      fc.pre(value.number > 1);
      expect(dumpArchiveObject(encodeManifest(value))).toMatchObject({ kind: 'manifest' });
      expect(dumpArchiveObject(encodeSegment(header, body))).toMatchObject({ kind: 'segment' });
      expect(dumpArchiveObject(body)).toBeUndefined();
    }),
    { numRuns: 20 },
  );
});
