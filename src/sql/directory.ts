/**
 * How the front-end finds tenants: the composition root implements it. A tenant that is being dropped is not found any
 * more; one that is opening is found, and its engine says why it cannot serve.
 */
import type { TenantId } from '../base/scalars.ts';
import type { TenantInfo } from '../cluster/operations.ts';
import type { TenantEngine } from '../tenant/engine.ts';

export interface TenantAccess {
  readonly id: TenantId;
  readonly name: string;
  readonly engine: TenantEngine;
  info(): TenantInfo;
  /** primary, in APPEND, not draining: false makes transactions read-only from their start */
  writable(): boolean;
  /**
   * A statement that must see the newest may run here: undefined at once, or when this replica has opened. Rejects with
   * who leads.
   */
  admit(): Promise<void> | undefined;
}

export interface TenantDirectory {
  /** `sys` finds the sys tenant. Throws OBS_SERVER_TENANT_CLOSED for a tenant that is here and not open. */
  find(tenantName: string): TenantAccess | undefined;
}
