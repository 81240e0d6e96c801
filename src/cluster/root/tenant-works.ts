/** What the root service asks of the server that makes or opens a tenant, beyond its replica. */
import { z } from 'zod';
import { type TenantId, wallMicros } from '../../base/scalars.ts';
import type { Progress } from '../operations.ts';
import type { StoredTenant } from '../sys-store.ts';
import { tenantShape } from './node-body.ts';

/** Where an operator wants a tenant; null: as the cluster is by default, or as it is. */
export interface TenantPlace {
  readonly locality: string | null;
  readonly primaryZone: string | null;
  /** whether it uses the arbitration service */
  readonly arbitration: boolean | null;
}

/** What a copy is made from, as the operator said it; it may hold a password. */
export const copyRequestSchema = z.discriminatedUnion('kind', [
  /** LOG_RESTORE_SOURCE: copied, and followed from then on */
  z.object({ kind: z.literal('standby'), source: z.string() }),
  /** an archive: copied up to an SCN or to its end, and not followed */
  z.object({ kind: z.literal('restore'), from: z.string(), untilScn: z.int().nullable() }),
]);
export type CopyRequest = Readonly<z.output<typeof copyRequestSchema>>;

export const copyResultSchema = z.object({ incarnation: z.string(), pageBytes: z.int() });

export const copyOrderSchema = z.object({
  record: z.object({
    id: tenantShape,
    name: z.string(),
    incarnation: z.string(),
    createTime: z
      .int()
      .min(0)
      .transform(value => wallMicros(value)),
    pageBytes: z.int(),
    status: z.enum(['CREATING', 'NORMAL', 'DROPPING']),
  }),
  replicaId: z.int(),
  /** a CopyRequest */
  sealed: z.string(),
});

export const finishOrderSchema = z.object({
  tenantId: tenantShape,
  /** {rootPassword} */
  sealed: z.string(),
});

export interface TenantWorks {
  /** Resolves when the tenant, which leads here, takes writes and has its users. May be asked again. */
  finish(tenant: TenantId, rootPassword: string): Promise<void>;
  /** Makes the one replica of a tenant from a copy, with its rows in the sys tenant. */
  copy(
    record: StoredTenant,
    replicaId: number,
    request: CopyRequest,
    progress: Progress,
  ): Promise<Pick<StoredTenant, 'incarnation' | 'pageBytes'>>;
}
