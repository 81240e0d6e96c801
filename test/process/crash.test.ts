/**
 * SIGKILL of real servers at random moments under load. What was acknowledged is there, what was refused is not, and
 * both sites hold the same database, page by page.
 */
import { afterEach, expect, test } from 'vitest';
import type { LocalSite } from '../../src/client/local-site.ts';
import { expectEqualDatabases, infoOf, startTwoSites, type TwoSites, until } from '../support/two-sites.ts';

const kills = Number(process.env['OBSTANDBY_TEST_KILLS'] ?? 30);
const writers = 8;
let sites: TwoSites | undefined;

afterEach(async () => {
  await sites?.ledger.stop();
  await sites?.close();
  sites = undefined;
});

const randomMs = (max: number): Promise<void> =>
  new Promise(resolve => setTimeout(resolve, Math.random() * max));

async function killManyTimes(victim: LocalSite, onRestart: () => Promise<unknown>): Promise<number[]> {
  const recoveriesMs: number[] = [];
  for (let kill = 0; kill < kills; kill += 1) {
    await randomMs(400);
    await victim.kill();
    const startedMs = performance.now();
    await victim.start();
    await onRestart();
    recoveriesMs.push(performance.now() - startedMs);
  }
  return recoveriesMs;
}

const summary = (recoveriesMs: readonly number[]): string => {
  const sorted = recoveriesMs.toSorted((x, y) => x - y);
  return `${sorted.length} kills, process start to service: median ${Math.round(sorted[sorted.length >> 1] ?? 0)} ms, longest ${Math.round(sorted.at(-1) ?? 0)} ms`;
};

test('a primary killed at random moments under load loses no acknowledged commit', {
  timeout: 600_000,
}, async () => {
  sites = await startTwoSites();
  const { a, b, ledger } = sites;
  ledger.start(writers);
  const recoveriesMs = await killManyTimes(a, () => ledger.nextAcknowledgement(30_000));
  await ledger.stop();
  console.log(`primary: ${summary(recoveriesMs)}, ${ledger.acknowledged.size} acknowledged commits`);

  const rows = await ledger.rowsAt(a.sqlPort);
  expect([...ledger.acknowledged].filter(n => !rows.has(n))).toEqual([]);
  expect([...rows].filter(n => !ledger.acknowledged.has(n) && !ledger.unknown.has(n))).toEqual([]);
  expect(ledger.acknowledged.size).toBeGreaterThan(kills);
  await expectEqualDatabases(a, b);
});

test('a standby killed at random moments catches up and stays a copy', { timeout: 600_000 }, async () => {
  sites = await startTwoSites();
  const { a, b, ledger } = sites;
  ledger.start(writers);
  const recoveriesMs = await killManyTimes(b, () =>
    until(
      'the standby follows again',
      () => infoOf(b),
      info => info.standby?.syncStatus === 'NORMAL',
    ),
  );
  await ledger.stop();
  console.log(`standby: ${summary(recoveriesMs)}, ${ledger.acknowledged.size} acknowledged commits`);

  const rows = await ledger.rowsAt(a.sqlPort);
  expect([...ledger.acknowledged].filter(n => !rows.has(n))).toEqual([]);
  expect(ledger.unknown.size).toBe(0);
  await expectEqualDatabases(a, b);
  expect((await ledger.rowsAt(b.sqlPort)).size).toBe(rows.size);
});
