/** Where a tenant's files are below the data directory. */
import { join } from 'node:path';
import { type TenantId, tenantId } from '../base/scalars.ts';

export const sysTenantId: TenantId = tenantId(1);

export interface TenantPaths {
  readonly directory: string;
  /** holds the SQLite database and its checkpoint record; owned by the tenant's worker once the engine is open */
  readonly database: string;
  readonly databaseFile: string;
  readonly log: string;
}

export function tenantPaths(dataDirectory: string, id: TenantId): TenantPaths {
  const directory = join(dataDirectory, 'tenants', String(id));
  const database = join(directory, 'db');
  return { directory, database, databaseFile: join(database, 'tenant.db'), log: join(directory, 'log') };
}
