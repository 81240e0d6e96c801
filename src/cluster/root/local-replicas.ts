/**
 * The replicas of one server, as the root service's orders reach them. What implements it opens and closes them; who may order what is decided
 * before.
 */
import { z } from 'zod';
import type { ConfigVersion, LogState } from '../../base/log-access.ts';
import type { ArbitrationNews } from '../../palf/inputs.ts';
import { type NodeId, type TenantId, wallMicros } from '../../base/scalars.ts';
import type { ConfigChange } from './locality-core.ts';
import { nodeShape, tenantShape } from './node-body.ts';

/** A replica that is to be on a server: enough to make and to open it without asking anybody. */
export const replicaSpecSchema = z.object({
  /** above that of every replica of any tenant that was made before */
  replicaId: z.int().min(0),
  tenant: z.object({
    id: tenantShape,
    name: z.string().min(1).max(128),
    incarnation: z.string().min(1).max(128),
    createTime: z
      .int()
      .min(0)
      .transform(value => wallMicros(value)),
    pageBytes: z.int(),
  }),
  /** the same in all replicas of a log */
  blockBytes: z.int(),
  /** what an election compares; lower leads rather */
  priority: z.int(),
  /**
   * Who takes part in the log that is made now, as far as is known: a voter of a new stream, or a learner, to whom a leader brings its log and all
   * that has changed since.
   */
  birth: z.object({ members: z.array(nodeShape).min(1), learners: z.array(nodeShape) }),
});
export type ReplicaSpec = Readonly<z.output<typeof replicaSpecSchema>>;

export interface LocalReplica {
  readonly tenantId: TenantId;
  /** 0: made before replicas had numbers */
  readonly replicaId: number;
  readonly blockBytes: number;
  state(): LogState;
  /** Throws OBS_LOG_*. */
  changeConfig(change: ConfigChange, expected: ConfigVersion): Promise<ConfigVersion>;
  transfer(to: NodeId): Promise<void>;
  setPriority(priority: number): void;
  /** what a leader with an arbiter goes by when it degrades and upgrades others */
  inform(news: ArbitrationNews): void;
}

export interface LocalReplicas {
  find(tenant: TenantId): LocalReplica | undefined;
  all(): readonly LocalReplica[];
  /** Makes the files of a replica and opens it. One is there with that id: nothing to do; with a lower one: that one is replaced. */
  create(spec: ReplicaSpec): Promise<void>;
  /** Closes a replica and removes its files. */
  drop(tenant: TenantId): Promise<void>;
  /** Gives a replica from before there were numbers its own. */
  number(tenant: TenantId, replicaId: number): Promise<void>;
}
