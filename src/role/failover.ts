/**
 * Failover ("activate"): this standby becomes primary with what it has, because the primary is gone.
 *
 * Never: while the source answers, when more may be missing than the bound allows, or when log that is here could not be
 * applied, unless forced. What could not be saved is said exactly: the cut is recorded with the decision (W4), and completed when the old primary's log is seen.
 */
import { must } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import { type RoleEpoch, roleEpoch } from '../base/scalars.ts';
import { decide } from './opening.ts';
import type { EpochClaim, LocalObservation } from './ports.ts';
import { call, type Procedure, type RoleContext } from './procedure.ts';
import {
  type LossCertificate,
  newOperation,
  type RoleOperation,
  type RoleRow,
  type SiteAddress,
  type SourceContact,
  withCancelled,
} from './row.ts';
import { giveUpFailover } from './rollback.ts';
import { describeSource } from './seal-search.ts';
import { advance, begin, claimLost, current, load, refuseFenced, rowChanged } from './transition.ts';

export interface ActivateOrder {
  readonly operationId: string;
  /** how many milliseconds of the primary may be missing here; null: no bound */
  readonly maxLagMs: number | null;
  readonly force: boolean;
}

export interface ActivateFinding {
  readonly source: SiteAddress | null;
  readonly local: LocalObservation;
  readonly detail: string;
}

/** The states a failover may start from: a plain standby, or one whose switchover got stuck before its decision. */
function refuseNoActivation(context: RoleContext, row: RoleRow, force: boolean): void {
  refuseFenced(context, row);
  if (row.role !== 'STANDBY') {
    throw new ObError('OBS_ROLE_NOT_STANDBY', { tenant: row.tenant, role: row.role });
  }
  if (row.sealed !== null && !force) {
    // Whoever holds the right to open on this seal may do so at any moment.
    throw new ObError('OBS_ROLE_OPERATION_UNFINISHED', {
      status: 'sealed',
      operation: row.sealed.operationId,
      step: 'S6',
    });
  }
  const { operation, step } = row;
  const stuck =
    row.switchoverStatus === 'PREPARE SWITCHING TO PRIMARY' &&
    (operation?.kind === 'switchover' || operation?.kind === 'to-primary' || operation?.kind === 'undo');
  if (row.switchoverStatus === 'NORMAL' || stuck) return;
  throw new ObError('OBS_ROLE_OPERATION_UNFINISHED', {
    status: row.switchoverStatus,
    operation: operation?.id,
    step,
  });
}

/**
 * F1: stops pulling, so that what is judged is what will be opened, and looks for the primary. Leaves no trace; whoever
 * gets a refusal starts pulling again.
 */
export function* checkActivation(context: RoleContext, order: ActivateOrder): Procedure<ActivateFinding> {
  const row = context.row();
  refuseNoActivation(context, row, order.force);
  yield* call('local', 'stopPulling');
  const { found, addresses } = yield* describeSource(context);
  if (found !== null && found.description.epoch >= row.epoch && !order.force) {
    const { site, role, epoch } = found.description;
    throw new ObError('OBS_ROLE_PRIMARY_ALIVE', { address: found.address, site, role, epoch });
  }
  yield* refuseNewerChain(context, row, order.force);
  const local = yield* call('local', 'observe');
  const detail = judgeLag(context, order, local);
  const address = found?.address ?? addresses[0] ?? null;
  const site = found?.description.site ?? row.operation?.peer?.site ?? 'unknown';
  return { source: address === null ? null : { site, address }, local, detail };
}

/** An archive chain in which another site has a newer epoch than this history: somebody was promoted already. */
function* refuseNewerChain(context: RoleContext, row: RoleRow, force: boolean): Procedure<void> {
  if (force || (yield* call('archive', 'configured')) === null) return;
  const head = yield* call('archive', 'head');
  if (head.epoch > row.epoch && head.site !== row.site) throw claimLost(row, head);
}

/** What is not applied is not there: the log is cut behind what is applied. */
function judgeLag(context: RoleContext, order: ActivateOrder, local: LocalObservation): string {
  if (!order.force) refuseUnapplied(local);
  const cutAway =
    local.end.lsn > local.appliedLsn
      ? `; log from LSN ${local.appliedLsn} to ${local.end.lsn} is here and not applied: it is cut away`
      : '';
  const { end, time } = local.contact;
  if (end === null || time === null) {
    if (order.maxLagMs !== null && !order.force) throw new ObError('OBS_ROLE_LAG_UNKNOWN');
    return `the end of the primary is not known${cutAway}`;
  }
  // The primary may have gone on for as long as it has not been heard; what it had then and is not applied comes on top.
  const silentMs = Math.max(0, (context.now() - time) / 1000);
  const known = laterOf(end, local.end);
  const behindMs = known.lsn > local.appliedLsn ? Math.max(0, (known.scn - local.replayableScn) / 1000) : 0;
  const lagMs = Math.ceil(silentMs + behindMs);
  if (order.maxLagMs !== null && lagMs > order.maxLagMs && !order.force) {
    throw new ObError('OBS_ROLE_LAG_EXCEEDED', { lagMs, maxLagMs: order.maxLagMs });
  }
  return `at most ${lagMs} ms of the primary are missing${cutAway}`;
}

/** Log that could not be applied is not what a delay keeps back: nobody decided to lose it. */
function refuseUnapplied({ applyProblem, appliedLsn, end }: LocalObservation): void {
  if (applyProblem === null) return;
  throw new ObError('OBS_ROLE_APPLY_STOPPED', { applied: appliedLsn, end: end.lsn, why: applyProblem });
}

type KnownEnd = NonNullable<SourceContact['end']>;

/** The history of the primary is known as far as it told, or as its log is here. */
const laterOf = (told: KnownEnd | null, here: KnownEnd): KnownEnd =>
  told !== null && told.lsn > here.lsn ? told : { lsn: here.lsn, scn: here.scn };

/** F1 and F2's record. Pulling goes on when the failover is refused. */
export function* beginActivate(context: RoleContext, order: ActivateOrder): Procedure<RoleRow> {
  const before = yield* load(context);
  let finding: ActivateFinding;
  try {
    finding = yield* checkActivation(context, order);
  } catch (error) {
    yield* call('local', 'startPulling');
    throw error;
  }
  const { local, source } = finding;
  const operation: RoleOperation = {
    ...newOperation(order.operationId, 'activate', context.now()),
    peer: source,
    contact: { ...local.contact, end: laterOf(local.contact.end, local.end) },
    forced: order.force,
    previousRecoveryUntilScn: before.recoveryUntilScn,
  };
  return yield* begin(context, {
    operation,
    checked: [{ step: 'F1', detail: finding.detail }],
    next: 'F2',
    guard: row => {
      refuseNoActivation(context, row, order.force);
      if (row.epoch !== before.epoch) throw rowChanged(row);
    },
    build: row => ({
      ...row,
      switchoverStatus: 'PREPARE FLASHBACK',
      recoveryUntilScn: local.end.scn,
      sealed: null,
      // A switchover that got stuck, and a seal of our own, are given up for good.
      cancelled: cancelledBy(row),
    }),
  });
}

function cancelledBy(row: RoleRow): readonly string[] {
  const first = row.operation === null ? row.cancelled : withCancelled(row, row.operation.id);
  return row.sealed === null ? first : withCancelled({ ...row, cancelled: first }, row.sealed.operationId);
}

/** F2: no replica takes log any more. */
export function* stopTakingLog(context: RoleContext, row: RoleRow): Procedure<RoleRow> {
  yield* call('local', 'stopPulling');
  const { end, accessMode } = yield* call('local', 'observe');
  if (accessMode === 'RAW_WRITE') yield* call('local', 'changeMode', 'PREPARE_FLASHBACK', end.scn);
  return yield* advance(context, row, 'F3', each => ({ ...each, switchoverStatus: 'FLASHBACK' }));
}

/** F3: what is behind the last whole transaction goes; there the new history starts. */
export function* cutLog(context: RoleContext, row: RoleRow): Procedure<RoleRow> {
  const { operation } = current(row);
  // Whoever goes on with a failover that another began must have applied what it cuts behind.
  yield* call('local', 'stopPulling');
  const before = yield* call('local', 'observe');
  if (!operation.forced) refuseUnapplied(before);
  if (before.accessMode !== 'FLASHBACK') {
    yield* call('local', 'changeMode', 'FLASHBACK', before.end.scn);
  }
  const cut = yield* call('local', 'flashback', before.replayableScn);
  return yield* advance(
    context,
    row,
    'F4',
    each => ({ ...each, operation: { ...operation, cut } }),
    `cut at LSN ${cut.lsn}, SCN ${cut.scn}`,
  );
}

/** F4 and F5: the epoch, then the decision with the draft of the loss certificate. */
export function* claimAndActivate(context: RoleContext, row: RoleRow): Procedure<RoleRow> {
  const { operation } = current(row);
  const cut = must(operation.cut, 'cut of a failover');
  const claimed = yield* claimForFailover(context, row, operation);
  if (claimed.lostTo !== null) {
    // Somebody else was promoted, or opened again: nothing was claimed here, the standby goes on being one.
    const given = yield* advance(context, row, 'V1', each => ({
      ...each,
      operation: { ...operation, kind: 'undo-activate' },
    }));
    yield* giveUpFailover(context, given);
    throw claimLost(row, claimed.lostTo);
  }
  const { epoch, detail } = claimed;
  const certificate: LossCertificate = {
    tenant: row.tenant,
    incarnation: row.incarnation,
    oldEpoch: row.epoch,
    newEpoch: epoch,
    cutLsn: cut.lsn,
    cutScn: cut.scn,
    knownEndLsn: operation.contact?.end?.lsn ?? null,
    knownEndScn: operation.contact?.end?.scn ?? null,
    lastContact: operation.contact?.time ?? null,
    lostTransactions: null,
    lostLsnEnd: null,
    lostScnEnd: null,
    forced: operation.forced,
  };
  return yield* decide(context, row, {
    event: 'opened',
    epoch,
    cut,
    decided: 'F5',
    next: 'F6',
    detail,
    also: () => ({ certificate, unfenced: operation.peer }),
  });
}

function* claimForFailover(
  context: RoleContext,
  row: RoleRow,
  operation: RoleOperation,
): Procedure<{ readonly epoch: RoleEpoch; readonly detail: string; readonly lostTo: EpochClaim | null }> {
  const next = roleEpoch(Math.max(row.epoch, row.ceded) + 1);
  const archive = yield* call('archive', 'configured');
  if (archive === null) return { epoch: next, detail: `epoch ${next}, no archive`, lostTo: null };
  try {
    let epoch = next;
    let answer = yield* call('archive', 'claim', { epoch, site: row.site, operationId: operation.id });
    if (answer.kind === 'lost' && (operation.forced || answer.to.site === row.site)) {
      // An earlier claim of this site was for an operation that is cancelled; a forced failover overrules any.
      const mine = answer.to.site === row.site && answer.to.operationId === operation.id;
      epoch = roleEpoch(answer.to.epoch + (mine ? 0 : 1));
      answer = yield* call('archive', 'claim', { epoch, site: row.site, operationId: operation.id });
    }
    const lostTo = answer.kind === 'lost' ? answer.to : null;
    return { epoch, detail: `epoch ${epoch} claimed in ${archive}`, lostTo };
  } catch (error) {
    if (!operation.forced || !(error instanceof ObError) || error.kind !== 'unavailable') throw error;
    return {
      epoch: next,
      detail: `epoch ${next}, archive ${archive} did not answer: not claimed`,
      lostTo: null,
    };
  }
}
