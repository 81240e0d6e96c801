/**
 * A switchover killed at every journaled step, on the site that runs the step, then resumed or rolled back. The steps
 * come from the code. Never two writable sites; nothing acknowledged is lost.
 */
import { afterEach, expect, test } from 'vitest';
import { createConnection } from 'mysql2/promise';
import type { LocalSite } from '../../src/client/local-site.ts';
import { operationSteps, type StepId } from '../../src/role/steps.ts';
import {
  credentials,
  expectEqualDatabases,
  infoOf,
  startTwoSites,
  tenant,
  type TwoSites,
  until,
} from '../support/two-sites.ts';

interface Case {
  readonly site: 'site-a' | 'site-b';
  readonly step: StepId;
  readonly then: 'resume' | 'rollback';
}

const cases: Case[] = [
  ...operationSteps['to-standby'].map(step => ({ site: 'site-a' as const, step })),
  ...operationSteps.switchover.map(step => ({ site: 'site-b' as const, step })),
].flatMap(one => [
  { ...one, then: 'resume' as const },
  { ...one, then: 'rollback' as const },
]);

let sites: TwoSites | undefined;

afterEach(async () => {
  await sites?.ledger.stop();
  await sites?.close();
  sites = undefined;
});

/** True when the site takes a write right now. */
async function isWritable(site: LocalSite): Promise<boolean> {
  try {
    const connection = await createConnection({
      host: '127.0.0.1',
      port: site.sqlPort,
      ...credentials,
      connectTimeout: 1000,
    });
    try {
      await connection.query('CREATE TABLE IF NOT EXISTS probe (n INTEGER)');
      await connection.query('INSERT INTO probe VALUES (1)');
      return true;
    } finally {
      connection.destroy();
    }
  } catch {
    return false;
  }
}

test.each(cases)(
  'switchover with $site killed at step $step, then $then',
  { timeout: 120_000 },
  async ({ site, step, then }) => {
    sites = await startTwoSites({
      environmentOf: name => (name === site ? { OBSTANDBY_KILL_AT: `role:${step}` } : {}),
    });
    const { a, b, ledger } = sites;
    const victim = site === 'site-a' ? a : b;
    ledger.start(4);
    await ledger.nextAcknowledgement(10_000);
    await b.api.call('switchover', { name: tenant }).catch(() => {});
    await until(
      'the victim is dead',
      async () => victim.isRunning,
      running => !running,
    );

    // Both sides by themselves, before anybody decides anything: at most one may write.
    const survivor = victim === a ? b : a;
    const before = await isWritable(survivor);
    victim.clearEnvironment('OBSTANDBY_KILL_AT');
    await victim.start();
    expect([before, await isWritable(victim)].filter(Boolean).length).toBeLessThanOrEqual(1);

    if (then === 'resume') {
      await b.api.call('switchover', { name: tenant });
    } else {
      // A rollback past the durable decision is refused; then forward is the only way.
      await b.api.call('rollback', { name: tenant }).catch(() => b.api.call('resume', { name: tenant }));
      await a.api.call('rollback', { name: tenant }).catch(() => {});
    }
    await ledger.nextAcknowledgement(20_000);
    const writable = await Promise.all([isWritable(a), isWritable(b)]);
    expect(writable.filter(Boolean).length).toBe(1);
    await ledger.stop();

    const primary = writable[0] === true ? a : b;
    const standby = primary === a ? b : a;
    const rows = await ledger.rowsAt(primary.sqlPort);
    expect([...ledger.acknowledged].filter(n => !rows.has(n))).toEqual([]);
    expect((await infoOf(primary)).role).toBe('PRIMARY');
    if ((await infoOf(standby)).standby?.source === null) {
      await standby.api.call('standby-source', { name: tenant, source: sites.sourceTo(primary) });
    }
    await until(
      'the other site follows',
      () => infoOf(standby),
      info => info.role === 'STANDBY' && info.standby?.syncStatus === 'NORMAL',
    );
    await expectEqualDatabases(primary, standby);
  },
);
