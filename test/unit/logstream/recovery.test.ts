/** What is found at a start in a log that others have too: damage is mended from them, or left and told. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import type { LogChunk, LogPosition } from '../../../src/base/log-access.ts';
import { logStreamId, lsn, type NodeId, nodeId } from '../../../src/base/scalars.ts';
import { samePosition } from '../../../src/codec/clog.ts';
import { type MetaImage } from '../../../src/codec/meta-image.ts';
import type { LogStream } from '../../../src/logstream/log-stream.ts';
import { MetaFile } from '../../../src/logstream/meta-file.ts';
import { logStart } from '../../../src/logstream/log-stream-options.ts';
import { recoverLog, soleMember } from '../../../src/logstream/recovery.ts';
import { silentLogger } from '../../../src/platform/logger.ts';
import { commit, LogPlace, redo } from '../../support/log-place.ts';

const [self, other] = [nodeId('a'), nodeId('b')];
const blockBytes = 16_384;
const room = blockBytes - 4_096;
const code = (expected: string) => expect.objectContaining({ code: expected });

let place: LogPlace;
/** the same log, whole */
let whole: LogStream;
let end: LogPosition;

beforeEach(async () => {
  place = new LogPlace();
  const limits = { blockBytes, diskBytesMax: 1_048_576 };
  const log = await place.open({ directory: place.directory('whole'), limits });
  const copy = await place.open({ limits, initialAccessMode: 'RAW_WRITE' });
  for (let index = 0; index < 40; index++) await commit(log, redo(`entry ${index} `.repeat(100)));
  for (let at = lsn(0); at < log.state().end.lsn; at = copy.state().end.lsn)
    await copy.rawWrite(await log.read(at, 4_000));
  await copy.close();
  whole = log;
  end = log.state().end;
  await rewriteMeta(image => ({ ...image, self, config: { ...image.config, members: [self, other] } }));
});
afterEach(() => place.close());

async function rewriteMeta(change: (image: MetaImage) => MetaImage): Promise<void> {
  const file = new MetaFile(place.disk, place.directory());
  const found = await file.read();
  if (found.kind !== 'found') throw new Error('no meta image');
  await file.write(change(found.image));
}

const block = (id: number): string => join(place.directory(), `${String(id).padStart(12, '0')}.clog`);

function spoil(id: number, ...places: readonly number[]): void {
  const bytes = readFileSync(block(id));
  for (const at of places) bytes[at] = must(bytes[at], 'byte') ^ 4;
  writeFileSync(block(id), bytes);
}

const asked: { readonly at: number; readonly from: readonly NodeId[] }[] = [];

/** What another replica does that has the log up to `upTo`. */
const peer = (upTo = end.lsn) => {
  asked.length = 0;
  return async (
    at: LogPosition,
    who?: { readonly peers: readonly NodeId[] },
  ): Promise<LogChunk | undefined> => {
    asked.push({ at: at.lsn, from: who?.peers ?? [] });
    if (at.lsn >= upTo) return undefined;
    const chunk = await whole.read(at.lsn, 5_000);
    return samePosition(chunk.start, at) ? chunk : undefined;
  };
};

const recover = (fetch: Parameters<typeof recoverLog>[0]['fetch']) =>
  recoverLog({
    disk: place.disk,
    clock: place.clock,
    logger: silentLogger,
    directory: place.directory(),
    stream: logStreamId(1001),
    incarnation: 'test',
    self,
    blockBytes,
    initial: {
      position: logStart,
      accessMode: 'APPEND',
      checkpointLsn: lsn(0),
      history: [],
      members: [self, other],
      learners: [],
    },
    fetch,
  });

test('a sound log asks nobody, and knows what it can prove to be committed', async () => {
  const found = await recover(peer());
  expect(found).toMatchObject({ end, damage: null, begin: 0 });
  expect(asked).toEqual([]);
  expect(found.committed.lsn).toBeGreaterThan(0);
  expect(found.committed.lsn).toBeLessThan(end.lsn);
  expect(found.tail.at(-1)).toEqual(end);
  expect(must(found.tail[0], 'tail').lsn).toBeGreaterThan(found.committed.lsn);
  const { start } = await whole.read(found.committed.lsn, 1);
  expect(start).toEqual(found.committed);
});

const damages: readonly (readonly [string, () => void])[] = [
  ['a flipped bit', () => spoil(0, 4_096 + 700)],
  ['two damaged groups, far apart', () => spoil(1, 4_096 + 700, 4_096 + 9_000)],
  ['a group header', () => spoil(0, 4_096 + 2)],
  ['the last group', () => spoil(Math.floor(end.lsn / room), 4_096 + (end.lsn % room) - 3)],
  ['the header of a block', () => spoil(1, 30)],
  ['a block that is gone', () => rmSync(block(1))],
  ['the last block gone', () => rmSync(block(Math.floor(end.lsn / room)))],
  ['all blocks gone', () => [0, 1, 2, 3, 4].forEach(id => rmSync(block(id), { force: true }))],
];

test.for(damages)('%s is mended from another replica', async ([, damage]) => {
  const before = [0, 1, 2].map(id => readFileSync(block(id)).subarray(4_096, 4_096 + room));
  damage();
  const found = await recover(peer());
  expect(found).toMatchObject({ end, damage: null, begin: 0 });
  expect(must(asked[0], 'ask').from).toEqual([other]);
  await found.store.close();
  // Once more, with nobody to ask.
  const again = await recover(null);
  expect(again).toMatchObject({ end, damage: null });
  // The peer's copy may differ in header fields that are each site's own.
  const after = [0, 1, 2].map(id => readFileSync(block(id)).subarray(4_096, 4_096 + room));
  expect(after.map(bytes => bytes.length)).toEqual(before.map(bytes => bytes.length));
});

test.for(damages)('%s that nobody can mend is told, and nothing is changed', async ([, damage]) => {
  damage();
  const found = await recover(peer(lsn(0)));
  expect(found.damage).not.toBeNull();
  expect(found.end.lsn).toBeLessThan(end.lsn);
  const { start } = await whole.read(found.end.lsn, 1);
  expect(start).toEqual(found.end);
  await found.store.close();
  // Another start finds the same, and another replica can still give what is missing.
  expect(await recover(peer())).toMatchObject({ end, damage: null });
});

test('what is behind damage is overwritten once the log is cut there', async () => {
  spoil(1, 30);
  const { store, end: good, damage } = await recover(null);
  expect(good.lsn).toBe(room);
  await store.truncate(good, damage?.isHeaderLost);
  const chunk = await whole.read(good.lsn, 4_000);
  await store.append(good, [chunk.bytes]);
  await store.close();
  await rewriteMeta(image => ({ ...image, durableEnd: chunk.end.lsn }));
  expect(await recover(null)).toMatchObject({ end: chunk.end, damage: null });
});

test('a base in the middle of a block whose header is damaged begins the log anew there', async () => {
  const base = (await whole.read(lsn(5_000), 1)).start;
  await rewriteMeta(image => ({ ...image, base, checkpointLsn: base.lsn }));
  spoil(0, 30);
  expect(await recover(null)).toMatchObject({ end: base, begin: base.lsn });
  const { store, ...found } = await recover(peer());
  expect(found).toMatchObject({ end, damage: null, begin: base.lsn });
  await store.close();
});

test('damage of a log with one member is refused, whoever else may learn it', async () => {
  await rewriteMeta(image => ({ ...image, config: { ...image.config, members: [self] } }));
  spoil(0, 4_096 + 700);
  await expect(recover(peer())).rejects.toEqual(code('OBS_LOG_CORRUPT'));
  // A learner has the same log.
  await rewriteMeta(image => ({ ...image, config: { ...image.config, learners: [other] } }));
  expect(await recover(peer())).toMatchObject({ end, committed: end, tail: [], damage: null });
});

test('a data directory of another node is refused; one made before the node had a name is its own', async () => {
  await rewriteMeta(image => ({ ...image, self: other }));
  await expect(recover(peer())).rejects.toEqual(code('OBS_LOG_OTHER_NODE'));
  await rewriteMeta(image => ({
    ...image,
    self: soleMember,
    config: { ...image.config, members: [soleMember] },
  }));
  const { meta } = await recover(peer());
  expect(meta).toMatchObject({ self, config: { members: [self] } });
});
