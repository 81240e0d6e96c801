/**
 * The cluster's side of a server, wired together: its node, the verbs that go to wherever they must run, and the root service while the sys tenant
 * leads here.
 */
import { z } from 'zod';
import { ObError } from '../../base/errors.ts';
import type { NodeId, TenantId } from '../../base/scalars.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/logger.ts';
import type { Random } from '../../platform/random.ts';
import type { TenantEngine } from '../../tenant/engine.ts';
import { type LocalVerbs, RoutedOperations } from '../routed-operations.ts';
import { openJson, sealJson } from '../sealed-json.ts';
import type { SecretBox } from '../secret-box.ts';
import { SysSession } from '../sys-session.ts';
import type { SysStore } from '../sys-store.ts';
import type { ArbitrationPicture } from './arbitration.ts';
import { ArbitrationStore } from './arbitration-store.ts';
import type { ClusterServer } from './cluster-file.ts';
import { ClusterNode, type ClusterNodeOptions } from './cluster-node.ts';
import { sealedJoinKey } from './join-door.ts';
import type { LocalReplicas } from './local-replicas.ts';
import { parseBody, tenantShape } from './node-body.ts';
import type { NodeCalls } from './node-calls.ts';
import type { ServerFacts } from './picture.ts';
import { sysRow } from './root-facts.ts';
import { RootService } from './root-service.ts';
import { RootStore } from './root-store.ts';
import { RootVerbsHere } from './root-verbs.ts';
import { copyOrderSchema, copyRequestSchema, finishOrderSchema, type TenantWorks } from './tenant-works.ts';

export interface ClusterControlOptions {
  readonly self: NodeId;
  readonly clusterId: string;
  readonly clusterName: string;
  readonly calls: NodeCalls;
  readonly replicas: LocalReplicas;
  readonly works: TenantWorks;
  readonly local: LocalVerbs;
  readonly sysIncarnation: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** the same key on every server of the cluster */
  readonly box: SecretBox;
  /** what servers that join are handed: the cluster's key, under its secret; null: no server can join */
  readonly joinKey: { readonly secret: string; readonly key: Uint8Array } | null;
  readonly facts: () => ServerFacts;
  /** bytes that are free where the replicas are */
  readonly freeBytes: () => Promise<number>;
  readonly known: {
    readonly servers: readonly ClusterServer[];
    readonly sysNodes: readonly NodeId[];
    /** when the cluster was made */
    readonly firstSysNodes: readonly NodeId[];
    readonly arbitration: ArbitrationPicture | null;
  };
  readonly onServers: ClusterNodeOptions['onServers'];
  readonly version: string;
  readonly leaseMs: number;
  /** of new tenants */
  readonly blockBytes: number;
  readonly pageBytes: number;
  readonly reached: (point: string) => void;
  readonly onFatal: (error: unknown) => void;
}

const ofTenant = z.object({ tenantId: tenantShape });
const password = z.object({ rootPassword: z.string() });

export class ClusterControl {
  readonly node: ClusterNode;
  readonly operations: RoutedOperations;
  readonly #options: ClusterControlOptions;

  constructor(options: ClusterControlOptions) {
    const { self, calls, replicas } = options;
    this.#options = options;
    this.node = new ClusterNode(options);
    this.operations = new RoutedOperations({
      node: this.node,
      self,
      calls,
      replicas,
      local: options.local,
      root: () => new RootVerbsHere(this.node.root(), options),
      box: options.box,
      clusterId: options.clusterId,
      clusterName: options.clusterName,
    });
    this.#serveWorks();
  }

  start(): void {
    this.node.start();
  }

  stop(): void {
    this.node.stop();
  }

  /** The sys tenant leads here, its tables are open. `stop` before they close. */
  async onLead(parts: {
    readonly engine: TenantEngine;
    readonly store: SysStore;
    /** the proposal of this leadership */
    readonly epoch: number;
  }): Promise<{ stop(): Promise<void> }> {
    const { clusterId, self, calls, clock, logger, random, known, facts, joinKey } = this.#options;
    const session = new SysSession(parts.engine);
    const store = new RootStore(session);
    const now = facts();
    const servers = known.servers.map(server => ({ ...server, version: now.version }));
    const start = RootService.start({
      clusterId,
      self,
      epoch: parts.epoch,
      store,
      arbitration: new ArbitrationStore(session),
      tenants: parts.store,
      sys: sysRow(this.#options.sysIncarnation),
      calls,
      leaders: this.node.leaders,
      clock,
      logger,
      first: {
        servers: servers.length === 0 ? [now] : servers,
        sysReplicas: known.firstSysNodes.map(node => ({
          node,
          type: 'F',
        })),
      },
      version: this.#options.version,
      leaseMs: this.#options.leaseMs,
      clusterName: this.#options.clusterName,
      sealJoinKey: () => {
        if (joinKey === null) throw new ObError('OBS_CLUSTER_OF_ONE');
        return sealedJoinKey(joinKey.secret, clusterId, joinKey.key, random);
      },
      seal: value => this.#seal(value),
      blockBytes: this.#options.blockBytes,
      reached: this.#options.reached,
      onFatal: this.#options.onFatal,
    });
    // Tried again while the leadership lasts: each time with a session of its own.
    const root = await start.catch(async (error: unknown) => {
      await store.close();
      throw error;
    });
    this.node.lead(root);
    return {
      stop: async () => {
        this.node.lead(null);
        await store.close();
      },
    };
  }

  #serveWorks(): void {
    const { calls, works, self } = this.#options;
    const { local } = this.#options;
    const mustLead = (tenantId: TenantId): void => {
      const state = this.#options.replicas.find(tenantId)?.state();
      if (state?.isActive === true) return;
      const leader = state?.leader ?? null;
      const node = leader === self ? null : leader;
      throw new ObError('OBS_CLUSTER_NOT_LEADER', { what: `tenant ${tenantId}`, self, node });
    };
    calls.onRequest('tenant.info', async body => {
      const { tenantId } = parseBody(ofTenant, body);
      mustLead(tenantId);
      return (await local.tenants()).find(info => info.tenantId === tenantId);
    });
    calls.onRequest('tenant.finish', async body => {
      const { tenantId, sealed } = parseBody(finishOrderSchema, body);
      mustLead(tenantId);
      await works.finish(tenantId, parseBody(password, this.#open(sealed)).rootPassword);
    });
    calls.onRequest('tenant.copy', (body, _from, progress) => {
      const { record, replicaId, sealed } = parseBody(copyOrderSchema, body);
      const request = parseBody(copyRequestSchema, this.#open(sealed));
      return works.copy(record, replicaId, request, progress);
    });
  }

  #seal(value: object): string {
    return sealJson(this.#options.box, 'root order', value);
  }

  #open(sealed: string): unknown {
    return openJson(this.#options.box, 'root order', sealed);
  }
}
