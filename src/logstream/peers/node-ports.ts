/** What all connections of one process share: the ports to the world, who this node is, and the cluster secret. */
import type { NodeId } from '../../base/scalars.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/logger.ts';
import type { ClientTls, Net, ServerTls } from '../../platform/net.ts';
import type { Random } from '../../platform/random.ts';
import type { ChannelWatch } from './channel-watch.ts';
import type { NodeIdentity } from './node-handshake.ts';
import type { ProblemLog } from './problem-log.ts';

export interface NodePorts {
  readonly net: Net;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly tls: { readonly server: ServerTls; readonly client: ClientTls } | null;
  readonly secretKey: Uint8Array;
  /** what people call the cluster, for one who serves many and finds it by that; null: not said */
  readonly clusterName: string | null;
  readonly watch: ChannelWatch;
  readonly problems: ProblemLog;
  identity(): NodeIdentity;
  /** a broken invariant or a failed disk came up in a handler: the process must end */
  onFatal(error: unknown): void;
}

/** The node at the other end of a connection, as it has proven and said. */
export interface NodePeer {
  readonly node: NodeId;
  readonly boot: string;
  /** where its cluster port is reached, as host:port */
  readonly address: string;
  readonly remoteAddress: string;
}
