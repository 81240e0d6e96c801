/**
 * What an operator can ask of a server, whatever the door (SQL, HTTP, CLI): one method a verb, one implementation
 * (`control-plane.ts`). Every method is idempotent or compare-and-set; every interrupted one can be run again.
 */
import type { ErrorKind } from '../base/errors.ts';
import type { AccessMode, ProposalEra } from '../base/log-access.ts';
import type { Lsn, RoleEpoch, Scn, TenantId, WallMicros } from '../base/scalars.ts';
import type { LossCertificate, SwitchoverStatus, TenantRole } from '../role/row.ts';
import type { StepReport } from '../role/steps.ts';
import type { ArbitrationState } from './root/arbitration.ts';
import type { StandbyLag, SyncStatus } from '../standby/sync-status.ts';

export type { LossCertificate } from '../role/row.ts';
export type { StepReport } from '../role/steps.ts';

export interface TenantInfo {
  readonly tenantId: TenantId;
  readonly name: string;
  /** the same on every site of this tenant, for ever */
  readonly incarnation: string;
  readonly createTime: WallMicros;
  readonly status: 'CREATING' | 'NORMAL' | 'RESTORE' | 'DROPPING';
  readonly role: TenantRole;
  readonly switchoverStatus: SwitchoverStatus;
  readonly roleEpoch: RoleEpoch;
  readonly syncScn: Scn;
  readonly replayableScn: Scn;
  readonly readableScn: Scn;
  readonly recoveryUntilScn: Scn;
  readonly logMode: 'ARCHIVELOG' | 'NOARCHIVELOG';
  /** the error that kept the tenant from opening, its role then is what it was, its positions are unknown (0); else null */
  readonly failure: {
    readonly code: string;
    readonly kind: ErrorKind;
    readonly message: string;
    readonly hint: string;
  } | null;
  /** why the tenant takes no writes although it is the primary, or null */
  readonly writesRefused: string | null;
  /** what an operator does about a tenant that needs one, or null */
  readonly nextStep: string | null;
  readonly log: {
    readonly accessMode: AccessMode;
    readonly proposalId: number;
    readonly beginLsn: Lsn;
    readonly endLsn: Lsn;
    readonly endScn: Scn;
    readonly checksum: number;
    readonly proposalHistory: readonly ProposalEra[];
  };
  readonly applied: { readonly lsn: Lsn; readonly checkpointLsn: Lsn };
  readonly standby: {
    /** secret-free text of the restore source, or null */
    readonly source: string | null;
    readonly transport: 'network' | 'archive' | null;
    readonly syncStatus: SyncStatus;
    readonly comment: string;
    readonly lag: StandbyLag;
  } | null;
  readonly archive: {
    readonly dest: string;
    readonly state: string;
    readonly roundId: number;
    readonly pieceId: number;
    readonly checkpointScn: Scn;
    readonly archivedLsn: Lsn;
    readonly comment: string;
  } | null;
  /** where its replicas are to be; null where only this server's own replica was asked */
  readonly placement: {
    readonly locality: string;
    /** while the replicas are on their way from there */
    readonly previousLocality: string | null;
    readonly primaryZone: string;
    readonly arbitration: ArbitrationState;
    /** the server that leads it, by its cluster address; null while none is known */
    readonly leader: string | null;
    /** where that server takes clients */
    readonly leaderSql: string | null;
  } | null;
  /** sites that pull from this tenant now or must be asked before it may open for writes */
  readonly followers: readonly {
    readonly address: string;
    readonly site: string;
    readonly connected: boolean;
    readonly ackedLsn: Lsn;
    readonly ackedTime: WallMicros | null;
  }[];
}

export interface SwitchoverOutcome {
  readonly switchoverId: string;
  readonly newEpoch: RoleEpoch;
  readonly sealedLsn: Lsn;
  readonly sealedScn: Scn;
  readonly steps: readonly StepReport[];
}

export type Progress = (report: StepReport) => void;

export interface Operations {
  tenants(): Promise<readonly TenantInfo[]>;
  tenant(name: string): Promise<TenantInfo>;
  createTenant(options: {
    name: string;
    ifNotExists: boolean;
    pageBytes?: number;
    rootPassword?: string;
    locality?: string;
    primaryZone?: string;
    arbitration?: boolean;
  }): Promise<void>;
  dropTenant(name: string, options: { force: boolean; ifExists: boolean }): Promise<void>;

  /** `source` in OceanBase's text form: SERVICE=host:port;… USER=u@t PASSWORD=…, or LOCATION=<uri>, or '' */
  createStandbyTenant(
    options: {
      name: string;
      source: string;
      ifNotExists: boolean;
      locality?: string;
      primaryZone?: string;
      arbitration?: boolean;
    },
    progress?: Progress,
  ): Promise<void>;
  setLogRestoreSource(name: string, source: string): Promise<void>;
  recoverStandby(
    name: string,
    until: { kind: 'unlimited' } | { kind: 'cancel' } | { kind: 'scn'; scn: Scn },
  ): Promise<void>;

  /** a site that will not come back: its answer is not needed any more when this tenant restarts as primary */
  forgetFollower(name: string, site: string): Promise<void>;
  /**
   * Tries a tenant that did not open again. Of one that is open: ends the restart check on the operator's word that no other
   * site was promoted.
   */
  openTenant(name: string): Promise<void>;

  /** LOCATION=<uri> [BINDING=Optional|Mandatory] [PIECE_SWITCH_INTERVAL=1d] [LAG_TARGET=1s], or '' */
  setLogArchiveDest(name: string, dest: string): Promise<void>;
  setLogArchiveDestState(name: string, state: 'ENABLE' | 'DEFER'): Promise<void>;
  archivelog(name: string): Promise<void>;
  noarchivelog(name: string): Promise<void>;

  /** base backup into the tenant's archive dest, or `dest`; returns its id */
  backup(
    name: string,
    options: { dest?: string },
    progress?: Progress,
  ): Promise<{ backupId: string; startLsn: Lsn; minimumScn: Scn }>;
  /** makes a STANDBY tenant from base backup + log, stopped at `untilScn` if given */
  restore(
    options: { name: string; from: string; untilScn?: Scn; locality?: string; primaryZone?: string },
    progress?: Progress,
  ): Promise<void>;

  /** first half, on the primary: fence, drain, seal; `verify` only checks */
  switchoverToStandby(name: string, options: { verify: boolean }, progress?: Progress): Promise<StepReport[]>;
  /** second half, on the standby: catch up to the seal, open */
  switchoverToPrimary(name: string, options: { verify: boolean }, progress?: Progress): Promise<StepReport[]>;
  /** both halves, driven from the standby's site; `planOnly` lists the steps and the checks' findings */
  switchover(name: string, options: { planOnly: boolean }, progress?: Progress): Promise<SwitchoverOutcome>;
  /** failover; refuses while the primary answers or when lag exceeds the bound, unless forced */
  activateStandby(
    name: string,
    options: { maxLagMs: number | null; force: boolean; verify: boolean },
    progress?: Progress,
  ): Promise<LossCertificate | null>;
  /** continues whatever role change is unfinished here */
  resume(name: string, progress?: Progress): Promise<StepReport[]>;
  /** undoes an unfinished switchover while the new primary has not opened */
  rollback(name: string, progress?: Progress): Promise<StepReport[]>;
  /** the certificate of the last failover, completed when the old primary's log was seen */
  lossCertificate(name: string): Promise<LossCertificate | null>;

  checkpoint(name: string): Promise<Lsn>;
}
