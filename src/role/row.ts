/**
 * The role row: everything a site remembers about one tenant's role, and the only thing a role change compares and
 * sets. What is not in this row did not happen.
 *
 * Invariants: the epoch never decreases (W5); `revision` grows by one with every change, so a compare-and-set on it
 * covers role, status, epoch and step together.
 */
import type { LogPosition } from '../base/log-access.ts';
import { roleCancelledMax, roleOpeningsMax } from '../base/limits.ts';
import { type RoleEpoch, roleEpoch, type Scn, scnUnlimited, type WallMicros } from '../base/scalars.ts';
import type { StepId } from './steps.ts';

export type TenantRole = 'PRIMARY' | 'STANDBY' | 'RESTORE';

/** OceanBase's switchover statuses, spelled as its views spell them. */
export type SwitchoverStatus =
  | 'NORMAL'
  | 'PREPARE SWITCHING TO STANDBY'
  | 'SWITCHING TO STANDBY'
  | 'PREPARE SWITCHING TO PRIMARY'
  | 'SWITCHING TO PRIMARY'
  | 'PREPARE FLASHBACK'
  | 'FLASHBACK';

export type OperationKind =
  /** first opening of a new tenant */
  | 'bootstrap'
  /** first half of a switchover, on the primary */
  | 'to-standby'
  /** second half, on the standby, of a switchover whose first half was run by hand */
  | 'to-primary'
  /** both halves, driven from the standby */
  | 'switchover'
  /** failover */
  | 'activate'
  /** rollback of a sealed primary: it opens again under a new epoch */
  | 'reopen'
  /** rollback of the second half, on the standby */
  | 'undo'
  /** rollback of a failover that has not claimed its epoch */
  | 'undo-activate';

/** Another site of the tenant. `address` is where its peer port listens, null when it is not known. */
export interface SiteAddress {
  readonly site: string;
  readonly address: string | null;
}

/** Who says which site may open after a seal: the sealing site, which grants it once, or the archive chain. */
type SealArbiter = 'network' | 'archive';

/** The exact end of a primary's history, and the right to continue it. */
export interface SealRecord {
  readonly operationId: string;
  /** of the history that ends here */
  readonly epoch: RoleEpoch;
  /** the site that sealed */
  readonly site: string;
  readonly position: LogPosition;
  readonly arbiter: SealArbiter;
  /** the archive chain the seal is written to, or null when the site does not archive */
  readonly archiveName: string | null;
  /** the one site that may open (arbiter 'network'); null while nobody has been granted it */
  readonly target: SiteAddress | null;
}

/** The last time this site opened the tenant for writes. */
export interface OpeningRecord {
  readonly event: 'opened' | 'reopened';
  readonly epoch: RoleEpoch;
  readonly operationId: string;
  readonly kind: OperationKind;
  /** where the new history starts */
  readonly cut: LogPosition;
  readonly time: WallMicros;
}

/** Why a site that was primary serves no more. */
export interface FencedRecord {
  readonly ownEpoch: RoleEpoch;
  readonly by: { readonly epoch: RoleEpoch; readonly site: string; readonly address: string | null };
  /** where the newer history left this one; null until the newer primary told it */
  readonly cut: LogPosition | null;
  readonly suffix: LogSuffix | null;
  readonly time: WallMicros;
}

/** Where the history of an epoch starts: everything before belongs to the epochs before it. */
export interface EpochStart {
  readonly epoch: RoleEpoch;
  readonly cut: LogPosition;
}

/**
 * Where the history left the one that `ownEpoch` wrote: the start of the first epoch after it. Null when the list does not
 * reach back to that epoch, so that an epoch between may be missing from it.
 */
export function forkPoint(openings: readonly EpochStart[], ownEpoch: RoleEpoch): LogPosition | null {
  if (!openings.some(({ epoch }) => epoch <= ownEpoch)) return null;
  return openings.find(({ epoch }) => epoch > ownEpoch)?.cut ?? null;
}

/** The list with one more start, in order of epochs, bounded. */
export function withOpening(openings: readonly EpochStart[], start: EpochStart): readonly EpochStart[] {
  if (openings.some(({ epoch }) => epoch === start.epoch)) return openings;
  return [...openings, { epoch: start.epoch, cut: start.cut }]
    .sort((a, b) => a.epoch - b.epoch)
    .slice(-roleOpeningsMax);
}

/**
 * What a standby knows of its log's epochs when it learns of `epoch`: its own list and what was told. If neither says where
 * that epoch began, an epoch may be missing, and nothing is known any more.
 */
export function learnedOpenings(
  known: readonly EpochStart[],
  told: readonly EpochStart[],
  epoch: RoleEpoch,
): readonly EpochStart[] {
  const all = told.reduce(withOpening, known);
  return all.some(each => each.epoch === epoch) ? all : [];
}

/** What a log holds after a cut. */
export interface LogSuffix {
  readonly transactions: number;
  readonly end: LogPosition;
}

/** What a failover could not save, said exactly. */
export interface LossCertificate {
  readonly tenant: string;
  readonly incarnation: string;
  readonly oldEpoch: RoleEpoch;
  readonly newEpoch: RoleEpoch;
  /** everything up to here is kept, nothing after it */
  readonly cutLsn: LogPosition['lsn'];
  readonly cutScn: Scn;
  /** how far the old primary is known to have got, and when it was last heard */
  readonly knownEndLsn: LogPosition['lsn'] | null;
  readonly knownEndScn: Scn | null;
  readonly lastContact: WallMicros | null;
  /** filled when the old primary's log was seen: exact count of transactions after the cut */
  readonly lostTransactions: number | null;
  readonly lostLsnEnd: LogPosition['lsn'] | null;
  readonly lostScnEnd: Scn | null;
  readonly forced: boolean;
}

/** The role change under way. `row.step` says where it stands. */
export interface RoleOperation {
  readonly id: string;
  readonly kind: OperationKind;
  readonly startTime: WallMicros;
  readonly peer: SiteAddress | null;
  /** the seal this operation makes, opens on, or takes back */
  readonly seal: SealRecord | null;
  /** failover: the position the log was cut at */
  readonly cut: LogPosition | null;
  /** failover: draft of the certificate, before the cut is known */
  readonly contact: SourceContact | null;
  readonly forced: boolean;
  /** failover: what to return to when it is given up */
  readonly previousRecoveryUntilScn: Scn;
  /** reopen: the first half had been finished, so that a lost claim leaves a sealed standby at rest */
  readonly sealComplete: boolean;
  /** reopen: why nobody else can open on this seal any more, or that the archive chain has to decide */
  readonly consent: 'unpublished' | 'not-granted' | 'target' | 'archive' | null;
}

/** What a standby knew of its source when it was last heard. */
export interface SourceContact {
  readonly end: { readonly lsn: LogPosition['lsn']; readonly scn: Scn } | null;
  readonly time: WallMicros | null;
}

export interface RoleRow {
  readonly tenant: string;
  readonly incarnation: string;
  /** this site's id */
  readonly site: string;
  readonly revision: number;
  readonly role: TenantRole;
  readonly switchoverStatus: SwitchoverStatus;
  /** the highest role epoch known here; a primary's own */
  readonly epoch: RoleEpoch;
  readonly operation: RoleOperation | null;
  readonly step: StepId | null;
  readonly sealed: SealRecord | null;
  readonly opening: OpeningRecord | null;
  /** the epochs of this log, oldest first, bounded: own openings and those seen in the log that is followed */
  readonly openings: readonly EpochStart[];
  readonly fenced: FencedRecord | null;
  /** operations that may never open or seal here, newest last, bounded */
  readonly cancelled: readonly string[];
  /** epochs up to here are left to a site that this one let open again; a failover goes above them */
  readonly ceded: RoleEpoch;
  readonly recoveryUntilScn: Scn;
  readonly certificate: LossCertificate | null;
  /** what a repeated command answers with */
  readonly lastOperation: { readonly id: string; readonly kind: OperationKind } | null;
  /** an old primary that does not know yet that it was superseded */
  readonly unfenced: SiteAddress | null;
}

interface TenantIdentity {
  readonly tenant: string;
  readonly incarnation: string;
  readonly site: string;
}

const blank = {
  revision: 1,
  operation: null,
  step: null,
  sealed: null,
  opening: null,
  openings: [],
  fenced: null,
  cancelled: [],
  ceded: roleEpoch(0),
  recoveryUntilScn: scnUnlimited,
  certificate: null,
  unfenced: null,
  lastOperation: null,
} as const;

/** The row of a tenant that is created as a primary: its first opening (epoch 1) is under way. */
export function newPrimaryRow(identity: TenantIdentity, now: WallMicros): RoleRow {
  const id = `bootstrap-${identity.incarnation}`;
  const empty = { lsn: 0, scn: 0, checksum: 0 } as LogPosition;
  return {
    ...blank,
    ...identity,
    role: 'STANDBY',
    switchoverStatus: 'SWITCHING TO PRIMARY',
    epoch: roleEpoch(1),
    operation: { ...newOperation(id, 'bootstrap', now), cut: empty },
    step: 'B1',
    openings: [{ epoch: roleEpoch(1), cut: empty }],
    opening: {
      event: 'opened',
      epoch: roleEpoch(1),
      operationId: id,
      kind: 'bootstrap',
      cut: empty,
      time: now,
    },
  };
}

/** The row of a tenant that is created as a standby of a history that is in `epoch`; `openings` as its source tells them. */
export function newStandbyRow(
  identity: TenantIdentity,
  epoch: RoleEpoch,
  openings: readonly EpochStart[],
  role: 'STANDBY' | 'RESTORE' = 'STANDBY',
): RoleRow {
  return { ...blank, ...identity, role, switchoverStatus: 'NORMAL', epoch, openings };
}

export function newOperation(id: string, kind: OperationKind, startTime: WallMicros): RoleOperation {
  return {
    id,
    kind,
    startTime,
    peer: null,
    seal: null,
    cut: null,
    contact: null,
    forced: false,
    previousRecoveryUntilScn: scnUnlimited,
    sealComplete: false,
    consent: null,
  };
}

/** True while a role change has been begun and neither finished nor undone. */
export const isUnfinished = (row: RoleRow): boolean => row.switchoverStatus !== 'NORMAL';

/** True when the site holds, or may at any moment hold, the right to write. */
export const holdsWrites = (row: RoleRow): boolean =>
  row.fenced === null &&
  (row.role === 'PRIMARY' ||
    row.switchoverStatus === 'SWITCHING TO PRIMARY' ||
    row.switchoverStatus === 'PREPARE SWITCHING TO STANDBY');

export const withCancelled = (row: RoleRow, operationId: string): readonly string[] =>
  row.cancelled.includes(operationId)
    ? row.cancelled
    : [...row.cancelled, operationId].slice(-roleCancelledMax);

/**
 * What a consent to open again after a seal of `epoch` gives away: the next epoch, and the one after it in case the next was
 * claimed for the operation that is given up.
 */
export const cededAfter = (row: RoleRow, epoch: RoleEpoch): RoleEpoch =>
  roleEpoch(Math.max(row.ceded, epoch + 2));

/**
 * Whether an epoch opened by another site supersedes ours. Equal epochs of two sites can only come from two forced
 * failovers; the site ids break the tie, so that both sides agree on who stops.
 */
export function supersedes(
  theirs: { readonly epoch: RoleEpoch; readonly site: string },
  row: RoleRow,
): boolean {
  if (theirs.epoch !== row.epoch) return theirs.epoch > row.epoch;
  return holdsWrites(row) && theirs.site > row.site;
}
