/**
 * What the root service remembers: tenants, their role rows and journals, sources, destinations, followers, events. Rows of
 * the sys tenant, so durable and replicated as any tenant's; every method resolves when its change is committed.
 *
 * The contract alone: where the sys tenant leads the tables are asked themselves (`local-sys-store.ts`), elsewhere through
 * the node where it does (`cluster-sys-store.ts`). Must never be asked on a path that serves clients' statements.
 */
import type { RoleEpoch, Scn, TenantId, WallMicros } from '../base/scalars.ts';
import type { RoleStore } from '../role/ports.ts';
import type { RoleRow } from '../role/row.ts';
import type { StepId } from '../role/steps.ts';
import type { SourceEnd } from '../standby/sync-status.ts';
import type { ArchiveDest } from './archive-dest.ts';
import type { PeerRoute } from './peer-link.ts';

export interface StoredTenant {
  readonly id: TenantId;
  readonly name: string;
  readonly incarnation: string;
  readonly status: 'CREATING' | 'NORMAL' | 'DROPPING';
  readonly createTime: WallMicros;
  readonly pageBytes: number;
}

export interface StoredRestoreSource {
  readonly service: PeerRoute | null;
  readonly location: string | null;
  readonly delayMs: number;
}

export interface StoredArchiveDest extends ArchiveDest {
  /** ARCHIVELOG */
  readonly enabled: boolean;
  /** LOG_ARCHIVE_DEST_STATE = DEFER */
  readonly deferred: boolean;
}

export interface StoredFollower {
  readonly site: string;
  readonly address: string;
  readonly route: PeerRoute;
}

export interface StoredEvent {
  readonly time: WallMicros;
  readonly module: string;
  readonly event: string;
  readonly detail: Readonly<Record<string, string | number | null>>;
}

/** What a tenant needs to open. */
export interface UnitState {
  readonly epoch: RoleEpoch;
  readonly recoveryUntilScn: Scn;
  readonly restoreSource: StoredRestoreSource | null;
  readonly sourceEnd: SourceEnd | null;
  readonly archiveDest: StoredArchiveDest | null;
}

export interface SysStore {
  tenants(): Promise<readonly StoredTenant[]>;
  /**
   * Reserves a name and an id; a repeat for the same incarnation gets the same row. Throws OBS_SERVER_TENANT_EXISTS.
   */
  addTenant(tenant: Omit<StoredTenant, 'id' | 'status'>): Promise<StoredTenant>;
  updateTenant(
    id: TenantId,
    change: Pick<StoredTenant, 'status' | 'incarnation' | 'pageBytes'>,
  ): Promise<void>;
  removeTenant(id: TenantId): Promise<void>;

  insertRole(id: TenantId, row: RoleRow): Promise<void>;
  role(id: TenantId): Promise<RoleRow>;
  /** `onStep` is called when the beginning of a step is durable. */
  roleStore(id: TenantId, onStep: (step: StepId) => void): RoleStore;
  unitState(id: TenantId): Promise<UnitState>;

  setRestoreSource(id: TenantId, source: StoredRestoreSource | null): Promise<void>;
  setSourceEnd(id: TenantId, end: SourceEnd): Promise<void>;
  setArchiveDest(id: TenantId, dest: StoredArchiveDest | null): Promise<void>;
  followers(id: TenantId): Promise<readonly StoredFollower[]>;
  /** A site logged in here: where it is, and how to log in there. Throws OBS_SERVER_FOLLOWERS_FULL. */
  rememberFollower(id: TenantId, follower: StoredFollower): Promise<void>;
  /** True if the site was known. */
  forgetFollower(id: TenantId, site: string): Promise<boolean>;

  /** Keeps the newest of all tenants' events, a bounded number. */
  addEvent(id: TenantId, event: StoredEvent): Promise<void>;
  events(id: TenantId): Promise<readonly StoredEvent[]>;
}
