import { expect, test } from 'vitest';
import { MemoryClog } from '../../test/support/memory-clog.ts';
import { lsn } from '../base/scalars.ts';
import { encodeRedo } from '../codec/redo.ts';
import { RedoReader } from './redo-reader.ts';

const redo = (pgno: number): Uint8Array =>
  encodeRedo({
    pageBytes: 4096,
    databasePages: 9,
    transactions: 1,
    pages: [{ pgno, ranges: [{ offset: 0, bytes: new Uint8Array(4096) }] }],
  });

test('nothing is taken behind a record that makes no sense', async () => {
  const log = new MemoryClog();
  const ends = [redo(1), Buffer.from('no redo'), redo(2)].map((body, index) =>
    log.append('redo', body, index + 1),
  );
  log.commit();
  const { bytes } = await log.read(lsn(0), 1 << 20);
  const [good, bad, next] = ends.map((end, index) => {
    const start = log.positions()[index] ?? end;
    return { start, end, bytes: bytes.subarray(start.lsn, end.lsn) };
  });
  if (good === undefined || bad === undefined || next === undefined) throw new Error('three groups');
  const reader = new RedoReader('a test', good.start);
  expect(reader.take(good)).toHaveLength(1);
  expect(() => reader.take(bad)).toThrow('cannot be applied');
  expect(() => reader.take(next)).toThrow('cannot be applied');
});
