/** The network of two replicas and an arbiter: connections that are TLS, and a leader that is to let go where the root service is not. */
import { join } from 'node:path';
import { writeFileSync } from 'node:fs';
import { afterEach, expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { isObError } from '../../src/base/errors.ts';
import { ArbitratedCluster } from '../../src/client/arbitrated-cluster.ts';
import { makeCertificate } from '../support/certificate.ts';
import { atEnd, endAll, temporaryDirectory } from '../support/lone-site.ts';
import { expectNothingLost, queryAt, withCluster } from '../support/test-cluster.ts';
import { codeCacheVariables, password, tenant, until } from '../support/two-sites.ts';

const timeout = 300_000;
const soonMs = 60_000;

afterEach(endAll);

test('servers and their arbiter speak TLS with each other; without it nobody reaches the arbiter', {
  timeout,
}, async () => {
  const directory = temporaryDirectory();
  const { certificate, key } = makeCertificate();
  const put = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text, { mode: 0o600 });
    return join(directory, name);
  };
  const tls = {
    tlsCertFile: put('certificate.pem', certificate),
    tlsKeyFile: put('key.pem', key),
    tlsCaFile: put('authorities.pem', certificate),
  };
  const environment = { ...process.env, ...(await codeCacheVariables(directory)) };
  const made = await ArbitratedCluster.make('rome', directory, '2F1A', {
    environment,
    settings: { cluster: tls },
    arbiterListen: tls,
  });
  atEnd(() => made.kill());
  await made.start();
  await made.createTenant(tenant, password);
  const leader = await made.cluster.leaderOf(tenant);
  await queryAt(leader, 'CREATE TABLE t (id INTEGER PRIMARY KEY)', 'INSERT INTO t VALUES (1)');
  const other = must(
    made.cluster.servers.find(server => server !== leader),
    'another server',
  );
  await leader.kill();
  await until(
    'the other goes on, with the vote of the arbiter',
    () => queryAt(other, 'INSERT INTO t VALUES (2)').catch((error: unknown) => error),
    done => !(done instanceof Error),
    soonMs,
  );
  await leader.start();
  await made.upgraded(tenant);

  const plain = await ArbitratedCluster.make('oslo', directory, '2F1A', { environment, arbiterListen: tls });
  atEnd(() => plain.kill());
  const refused = await plain.start().catch((error: unknown) => error);
  expect(isObError(refused) && refused.code).toBe('OBS_ARBITRATION_UNREACHABLE');
});

test('under CLUSTER_POLICY the side that has the root service goes on, whoever led before', {
  timeout,
}, async () => {
  await withCluster({ shape: '2F1A' }, async found => {
    const { cluster, ledger, relays, arbitrated } = found;
    const made = must(arbitrated, 'an arbitrated cluster');
    await cluster.call('cluster-set', {
      parameter: 'arbitration_degradation_policy',
      value: 'CLUSTER_POLICY',
    });
    const [one, other] = cluster.servers.map(server => server.name) as [string, string];
    relays.block(one, other);
    relays.block(other, one);
    const leading = async (of: string): Promise<string | undefined> => {
      const leader = await made.leading(of).catch(() => undefined);
      return leader?.degraded.length === 1 ? leader.nodeId : undefined;
    };
    await until(
      'the tenant and the root service go on at one of the servers',
      async () => [await leading(tenant), await leading('sys')],
      ([ofTenant, ofRoot]) => ofTenant !== undefined && ofTenant === ofRoot,
      soonMs,
    );
    const wanted = ledger.acknowledged.size + 100;
    while (ledger.acknowledged.size < wanted) await ledger.nextAcknowledgement(soonMs);
    relays.heal();
    await made.upgraded(tenant);
    await expectNothingLost(found);
  });
});
