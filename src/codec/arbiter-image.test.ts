import { expect, test } from 'vitest';
import { lsn, nodeId, proposalId, scn } from '../base/scalars.ts';
import {
  type ArbiterImage,
  decodeArbiterImage,
  encodeArbiterImage,
  newArbiterImage,
} from './arbiter-image.ts';
import { firstRecord } from './config-record.ts';

const record = {
  ...firstRecord({
    members: [nodeId('site1-node1-4f2a9c'), nodeId('site1-node2-77ab01')],
    learners: [nodeId('site3-node1-00c1d2')],
    accessMode: 'RAW_WRITE',
    referenceScn: scn(1_700_000_000_000_000),
  }),
  version: { proposalId: proposalId(1_234), sequence: 5_678 },
  degraded: [nodeId('site2-node1-1a2b3c'), nodeId('site2-node2-9d8e7f')],
  arbiter: nodeId('arbiter-5e6f70'),
  sealed: { lsn: lsn(9_007_199_254_740_991), scn: scn(1_700_000_000_000_000), checksum: 4_294_967_295 },
  cuts: [
    {
      version: { proposalId: proposalId(1_200), sequence: 7 },
      at: { lsn: lsn(9_007_199_254_740_991), scn: scn(1_700_000_000_000_000), checksum: 4_294_967_295 },
    },
  ],
};
const image: ArbiterImage = {
  self: nodeId('arbiter-5e6f70'),
  promised: proposalId(1_235),
  leaseMs: 1_200,
  config: record,
  basis: { start: record.sealed, barrier: record.sealed.lsn, since: record.version },
};

test('an image comes back as it was, and of 4F and an R replica it takes little more than 1 KiB', () => {
  const bytes = encodeArbiterImage(image);
  expect(bytes.length).toBeLessThan(1_280);
  expect(decodeArbiterImage(bytes)).toEqual(image);
  const made = newArbiterImage(nodeId('a'));
  expect(decodeArbiterImage(encodeArbiterImage(made))).toEqual(made);
});

test('an image that was written before the log of a record was kept has none, and before leases were the longest there is', () => {
  expect(decodeArbiterImage(changed({ basis: undefined }))).toEqual({ ...image, basis: null });
  const { since: _, ...before } = image.basis ?? { since: record.version };
  expect(decodeArbiterImage(changed({ basis: before }))).toEqual(image);
  expect(decodeArbiterImage(changed({ leaseMs: undefined }))).toEqual({ ...image, leaseMs: 4_000 });
});

const changed = (changes: Record<string, unknown>): Uint8Array =>
  Buffer.from(JSON.stringify({ ...image, ...changes }));

test.each([
  ['is cut short', encodeArbiterImage(image).subarray(0, 100)],
  ['is empty', new Uint8Array(0)],
  ['is too large', Buffer.alloc(20_000, ' ')],
  ['has no promise', changed({ promised: undefined })],
  ['has a promise that is no number', changed({ promised: -1 })],
  ['has a lease that is no number', changed({ leaseMs: null })],
  ['has no node', changed({ self: '' })],
  ['has half a record', changed({ config: { ...record, members: undefined } })],
  ['has no word on a record', changed({ config: undefined })],
  ['has half a basis', changed({ basis: { barrier: 0 } })],
  ['names a node twice', changed({ config: { ...record, degraded: record.members } })],
  ['has degraded replicas and no arbiter', changed({ config: { ...record, arbiter: null } })],
])('an image that %s is a problem', (_, bytes) => {
  expect(decodeArbiterImage(bytes)).toMatchObject({ kind: 'problem' });
});
