/** Memory a tenant costs in a process: 200 primaries in one, their 200 standbys in another, all of them idle but open. */
import { readFileSync } from 'node:fs';
import { LocalSite } from '../client/local-site.ts';
import { type Bench, type BenchContext, median } from './bench.ts';

const tenants = 200;
const password = 'bench-password';
const settleMs = 3000;

async function run(context: BenchContext): Promise<Record<string, number>> {
  const first = new LocalSite('memory-a', context.directory, process.env);
  const second = new LocalSite('memory-b', context.directory, process.env);
  await Promise.all([first.start(), second.start()]);
  try {
    await settle();
    const before = [residentMiB(first), residentMiB(second)];
    for (let index = 0; index < tenants; index += 1) {
      const name = `tenant${index}`;
      await first.api.call('tenant-create', { name, rootPassword: password });
      const source = `SERVICE=${first.addresses.peerAddress} USER=root@${name} PASSWORD=${password}`;
      await second.api.call('standby-create', { name, source });
      if (index % 50 === 49) context.note(`${index + 1} tenants with standbys`);
    }
    const growth: { first: number[]; second: number[] } = { first: [], second: [] };
    for (let round = 0; round < context.rounds; round += 1) {
      await settle();
      growth.first.push((residentMiB(first) - (before[0] ?? 0)) / tenants);
      growth.second.push((residentMiB(second) - (before[1] ?? 0)) / tenants);
    }
    const primaryMiB = median(growth.first);
    const standbyMiB = median(growth.second);
    return {
      MiBPerTenant: Math.max(primaryMiB, standbyMiB),
      primaryMiBPerTenant: primaryMiB,
      standbyMiBPerTenant: standbyMiB,
    };
  } finally {
    await Promise.all([first.stop(), second.stop()]);
  }
}

const settle = (): Promise<void> => new Promise(resolve => setTimeout(resolve, settleMs));

function residentMiB(site: LocalSite): number {
  const status = readFileSync(`/proc/${site.pid ?? 0}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) / 1024;
}

export const memoryBench: Bench = {
  name: 'memory',
  description: 'memory of 200 tenants with standbys in one pair of processes',
  goals: { MiBPerTenant: { atMost: 1 } },
  run,
};
