/** What a server gives each of its tenants: the platform, the site's identity, the settings, the sys tenant's tables. */
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

export interface UnitHost {
  readonly dataDirectory: string;
  readonly siteId: string;
  readonly clusterName: string;
  /** where other sites reach this one; known once the peer port is bound */
  advertise(): string | null;
  readonly clock: Clock;
  readonly disk: Disk;
  readonly net: Net;
  readonly peerTls: ClientTls | null;
  readonly random: Random;
  readonly logger: Logger;
  readonly pool: WorkerPool;
  readonly store: SysStore;
  readonly settings: UnitSettings;
  readonly siteNames: SiteNames;
  /** AWS_* and the like, for object stores */
  readonly variables: Readonly<Record<string, string | undefined>>;
  /** standbys that pull from the tenant now, or lately did */
  followers(incarnation: string): readonly FollowerView[];
  /** the tenant is closed or dropped: cuts its followers and lets go of the log kept for them */
  forgetFollowers(incarnation: string): void;
  /** a step of a role change is durably begun: tests stop the process here */
  reached(point: string): void;
  /** whether a user of the tenant may change its role (SUPER); users are the front-end's affair */
  mayChangeRoles(engine: TenantEngine, user: string): Promise<boolean>;
  /** the process must end */
  readonly onFatal: (error: unknown) => void;
}
