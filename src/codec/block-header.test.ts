import { expect, test } from 'vitest';
import { logStreamId, lsn, scn } from '../base/scalars.ts';
import {
  type BlockHeader,
  blockFileName,
  blockHeaderBytes,
  blockIdOf,
  blockIdOfFileName,
  decodeBlockHeader,
  encodeBlockHeader,
  positionInBlock,
} from './block-header.ts';

const header: BlockHeader = {
  stream: logStreamId(1001),
  incarnation: 'tenant-é',
  blockId: 2,
  blockBytes: 16_384,
  start: { lsn: lsn(2 * 12_288 + 5), scn: scn(88), checksum: 123 },
};

test('a block header comes back whole', () => {
  expect(decodeBlockHeader(encodeBlockHeader(header))).toEqual(header);
});

test('a block header with any one bit flipped is never accepted', () => {
  const bytes = encodeBlockHeader(header);
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(decodeBlockHeader(bytes)).toMatchObject({ kind: 'problem' });
    bytes[bit >> 3] = (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7));
  }
});

test('an LSN has one place: its block, and its position behind that block’s header', () => {
  const blockBytes = 16_384;
  expect([blockIdOf(lsn(12_287), blockBytes), blockIdOf(lsn(12_288), blockBytes)]).toEqual([0, 1]);
  expect(positionInBlock(lsn(12_288), blockBytes)).toBe(blockHeaderBytes);
  expect(positionInBlock(lsn(12_287), blockBytes)).toBe(blockBytes - 1);
});

test('block file names sort as the log runs, and only they are taken for blocks', () => {
  expect(blockIdOfFileName(blockFileName(12))).toBe(12);
  expect(blockFileName(9) < blockFileName(10)).toBe(true);
  expect(blockIdOfFileName('meta')).toBeUndefined();
  expect(blockIdOfFileName('12.clog')).toBeUndefined();
});
