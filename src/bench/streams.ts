/**
 * What log streams cost that do nothing: 500 of them with three replicas each, in three processes that hold what a server's log
 * layer is (election, leases, links, files). CPU time of each process over a while, and the memory it grew by. Beside it the same of
 * tenants of three servers, which have an engine each and write an entry twice a second so that their clock goes on.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { must } from '../base/assert.ts';
import { LocalCluster } from '../client/local-cluster.ts';
import { type Bench, type BenchContext, median } from './bench.ts';
import type { StreamNodeOrder, StreamNodeReport } from './stream-node.ts';

const streams = 500;
const nodes = 3;
const tenants = 50;
const tenantBlockBytes = 262_144;
const settleMs = 5000;
const sampleMs = 5000;
/** the kernel's unit of a process's CPU time, 1/100 s on every Linux */
const ticksPerSecond = 100;

async function run(context: BenchContext): Promise<Record<string, number>> {
  const ofStreams = await measureStreams(context);
  const ofTenants = await measureTenants(context);
  return {
    streams,
    corePercent: ofStreams.corePercent,
    MiBPerStream: ofStreams.MiB / streams,
    tenants,
    tenantsCorePercent: ofTenants.corePercent,
    MiBPerTenantReplica: ofTenants.MiB / tenants,
  };
}

interface Cost {
  /** of the process that takes most */
  readonly corePercent: number;
  readonly MiB: number;
}

async function measureStreams(context: BenchContext): Promise<Cost> {
  const file = import.meta.url.endsWith('.ts') ? './stream-node.ts' : './stream-node.js';
  const program = fileURLToPath(new URL(file, import.meta.url));
  const names = Array.from({ length: nodes }, (_, index) => `node-${index + 1}`);
  const children = names.map(name => fork(program, [name, join(context.directory, name)]));
  try {
    const ports = await Promise.all(children.map(async child => (await report(child, 'listening')).port));
    const before = children.map(residentMiB);
    const settled = Promise.all(children.map(child => report(child, 'settled')));
    const order: StreamNodeOrder = {
      nodes: names.map((id, index) => ({ id, port: must(ports[index], 'a port') })),
      streams,
    };
    for (const child of children) child.send(order);
    const led = (await settled).map(one => one.led);
    context.note(`${streams} log streams in ${nodes} processes, led: ${led.join(' + ')}`);
    return await measureIdle(context, children, before);
  } finally {
    await Promise.all(children.map(end));
  }
}

async function measureTenants(context: BenchContext): Promise<Cost> {
  const settings = { log: { blockBytes: tenantBlockBytes } };
  const cluster = await LocalCluster.make('streams', context.directory, { servers: nodes, settings });
  try {
    await cluster.start();
    await pause(settleMs);
    const before = cluster.servers.map(residentMiB);
    for (let index = 0; index < tenants; index += 1) {
      await cluster.call('tenant-create', { name: `tenant${index}`, rootPassword: 'bench-password' });
    }
    context.note(`${tenants} tenants with three replicas`);
    return await measureIdle(context, cluster.servers, before);
  } finally {
    await cluster.stop();
  }
}

interface Process {
  readonly pid?: number | undefined;
}

async function measureIdle(
  context: BenchContext,
  processes: readonly Process[],
  beforeMiB: readonly number[],
): Promise<Cost> {
  await pause(settleMs);
  const percents: number[] = [];
  const growths: number[] = [];
  for (let round = 0; round < context.rounds; round += 1) {
    const startedMs = performance.now();
    const ticks = processes.map(cpuTicks);
    await pause(sampleMs);
    const seconds = (performance.now() - startedMs) / 1000;
    const used = processes.map(
      (one, index) => (cpuTicks(one) - (ticks[index] ?? 0)) / ticksPerSecond / seconds,
    );
    context.note(`of a core: ${used.map(share => `${(share * 100).toFixed(1)} %`).join(', ')}`);
    percents.push(100 * Math.max(...used));
    growths.push(Math.max(...processes.map((one, index) => residentMiB(one) - (beforeMiB[index] ?? 0))));
  }
  return { corePercent: median(percents), MiB: median(growths) };
}

async function report<Kind extends StreamNodeReport['kind']>(
  child: ChildProcess,
  kind: Kind,
): Promise<Extract<StreamNodeReport, { kind: Kind }>> {
  const ended = once(child, 'exit').then(([code]) => {
    throw new Error(`a node of the benchmark ended with code ${code}`);
  });
  const told = (async () => {
    for (;;) {
      const [message] = (await once(child, 'message')) as [StreamNodeReport];
      if (message.kind === kind) return message as Extract<StreamNodeReport, { kind: Kind }>;
    }
  })();
  const winner = await Promise.race([told, ended]);
  ended.catch(() => {});
  return winner;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

/** User and system time since the process began. */
function cpuTicks({ pid = 0 }: Process): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The name in parentheses may have spaces; times are fields 14 and 15.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(fields[11]) + Number(fields[12]);
}

function residentMiB({ pid = 0 }: Process): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? Number.NaN) / 1024;
}

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));

export const streamsBench: Bench = {
  name: 'streams',
  description: 'CPU and memory of 500 idle log streams with three replicas each, in three processes',
  goals: { corePercent: { atMost: 10 } },
  run,
};
