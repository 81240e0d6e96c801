/**
 * The oceanbase.* views: column names and order as OceanBase has them, rows made from what `Operations` tells. Pure. A DBA_ view shows the
 * session's own tenant and its CDB_ twin, which the sys tenant alone has, every tenant with its TENANT_ID; V$ and GV$ views show every
 * tenant to sys and the own one to the others. What this server does not know is NULL, never invented.
 */
import type {
  ArbitrationInfo,
  ClusterInfo,
  ServerEventInfo,
  TenantJob,
} from '../../cluster/cluster-operations.ts';
import type { LossCertificate, TenantInfo } from '../../cluster/operations.ts';
import type { Cell } from '../../tenant/engine.ts';
import type { SessionRow } from '../plan.ts';
import { arbitrationViews } from './arbitration-views.ts';
import { archiveViews } from './archive-views.ts';
import { clusterViews } from './cluster-views.ts';
import { standbyViews } from './standby-views.ts';
import { tenantViews } from './tenant-views.ts';

/** The server these views are asked on; null where the front-end does not know it. */
export interface ServerRow {
  readonly ip: string;
  readonly sqlPort: number;
  readonly rpcPort: number;
  readonly zone: string;
  readonly version: string;
  /** microseconds since 1970 */
  readonly startTime: number | null;
}

export interface ViewInput {
  /** those the session may see */
  readonly tenants: readonly TenantInfo[];
  readonly sessions: readonly SessionRow[];
  readonly server: ServerRow | null;
  readonly certificates: readonly LossCertificate[];
  /** null where no view that is asked shows it */
  readonly cluster: ClusterInfo | null;
  readonly jobs: readonly TenantJob[];
  /** null where no view that is asked shows it */
  readonly arbitration: ArbitrationInfo | null;
  readonly events: readonly ServerEventInfo[];
}

export interface ViewDefinition {
  readonly name: string;
  /** `NAME type`, in OceanBase's order */
  readonly columns: readonly string[];
  /** per tenant: also as CDB_ view; the first column of its rows is then TENANT_ID */
  readonly perTenant: boolean;
  /** what is gathered from the servers for it alone */
  readonly needs?: 'cluster' | 'jobs' | 'events';
  /** beside that: the arbitration service; with `needs` */
  readonly needsArbitration?: boolean;
  /** what the sys tenant alone may see */
  readonly sysOnly?: boolean;
  readonly rows: (input: ViewInput) => readonly (readonly Cell[])[];
}

/** A view as the engine makes it. */
export interface ViewTable {
  readonly name: string;
  readonly columns: readonly string[];
  readonly sysOnly: boolean;
  /** DBA_ view of something every tenant has: only the own tenant's rows */
  readonly ownOnly: boolean;
  readonly needs: ViewDefinition['needs'] | null;
  readonly needsArbitration: boolean;
  readonly rows: ViewDefinition['rows'];
}

function tablesOf(view: ViewDefinition): readonly ViewTable[] {
  const { name, columns, rows, needs = null, needsArbitration = false, sysOnly = false } = view;
  const table = { needs, needsArbitration, ownOnly: false };
  if (!view.perTenant) return [{ ...table, name, columns, sysOnly, rows }];
  const all: ViewTable = {
    ...table,
    name: name.replace(/^DBA_/, 'CDB_'),
    columns: ['TENANT_ID BIGINT', ...columns],
    sysOnly: true,
    rows,
  };
  const own: ViewTable = {
    ...table,
    name,
    columns,
    sysOnly: false,
    ownOnly: true,
    rows: input => rows(input).map(row => row.slice(1)),
  };
  return [own, all];
}

const definitions: readonly ViewDefinition[] = [
  ...tenantViews,
  ...clusterViews,
  ...arbitrationViews,
  ...standbyViews,
  ...archiveViews,
];

/** By lower-case name. */
export const viewTables: ReadonlyMap<string, ViewTable> = new Map(
  definitions.flatMap(tablesOf).map(table => [table.name.toLowerCase(), table]),
);

export const viewNames: ReadonlySet<string> = new Set(viewTables.keys());
