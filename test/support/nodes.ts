/** Nodes of a cluster for tests of the transport between them: the real one over loopback sockets, with nothing behind it. */
import { setTimeout as pause } from 'node:timers/promises';
import { type NodeId, logStreamId, nodeId, tenantId } from '../../src/base/scalars.ts';
import type { StreamKey } from '../../src/logstream/member-net.ts';
import { NodeLinks, type NodeLinksOptions } from '../../src/logstream/peers/node-links.ts';
import { nodeClock } from '../../src/platform/clock.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import { type Connection, type Net, type NetAddress, nodeNet } from '../../src/platform/net.ts';
import { nodeRandom } from '../../src/platform/random.ts';

export const clusterSecret = 'a secret of nine words that all the servers share';

const cleanups: (() => Promise<void> | void)[] = [];

/** For afterEach: stops everything that was made, newest first. */
export async function stopNodes(): Promise<void> {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
}

export const afterwards = (cleanup: () => Promise<void> | void): void => {
  cleanups.push(cleanup);
};

export const key = (stream: number, tenant = 1_002): StreamKey => ({
  tenantId: tenantId(tenant),
  stream: logStreamId(stream),
});

/** The stream that `TestNode.received` listens to. */
export const oneKey = key(1_001);

export interface TestNode {
  readonly id: NodeId;
  readonly links: NodeLinks;
  readonly address: NetAddress;
  /** texts that came for `oneKey`, as `sender:text` */
  readonly received: string[];
  readonly fatal: unknown[];
}

export async function startNode(id: string, options: Partial<NodeLinksOptions> = {}): Promise<TestNode> {
  const fatal: unknown[] = [];
  const links = new NodeLinks({
    net: nodeNet,
    clock: nodeClock,
    random: nodeRandom,
    logger: silentLogger,
    self: nodeId(id),
    listen: { host: '127.0.0.1', port: 0 },
    advertise: () => null,
    cluster: () => 'rome',
    secret: clusterSecret,
    onFatal: error => fatal.push(error),
    ...options,
  });
  const address = await links.start();
  afterwards(() => links.stop());
  const received: string[] = [];
  links.onMessages(oneKey, (from, payload) => {
    received.push(`${from}:${Buffer.from(payload).toString()}`);
  });
  return { id: nodeId(id), links, address, received, fatal };
}

/** Tells all nodes of all, and waits until each pair is connected. */
export async function introduce(...nodes: readonly TestNode[]): Promise<void> {
  for (const node of nodes) node.links.setNodes(nodes);
  await until(() =>
    nodes.every(node => nodes.every(other => other === node || node.links.connected(other.id))),
  );
}

export const say = (from: TestNode, to: TestNode, text: string): void =>
  from.links.send(to.id, oneKey, [Buffer.from(text)]);

/** Polls: what is waited for comes over sockets. */
export async function until(condition: () => boolean, meanwhile: () => void = () => {}): Promise<void> {
  while (!condition()) {
    meanwhile();
    await pause(1);
  }
}

/** The real network, with every write and connection told. */
export function watchedNet(
  told: { onWrite?: (parts: readonly Uint8Array[]) => void; onConnection?: (connection: Connection) => void },
  queuedBytes?: () => number,
): Net {
  const watched = (connection: Connection): Connection => {
    const shown: Connection = {
      remoteAddress: connection.remoteAddress,
      loopback: connection.loopback,
      get queuedBytes() {
        return queuedBytes?.() ?? connection.queuedBytes;
      },
      write: parts => {
        told.onWrite?.(parts);
        connection.write(parts);
      },
      onData: listener => connection.onData(listener),
      onClose: listener => connection.onClose(listener),
      end: () => connection.end(),
      destroy: () => connection.destroy(),
    };
    told.onConnection?.(shown);
    return shown;
  };
  return {
    connect: async (address, options) => watched(await nodeNet.connect(address, options)),
    listen: (address, options, accept) =>
      nodeNet.listen(address, options, connection => accept(watched(connection))),
  };
}
