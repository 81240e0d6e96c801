import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import { logHoldsMax, metaImageBytesMax } from '../../../src/base/limits.ts';
import type { LogChunk } from '../../../src/base/log-access.ts';
import { lsn, scn } from '../../../src/base/scalars.ts';
import { isProblem } from '../../../src/codec/clog.ts';
import { EntryAssembler } from '../../../src/codec/entry-assembler.ts';
import { encodeMeta, type MetaImage } from '../../../src/codec/meta-image.ts';
import { dumpLogFile } from '../../../src/logstream/dump.ts';
import type { LogStream } from '../../../src/logstream/log-stream.ts';
import { MetaFile } from '../../../src/logstream/meta-file.ts';
import { commit, LogPlace, redo } from '../../support/log-place.ts';

let place: LogPlace;
beforeEach(() => {
  place = new LogPlace();
});
afterEach(() => place.close());

const origin = { lsn: lsn(0), scn: scn(0), checksum: 0 };

async function bodies(log: LogStream, pieceBytes = 10_000): Promise<string[]> {
  const assembler = new EntryAssembler(origin);
  const found: string[] = [];
  while (assembler.position.lsn < log.state().end.lsn) {
    const entries = assembler.push((await log.read(assembler.position.lsn, pieceBytes)).bytes);
    if (isProblem(entries)) throw new Error(entries.what);
    found.push(...entries.map(entry => Buffer.from(entry.body).toString()));
  }
  return found;
}

const code = (expected: string) => expect.objectContaining({ code: expected });

test('what was committed is there after a restart, however it is read', async () => {
  const texts = Array.from({ length: 500 }, (_, index) => `entry ${index} `.repeat(1 + (index % 40)));
  const log = await place.open();
  for (const text of texts) await commit(log, redo(text));
  const before = log.state();
  expect(await bodies(log)).toEqual(texts);
  await log.close();
  const again = await place.open();
  expect(again.state()).toMatchObject({ end: before.end, role: 'leader' });
  expect(again.state().proposalId).toBeGreaterThan(before.proposalId);
  for (const pieceBytes of [1, 700, 100_000]) expect(await bodies(again, pieceBytes)).toEqual(texts);
});

test('a body of many groups and blocks comes back as one', async () => {
  const body = new Uint8Array(3_000_000).map((_, index) => index % 251);
  const log = await place.open({ limits: { blockBytes: 65_536, diskBytesMax: 100_000_000 } });
  await commit(log, redo('before'), redo(body), redo('behind'));
  expect(await bodies(log)).toEqual(['before', Buffer.from(body).toString(), 'behind']);
  expect(readdirSync(place.directory()).length).toBeGreaterThan(45);
});

test('entries of one turn share one durable write, and those ordered meanwhile the next', async () => {
  const log = await place.open();
  await commit(log, redo('first, so that the block is there'));
  place.blockWrites.length = 0;
  await Promise.all(Array.from({ length: 16 }, (_, index) => commit(log, redo(`client ${index}`))));
  expect(place.blockWrites).toHaveLength(1);
});

test('listeners hear of a commit in the tick before anybody who waits for it', async () => {
  const log = await place.open();
  const heard: string[] = [];
  log.onCommitted(end => {
    heard.push(`listener ${end.lsn}`);
    // What a sender of log does: it has the bytes before clients have their answers.
    void log.read(lsn(0), 1_000).then(chunk => heard.push(`read ${chunk.end.lsn}`));
  });
  const { endLsn } = log.append(redo('x'));
  await log.committed(endLsn).then(() => heard.push('waiter'));
  expect(heard).toEqual([`listener ${endLsn}`, `read ${endLsn}`, 'waiter']);
});

test('a read inside a group begins with the whole group; one beyond the end is refused', async () => {
  const log = await place.open();
  const [a, , c] = await commit(log, redo('a'), redo('b'), redo('c'));
  const chunk = await log.read(must(a, 'first').endLsn, 1);
  expect(chunk).toMatchObject({ start: origin, end: log.state().end });
  const entries = new EntryAssembler(chunk.start, must(a, 'first').endLsn).push(chunk.bytes);
  expect(isProblem(entries) ? [] : entries.map(entry => Buffer.from(entry.body).toString())).toEqual([
    'b',
    'c',
  ]);
  expect(await log.read(must(c, 'last').endLsn, 1_000)).toMatchObject({
    start: log.state().end,
    bytes: { length: 0 },
  });
  await expect(log.read(lsn(1_000_000), 10)).rejects.toEqual(code('OBS_LOG_POSITION_INVALID'));
});

test('a standby that writes raw what it read has the same log, in any portions', async () => {
  const primary = await place.open();
  const standby = await place.open({ directory: place.directory('standby'), initialAccessMode: 'RAW_WRITE' });
  for (let index = 0; index < 300; index++) await commit(primary, redo(`row ${index} `.repeat(50)));
  let at = lsn(0);
  const written: Promise<unknown>[] = [];
  while (at < primary.state().end.lsn) {
    const chunk = await primary.read(at, 5_000);
    written.push(standby.rawWrite(chunk));
    at = chunk.end.lsn;
  }
  await Promise.all(written);
  expect(standby.state().end).toEqual(primary.state().end);
  expect(standby.state().proposalHistory).toEqual(primary.state().proposalHistory);
  expect(await bodies(standby)).toEqual(await bodies(primary));
});

test('raw groups are refused off the end, of another history, altered, or in APPEND', async () => {
  const primary = await place.open();
  const fork = await place.open({ directory: place.directory('fork') });
  const standby = await place.open({ directory: place.directory('standby'), initialAccessMode: 'RAW_WRITE' });
  await commit(primary, redo('one'));
  await commit(primary, redo('two'));
  await commit(fork, redo('uno'));
  await commit(fork, redo('dos'));
  const [first, second] = [await primary.read(lsn(0), 1), await primary.read(lsn(47), 1)] as [
    LogChunk,
    LogChunk,
  ];
  await expect(primary.rawWrite(first)).rejects.toEqual(code('OBS_LOG_NOT_APPENDABLE'));
  await expect(standby.rawWrite(second)).rejects.toEqual(code('OBS_LOG_POSITION_INVALID'));
  await standby.rawWrite(first);
  await expect(standby.rawWrite(await fork.read(first.end.lsn, 1))).rejects.toEqual(
    code('OBS_STANDBY_DIVERGED'),
  );
  const altered = new Uint8Array(second.bytes);
  altered[45] = (altered[45] ?? 0) ^ 1;
  await expect(standby.rawWrite({ ...second, bytes: altered })).rejects.toEqual(code('OBS_LOG_CORRUPT'));
  expect(() => standby.append(redo('mine'))).toThrow(code('OBS_LOG_NOT_APPENDABLE'));
  await standby.rawWrite(second);
  expect(standby.state().end).toEqual(primary.state().end);
});

test('a switch of roles keeps one history: sealed here, opened there, followed back', async () => {
  const a = await place.open();
  const b = await place.open({ directory: place.directory('b'), initialAccessMode: 'RAW_WRITE' });
  await commit(a, redo('from a'));
  await a.changeMode({ to: 'RAW_WRITE', expectedModeVersion: 1, referenceScn: scn(0) });
  expect(a.sealed).toEqual(a.state().end);
  await b.rawWrite(await a.read(lsn(0), 1_000));
  expect(b.state().end).toEqual(a.sealed);
  await b.changeMode({ to: 'APPEND', expectedModeVersion: 1, referenceScn: scn(9e15) });
  const [opened] = await commit(b, redo('from b'));
  expect(opened?.scn).toBe(9e15 + 1);
  await a.rawWrite(await b.read(a.state().end.lsn, 1_000));
  expect(await bodies(a)).toEqual(['from a', 'from b']);
  expect(a.state().proposalHistory).toEqual(b.state().proposalHistory);
  expect(a.state().proposalHistory).toHaveLength(2);
});

test('a flashback cuts at an SCN, survives a restart, and is refused below the database', async () => {
  const log = await place.open();
  const [one, two] = await commit(log, redo('one')).then(async ([first]) => [
    first,
    ...(await commit(log, redo('two'))),
  ]);
  await commit(log, redo('three'));
  await expect(log.flashback(scn(1))).rejects.toEqual(code('OBS_LOG_NOT_APPENDABLE'));
  await log.changeMode({ to: 'RAW_WRITE', expectedModeVersion: 1, referenceScn: scn(0) });
  await expect(
    log.changeMode({ to: 'FLASHBACK', expectedModeVersion: 1, referenceScn: scn(0) }),
  ).rejects.toEqual(code('OBS_LOG_MODE_CONFLICT'));
  await log.changeMode({ to: 'FLASHBACK', expectedModeVersion: 2, referenceScn: scn(0) });
  await log.advanceBase(must(one, 'first').endLsn);
  await expect(log.flashback(scn(must(one, 'first').scn - 1))).rejects.toEqual(
    code('OBS_LOG_FLASHBACK_REFUSED'),
  );
  const kept = await log.flashback(must(two, 'second').scn);
  expect(kept).toMatchObject({ lsn: two?.endLsn, scn: two?.scn });
  expect(await log.flashback(must(two, 'second').scn)).toEqual(kept);
  await log.close();
  const again = await place.open();
  expect(again.state()).toMatchObject({ end: kept, accessMode: 'FLASHBACK' });
  expect(await bodies(again)).toEqual(['one', 'two']);
});

test('a read that a flashback overtakes leaves nothing behind of the log that was cut', async () => {
  const first = await place.open();
  const [kept] = await commit(first, redo('kept'));
  const [old] = await commit(first, redo('old'.repeat(100)));
  await commit(first, redo('older'));
  await first.close();
  // Opened anew, so that reads go to the disk.
  const log = await place.open();
  await log.changeMode({ to: 'RAW_WRITE', expectedModeVersion: 1, referenceScn: scn(0) });
  await log.changeMode({ to: 'FLASHBACK', expectedModeVersion: 2, referenceScn: scn(0) });
  const gate = Promise.withResolvers<void>();
  place.readGate = gate.promise;
  const overtaken = expect(log.read(must(kept, 'kept').endLsn, 1)).rejects.toEqual(code('OBS_LOG_BUSY'));
  await expect.poll(() => place.readGate === undefined).toBe(true);
  await log.flashback(must(kept, 'kept').scn);
  gate.resolve();
  await overtaken;
  await log.changeMode({ to: 'APPEND', expectedModeVersion: 3, referenceScn: scn(0) });
  await commit(log, redo('new'.repeat(3_000)));
  place.tick(60_000);
  await commit(log, redo('last'));
  const chunk = await log.read(must(old, 'old').endLsn, 1);
  expect(chunk.start.lsn).toBe(kept?.endLsn);
  expect(await bodies(log)).toEqual(['kept', 'new'.repeat(3_000), 'last']);
});

test('a flashback that another overtakes is refused, whatever it read of the log that was cut', async () => {
  const limits = { blockBytes: 65_536, diskBytesMax: 1_000_000 };
  const first = await place.open({ limits });
  const [kept] = await commit(first, redo('kept'));
  for (let index = 0; index < 20; index++) await commit(first, redo('old'.repeat(3_000)));
  await first.close();
  // Opened anew, so that the search reads the disk.
  const log = await place.open({ limits });
  await log.changeMode({ to: 'RAW_WRITE', expectedModeVersion: 1, referenceScn: scn(0) });
  await log.changeMode({ to: 'FLASHBACK', expectedModeVersion: 2, referenceScn: scn(0) });
  const { end } = log.state();
  const gate = Promise.withResolvers<void>();
  place.readGate = gate.promise;
  const overtaken = expect(log.flashback(scn(end.scn - 1))).rejects.toEqual(code('OBS_LOG_BUSY'));
  await expect.poll(() => place.readGate === undefined).toBe(true);
  await log.flashback(must(kept, 'kept').scn);
  gate.resolve();
  await overtaken;
  expect(await bodies(log)).toEqual(['kept']);
});

test('a flashback during whose search the log fails is refused', async () => {
  const first = await place.open();
  const [kept] = await commit(first, redo('kept'));
  for (let index = 0; index < 20; index++) await commit(first, redo('old'.repeat(3_000)));
  await first.close();
  const log = await place.open();
  await log.changeMode({ to: 'RAW_WRITE', expectedModeVersion: 1, referenceScn: scn(0) });
  await log.changeMode({ to: 'FLASHBACK', expectedModeVersion: 2, referenceScn: scn(0) });
  const gate = Promise.withResolvers<void>();
  place.readGate = gate.promise;
  const asked = expect(log.flashback(must(kept, 'kept').scn)).rejects.toEqual(code('OBS_LOG_DISK_FAILED'));
  await expect.poll(() => place.readGate === undefined).toBe(true);
  place.isFailing = true;
  const change = log.changeMode({ to: 'RAW_WRITE', expectedModeVersion: 3, referenceScn: scn(0) });
  await expect(change).rejects.toEqual(code('OBS_LOG_DISK_FAILED'));
  gate.resolve();
  await asked;
});

test('log is recycled below base and holds only, and a full log disk says who holds it', async () => {
  const log = await place.open({ limits: { blockBytes: 65_536, diskBytesMax: 262_144 } });
  const hold = log.hold('archive', lsn(0));
  const write = async (count: number) => {
    for (let index = 0; index < count; index++) await commit(log, redo(new Uint8Array(8_000).fill(1)));
  };
  await write(27);
  await log.advanceBase(log.state().end.lsn);
  expect(log.state().beginLsn).toBe(0);
  expect(() => {
    for (;;) log.append(redo(new Uint8Array(8_000)));
  }).toThrow(/log disk of log stream 1001 is full/);
  expect(() => log.append(redo(new Uint8Array(60_000)))).toThrow(
    expect.objectContaining({ hint: expect.stringContaining('archive (LSN 0)') }),
  );
  // The end of the load itself must find room.
  await log.committed(log.append({ kind: 'role', body: [Buffer.from('{}')] }).endLsn);
  hold.release();
  await expect.poll(() => log.state().beginLsn).toBeGreaterThan(0);
  await expect(log.read(lsn(0), 10)).rejects.toEqual(code('OBS_LOG_RECYCLED'));
  await write(1);
  await log.close();
  const again = await place.open();
  expect(again.state().beginLsn).toBe(log.state().beginLsn);
});

test('holds are bounded, and one too many is refused by name; the only hold of a name takes the place of the one before', async () => {
  const log = await place.open();
  for (let index = 0; index < logHoldsMax + 1; index++) log.hold('rebuild of node n2', lsn(0), true);
  const holds = Array.from({ length: logHoldsMax - 1 }, (_, index) => log.hold(`reader ${index}`, lsn(0)));
  expect(() => log.hold('one too many', lsn(0))).toThrow(code('OBS_LOG_HOLDS_FULL'));
  const only = log.hold('rebuild of node n2', lsn(0), true);
  holds[0]?.release();
  const last = log.hold('backup', lsn(0));
  for (const hold of [only, last, ...holds]) hold.release();
  expect(log.kept()).toEqual({ checkpointLsn: 0, from: 0 });
});

test('after a failed write nothing is acknowledged, whoever waits learns it, the owner is told once', async () => {
  const log = await place.open();
  await commit(log, redo('safe'));
  const { end } = log.state();
  place.isFailing = true;
  const lost = log.append(redo('lost'));
  await expect(log.committed(lost.endLsn)).rejects.toEqual(code('OBS_LOG_OUTCOME_UNKNOWN'));
  expect(place.fatal).toEqual([code('OBS_LOG_DISK_FAILED')]);
  expect(() => log.append(redo('more'))).toThrow(code('OBS_LOG_DISK_FAILED'));
  await expect(log.committed(lsn(lost.endLsn + 1))).rejects.toEqual(code('OBS_LOG_OUTCOME_UNKNOWN'));
  expect(log.state()).toMatchObject({ end, role: 'follower' });
  expect(place.fatal).toHaveLength(1);
});

test('a full disk is waited out: ordered entries are committed when it has room again', async () => {
  const log = await place.open();
  place.isFull = true;
  const ordered = log.append(redo('patient'));
  await expect.poll(() => place.hasTimers).toBe(true);
  expect(() => log.append(redo('more'))).toThrow(code('OBS_LOG_DISK_FULL'));
  place.isFull = false;
  place.tick(500);
  await log.committed(ordered.endLsn);
  await commit(log, redo('more'));
  expect(place.fatal).toEqual([]);
});

test('a log that is closed while it waits for room stays silent about what it could not save', async () => {
  const log = await place.open();
  place.isFull = true;
  const ordered = log.append(redo('patient'));
  const outcome = expect(log.committed(ordered.endLsn)).rejects.toEqual(code('OBS_LOG_OUTCOME_UNKNOWN'));
  await expect.poll(() => place.hasTimers).toBe(true);
  await log.close();
  await outcome;
  place.tick(500);
  place.isFull = false;
  expect((await place.open()).state().end.lsn).toBe(0);
  expect(place.fatal).toEqual([]);
});

test('the unfinished end of a write is cut, and its bytes never come back', async () => {
  const log = await place.open();
  await commit(log, redo('kept'));
  const { end } = log.state();
  await commit(log, redo('torn'.repeat(500)));
  const block = join(place.directory(), '000000000000.clog');
  const whole = readFileSync(block);
  // As if the process had died in the middle of that write: the meta image does not know of it.
  await log.close();
  const meta = place.directory('log/meta');
  writeFileSync(meta, forget(readFileSync(meta), end.lsn));
  whole.fill(0, 4_096 + 512, 4_096 + 1_024);
  writeFileSync(block, whole);
  const again = await place.open();
  expect(again.state().end).toEqual(end);
  expect(
    readFileSync(block)
      .subarray(4_096 + end.lsn)
      .every(byte => byte === 0),
  ).toBe(true);
  await commit(again, redo('next'));
  expect(await bodies(again)).toEqual(['kept', 'next']);
});

/** A meta file of version 1 in which less is known to be durable. */
function forget(bytes: Buffer, durableEnd: number): Uint8Array {
  const records = [...must(dumpLogFile(bytes, { bodies: false }), 'meta dump')];
  expect(records.every(({ sound }) => sound)).toBe(true);
  const {
    record: _,
    copy: __,
    sequence,
    ...image
  } = must(records[0], 'copy').value as Record<string, unknown>;
  return rewriteMeta({ ...image, durableEnd }, Number(sequence));
}

function rewriteMeta(image: object, sequence: number): Uint8Array {
  const bytes = new Uint8Array(metaImageBytesMax * 2);
  for (const copy of [0, 1]) bytes.set(encodeMeta(image as MetaImage, sequence), copy * metaImageBytesMax);
  return bytes;
}

test('lost or altered log is damage, never an earlier end', async () => {
  const log = await place.open();
  for (let index = 0; index < 20; index++) await commit(log, redo(`entry ${index} `.repeat(100)));
  await log.close();
  const block = join(place.directory(), '000000000000.clog');
  const whole = readFileSync(block);
  const refuses = async (change: () => void) => {
    change();
    await expect(place.open()).rejects.toEqual(code('OBS_LOG_CORRUPT'));
    writeFileSync(block, whole);
  };
  await refuses(() => truncateSync(block, 4_096 + 3_000));
  for (const at of [4_096 + 10, 4_096 + 500, 4_096 + log.state().end.lsn - 2, 100])
    await refuses(() => {
      const bad = Buffer.from(whole);
      bad[at] = (bad[at] ?? 0) ^ 4;
      writeFileSync(block, bad);
    });
  expect((await place.open()).state().end).toEqual(log.state().end);
});

test('one rotten meta copy does no harm, two are damage', async () => {
  const log = await place.open();
  await commit(log, redo('x'));
  await log.close();
  const meta = join(place.directory(), 'meta');
  const whole = readFileSync(meta);
  const spoil = (...places: number[]) => {
    const bad = Buffer.from(whole);
    for (const at of places) bad[at] = (bad[at] ?? 0) ^ 1;
    writeFileSync(meta, bad);
  };
  for (const at of [30, metaImageBytesMax + 30]) {
    spoil(at);
    const again = await place.open();
    expect(again.state().end).toEqual(log.state().end);
    await again.close();
  }
  spoil(30, metaImageBytesMax + 30);
  await expect(place.open()).rejects.toEqual(code('OBS_LOG_CORRUPT'));
});

test('a meta copy that a crash left behind is made good before anybody acts on the other one', async () => {
  const log = await place.open();
  const meta = join(place.directory(), 'meta');
  const older = readFileSync(meta).subarray(metaImageBytesMax);
  await log.changeMode({ to: 'RAW_WRITE', expectedModeVersion: 1, referenceScn: scn(0) });
  await log.close();
  const halfWritten = readFileSync(meta);
  halfWritten.set(older, metaImageBytesMax);
  writeFileSync(meta, halfWritten);
  await new MetaFile(place.disk, place.directory()).read();
  // Now the first copy is hurt by another crash.
  const hurt = readFileSync(meta);
  hurt[30] = (hurt[30] ?? 0) ^ 1;
  writeFileSync(meta, hurt);
  expect((await place.open()).state()).toMatchObject({ accessMode: 'RAW_WRITE', modeVersion: 2 });
});

test('a log of another tenant or stream is refused', async () => {
  await (await place.open()).close();
  await expect(place.open({ incarnation: 'other' })).rejects.toEqual(code('OBS_LOG_FOREIGN'));
});

test('a log made from a snapshot begins in the middle of a block, and not behind its database', async () => {
  const primary = await place.open();
  for (let index = 0; index < 30; index++) await commit(primary, redo(`row ${index}`.repeat(20)));
  const { start } = await primary.read(lsn(2_000), 1);
  const standby = await place.open({
    directory: place.directory('standby'),
    initialPosition: start,
    initialCheckpointLsn: lsn(start.lsn + 60),
    initialHistory: primary.state().proposalHistory,
    initialAccessMode: 'RAW_WRITE',
  });
  const open = () =>
    standby.changeMode({
      to: 'APPEND',
      expectedModeVersion: standby.state().modeVersion,
      referenceScn: scn(0),
    });
  await expect(open()).rejects.toEqual(code('OBS_LOG_INCOMPLETE'));
  await standby.rawWrite(await primary.read(start.lsn, 100_000));
  expect(standby.state()).toMatchObject({ beginLsn: start.lsn, end: primary.state().end });
  await open();
  expect(standby.state().proposalId).toBeGreaterThan(primary.state().proposalId);
  await standby.close();
  const again = await place.open({ directory: place.directory('standby') });
  expect(again.state()).toMatchObject({ beginLsn: start.lsn, end: primary.state().end });
  await expect(again.read(lsn(start.lsn - 1), 1)).rejects.toEqual(code('OBS_LOG_RECYCLED'));
});

test('groups that do not fit this log’s blocks are refused by name', async () => {
  const primary = await place.open({ limits: { blockBytes: 131_072, diskBytesMax: 1_048_576 } });
  const standby = await place.open({ directory: place.directory('standby'), initialAccessMode: 'RAW_WRITE' });
  await commit(primary, redo(new Uint8Array(70_000).fill(1)));
  await expect(standby.rawWrite(await primary.read(lsn(0), 1_000_000))).rejects.toEqual(
    code('OBS_LOG_BLOCK_MISMATCH'),
  );
});

test('the dump of a block names its entries, and the place where it is damaged', async () => {
  const log = await place.open();
  await commit(log, { kind: 'keep-alive', body: [] });
  const role = { version: 1, event: 'opened', epoch: 1, site: 'here', operationId: '' };
  await commit(log, { kind: 'role', body: [Buffer.from(JSON.stringify(role))] });
  await log.close();
  const bytes = readFileSync(join(place.directory(), '000000000000.clog'));
  const dump = (from: Uint8Array) => [...must(dumpLogFile(from, { bodies: false }), 'dump')];
  const texts = dump(bytes).map(record => record.text);
  expect(texts).toEqual([
    expect.stringMatching(/^block 0 of 65536 bytes, log stream 1001, incarnation test/),
    expect.stringMatching(/^group 0\.\.43 proposal 1/),
    expect.stringMatching(/^ {2}keep-alive to LSN 43/),
    expect.stringMatching(/^group 43\.\./),
    expect.stringMatching(/^ {2}role to LSN .* event opened epoch 1 site here/),
    expect.stringMatching(/^end of the log in this block at LSN/),
  ]);
  bytes[4_096 + 50] = (bytes[4_096 + 50] ?? 0) ^ 1;
  expect(dump(bytes).at(-1)).toMatchObject({ sound: false, text: expect.stringMatching(/^at LSN 43: /) });
  expect(dumpLogFile(Buffer.from('something else'), { bodies: false })).toBeUndefined();
});
