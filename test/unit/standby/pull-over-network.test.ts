/** A standby that pulls over real sockets into a real log: S1, S8, and what it says of itself. */
import { afterEach, expect, test } from 'vitest';
import { scn } from '../../../src/base/scalars.ts';
import {
  append,
  closeSites,
  networkTo,
  openLog,
  pullerInto,
  serve,
  TextEngine,
  testTenant,
} from '../../support/peer-sites.ts';

afterEach(closeSites);

test('what the primary commits is written and applied at the standby, in order', async () => {
  const primary = await openLog();
  await append(primary, 'before');
  const { address, server } = await serve(testTenant(primary));
  const log = await openLog({ mode: 'RAW_WRITE' });
  const engine = new TextEngine();
  const puller = pullerInto(log, { network: networkTo(address), archive: null }, engine);
  puller.start();
  for (let i = 0; i < 200; i += 1) await append(primary, `row ${i}`);
  const { end } = primary.state();
  await puller.caughtUpTo(end.lsn, 10_000);

  expect(engine.texts).toEqual(['before', ...Array.from({ length: 200 }, (_, i) => `row ${i}`)]);
  expect(log.state().end).toEqual(end);
  const status = puller.status();
  expect(status).toMatchObject({ status: 'NORMAL', transport: 'network', sync: end });
  expect(status.lag).toMatchObject({
    transport: { bytes: 0, seconds: 0 },
    flush: { bytes: 0, seconds: 0 },
    apply: { bytes: 0, seconds: 0 },
  });
  expect(server.followers(testTenant(null).incarnation)).toMatchObject([
    { site: 'rome-1', localTenant: 'shop', connected: true },
  ]);
  expect(scn(status.applied.scn)).toBe(end.scn);
});
