/** Read-only picture of a core, for state(), checkers and metrics. */
import type { AccessMode, ConfigVersion, LogPosition, ProposalEra } from '../base/log-access.ts';
import { type Lsn, type MonoMs, monoMs, type NodeId, type ProposalId, type Scn } from '../base/scalars.ts';
import { type ConfigRecord, compareVersions } from '../codec/config-record.ts';
import type { Impairment } from '../codec/meta-image.ts';
import type { Leadership } from './leadership.ts';
import type { PeerProgress } from './peer-progress.ts';
import { cutHistory } from './proposal-history.ts';
import type { Replica } from './replica.ts';

/** How far the replication to another replica is, as its leader knows. */
interface PeerView {
  readonly node: NodeId;
  /** flushed there, and the leader's log */
  readonly flushed: Lsn;
  /** version of the record it has taken */
  readonly version: ConfigVersion;
  /** when it answered last, 0 for never */
  readonly answeredAt: MonoMs;
  readonly isImpaired: boolean;
}

const peerView = ({ node, flushed, version, answeredAt, isImpaired }: PeerProgress): PeerView => ({
  node,
  flushed,
  version,
  answeredAt,
  isImpaired,
});

/** Where a replica stands between following and leading. */
export type PalfStage = 'follower' | 'canvassing' | 'preparing' | 'fetching' | 'starting' | 'leading';

export interface PalfView {
  /** `leader` from the moment its log is whole and its record agreed on */
  readonly role: 'leader' | 'follower';
  readonly stage: PalfStage;
  /** leads, and may take writes and answer strong reads until `leaseUntil` */
  readonly isActive: boolean;
  readonly leader: NodeId | null;
  /** end of this leader's lease on the monotonic clock; 0 for none */
  readonly leaseUntil: MonoMs;
  /** until when this replica keeps its word to the leader it knows; 0 for none */
  readonly promisedUntil: MonoMs;
  /** the durable record of this replica */
  readonly config: ConfigRecord;
  /** the record that governs: the leader's last agreed one, elsewhere `config` */
  readonly governing: ConfigRecord;
  readonly promised: ProposalId;
  readonly accepted: ProposalId;
  readonly impaired: Impairment | null;
  /** the last flashback that this log has behind it, durably; null while the log is being cut */
  readonly lastCut: ConfigVersion | null;
  readonly peers: readonly PeerView[];
  readonly proposalId: ProposalId;
  readonly accessMode: AccessMode;
  readonly modeVersion: number;
  readonly modeChanging: boolean;
  readonly base: LogPosition;
  readonly checkpointLsn: Lsn;
  readonly committed: LogPosition;
  readonly flushed: LogPosition;
  readonly maxLsn: Lsn;
  readonly maxScn: Scn;
  readonly history: readonly ProposalEra[];
  readonly sealed: LogPosition | null;
  readonly pendingBytes: number;
  readonly pendingGroups: number;
  /** since when the oldest durable write has been in flight, or null */
  readonly writingSince: MonoMs | null;
}

/** The picture of a replica, and of the part it plays. */
export function palfView(
  replica: Replica,
  part: {
    readonly leadership: Leadership | undefined;
    /** what was told to the outside */
    readonly isLeader: boolean;
    readonly isModeChanging: boolean;
    readonly leaseUntil: MonoMs;
    readonly stage: PalfStage;
  },
): PalfView {
  const { meta, log, lease, cutter } = replica;
  const { leadership, isLeader, leaseUntil, stage } = part;
  const isLeading = leadership?.isLeading === true;
  const governing = leadership?.agreed ?? meta.durable.config;
  const { cutApplied } = meta.durable;
  const isCutWanted = compareVersions(meta.wanted.cutApplied, cutApplied) > 0;
  const writing = [log.writingSince, meta.writingSince, cutter.writingSince].filter(at => at !== undefined);
  return {
    role: isLeader ? 'leader' : 'follower',
    stage,
    isActive: replica.now < leaseUntil,
    leader: replica.leader,
    leaseUntil,
    promisedUntil: lease.until,
    config: meta.durable.config,
    governing,
    promised: meta.durable.promised,
    accepted: meta.durable.accepted,
    impaired: meta.durable.impaired,
    lastCut: cutter.isBusy || isCutWanted ? null : cutApplied,
    peers: leadership?.peers.map(peer => peerView(peer)) ?? [],
    proposalId: isLeading ? leadership.proposal : meta.durable.promised,
    accessMode: governing.accessMode,
    modeVersion: governing.modeVersion,
    modeChanging: part.isModeChanging || (isLeader && !isLeading),
    base: meta.durable.base,
    checkpointLsn: meta.durable.checkpointLsn,
    committed: log.committed,
    flushed: log.flushed,
    maxLsn: log.maxLsn,
    maxScn: log.maxScn,
    history: cutHistory(log.history, log.committed.lsn),
    sealed: governing.sealed,
    pendingBytes: log.pendingBytes,
    pendingGroups: log.pendingGroups,
    writingSince: writing.length === 0 ? null : monoMs(Math.min(...writing)),
  };
}
