/**
 * S3 stores that are down, slow, wrong or unreliable, before a real server: what cannot be trusted is refused by name;
 * what fails for a while is told, holds no client up, and loses nothing.
 */
import { afterEach, expect, test } from 'vitest';
import type { LocalSite } from '../../src/client/local-site.ts';
import { type FakeBehaviour, type FakeFault, FakeS3 } from '../support/fake-s3.ts';
import {
  atEnd,
  endAll,
  failureOf,
  infoOf,
  newSite,
  notesOf,
  startSite,
  upTo,
  writeNotes,
} from '../support/lone-site.ts';
import { until } from '../support/two-sites.ts';

afterEach(endAll);

const environment = { AWS_ACCESS_KEY_ID: 'test-key', AWS_SECRET_ACCESS_KEY: 'test-secret' };

async function startStore(behaviour: FakeBehaviour = {}): Promise<{ store: FakeS3; location: string }> {
  const store = new FakeS3(behaviour);
  store.buckets.add('bucket');
  const endpoint = await store.listen();
  atEnd(() => store.close());
  return { store, location: `s3://bucket/archive?endpoint=${endpoint}` };
}

const setDest = (site: LocalSite, location: string): Promise<unknown> =>
  site.api.call('archive-dest', { name: 'orders', dest: `LOCATION=${location} LAG_TARGET=100ms` });

async function archived(site: LocalSite): Promise<void> {
  const { log } = await infoOf(site, 'orders');
  await until(
    'the archive reaches the end of the log',
    () => infoOf(site, 'orders'),
    info => (info.archive?.archivedLsn ?? 0) >= log.endLsn,
  );
}

test('stores that an archive cannot be trusted to are refused by what is wrong with them', async () => {
  const site = await startSite({ environment, tenants: ['orders'] });
  const cases: [FakeBehaviour, FakeFault | undefined, string][] = [
    [{ refusesConditions: true }, undefined, 'OBS_ARCHIVE_NO_CONDITIONAL_WRITES'],
    [{ ignoresConditions: true }, undefined, 'OBS_ARCHIVE_NO_CONDITIONAL_WRITES'],
    [{ versioned: true }, undefined, 'OBS_ARCHIVE_BUCKET_VERSIONED'],
    [{}, 'denied', 'OBS_ARCHIVE_DENIED'],
  ];
  for (const [behaviour, fault, code] of cases) {
    const { store, location } = await startStore(behaviour);
    store.faultFor = () => fault;
    const error = await failureOf(setDest(site, location));
    expect(error['code']).toBe(code);
    expect(error.message).not.toContain('test-secret');
  }
  const { location } = await startStore();
  const missing = await failureOf(setDest(site, location.replace('bucket', 'no-such-bucket')));
  expect(missing['code']).toBe('OBS_ARCHIVE_NO_DESTINATION');
  expect((await infoOf(site, 'orders')).archive, 'nothing was set').toBeNull();
});

test('answers that are lost after the store did its work neither lose nor double anything', async () => {
  const { store, location } = await startStore();
  const site = await startSite({ environment, tenants: ['orders'] });
  await setDest(site, location);
  const faults: readonly (FakeFault | undefined)[] = [
    'errorAfter',
    undefined,
    'cutAfter',
    undefined,
    'errorBefore',
    undefined,
    'conflict',
    undefined,
    undefined,
  ];
  store.faultFor = ({ number, key }) => (key === '' ? undefined : faults[number % faults.length]);
  await site.api.call('archive-start', { name: 'orders' });
  await writeNotes(site, 'orders', 40);
  await archived(site);
  await site.api.call('backup', { name: 'orders' });
  await writeNotes(site, 'orders', 20, 41);
  await archived(site);

  const standby = newSite({ name: 'standby', environment });
  await standby.start();
  await standby.api.call('standby-create', { name: 'orders', source: `LOCATION=${location}` });
  await until(
    'the standby has every note',
    () => notesOf(standby, 'orders'),
    notes => notes.length === 60,
  );
  expect(await notesOf(standby, 'orders')).toEqual(upTo(60));
});

test('a store that fails, and one that stays silent, holds no client up; all is archived when it is back', async () => {
  const { store, location } = await startStore();
  const site = await startSite({ environment, tenants: ['orders'] });
  await setDest(site, location);
  await site.api.call('archive-start', { name: 'orders' });
  await writeNotes(site, 'orders', 5);
  await archived(site);

  const faults: readonly FakeFault[] = ['errorBefore', 'silent'];
  for (const [index, fault] of faults.entries()) {
    store.faultFor = () => fault;
    const before = store.requests.length;
    await writeNotes(site, 'orders', 5, 6 + index * 5);
    await until(
      'the archiver has met it',
      () => Promise.resolve(store.requests.length),
      requests => requests > before,
    );
    const { archive, log, writesRefused } = await infoOf(site, 'orders');
    expect(archive?.archivedLsn, 'the archive is shown to be behind').toBeLessThan(log.endLsn);
    expect(writesRefused).toBeNull();
    store.faultFor = () => undefined;
    store.cutConnections();
    await archived(site);
  }
  expect((await infoOf(site, 'orders')).archive?.state).toBe('DOING');
  expect(await notesOf(site, 'orders')).toEqual(upTo(15));
});

test('an endpoint where nobody listens is told as such, and the tenant serves', async () => {
  const site = await startSite({ environment, tenants: ['orders'] });
  const error = await failureOf(setDest(site, 's3://bucket/archive?endpoint=http://127.0.0.1:9'));
  expect(error['code']).toBe('OBS_ARCHIVE_UNAVAILABLE');
  expect(error.message).toContain('ECONNREFUSED');
  await writeNotes(site, 'orders', 3);
});
