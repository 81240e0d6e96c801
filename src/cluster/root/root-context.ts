/** What the parts of the root service share: its rows, who answers, the way to the servers, and how long it lasts. */
import { isSurvivable, ObError } from '../../base/errors.ts';
import { serverSilenceMs } from '../../base/limits.ts';
import { type MonoMs, monoMs, type NodeId } from '../../base/scalars.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/logger.ts';
import type { NetAddress } from '../../platform/net.ts';
import { parseAddress } from '../../standby/restore-source.ts';
import type { StoredTenant, SysStore } from '../sys-store.ts';
import type { ArbitrationStore } from './arbitration-store.ts';
import { ArbitrationSweep } from './arbitration-sweep.ts';
import type { LeaderCalls } from './leader-calls.ts';
import type { NodeCalls } from './node-calls.ts';
import type { Assignment } from './placement.ts';
import { RootFacts } from './root-facts.ts';
import type { NewServer, RootStore } from './root-store.ts';
import { RootTasks } from './root-tasks.ts';
import { ServerWatch } from './server-watch.ts';

export interface RootServiceOptions {
  readonly clusterId: string;
  readonly self: NodeId;
  /** the proposal under which the sys tenant leads here */
  readonly epoch: number;
  readonly store: RootStore;
  readonly arbitration: ArbitrationStore;
  readonly tenants: SysStore;
  readonly sys: StoredTenant;
  readonly calls: NodeCalls;
  readonly leaders: LeaderCalls;
  readonly clock: Clock;
  readonly logger: Logger;
  /** the servers that the cluster was made of, and the sys tenant's replicas among them, for when there are no rows yet */
  readonly first: { readonly servers: readonly NewServer[]; readonly sysReplicas: readonly Assignment[] };
  /** what a new server must have in common with this one */
  readonly version: string;
  readonly leaseMs: number;
  readonly clusterName: string;
  /** the key of the sys tenant's credentials, for a server that joins */
  readonly sealJoinKey: () => string;
  /** seals what an order carries that is nobody else's to read */
  readonly seal: (value: object) => string;
  /** of new logs */
  readonly blockBytes: number;
  /** a step is durably begun: tests stop the process here */
  readonly reached: (point: string) => void;
  readonly onFatal: (error: unknown) => void;
}

/** How often it looks whether what it waits for has come. */
const rootPollMs = 100;

/** Begun with a leadership of the sys tenant and ended with it. */
export class RootContext {
  readonly options: RootServiceOptions;
  readonly watch: ServerWatch;
  readonly facts: RootFacts;
  readonly tasks: RootTasks;
  readonly arbiters: ArbitrationSweep;
  #over = false;

  constructor(options: RootServiceOptions) {
    const { clusterId, self, epoch, store, arbitration, tenants, sys, calls, leaders, clock, onFatal } =
      options;
    this.options = options;
    this.watch = new ServerWatch(clock.now());
    this.facts = new RootFacts({
      clusterId,
      self,
      epoch,
      store,
      arbitration,
      tenants: () => tenants.tenants(),
      sys,
      watch: this.watch,
      clock,
    });
    const onEnd = (): Promise<void> => this.facts.refresh();
    this.tasks = new RootTasks({ epoch, store, facts: this.facts, calls, leaders, clock, onEnd, onFatal });
    this.arbiters = new ArbitrationSweep(this);
  }

  get now(): MonoMs {
    return this.options.clock.now();
  }

  get over(): boolean {
    return this.#over;
  }

  end(): void {
    this.#over = true;
    this.tasks.stop();
  }

  /** A server that was not heard yet is neither alive nor dead: resolves when each is one of the two. */
  async untilHeard(): Promise<void> {
    await this.until(serverSilenceMs, () => this.facts.heardFromAll());
  }

  /** One of many that are looked after: what fails for it is tried at the next look, and keeps nobody else waiting. */
  async attempt(of: Readonly<Record<string, string | number>>, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      if (!isSurvivable(error)) throw error;
      const { code, message } = error;
      this.options.logger.warn({ ...of, code, error: message }, 'the root service tries again');
    }
  }

  /** False when it did not come true in time. Throws OBS_CLUSTER_OUTCOME_UNKNOWN when the leadership ends meanwhile. */
  async until(ms: number, isTrue: () => boolean | Promise<boolean>): Promise<boolean> {
    const { clock, self } = this.options;
    const deadline = monoMs(clock.now() + ms);
    while (!(await isTrue())) {
      if (this.#over)
        throw new ObError('OBS_CLUSTER_OUTCOME_UNKNOWN', {
          node: self,
          what: 'an order of the root service',
        });
      if (clock.now() >= deadline) return false;
      await new Promise<void>(resolve => clock.after(rootPollMs, resolve));
    }
    return true;
  }
}

/** Throws OBS_CLUSTER_SERVER_LIST for a text that is no address. */
export function netAddress(text: string): NetAddress {
  const address = parseAddress(text);
  if (address === undefined)
    throw new ObError('OBS_CLUSTER_SERVER_LIST', { why: `'${text}' is no host:port` });
  return address;
}
