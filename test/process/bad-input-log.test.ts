/**
 * Damaged and foreign tenant logs before a real server. What was never acknowledged may go with a torn tail; whatever can
 * be proven to have been durable is reported as damage, never as "never had". A damaged tenant stays closed, with its
 * error in the listing, and every other tenant serves.
 *
 * One server for all: each tenant has its own damage, done while the power was off.
 */
import { cpSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { metaImageBytesMax } from '../../src/base/limits.ts';
import type { LocalSite } from '../../src/client/local-site.ts';
import { chain, checksum } from '../../src/codec/checksum.ts';
import { metaVersion } from '../../src/codec/meta-image.ts';
import { dumpFile } from '../../src/server/entry.ts';
import {
  connect,
  endAll,
  failureOf,
  infoOf,
  notesOf,
  startSite,
  tenantDirectory,
  upTo,
  writeNotes,
} from '../support/lone-site.ts';
import { until } from '../support/two-sites.ts';

const count = 30;
const tenants = ['healthy', 'cut', 'hollow', 'flipped', 'zeroed', 'vanished', 'foreign', 'newer'] as const;
type Tenant = (typeof tenants)[number];

interface GroupPlace {
  readonly startLsn: number;
  readonly endLsn: number;
}

interface Block {
  readonly path: string;
  readonly groups: readonly GroupPlace[];
  readonly first: GroupPlace;
  readonly middle: GroupPlace;
  readonly last: GroupPlace;
  /** where in the file an LSN lies */
  at(lsn: number): number;
}

let site: LocalSite;
const blocks = new Map<Tenant, Block>();
/** the flipped tenant's block as it was, and as it was damaged */
let whole: Buffer;
let damaged: Buffer;

const logDirectory = (tenant: Tenant): string => join(tenantDirectory(site, tenants.indexOf(tenant)), 'log');
const blockOf = (tenant: Tenant): Block => must(blocks.get(tenant), 'block of a tenant');

async function readBlock(tenant: Tenant): Promise<Block> {
  const directory = logDirectory(tenant);
  const names = readdirSync(directory).filter(name => name.endsWith('.clog'));
  const path = join(directory, must(names.sort().at(-1), 'newest block'));
  const groups: GroupPlace[] = [];
  for await (const { value } of dumpFile(path, { bodies: false })) {
    if ((value as { record?: string }).record === 'group') groups.push(value as GroupPlace);
  }
  // The first group follows the block's header, and begins with its magic.
  const start = readFileSync(path).indexOf('GR');
  const first = must(groups[0], 'first group');
  return {
    path,
    groups,
    first,
    middle: must(groups[groups.length >> 1], 'a group in the middle'),
    last: must(groups.at(-1), 'last group'),
    at: lsn => start + (lsn - first.startLsn),
  };
}

function rewrite(tenant: Tenant, change: (bytes: Buffer, block: Block) => void): Buffer {
  const block = blockOf(tenant);
  const bytes = readFileSync(block.path);
  change(bytes, block);
  writeFileSync(block.path, bytes);
  return bytes;
}

beforeAll(async () => {
  site = await startSite({ tenants });
  for (const tenant of tenants) await writeNotes(site, tenant, count);
  for (const tenant of tenants) {
    const { log } = await infoOf(site, tenant);
    await until(
      'a group follows the last acknowledged one',
      () => infoOf(site, tenant),
      info => info.log.endLsn > log.endLsn,
    );
  }
  await site.kill();
  for (const tenant of tenants) blocks.set(tenant, await readBlock(tenant));

  // The last group carries no client's change, and nothing after it proves that it was ever whole.
  truncateSync(blockOf('cut').path, blockOf('cut').at(blockOf('cut').last.endLsn) - 1);
  rewrite('hollow', (bytes, { at, last }) => bytes.fill(0, at(last.startLsn) + 40, at(last.endLsn)));
  whole = readFileSync(blockOf('flipped').path);
  damaged = rewrite('flipped', (bytes, { at, middle }) => {
    const place = at(middle.startLsn) + 45;
    bytes.writeUInt8(bytes.readUInt8(place) ^ 0x10, place);
  });
  // As a lost extent would look: later groups are there.
  rewrite('zeroed', (bytes, { at, middle }) => bytes.fill(0, at(middle.startLsn), at(middle.endLsn)));
  rmSync(logDirectory('vanished'), { recursive: true });
  rmSync(logDirectory('foreign'), { recursive: true });
  cpSync(logDirectory('healthy'), logDirectory('foreign'), { recursive: true });
  raiseVersion(join(logDirectory('newer'), 'meta'));
  await site.start();
});

afterAll(endAll);

/** Both copies of a meta image, as a newer program would have written them. */
function raiseVersion(path: string): void {
  const bytes = readFileSync(path);
  for (let copy = 0; copy < bytes.length; copy += metaImageBytesMax) {
    const body = bytes.subarray(copy + 24, copy + 24 + bytes.readUInt32LE(copy + 16));
    bytes.writeUInt16LE(metaVersion + 1, copy + 4);
    bytes.writeUInt32LE(chain(checksum(bytes.subarray(copy, copy + 20)), body), copy + 20);
  }
  writeFileSync(path, bytes);
}

/** It says why at the operators' doors, and clients are told to wait. */
async function expectClosed(tenant: Tenant, code: string, message: RegExp): Promise<void> {
  const info = await infoOf(site, tenant);
  expect(info.failure).toMatchObject({ code, message: expect.stringMatching(message) as string });
  expect(info.failure?.hint).not.toBe('');
  expect(info.role).toBe('PRIMARY');
  expect(info.writesRefused).toContain(code);
  const refused = await failureOf(connect(site, tenant));
  expect(refused['errno']).toBe(5150);
  expect(refused.message).toContain('is not open at the moment');
  const checkpoint = await failureOf(site.api.call('tenant-checkpoint', { name: tenant }));
  expect(checkpoint['code']).toBe('OBS_SERVER_TENANT_NOT_OPENED');
  expect(checkpoint['hint']).toContain(`obstandby tenant open ${tenant}`);
}

test('a torn last write costs nothing that was acknowledged', async () => {
  for (const tenant of ['cut', 'hollow'] as const) {
    expect(await notesOf(site, tenant)).toEqual(upTo(count));
    await writeNotes(site, tenant, 1, count + 1);
  }
});

test('damage inside the log keeps its tenant closed, and every other one serves', async () => {
  await expectClosed('flipped', 'OBS_LOG_CORRUPT', /is damaged at LSN \d+/);
  expect((await infoOf(site, 'flipped')).failure?.message).toContain(
    `damaged at LSN ${blockOf('flipped').middle.startLsn}:`,
  );
  expect(readFileSync(blockOf('flipped').path).equals(damaged), 'the files are kept as they were').toBe(true);
  expect(await notesOf(site, 'healthy')).toEqual(upTo(count));
  await writeNotes(site, 'healthy', 1, count + 1);
  const listed = await site.api.call<{ name: string; failure: object | null }[]>('tenant-list', {});
  const closed = listed.filter(({ failure }) => failure !== null).map(({ name }) => name);
  expect(closed.sort()).toEqual(['flipped', 'foreign', 'newer', 'vanished', 'zeroed']);
  expect(listed.length).toBe(tenants.length);
});

test('acknowledged groups that are zeros now are missed, for later ones are there', () =>
  expectClosed('zeroed', 'OBS_LOG_CORRUPT', /follows/));

test('a log that is gone is missed, never taken for one that is new', () =>
  expectClosed('vanished', 'OBS_REPLICA_LOG_MISSING', /was at .* and is gone/));

test('the log of another tenant in this one’s place is told as foreign', () =>
  expectClosed('foreign', 'OBS_LOG_FOREIGN', /belongs to log stream/));

test('a log of a newer format is told by its version', () =>
  expectClosed(
    'newer',
    'OBS_LOG_FORMAT_NEWER',
    new RegExp(`format version ${metaVersion + 1}; this program knows up to ${metaVersion}`),
  ));

test('a repaired tenant opens without a restart', async () => {
  const again = await failureOf(site.api.call('tenant-open', { name: 'flipped' }));
  expect(again['code']).toBe('OBS_SERVER_TENANT_NOT_OPENED');
  writeFileSync(blockOf('flipped').path, whole);
  await site.api.call('tenant-open', { name: 'flipped' });
  await until(
    'it takes writes',
    () => infoOf(site, 'flipped'),
    info => info.writesRefused === null,
  );
  expect(await notesOf(site, 'flipped')).toEqual(upTo(count));
  await writeNotes(site, 'flipped', 1, count + 1);
});

test('a tenant that cannot be repaired can be dropped', async () => {
  // Nobody can say whether standbys follow it.
  const refused = await failureOf(site.api.call('tenant-drop', { name: 'zeroed' }));
  expect(refused['code']).toBe('OBS_SERVER_TENANT_STANDBYS_UNKNOWN');
  expect((await infoOf(site, 'zeroed')).failure?.code).toBe('OBS_LOG_CORRUPT');
  await site.api.call('tenant-drop', { name: 'zeroed', force: true });
  expect(await failureOf(infoOf(site, 'zeroed'))).toMatchObject({ code: 'OBS_SERVER_NO_SUCH_TENANT' });
});

test('after another kill every acknowledged note is there, and the closed tenants are still closed', async () => {
  await site.kill();
  await site.start();
  for (const tenant of ['healthy', 'cut', 'hollow', 'flipped'] as const) {
    expect(await notesOf(site, tenant)).toEqual(upTo(count + 1));
  }
  expect((await infoOf(site, 'vanished')).failure?.code).toBe('OBS_REPLICA_LOG_MISSING');
});
