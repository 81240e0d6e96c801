import { expect, test } from 'vitest';
import { groupsAfter, logStart } from '../../test/support/log-groups.ts';
import { lsn, scn, scnUnlimited } from '../base/scalars.ts';
import { cutChunk, joinChunks } from './chunk-cut.ts';

const groups = groupsAfter(logStart, 100, ['one', 'two', 'three']);
const whole = joinChunks(groups);

test('a chunk that continues the log is taken whole', () => {
  expect(cutChunk(whole, logStart, scnUnlimited)).toEqual({
    kind: 'chunk',
    chunk: whole,
    reachedUntil: false,
  });
});

test('groups after the bound are cut off, at a group boundary', () => {
  const cut = cutChunk(whole, logStart, scn(115));
  if (cut.kind !== 'chunk') throw new Error(cut.message);
  expect(cut.reachedUntil).toBe(true);
  expect(cut.chunk).toEqual(joinChunks(groups.slice(0, 2)));
  const none = cutChunk(whole, logStart, scn(99));
  expect(none).toMatchObject({ kind: 'chunk', reachedUntil: true, chunk: { end: logStart } });
  expect(none.kind === 'chunk' && none.chunk.bytes.length).toBe(0);
});

test('a bound that is met exactly is reached', () => {
  expect(cutChunk(whole, logStart, scn(120))).toMatchObject({
    reachedUntil: true,
    chunk: { end: whole.end },
  });
});

test('a chunk from another place is not taken', () => {
  expect(cutChunk(whole, { ...whole.end, lsn: lsn(whole.end.lsn + 7) }, scnUnlimited)).toMatchObject({
    kind: 'problem',
    code: 'OBS_PEER_PROTOCOL',
  });
});

test('a group across the end of the log is a fork, a whole group before it is not', () => {
  const [first] = groups;
  if (first === undefined) throw new Error('no groups');
  expect(cutChunk(whole, { ...logStart, lsn: lsn(first.end.lsn + 1) }, scnUnlimited)).toMatchObject({
    code: 'OBS_STANDBY_DIVERGED',
  });
  expect(cutChunk(whole, first.end, scnUnlimited)).toMatchObject({ code: 'OBS_PEER_PROTOCOL' });
});

test('a chunk that continues another checksum or SCN is a fork', () => {
  for (const end of [
    { ...logStart, checksum: 1 },
    { ...logStart, scn: scn(5) },
  ]) {
    expect(cutChunk(whole, end, scnUnlimited)).toMatchObject({
      kind: 'problem',
      code: 'OBS_STANDBY_DIVERGED',
    });
  }
});

test('bytes that do not prove the end they claim are not taken', () => {
  const altered = { ...whole, bytes: new Uint8Array(whole.bytes) };
  altered.bytes[50] = (altered.bytes[50] ?? 0) ^ 1;
  expect(cutChunk(altered, logStart, scnUnlimited)).toMatchObject({
    kind: 'problem',
    code: 'OBS_PEER_PROTOCOL',
  });
  const claimed = { ...whole, end: { ...whole.end, checksum: 3 } };
  expect(cutChunk(claimed, logStart, scnUnlimited)).toMatchObject({
    kind: 'problem',
    code: 'OBS_PEER_PROTOCOL',
  });
});
