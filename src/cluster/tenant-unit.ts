/**
 * One user tenant in one server: its replica, and what the tenant has besides while that replica leads. The registry's entry; the
 * rest of the server asks it for the tenant's parts.
 */
import { ObError } from '../base/errors.ts';
import { admitPollMs, tenantOpenMs } from '../base/limits.ts';
import type { LogStream } from '../logstream/log-stream.ts';
import type { TenantEngine } from '../tenant/engine.ts';
import { type ReplicaBirth, userLogStream } from './replica-log.ts';
import type { StoredTenant } from './sys-store.ts';
import { TenantReplica } from './tenant-replica.ts';
import type { UnitHost } from './unit-host.ts';
import { UnitLeadership } from './unit-leadership.ts';

export class TenantUnit {
  readonly record: StoredTenant;
  readonly replica: TenantReplica;
  readonly #host: UnitHost;
  #closed = false;

  private constructor(host: UnitHost, record: StoredTenant, replica: TenantReplica) {
    this.#host = host;
    this.record = record;
    this.replica = replica;
  }

  /**
   * Recovers the replica; one that is alone leads when this resolves. `birth`: of a log that is made now.
   * Throws what the log, the engine and the store throw.
   */
  static async open(host: UnitHost, record: StoredTenant, birth?: ReplicaBirth): Promise<TenantUnit> {
    // Alone, nobody else can say it.
    const delayMs = host.cluster === null ? await delayOf(host, record) : null;
    const replica = await TenantReplica.open({
      host,
      tenant: record,
      stream: userLogStream,
      ...(birth === undefined ? {} : { birth }),
      ...(delayMs === null ? {} : { delayMs }),
      lead: (led, term) => UnitLeadership.begin({ host, record, replica: led, term }),
    });
    return new TenantUnit(host, record, replica);
  }

  get log(): LogStream {
    return this.replica.log;
  }

  /** Throws OBS_TENANT_NOT_OPEN while the replica is being rebuilt. */
  get engine(): TenantEngine {
    return this.replica.engine;
  }

  /** Null where the replica does not lead, and while a leadership begins. */
  get leadership(): UnitLeadership | null {
    const { leadership } = this.replica;
    return leadership instanceof UnitLeadership ? leadership : null;
  }

  /** Throws OBS_TENANT_NOT_LEADER, with who leads; OBS_SERVER_TENANT_BUSY while the leadership begins. */
  lead(): UnitLeadership {
    const { leadership } = this;
    if (leadership !== null) return leadership;
    const { name } = this.record;
    if (this.replica.leads)
      throw this.replica.problem ?? new ObError('OBS_SERVER_TENANT_BUSY', { tenant: name });
    const { leader } = this.log.state();
    const at = leader === null ? null : (this.#host.cluster?.doorsOf(leader)?.sql ?? null);
    throw new ObError('OBS_TENANT_NOT_LEADER', {
      tenant: name,
      leader: at ?? 'an address that is not known yet',
      node: leader,
    });
  }

  /** Waits for a leadership that is being begun here. Throws what `lead` throws when there is none to wait for. */
  async whenLed(): Promise<UnitLeadership> {
    const { clock } = this.#host;
    const deadline = clock.now() + tenantOpenMs;
    while (this.leadership === null && clock.now() < deadline) {
      await new Promise<void>(resolve => clock.after(admitPollMs, resolve));
    }
    return this.lead();
  }

  get role(): UnitLeadership['role'] {
    return this.lead().role;
  }

  get pull(): UnitLeadership['pull'] {
    return this.lead().pull;
  }

  get archive(): UnitLeadership['archive'] {
    return this.lead().archive;
  }

  get local(): UnitLeadership['local'] {
    return this.lead().local;
  }

  /** Stops everything of this tenant, in reverse order of opening. The role row says what to resume. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#host.forgetFollowers(this.record.incarnation);
    await this.replica.close();
  }
}

async function delayOf(host: UnitHost, record: StoredTenant): Promise<number> {
  const { role } = await host.store.role(record.id);
  return role === 'PRIMARY' ? 0 : ((await host.store.unitState(record.id)).restoreSource?.delayMs ?? 0);
}
