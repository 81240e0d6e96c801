import fc from 'fast-check';
import { expect, test } from 'vitest';
import { logStreamId, lsn, nodeId, proposalId, scn } from '../base/scalars.ts';
import { decodeMeta, encodeMeta, type MetaImage } from './meta-image.ts';

const image: MetaImage = {
  stream: logStreamId(1001),
  incarnation: '0f9f7b1c-5a60-4b7e-9d0e-3a8f1b2c4d5e',
  blockBytes: 16_777_216,
  self: nodeId('a'),
  promised: proposalId(4),
  leaseMs: 1_200,
  accepted: proposalId(3),
  config: {
    version: { proposalId: proposalId(1), sequence: 2 },
    members: [nodeId('a'), nodeId('b')],
    learners: [nodeId('d')],
    arbiter: nodeId('c'),
    degraded: [],
    accessMode: 'RAW_WRITE',
    modeVersion: 3,
    referenceScn: scn(77),
    sealed: { lsn: lsn(900), scn: scn(70), checksum: 5 },
    cuts: [
      {
        at: { lsn: lsn(300), scn: scn(40), checksum: 4 },
        version: { proposalId: proposalId(1), sequence: 1 },
      },
    ],
    cutsForgotten: { proposalId: proposalId(0), sequence: 0 },
  },
  cutApplied: { proposalId: proposalId(0), sequence: 0 },
  history: [{ proposalId: proposalId(2), startLsn: lsn(0) }],
  base: { lsn: lsn(100), scn: scn(10), checksum: 0xffff_ffff },
  checkpointLsn: lsn(120),
  durableEnd: lsn(900),
  truncateTo: null,
  impaired: null,
  mendings: 1,
};

test('a meta image comes back whole', () => {
  expect(decodeMeta(encodeMeta(image, 9))).toEqual({ kind: 'meta', sequence: 9, image });
});

test('a meta image with any one bit flipped is never accepted', () => {
  const bytes = encodeMeta(image, 9);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const bad = bytes.slice();
    bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(decodeMeta(bad).kind).toBe('problem');
  }
});

test('foreign bytes are a problem, never an exception', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), bytes => {
      expect(decodeMeta(bytes).kind).toBe('problem');
    }),
  );
});

test('a body that passes its checksum but lacks a field is a problem', () => {
  const { base: _, ...rest } = image;
  const bytes = encodeMeta(rest as MetaImage, 1);
  expect(decodeMeta(bytes)).toMatchObject({ kind: 'problem' });
  expect(
    decodeMeta(encodeMeta({ ...image, config: { ...image.config, accessMode: 'OPEN' as 'APPEND' } }, 1)).kind,
  ).toBe('problem');
});
