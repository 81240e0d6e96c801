/**
 * The sys tenant in one server: its replica, and while that leads, the root service's tables and the root service itself.
 *
 * It is primary wherever it leads and has no role that changes. Its tables are open before anybody is told that it leads,
 * and close after everybody was told that it does not.
 */
import { isSurvivable } from '../base/errors.ts';
import { leadRetryMs } from '../base/limits.ts';
import type { TenantEngine } from '../tenant/engine.ts';
import type { LeaderTerm } from './leader-term.ts';
import { LocalSysStore } from './local-sys-store.ts';
import { type ReplicaBirth, type ReplicaIdentity, sysLogStream } from './replica-log.ts';
import type { SecretBox } from './secret-box.ts';
import type { SysStore } from './sys-store.ts';
import { type Leadership, TenantReplica } from './tenant-replica.ts';
import type { ReplicaHost } from './unit-host.ts';

/** What the leader does besides its tables. */
interface SysWork {
  stop(): Promise<void>;
}

export interface SysUnitOptions {
  readonly host: ReplicaHost;
  readonly tenant: ReplicaIdentity;
  readonly birth: ReplicaBirth;
  readonly box: SecretBox;
  /** makes the first users of a new sys tenant; nothing to do when there are any */
  readonly createUsers: (engine: TenantEngine) => Promise<void>;
  /** begins the root service; tried again while the leadership lasts */
  readonly work: (parts: {
    readonly engine: TenantEngine;
    readonly store: SysStore;
    /** the proposal of this leadership */
    readonly epoch: number;
  }) => Promise<SysWork>;
}

export class SysUnit {
  readonly replica: TenantReplica;

  private constructor(replica: TenantReplica) {
    this.replica = replica;
  }

  /** Recovers the replica; one that is alone leads when this resolves. */
  static async open(options: SysUnitOptions): Promise<SysUnit> {
    const { host, tenant, birth } = options;
    const lead = (replica: TenantReplica, term: LeaderTerm): Promise<SysLeadership> =>
      SysLeadership.begin(options, replica, term);
    return new SysUnit(await TenantReplica.open({ host, tenant, birth, stream: sysLogStream, lead }));
  }

  /** The tables, while the sys tenant leads here; else null. */
  get store(): SysStore | null {
    const { leadership } = this.replica;
    return leadership instanceof SysLeadership ? leadership.store : null;
  }

  close(): Promise<void> {
    return this.replica.close();
  }
}

class SysLeadership implements Leadership {
  readonly isOpening = true;
  readonly delayMs = 0;
  readonly serves = true;
  readonly store: LocalSysStore;
  readonly #options: SysUnitOptions;
  readonly #term: LeaderTerm;
  readonly #working: Promise<void>;
  #work: SysWork | null = null;

  private constructor(
    options: SysUnitOptions,
    replica: TenantReplica,
    term: LeaderTerm,
    store: LocalSysStore,
  ) {
    this.#options = options;
    this.#term = term;
    this.store = store;
    this.#working = this.#begin(replica).catch(options.host.onFatal);
  }

  static async begin(
    options: SysUnitOptions,
    replica: TenantReplica,
    term: LeaderTerm,
  ): Promise<SysLeadership> {
    replica.apply.setDelay(0);
    await replica.promote(term);
    const { engine } = replica;
    await options.createUsers(engine);
    const store = await LocalSysStore.open(engine, options.box);
    return new SysLeadership(options, replica, term, store);
  }

  async #begin(replica: TenantReplica): Promise<void> {
    const { host, work } = this.#options;
    const epoch = replica.log.state().proposalId;
    while (!this.#term.over && this.#work === null) {
      try {
        this.#work = await work({ engine: replica.engine, store: this.store, epoch });
      } catch (error) {
        if (!isSurvivable(error)) throw error;
        if (this.#term.over) return;
        host.logger.warn({ code: error.code, error: error.message }, 'the root service is begun again');
        const pause = new Promise<void>(resolve => host.clock.after(leadRetryMs, resolve));
        await this.#term.race(pause).catch(() => undefined);
      }
    }
  }

  async close(): Promise<void> {
    await this.#working;
    await this.#work?.stop();
    await this.store.close();
  }
}
