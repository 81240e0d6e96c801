/** Opens the log stream of a replica, in its place below the data directory, as a member of its cluster. */
import type { LogPosition, ProposalEra } from '../base/log-access.ts';
import { logStreamId, type LogStreamId, type Lsn, type NodeId } from '../base/scalars.ts';
import { LogStream } from '../logstream/log-stream.ts';
import type { RebuildNeed, RoleChange } from '../logstream/log-stream-options.ts';
import type { StoredTenant } from './sys-store.ts';
import { tenantPaths } from './tenant-paths.ts';
import type { ReplicaHost } from './unit-host.ts';

export const sysLogStream: LogStreamId = logStreamId(1);
export const userLogStream: LogStreamId = logStreamId(1001);

/** What a replica is of: all it takes to open it again. */
export type ReplicaIdentity = Pick<StoredTenant, 'id' | 'name' | 'incarnation' | 'pageBytes'>;

/** Where the log of a copied tenant begins, and what its copy knows of the history before. */
export interface InitialUnitLog {
  readonly position: LogPosition;
  /** the copied file holds changes up to here */
  readonly checkpointLsn: Lsn;
  readonly proposalHistory: readonly ProposalEra[];
  readonly blockBytes: number;
}

/** Of a log that is made now. */
export interface ReplicaBirth {
  /** who takes part */
  readonly birth: { readonly members: readonly NodeId[]; readonly learners: readonly NodeId[] };
  /** the same in all replicas */
  readonly blockBytes: number;
  /** what an election compares until somebody says otherwise; lower leads rather */
  readonly priority: number;
}

export interface ReplicaLogOptions {
  /** of a log that is made now and does not begin at LSN 0 */
  readonly initial?: InitialUnitLog;
  readonly birth?: ReplicaBirth;
  readonly onRole?: (change: RoleChange) => void;
  readonly onRebuild?: (need: RebuildNeed) => void;
  readonly onCutBack?: (to: LogPosition) => void;
}

export function openReplicaLog(
  host: ReplicaHost,
  tenant: Pick<ReplicaIdentity, 'id' | 'incarnation' | 'name'>,
  stream: LogStreamId,
  options: ReplicaLogOptions = {},
): Promise<LogStream> {
  const { cluster, settings } = host;
  const { initial, birth, onRole, onRebuild, onCutBack } = options;
  return LogStream.open({
    disk: host.disk,
    clock: host.clock,
    directory: tenantPaths(host.dataDirectory, tenant.id).log,
    stream,
    incarnation: tenant.incarnation,
    limits: {
      blockBytes: initial?.blockBytes ?? birth?.blockBytes ?? settings.blockBytes,
      get diskBytesMax() {
        return settings.logDiskBytesMax;
      },
    },
    self: host.self,
    key: { tenantId: tenant.id, stream },
    ...(cluster === null ? {} : { net: cluster.links, timing: cluster.timing }),
    ...(initial === undefined
      ? {}
      : {
          initialPosition: initial.position,
          initialCheckpointLsn: initial.checkpointLsn,
          initialHistory: initial.proposalHistory,
          initialAccessMode: 'RAW_WRITE' as const,
        }),
    ...(birth === undefined ? {} : { initialConfig: birth.birth, priority: birth.priority }),
    ...(onRole === undefined ? {} : { onRole }),
    ...(onRebuild === undefined ? {} : { onRebuild }),
    ...(onCutBack === undefined ? {} : { onCutBack }),
    onFatal: host.onFatal,
    logger: host.logger.child({ tenant: tenant.name }),
  });
}

/** Opens the log of a user tenant that is being made here: nobody else takes part in it yet. */
export const openUnitLog = (
  host: ReplicaHost,
  tenant: Pick<ReplicaIdentity, 'id' | 'incarnation' | 'name'>,
  initial?: InitialUnitLog,
): Promise<LogStream> =>
  openReplicaLog(host, tenant, userLogStream, initial === undefined ? {} : { initial });
