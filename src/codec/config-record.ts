/**
 * The config record of a log stream: everything its replicas agree on besides the log, as one versioned value. Every
 * change makes a new record, and records are ordered by their version alone (C1, M2).
 *
 * Reviving takes foreign values: it throws `Malformed`, which the decoders turn into a problem.
 */
import { configCutsMax, configLearnersMax, configMembersMax } from '../base/limits.ts';
import type { AccessMode, ConfigVersion, LogPosition } from '../base/log-access.ts';
import { lsn, type NodeId, nodeId, proposalId, type Scn, scn } from '../base/scalars.ts';

/** A flashback. */
interface LogCut {
  /** where it cut the log */
  readonly at: LogPosition;
  /** of the record that decided it */
  readonly version: ConfigVersion;
}

export interface ConfigRecord {
  readonly version: ConfigVersion;
  /** F replicas whose log counts: they vote, and what a majority of them has flushed is committed */
  readonly members: readonly NodeId[];
  /** R replicas: get the log, count for nothing */
  readonly learners: readonly NodeId[];
  /** votes, keeps no log, and is never a candidate */
  readonly arbiter: NodeId | null;
  /**
   * F replicas whose log does not count at the moment: they get it as learners do, do not vote, and never lead. A locality
   * counts them with the members.
   */
  readonly degraded: readonly NodeId[];
  readonly accessMode: AccessMode;
  /** counts access-mode changes */
  readonly modeVersion: number;
  /** new entries get SCNs above this */
  readonly referenceScn: Scn;
  /** exact end of the log when it last left APPEND, until it enters APPEND again */
  readonly sealed: LogPosition | null;
  /** flashbacks, the last one at the end, ascending in LSN: one that a later one cut off is not told of any more */
  readonly cuts: readonly LogCut[];
  /** the newest flashback that was left out for want of room */
  readonly cutsForgotten: ConfigVersion;
}

/** Before every version. */
export const noVersion: ConfigVersion = { proposalId: proposalId(0), sequence: 0 };

/** Below 0: `a` is older than `b`. */
export const compareVersions = (a: ConfigVersion, b: ConfigVersion): number =>
  a.proposalId - b.proposalId || a.sequence - b.sequence;

/** The record of a log stream that is made now. */
export function firstRecord(
  taking: Pick<ConfigRecord, 'members' | 'learners' | 'accessMode' | 'referenceScn'> &
    Partial<Pick<ConfigRecord, 'arbiter'>>,
): ConfigRecord {
  return {
    arbiter: null,
    ...taking,
    version: { proposalId: proposalId(0), sequence: 1 },
    degraded: [],
    modeVersion: 1,
    sealed: null,
    cuts: [],
    cutsForgotten: noVersion,
  };
}

/** A value that is not what it should be: a problem of foreign bytes, not of this process. */
export class Malformed extends Error {}

export function need(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Malformed(what);
}

/** Whether two records have the same voters, and the same replicas degraded. */
export const haveSameVoters = (a: ConfigRecord, b: ConfigRecord): boolean =>
  a.arbiter === b.arbiter && sameNodes(a.members, b.members) && sameNodes(a.degraded, b.degraded);

const sameNodes = (a: readonly NodeId[], b: readonly NodeId[]): boolean =>
  a.length === b.length && a.every(node => b.includes(node));

/** The F replicas that a locality counts. */
export const fullReplicasOf = (record: Pick<ConfigRecord, 'members' | 'degraded'>): readonly NodeId[] => [
  ...record.members,
  ...record.degraded,
];

/** Everybody who keeps the log. */
export const replicasOf = (
  record: Pick<ConfigRecord, 'members' | 'degraded' | 'learners'>,
): readonly NodeId[] => [...record.members, ...record.degraded, ...record.learners];

const accessModes: readonly AccessMode[] = ['APPEND', 'RAW_WRITE', 'PREPARE_FLASHBACK', 'FLASHBACK'];

export function reviveRecord(value: unknown): ConfigRecord {
  const raw = reviveObject(value);
  const mode = accessModes.find(name => name === raw['accessMode']);
  need(mode !== undefined, 'the access mode is known');
  const members = reviveNodes(raw['members'], configMembersMax);
  const learners = reviveNodes(raw['learners'], configLearnersMax);
  const arbiter = raw['arbiter'] === null ? null : reviveNode(raw['arbiter']);
  const degraded = reviveNodes(raw['degraded'], configMembersMax);
  const all = [...members, ...degraded, ...learners, ...(arbiter === null ? [] : [arbiter])];
  need(new Set(all).size === all.length, 'a node takes part once');
  need(degraded.length === 0 || arbiter !== null, 'only an arbiter lets replicas be degraded');
  return {
    version: reviveVersion(raw['version']),
    members,
    learners,
    arbiter,
    degraded,
    accessMode: mode,
    modeVersion: reviveWhole(raw['modeVersion']),
    referenceScn: scn(reviveWhole(raw['referenceScn'])),
    sealed: raw['sealed'] === null ? null : revivePosition(raw['sealed']),
    cuts: reviveCuts(raw['cuts']),
    cutsForgotten: reviveVersion(raw['cutsForgotten']),
  };
}

export function reviveVersion(value: unknown): ConfigVersion {
  const raw = reviveObject(value);
  return {
    proposalId: proposalId(reviveWhole(raw['proposalId'])),
    sequence: reviveWhole(raw['sequence']),
  };
}

function reviveCuts(value: unknown): readonly LogCut[] {
  const cuts = reviveList(value).map(item => {
    const raw = reviveObject(item);
    return { at: revivePosition(raw['at']), version: reviveVersion(raw['version']) };
  });
  need(cuts.length <= configCutsMax, 'the cuts of a log stream are bounded');
  for (const [index, cut] of cuts.entries()) {
    const before = cuts[index - 1];
    const isAscending =
      before === undefined ||
      (cut.at.lsn > before.at.lsn && compareVersions(cut.version, before.version) > 0);
    need(isAscending, 'cuts ascend');
  }
  return cuts;
}

export function revivePosition(value: unknown): LogPosition {
  const raw = reviveObject(value);
  const checksum = reviveWhole(raw['checksum']);
  need(checksum <= 0xffff_ffff, 'a checksum has 32 bits');
  return { lsn: lsn(reviveWhole(raw['lsn'])), scn: scn(reviveWhole(raw['scn'])), checksum };
}

export function reviveObject(value: unknown): Record<string, unknown> {
  need(typeof value === 'object' && value !== null && !Array.isArray(value), 'an object is expected');
  return value as Record<string, unknown>;
}

export function reviveList(value: unknown): readonly unknown[] {
  need(Array.isArray(value), 'a list is expected');
  return value;
}

export function reviveNode(value: unknown): NodeId {
  const id = reviveText(value);
  need(id.length > 0 && id.length <= 64, 'a node id has 1 to 64 characters');
  return nodeId(id);
}

export function reviveText(value: unknown): string {
  need(typeof value === 'string', 'a text is expected');
  return value;
}

export function reviveWhole(value: unknown): number {
  need(typeof value === 'number' && Number.isSafeInteger(value) && value >= 0, 'a whole number is expected');
  return value;
}

function reviveNodes(value: unknown, countMax: number): readonly NodeId[] {
  const nodes = reviveList(value).map(reviveNode);
  need(nodes.length <= countMax, 'the nodes of a log stream are bounded');
  return nodes;
}
