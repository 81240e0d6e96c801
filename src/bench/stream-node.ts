/**
 * A node of the streams benchmark: log streams and the links between nodes as a server has them, without tenants on top. Told over its
 * parent's channel who the others are; says when it listens and when each of its streams has a leader.
 */
import { join } from 'node:path';
import { logStreamId, type NodeId, nodeId, tenantId } from '../base/scalars.ts';
import { LogStream } from '../logstream/log-stream.ts';
import { NodeLinks } from '../logstream/peers/node-links.ts';
import { nodeClock } from '../platform/clock.ts';
import { nodeDisk } from '../platform/disk.ts';
import { silentLogger } from '../platform/logger.ts';
import { nodeNet } from '../platform/net.ts';
import { nodeRandom } from '../platform/random.ts';

/** What the parent says, once every node listens. */
export interface StreamNodeOrder {
  readonly nodes: readonly { readonly id: string; readonly port: number }[];
  readonly streams: number;
}

/** What a node says. */
export type StreamNodeReport =
  | { readonly kind: 'listening'; readonly port: number }
  /** each stream has a leader; so many of them are led here */
  | { readonly kind: 'settled'; readonly led: number };

const blockBytes = 262_144;
const diskBytesMax = 1_048_576;
const firstTenant = 1002;
const opensAtOnce = 16;
const pollMs = 100;

const [name = '', directory = ''] = process.argv.slice(2);
const self = nodeId(name);
const tell = (report: StreamNodeReport): void => {
  process.send?.(report);
};
const fatal = (error: unknown): never => {
  process.stderr.write(`${error instanceof Error ? error.stack : String(error)}\n`);
  process.exit(1);
};

const links = new NodeLinks({
  net: nodeNet,
  clock: nodeClock,
  random: nodeRandom,
  logger: silentLogger,
  self,
  listen: { host: '127.0.0.1', port: 0 },
  advertise: () => null,
  cluster: () => 'streams',
  secret: 'the nodes of a benchmark on one machine',
  onFatal: fatal,
});

process.once('message', (order: StreamNodeOrder) => {
  serve(order).catch(fatal);
});
// The parent is gone: nobody measures any more.
process.once('disconnect', () => process.exit(0));
tell({ kind: 'listening', port: (await links.start()).port });

async function serve({ nodes, streams }: StreamNodeOrder): Promise<void> {
  const members = nodes.map(({ id }) => nodeId(id));
  links.setNodes(nodes.map(({ id, port }) => ({ id: nodeId(id), address: { host: '127.0.0.1', port } })));
  await until(() => members.every(id => id === self || links.connected(id)));
  const logs: LogStream[] = [];
  for (let first = 0; first < streams; first += opensAtOnce) {
    const wanted = Array.from(
      { length: Math.min(opensAtOnce, streams - first) },
      (_, index) => first + index,
    );
    logs.push(...(await Promise.all(wanted.map(index => open(index, members)))));
  }
  await until(() => logs.every(log => log.state().leader !== null));
  tell({ kind: 'settled', led: logs.filter(log => log.state().role === 'leader').length });
}

function open(index: number, members: readonly NodeId[]): Promise<LogStream> {
  const id = logStreamId(1001);
  // Whoever is first in the list is the first to come forward: the leaders are spread over the nodes.
  const first = index % members.length;
  return LogStream.open({
    disk: nodeDisk,
    clock: nodeClock,
    directory: join(directory, String(index)),
    stream: id,
    incarnation: 'streams',
    limits: { blockBytes, diskBytesMax },
    self,
    key: { tenantId: tenantId(firstTenant + index), stream: id },
    net: links,
    initialConfig: { members: [...members.slice(first), ...members.slice(0, first)], learners: [] },
    onFatal: fatal,
  });
}

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise(resolve => setTimeout(resolve, pollMs));
}
