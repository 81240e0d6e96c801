/**
 * The sys store as any node of a cluster has it: asks the tables themselves where the sys tenant leads here, else the node
 * where it does. A call that can be repeated outlives a change of that leader, within a bound.
 *
 * Must never tell a change undone that may have been done: what cannot be repeated is sent once. A compare-and-set is sent
 * again, and one that finds its own row there is the one that made it.
 */
import { isObError, type ObError } from '../base/errors.ts';
import { sysCallMs, sysCallRetryMs } from '../base/limits.ts';
import type { TenantId } from '../base/scalars.ts';
import type { Clock } from '../platform/clock.ts';
import type { RoleStore } from '../role/ports.ts';
import type { RoleRow } from '../role/row.ts';
import type { JournalEntry, StepId } from '../role/steps.ts';
import type { SourceEnd } from '../standby/sync-status.ts';
import type { SecretBox } from './secret-box.ts';
import type {
  StoredArchiveDest,
  StoredEvent,
  StoredFollower,
  StoredRestoreSource,
  StoredTenant,
  SysStore,
  UnitState,
} from './sys-store.ts';
import {
  isRepeatable,
  openSysReply,
  runSysCall,
  sealSysRequest,
  type SysMethod,
  type SysParameters,
  type SysValue,
} from './sys-calls.ts';

/** Sends a body to the node where the sys tenant leads. Kind `not-leader` or `unavailable` while none is known. */
type AskSysLeader = (body: object, timeoutMs: number) => Promise<unknown>;

export interface ClusterSysStoreOptions {
  /** the tables, while the sys tenant leads here */
  readonly local: () => SysStore | null;
  readonly remote: AskSysLeader;
  readonly box: SecretBox;
  readonly clock: Clock;
}

export class ClusterSysStore implements SysStore {
  readonly #options: ClusterSysStoreOptions;

  constructor(options: ClusterSysStoreOptions) {
    this.#options = options;
  }

  tenants(): Promise<readonly StoredTenant[]> {
    return this.#ask('tenants', []);
  }

  addTenant(tenant: Omit<StoredTenant, 'id' | 'status'>): Promise<StoredTenant> {
    return this.#ask('addTenant', [tenant]);
  }

  updateTenant(...parameters: SysParameters<'updateTenant'>): Promise<void> {
    return this.#do('updateTenant', parameters);
  }

  removeTenant(id: TenantId): Promise<void> {
    return this.#do('removeTenant', [id]);
  }

  insertRole(id: TenantId, row: RoleRow): Promise<void> {
    return this.#do('insertRole', [id, row]);
  }

  role(id: TenantId): Promise<RoleRow> {
    return this.#ask('role', [id]);
  }

  roleStore(id: TenantId, onStep: (step: StepId) => void): RoleStore {
    return {
      load: () => this.role(id),
      compareAndSet: async (expected, next, journal) => {
        const answer = await this.#ask('compareAndSet', [id, expected, next, journal]);
        const stored = answer.stored || JSON.stringify(answer.row) === JSON.stringify(next);
        if (stored && next.step !== null && next.step !== expected.step) onStep(next.step);
        return { stored, row: answer.row };
      },
      writeJournal: (entries: readonly JournalEntry[]) => this.#do('writeJournal', [id, entries]),
      readJournal: operationId => this.#ask('readJournal', [id, operationId]),
    };
  }

  unitState(id: TenantId): Promise<UnitState> {
    return this.#ask('unitState', [id]);
  }

  setRestoreSource(id: TenantId, source: StoredRestoreSource | null): Promise<void> {
    return this.#do('setRestoreSource', [id, source]);
  }

  setSourceEnd(id: TenantId, end: SourceEnd): Promise<void> {
    return this.#do('setSourceEnd', [id, end]);
  }

  setArchiveDest(id: TenantId, dest: StoredArchiveDest | null): Promise<void> {
    return this.#do('setArchiveDest', [id, dest]);
  }

  followers(id: TenantId): Promise<readonly StoredFollower[]> {
    return this.#ask('followers', [id]);
  }

  rememberFollower(id: TenantId, follower: StoredFollower): Promise<void> {
    return this.#do('rememberFollower', [id, follower]);
  }

  forgetFollower(id: TenantId, site: string): Promise<boolean> {
    return this.#ask('forgetFollower', [id, site]);
  }

  addEvent(id: TenantId, event: StoredEvent): Promise<void> {
    return this.#do('addEvent', [id, event]);
  }

  events(id: TenantId): Promise<readonly StoredEvent[]> {
    return this.#ask('events', [id]);
  }

  async #do<Method extends SysMethod>(method: Method, parameters: SysParameters<Method>): Promise<void> {
    await this.#ask(method, parameters);
  }

  async #ask<Method extends SysMethod>(
    method: Method,
    parameters: SysParameters<Method>,
  ): Promise<SysValue<Method>> {
    const { clock } = this.#options;
    const deadline = clock.now() + sysCallMs;
    for (;;) {
      try {
        return await this.#askOnce(method, parameters, deadline - clock.now());
      } catch (error) {
        if (!mayRepeat(method, error) || clock.now() + sysCallRetryMs >= deadline) throw error;
      }
      await new Promise<void>(resolve => clock.after(sysCallRetryMs, resolve));
    }
  }

  async #askOnce<Method extends SysMethod>(
    method: Method,
    parameters: SysParameters<Method>,
    timeoutMs: number,
  ): Promise<SysValue<Method>> {
    const { local, remote, box } = this.#options;
    const store = local();
    if (store !== null) return runSysCall(store, method, parameters);
    const body = await remote(sealSysRequest(box, method, parameters), timeoutMs);
    return openSysReply(box, body) as SysValue<Method>;
  }
}

/** A node that does not lead has done nothing: it is the one failure that says so. */
function mayRepeat(method: SysMethod, error: unknown): error is ObError {
  if (!isObError(error)) return false;
  if (error.kind === 'not-leader') return true;
  return isRepeatable(method) && (error.kind === 'unavailable' || error.kind === 'unknown');
}
