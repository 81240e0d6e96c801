/**
 * What an operator can ask of a cluster as a whole: its servers, where tenants have their replicas, who leads. Any server can be asked; each verb runs
 * where it must.
 */
import type { AccessMode } from '../base/log-access.ts';
import type { Lsn, NodeId, Scn, TenantId, WallMicros } from '../base/scalars.ts';
import type { DegradationPolicy } from '../palf/inputs.ts';
import type { Operations, Progress } from './operations.ts';
import type { ArbitrationState, ParameterName } from './root/arbitration.ts';

export interface ServerInfo {
  readonly id: number;
  readonly nodeId: NodeId;
  /** names the server in every statement and command */
  readonly address: string;
  readonly zone: string;
  readonly region: string;
  readonly status: 'ACTIVE' | 'INACTIVE' | 'DELETING';
  readonly stopTime: WallMicros | null;
  readonly createTime: WallMicros;
  readonly startTime: WallMicros | null;
  readonly version: string;
  readonly sqlAddress: string | null;
  readonly peerAddress: string | null;
  readonly httpAddress: string | null;
  /** how it is configured; null: not known */
  readonly leaseMs: number | null;
  /** leads the root service */
  readonly isRoot: boolean;
}

/** One replica, as its own server tells of it. */
export interface ReplicaInfo {
  readonly tenantId: TenantId;
  readonly stream: number;
  readonly nodeId: NodeId;
  readonly role: 'LEADER' | 'FOLLOWER';
  readonly type: 'FULL' | 'READONLY';
  readonly leader: NodeId | null;
  readonly proposalId: number;
  readonly configVersion: { readonly proposalId: number; readonly sequence: number };
  readonly accessMode: AccessMode;
  readonly members: readonly NodeId[];
  readonly learners: readonly NodeId[];
  /** full replicas whose log does not count now */
  readonly degraded: readonly NodeId[];
  readonly arbiter: NodeId | null;
  /** damaged, or being copied anew */
  readonly isImpaired: boolean;
  readonly baseLsn: Lsn;
  readonly beginLsn: Lsn;
  readonly endLsn: Lsn;
  readonly endScn: Scn;
  readonly maxLsn: Lsn;
  readonly maxScn: Scn;
}

export interface PlacedTenant {
  readonly tenantId: TenantId;
  readonly name: string;
  readonly status: 'CREATING' | 'NORMAL' | 'DROPPING';
  readonly locality: string;
  /** while its replicas are on their way from there */
  readonly previousLocality: string | null;
  readonly primaryZone: string;
  readonly arbitration: ArbitrationState;
  readonly replicas: readonly { readonly nodeId: NodeId; readonly type: 'FULL' | 'READONLY' }[];
}

export interface TenantJob {
  readonly id: number;
  readonly tenantId: TenantId;
  readonly tenant: string;
  readonly type: string;
  readonly status: 'INPROGRESS' | 'SUCCESS' | 'CANCELED';
  readonly previousLocality: string;
  readonly locality: string;
  readonly detail: string;
  readonly startTime: WallMicros;
  readonly modifyTime: WallMicros;
}

export interface ClusterInfo {
  readonly clusterId: string;
  readonly clusterName: string;
  /** the server that was asked */
  readonly self: NodeId;
  readonly servers: readonly ServerInfo[];
  readonly tenants: readonly PlacedTenant[];
  /** the arbitration service, as far as is known here */
  readonly arbiter: { readonly nodeId: NodeId; readonly address: string } | null;
  /** of the servers that answer */
  readonly replicas: readonly ReplicaInfo[];
  /** servers that are not there to say what they have */
  readonly silent: readonly NodeId[];
  /** why this may be old: the root service could not be asked; null when it was */
  readonly problem: string | null;
}

export interface TenantPlacement {
  readonly locality?: string;
  readonly primaryZone?: string;
  /** use the arbitration service, or do so no more */
  readonly arbitration?: boolean;
}

export interface BootstrapReport {
  readonly clusterId: string;
  readonly servers: readonly string[];
  /** decided, but not reached */
  readonly missing: readonly string[];
}

/** `left`: what could not be done and who has to do it, or null. */
export interface ArbiterOutcome {
  readonly left: string | null;
}

/** The arbitration service as the root service has it. */
export interface ArbitrationFacts {
  readonly service: {
    readonly address: string;
    readonly nodeId: NodeId;
    readonly previousAddress: string | null;
    readonly createTime: WallMicros;
    readonly modifyTime: WallMicros;
  } | null;
  /** why the arbiter is of no use now, and what to do; null: it answers */
  readonly problem: string | null;
  readonly policy: DegradationPolicy;
  readonly tenants: readonly {
    readonly tenantId: TenantId;
    readonly tenant: string;
    readonly state: ArbitrationState;
    readonly timeoutMs: number;
    /** what it waits for, or empty */
    readonly detail: string;
  }[];
  readonly tasks: readonly {
    readonly id: number;
    readonly tenantId: TenantId;
    readonly tenant: string;
    readonly type: 'ADD REPLICA' | 'REMOVE REPLICA';
    readonly status: 'INPROGRESS' | 'SUCCESS' | 'CANCELED';
    readonly service: string;
    readonly detail: string;
    readonly startTime: WallMicros;
    readonly modifyTime: WallMicros;
  }[];
}

export interface ArbitrationInfo extends ArbitrationFacts {
  /** how each server that answers sees the arbiter */
  readonly servers: readonly { readonly nodeId: NodeId; readonly status: 'ACTIVE' | 'INACTIVE' }[];
  /** what the arbiter itself remembers of each log stream; empty when it does not answer */
  readonly streams: readonly {
    readonly tenantId: TenantId;
    readonly stream: number;
    readonly proposalId: number;
    readonly configVersion: { readonly proposalId: number; readonly sequence: number };
    readonly accessMode: AccessMode | null;
    readonly members: readonly NodeId[];
    readonly degraded: readonly NodeId[];
    readonly arbiter: NodeId | null;
  }[];
}

/** Something that a server did or saw. */
export interface ServerEventInfo {
  /** microseconds since 1970 */
  readonly time: number;
  readonly address: string;
  readonly tenantId: TenantId;
  readonly module: string;
  readonly event: string;
  readonly detail: Readonly<Record<string, string | number | null>>;
}

export interface ClusterOperations {
  cluster(): Promise<ClusterInfo>;
  tenantJobs(): Promise<readonly TenantJob[]>;
  /** of servers that wait, this one among them; the same command goes on where it was interrupted */
  bootstrap(servers: readonly string[], progress?: Progress): Promise<BootstrapReport>;
  addServer(address: string, zone: string | null, progress?: Progress): Promise<void>;
  /** its replicas move away first */
  removeServer(address: string, progress?: Progress): Promise<void>;
  /** its leaders move away, and none comes */
  stopServer(address: string): Promise<void>;
  startServer(address: string): Promise<void>;
  /** resolves when the replicas are where they are to be; the old locality given again undoes it */
  alterTenant(name: string, placement: TenantPlacement, progress?: Progress): Promise<void>;
  transferLeader(name: string, server: string): Promise<void>;
  /** a process started with `obstandby arbiter` becomes the arbitration service of this cluster */
  addArbiter(address: string, progress?: Progress): Promise<void>;
  replaceArbiter(old: string, address: string, progress?: Progress): Promise<ArbiterOutcome>;
  removeArbiter(address: string, progress?: Progress): Promise<ArbiterOutcome>;
  arbitration(): Promise<ArbitrationInfo>;
  /** of a tenant, of all tenants (null), or of the cluster, as the parameter is */
  setParameter(name: ParameterName, value: string, tenant: string | null): Promise<void>;
  serverEvents(): Promise<readonly ServerEventInfo[]>;
}

/** Everything behind the doors of a server. */
export interface ServerOperations extends Operations, ClusterOperations {}
