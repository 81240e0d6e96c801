/**
 * What a server gives each of its tenants: the platform, the other nodes of its cluster, the site's identity, the settings,
 * the sys tenant's tables.
 */
import type { NodeId } from '../base/scalars.ts';
import type { MemberNet } from '../logstream/member-net.ts';
import type { ByteStream } from '../logstream/peers/byte-stream.ts';
import { type PalfSettings } from '../palf/settings.ts';
import type { Clock } from '../platform/clock.ts';
import type { Disk } from '../platform/disk.ts';
import type { Logger } from '../platform/logger.ts';
import type { ClientTls, Net } from '../platform/net.ts';
import type { Random } from '../platform/random.ts';
import type { FollowerView } from '../standby/network/peer-tenant.ts';
import type { TenantEngine } from '../tenant/engine.ts';
import type { EngineLimits } from '../tenant/engine-limits.ts';
import type { WorkerPool } from '../tenant/worker-pool.ts';
import type { SiteNames } from './site-names.ts';
import type { SysStore } from './sys-store.ts';

/** Of the running configuration: read when they are needed, since a reload may change the reloadable ones. */
export interface UnitSettings {
  readonly blockBytes: number;
  readonly logDiskBytesMax: number;
  readonly pageBytes: number;
  readonly engine: Partial<EngineLimits>;
  readonly archiveLagTargetMs: number;
  readonly drainMs: number;
  readonly catchUpMs: number;
  readonly probeMs: number;
  readonly restartFencing: 'strict' | 'off';
}

/** Where a node serves: null for a door whose address is not known here. */
export interface NodeDoors {
  /** clients, over MySQL's protocol */
  readonly sql: string | null;
  /** other sites */
  readonly peer: string | null;
}

/** The cluster as its replicas see it. */
export interface ClusterPorts {
  readonly links: MemberNet & {
    openStream(to: NodeId, op: string, body: unknown): Promise<ByteStream>;
    request(to: NodeId, op: string, body: unknown, options: { readonly timeoutMs: number }): Promise<unknown>;
  };
  /** of the log streams; the same on all nodes */
  readonly timing: Partial<Omit<PalfSettings, 'priority'>>;
  /** null for a node that is not known here */
  doorsOf(node: NodeId): NodeDoors | null;
  /** nodes with a replica of that tenant, those that may lead first; empty for one that is not known here */
  replicasOf(tenantName: string): readonly NodeId[];
}

/** What any replica needs, the sys tenant's too. */
export interface ReplicaHost {
  /** this node */
  readonly self: NodeId;
  readonly dataDirectory: string;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly logger: Logger;
  readonly pool: WorkerPool;
  readonly settings: UnitSettings;
  /** null in a cluster of one */
  readonly cluster: ClusterPorts | null;
  /** the process must end */
  readonly onFatal: (error: unknown) => void;
}

export interface UnitHost extends ReplicaHost {
  readonly siteId: string;
  readonly clusterName: string;
  /** where other sites reach this one; known once the peer port is bound */
  advertise(): string | null;
  readonly net: Net;
  readonly peerTls: ClientTls | null;
  readonly random: Random;
  readonly store: SysStore;
  readonly siteNames: SiteNames;
  /** AWS_* and the like, for object stores */
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** standbys that pull from the tenant now, or lately did */
  followers(incarnation: string): readonly FollowerView[];
  /** the tenant is closed, dropped, or led elsewhere: cuts its followers and lets go of the log kept for them */
  forgetFollowers(incarnation: string): void;
  /** a step of a role change is durably begun: tests stop the process here */
  reached(point: string): void;
  /** whether a user of the tenant may change its role (SUPER); users are the front-end's affair */
  mayChangeRoles(engine: TenantEngine, user: string): Promise<boolean>;
}
