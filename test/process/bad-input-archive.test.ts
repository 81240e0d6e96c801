/**
 * Damaged, foreign and forked sources before a real standby: its status names what is wrong, it shows no byte of it, and
 * goes on when the source is repaired.
 */
import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import type { LocalSite } from '../../src/client/local-site.ts';
import {
  createTenant,
  endAll,
  failureOf,
  infoOf,
  newSite,
  notesOf,
  password,
  temporaryDirectory,
  upTo,
  writeNotes,
} from '../support/lone-site.ts';
import { until } from '../support/two-sites.ts';

const early = 20;
const late = 40;
let directory: string;
let a: LocalSite;
let b: LocalSite;

const archive = (name: string): string => join(directory, name);
const location = (name: string): string => `LOCATION=file://${archive(name)}`;
const service = (site: LocalSite, tenant = 'orders'): string =>
  `SERVICE=${site.addresses.peerAddress} USER=root@${tenant} PASSWORD=${password}`;

const setSource = (source: string): Promise<unknown> =>
  b.api.call('standby-source', { name: 'orders', source });

/** Every file below a directory whose path matches. */
const filesOf = (name: string, pattern: RegExp): string[] =>
  readdirSync(archive(name), { recursive: true })
    .map(path => join(archive(name), String(path)))
    .filter(path => pattern.test(path) && statSync(path).isFile())
    .sort();

/** The standby says this state for this reason, and its readers see what they saw. */
async function expectStatus(status: string, comment: RegExp): Promise<void> {
  const info = await until(
    `the standby says ${status}`,
    () => infoOf(b, 'orders'),
    ({ standby }) => standby?.syncStatus === status && comment.test(standby.comment),
  );
  expect(info.role).toBe('STANDBY');
  expect(await notesOf(b, 'orders')).toEqual(upTo(early));
}

/** The archive holds the log as it is now. */
async function archived(site: LocalSite): Promise<void> {
  const { log } = await infoOf(site, 'orders');
  await until(
    'the archive reaches the end of the log',
    () => infoOf(site, 'orders'),
    info => (info.archive?.archivedLsn ?? 0) >= log.endLsn,
  );
}

/** A is a primary that archived and ended; B its standby, which has read the early notes alone. */
beforeAll(async () => {
  directory = temporaryDirectory();
  a = newSite({ name: 'site-a', settings: { role: { restartFencing: 'off' } } }, directory);
  b = newSite({ name: 'site-b' }, directory);
  await Promise.all([a.start(), b.start()]);
  await createTenant(a, 'orders');
  await a.api.call('archive-dest', {
    name: 'orders',
    dest: `${location('whole')}?create=true LAG_TARGET=100ms`,
  });
  await a.api.call('archive-start', { name: 'orders' });
  await writeNotes(a, 'orders', early);
  await a.api.call('backup', { name: 'orders' });
  await archived(a);
  await b.api.call('standby-create', { name: 'orders', source: location('whole') });
  await until(
    'the standby has the early notes',
    () => notesOf(b, 'orders'),
    notes => notes.length === early,
  );
  await setSource('');
  const known = new Set(filesOf('whole', /stream-/));
  await writeNotes(a, 'orders', late - early, early + 1);
  await archived(a);
  await a.kill();
  for (const name of ['altered', 'truncated', 'missing', 'gap', 'newer']) {
    cpSync(archive('whole'), archive(name), { recursive: true });
  }
  const fresh = filesOf('whole', /stream-/).filter(path => !known.has(path));
  const victim = must(fresh[0], 'a segment that the standby has not read').slice(archive('whole').length);
  const altered = readFileSync(archive('altered') + victim);
  altered.writeUInt8(altered.readUInt8(altered.length >> 1) ^ 1, altered.length >> 1);
  writeFileSync(archive('altered') + victim, altered);
  writeFileSync(archive('truncated') + victim, altered.subarray(0, altered.length >> 1));
  rmSync(archive('missing') + victim);
  const manifests = filesOf('gap', /manifest\/\d+$/);
  rmSync(must(manifests[manifests.length - 2], 'a manifest before the last'));
  const format = must(filesOf('newer', /format$/)[0], 'the format object');
  writeFileSync(format, readFileSync(format, 'utf8').replace(/"version":\s*1/, '"version":2'));
});

afterAll(endAll);

test('an altered and a truncated segment are told by name, and not a byte of them is applied', async () => {
  for (const name of ['altered', 'truncated']) {
    await setSource(location(name));
    await expectStatus('SOURCE HAS A GAP', /stream-1001\/\d+-\d+\..* is altered or truncated/);
  }
});

test('a missing segment is told by name', async () => {
  await setSource(location('missing'));
  await expectStatus('SOURCE HAS A GAP', /stream-1001\/\d+-\d+\..* is named by the manifests .* not there/);
});

test('a missing manifest is told by name', async () => {
  await setSource(location('gap'));
  await expectStatus('SOURCE HAS A GAP', /manifest\/\d{20}/);
});

test('an archive of a newer format asks for an upgrade', async () => {
  await setSource(location('newer'));
  await expectStatus('STANDBY NEED UPGRADE', /format .*version 2/);
});

test('an archive that is gone, or of no tenant, is told', async () => {
  await setSource(location('nowhere'));
  await expectStatus('NOT AVAILABLE', /nowhere does not exist/);
});

test('another tenant behind the address is told as no match', async () => {
  await a.start();
  await createTenant(a, 'strangers');
  await setSource(service(a, 'strangers'));
  await expectStatus('STANDBY LOG NOT MATCH', /incarnation/);
  await setSource(service(a, 'nobody'));
  await expectStatus('PRIMARY TENANT DROPPED', /there is no tenant nobody/);
  await setSource(service(a).replace(password, 'wrong'));
  await expectStatus('CHECK USER OR PASSWORD', /access denied/);
});

test('a forked log is refused, never merged', async () => {
  await setSource('');
  await a.stop();
  // The same tenant twice, as a restored disk image makes it: two histories from here on.
  cpSync(a.dataDirectory, join(directory, 'site-c', 'data'), { recursive: true });
  const c = newSite({ name: 'site-c', settings: { role: { restartFencing: 'off' } } }, directory);
  await Promise.all([a.start(), c.start()]);
  for (const site of [a, c]) {
    await until(
      'it takes writes',
      () => infoOf(site, 'orders'),
      info => info.writesRefused === null,
    );
  }
  await writeNotes(a, 'orders', 1, late + 1);
  await writeNotes(c, 'orders', 5, late + 101);

  await setSource(service(a));
  await until(
    'the standby has the history of A',
    () => notesOf(b, 'orders'),
    notes => notes.length === late + 1,
  );
  await setSource(service(c));
  await until(
    'the standby tells the fork',
    () => infoOf(b, 'orders'),
    ({ standby }) => standby?.syncStatus === 'STANDBY LOG NOT MATCH' && /forked/.test(standby.comment),
  );
  expect(await notesOf(b, 'orders')).toEqual(upTo(late + 1));

  await setSource(service(a));
  await writeNotes(a, 'orders', 1, late + 2);
  await until(
    'with its own source it goes on',
    () => notesOf(b, 'orders'),
    notes => notes.length === late + 2,
  );
});

test('a source text with mistakes is refused with all of them, and the old source stays', async () => {
  const before = (await infoOf(b, 'orders')).standby?.source;
  const error = await failureOf(setSource('SERVICE=nohost USER=orders FLAVOUR=new'));
  expect(error['code']).toBe('OBS_STANDBY_SOURCE_INVALID');
  expect(error['hint']).toContain('SERVICE=host:port');
  for (const place of ['at character 28', 'SERVICE is not', 'USER is not', 'PASSWORD is missing'])
    expect(error.message).toContain(place);
  expect((await infoOf(b, 'orders')).standby?.source).toBe(before);
});
