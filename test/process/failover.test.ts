/**
 * Failover on real servers: what refuses it, what is lost by it, and that the certificate counts exactly that. An old
 * primary that comes back — restarted, or woken from a stop — is fenced, and killed failovers are continued.
 */
import { expect, test, vi } from 'vitest';
import type { LocalSite } from '../../src/client/local-site.ts';
import type { LossCertificate } from '../../src/server/entry.ts';
import { obstandby } from '../support/command.ts';
import {
  expectOnePrimary,
  isDecided,
  killedBy,
  killVariables,
  restart,
  stepsToKillAt,
} from '../support/role-kill.ts';
import {
  infoOf,
  isWritable,
  query,
  tenant,
  type TwoSites,
  until,
  withTwoSites,
} from '../support/two-sites.ts';

// A case waits more than it works: two at once use what a small machine has.
vi.setConfig({ maxConcurrency: 2 });

const timeout = 120_000;
const writers = 4;
/** More than the receive buffers of two sockets hold: a stopped standby cannot have all of it. */
const ballastRows = 48;
const ballastBytes = 500_000;

const failover = (site: LocalSite, options: object = {}): Promise<unknown> =>
  site.api.call('failover', { name: tenant, ...options });

const signal = (site: LocalSite, name: 'SIGSTOP' | 'SIGCONT'): void => {
  if (site.pid === undefined) throw new Error(`${site.name} does not run`);
  process.kill(site.pid, name);
};

/** The old primary was seen, and the certificate of the new one says exactly what only the old one has. */
async function expectExactCertificate(
  { ledger }: TwoSites,
  { from, to }: { from: LocalSite; to: LocalSite },
  countRows: (site: LocalSite) => Promise<number> = () => Promise.resolve(0),
): Promise<LossCertificate> {
  const certificate = await until(
    'the certificate is complete',
    () => to.api.call<LossCertificate | null>('certificate', { name: tenant }),
    found => found !== null && found.lostTransactions !== null,
  );
  if (certificate === null) throw new Error('no certificate');
  await until(
    'the old primary is fenced, or follows',
    () => infoOf(from),
    info => info.role === 'STANDBY',
  );
  expect(await isWritable(from)).toBe(false);
  const kept = await ledger.rowsAt(to.sqlPort);
  const old = await ledger.rowsAt(from.sqlPort);
  const onlyOld = [...old].filter(n => !kept.has(n));
  const otherRows = (await countRows(from)) - (await countRows(to));
  expect(certificate.lostTransactions).toBe(onlyOld.length + otherRows);
  // Every acknowledged row is kept, or is one the certificate counts.
  expect([...ledger.acknowledged].filter(n => !kept.has(n) && !old.has(n))).toEqual([]);
  const info = await infoOf(from);
  if (certificate.lostTransactions !== 0) {
    expect(info.log.endLsn).toBe(certificate.lostLsnEnd);
    expect(certificate.lostLsnEnd).toBeGreaterThan(certificate.cutLsn);
    expect(certificate.lostScnEnd).toBeGreaterThan(certificate.cutScn);
  }
  return certificate;
}

const ballastAt = async (site: LocalSite): Promise<number> =>
  Number((await query(site, 'SELECT count(*) AS n FROM ballast'))[0]?.['n']);

test.concurrent('failover is refused while the primary answers, and the standby follows on', {
  timeout,
}, async () => {
  await withTwoSites({}, async sites => {
    const { a, b, ledger } = sites;
    ledger.start(writers);
    await ledger.nextAcknowledgement(10_000);
    const answer = await obstandby(b, 'failover', tenant);
    expect(answer.body.error?.code).toBe('OBS_ROLE_PRIMARY_ALIVE');
    expect(answer.exitCode).toBe(3);
    await expectOnePrimary(sites, a, a);
  });
});

test.concurrent('failover is refused when more may be missing than allowed, and done when the bound allows it', {
  timeout,
}, async () => {
  await withTwoSites({}, async sites => {
    const { a, b, ledger } = sites;
    ledger.start(writers);
    await ledger.nextAcknowledgement(10_000);
    await a.kill();
    const refused = await obstandby(b, 'failover', tenant, '--max-lag', '1ms');
    expect(refused.body.error?.code).toBe('OBS_ROLE_LAG_EXCEEDED');
    expect(refused.exitCode).toBe(3);
    expect((await infoOf(b)).role).toBe('STANDBY');
    const done = await obstandby(b, 'failover', tenant, '--max-lag', '1h');
    expect(done.exitCode).toBe(0);
    await ledger.nextAcknowledgement(10_000);
    await ledger.stop();
    await a.start();
    await expectExactCertificate(sites, { from: a, to: b });
  });
});

test.concurrent('a forced failover while the primary serves fences it, and certifies what it took meanwhile', {
  timeout,
}, async () => {
  await withTwoSites({}, async sites => {
    const { a, b, ledger } = sites;
    ledger.start(writers);
    await ledger.nextAcknowledgement(10_000);
    const answer = await obstandby(b, 'failover', tenant, '--force');
    expect(answer.exitCode).toBe(0);
    expect(answer.body['certificate']).toMatchObject({ forced: true });
    await until(
      'the old primary stops',
      () => infoOf(a),
      info => info.role === 'STANDBY',
    );
    await ledger.nextAcknowledgement(10_000);
    await ledger.stop();
    await expectExactCertificate(sites, { from: a, to: b });
    expect(await isWritable(b)).toBe(true);
  });
});

test.concurrent('a killed primary with commits that its stopped standby never had is fenced when it returns, and they are counted', {
  timeout,
}, async () => {
  await withTwoSites({}, async sites => {
    const { a, b, ledger } = sites;
    await query(a, 'CREATE TABLE ballast (n INTEGER PRIMARY KEY, bytes BLOB)');
    ledger.start(writers);
    await ledger.nextAcknowledgement(10_000);
    signal(b, 'SIGSTOP');
    await ledger.nextAcknowledgement(10_000);
    for (let n = 0; n < ballastRows; n += 1)
      await query(a, `INSERT INTO ballast VALUES (${n}, randomblob(${ballastBytes}))`);
    await ledger.nextAcknowledgement(10_000);
    await a.kill();
    await ledger.stop();
    signal(b, 'SIGCONT');
    await until(
      'the standby takes the failover',
      () => failover(b),
      () => true,
    );
    expect(await isWritable(b)).toBe(true);
    await a.start();
    const certificate = await expectExactCertificate(sites, { from: a, to: b }, ballastAt);
    expect(certificate.lostTransactions).toBeGreaterThan(0);
    console.log(
      `certified lost: ${certificate.lostTransactions} transactions, LSN ${certificate.cutLsn}…${certificate.lostLsnEnd}`,
    );

    // It stays fenced, and what it certifies stays what it was.
    await a.kill();
    await a.start();
    expect(await isWritable(a)).toBe(false);
    expect((await infoOf(a)).writesRefused).toContain('superseded');
    expect(await b.api.call('certificate', { name: tenant })).toEqual(certificate);
  });
});

test.concurrent('a primary that was stopped during a forced failover is fenced when it goes on', {
  timeout,
}, async () => {
  await withTwoSites({}, async sites => {
    const { a, b, ledger } = sites;
    ledger.start(writers);
    await ledger.nextAcknowledgement(10_000);
    signal(a, 'SIGSTOP');
    await failover(b, { force: true });
    await ledger.nextAcknowledgement(20_000);
    signal(a, 'SIGCONT');
    await until(
      'the old primary is fenced',
      () => infoOf(a),
      info => info.role === 'STANDBY',
    );
    await ledger.stop();
    await expectExactCertificate(sites, { from: a, to: b });
    expect(await isWritable(b)).toBe(true);
  });
});

test.concurrent.each(stepsToKillAt('activate'))(
  'a failover killed at step %s is finished by the same command',
  { timeout },
  async step => {
    await withTwoSites(
      { environmentOf: name => (name === 'site-b' ? killVariables(step) : {}) },
      async sites => {
        const { a, b, ledger } = sites;
        ledger.start(writers);
        await ledger.nextAcknowledgement(10_000);
        await a.kill();
        await killedBy(b, () => failover(b));
        await restart(b);
        if (!isDecided(step)) expect(await isWritable(b)).toBe(false);
        await failover(b);
        await ledger.nextAcknowledgement(20_000);
        await ledger.stop();
        await a.start();
        await expectExactCertificate(sites, { from: a, to: b });
        expect(await isWritable(b)).toBe(true);
      },
    );
  },
);

test.concurrent.each(stepsToKillAt('activate').filter(step => !isDecided(step)))(
  'a failover killed at step %s is given up when the primary comes back, also when that is killed too',
  { timeout },
  async step => {
    await withTwoSites(
      { environmentOf: name => (name === 'site-b' ? killVariables(step) : {}) },
      async sites => {
        const { a, b, ledger } = sites;
        const rollback = (): Promise<unknown> => b.api.call('rollback', { name: tenant });
        ledger.start(writers);
        await ledger.nextAcknowledgement(10_000);
        await a.kill();
        await killedBy(b, () => failover(b));
        await restart(b, 'V1');
        await killedBy(b, rollback);
        await restart(b);
        await a.start();
        await rollback();
        await expectOnePrimary(sites, a, a);
      },
    );
  },
);
