/**
 * What ALTER SYSTEM, CREATE TENANT and their kin ask for, parsed. `tenant` is null in a user tenant's own session, which may name
 * none. Sources and destinations may hold passwords: nobody prints these values.
 */
import type { Scn } from '../../base/scalars.ts';
import type { ParameterName } from '../../cluster/root/arbitration.ts';

/** Recovery bound of a standby, as `Operations.recoverStandby` takes it. */
export type RecoveryBound =
  | { readonly kind: 'unlimited' }
  | { readonly kind: 'cancel' }
  | { readonly kind: 'scn'; readonly scn: Scn };

export type AdminStatement =
  | {
      readonly kind: 'create-tenant';
      readonly name: string;
      readonly ifNotExists: boolean;
      readonly pageBytes: number | null;
      readonly rootPassword: string | null;
      readonly placement: PlacementClauses;
    }
  | { readonly kind: 'alter-tenant'; readonly name: string; readonly placement: PlacementClauses }
  | {
      readonly kind: 'drop-tenant';
      readonly name: string;
      readonly ifExists: boolean;
      readonly force: boolean;
    }
  | {
      readonly kind: 'create-standby-tenant';
      readonly name: string;
      readonly ifNotExists: boolean;
      readonly source: string;
      readonly placement: PlacementClauses;
    }
  | { readonly kind: 'set-log-restore-source'; readonly tenant: string | null; readonly source: string }
  | { readonly kind: 'set-log-archive-dest'; readonly tenant: string | null; readonly dest: string }
  | {
      readonly kind: 'set-log-archive-dest-state';
      readonly tenant: string | null;
      readonly state: 'ENABLE' | 'DEFER';
    }
  | { readonly kind: 'archivelog' | 'noarchivelog'; readonly tenants: TenantList }
  | { readonly kind: 'recover-standby'; readonly tenant: string | null; readonly until: RecoveryBound }
  | {
      readonly kind: 'switchover-to-standby' | 'switchover-to-primary';
      readonly tenant: string | null;
      readonly verify: boolean;
    }
  | {
      readonly kind: 'activate-standby';
      readonly tenant: string | null;
      readonly verify: boolean;
      readonly force: boolean;
      /** null: the server's own bound */
      readonly maxLagMs: number | null;
    }
  | { readonly kind: 'resume-switchover' | 'rollback-switchover'; readonly tenant: string | null }
  | { readonly kind: 'backup'; readonly tenants: TenantList; readonly dest: string | null }
  | {
      readonly kind: 'restore';
      readonly name: string;
      readonly from: string;
      readonly until: Scn | null;
    }
  | { readonly kind: 'checkpoint'; readonly tenants: TenantList }
  | {
      readonly kind: 'servers';
      readonly action: 'add' | 'delete' | 'start' | 'stop';
      /** host:port of their cluster doors */
      readonly addresses: readonly string[];
      readonly zone: string | null;
    }
  | { readonly kind: 'transfer-leader'; readonly tenant: string; readonly server: string }
  | {
      readonly kind: 'arbitration-service';
      readonly action: 'add' | 'remove';
      /** host:port of the arbiter */
      readonly address: string;
    }
  | { readonly kind: 'replace-arbitration-service'; readonly old: string; readonly address: string }
  | {
      readonly kind: 'set-parameter';
      readonly name: ParameterName;
      readonly value: string;
      readonly tenants: TenantList;
    };

/** LOCALITY, PRIMARY_ZONE and ENABLE_ARBITRATION_SERVICE as they were written; null where the clause is absent. */
export interface PlacementClauses {
  readonly locality: string | null;
  readonly primaryZone: string | null;
  readonly arbitration: boolean | null;
}

/** null: the session's own tenant; `all`: every user tenant. */
export type TenantList = readonly string[] | 'all' | null;
