/**
 * Second half of a switchover, on the standby, and the one command that runs both halves from here.
 *
 * Never: opens unless the log ends exactly at the seal, checksum included (W2), and the seal's arbiter gave the right to
 * this site: the sealing site's grant, or the next epoch in the archive chain (W1). Until the decision (O5) a cancellation
 * recorded in the row wins; after it none is accepted.
 */
import { must } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import { roleEpoch, scnUnlimited } from '../base/scalars.ts';
import { decide } from './opening.ts';
import { call, type Procedure, type RoleContext } from './procedure.ts';
import { newOperation, type RoleRow, type SealRecord, type SiteAddress } from './row.ts';
import { describeSource, findSeal, unexpected } from './seal-search.ts';
import {
  advance,
  begin,
  claimLost,
  current,
  finish,
  load,
  refuseFenced,
  refuseUnfinished,
} from './transition.ts';

/** Refuses what can not become primary. */
function refuseNoStandby(context: RoleContext, row: RoleRow): void {
  refuseFenced(context, row);
  refuseUnfinished(row);
  if (row.role !== 'STANDBY') {
    throw new ObError('OBS_ROLE_NOT_STANDBY', { tenant: row.tenant, role: row.role });
  }
  if (row.sealed !== null) {
    throw new ObError('OBS_ROLE_OPERATION_UNFINISHED', {
      status: row.switchoverStatus,
      operation: row.sealed.operationId,
      step: 'S6',
    });
  }
  if (row.recoveryUntilScn !== scnUnlimited) {
    throw new ObError('OBS_ROLE_RECOVERY_BOUNDED', { tenant: row.tenant, until: row.recoveryUntilScn });
  }
}

/** Checks the standby and finds the seal; leaves no trace. */
export function* checkOpenable(
  context: RoleContext,
): Procedure<{ readonly seal: SealRecord; readonly peer: SiteAddress | null }> {
  refuseNoStandby(context, context.row());
  return yield* findSeal(context);
}

/** Begins the second half of a switchover whose first half was run on the other site. */
export function* beginToPrimary(context: RoleContext): Procedure<RoleRow> {
  yield* load(context);
  const { seal, peer } = yield* checkOpenable(context);
  return yield* beginOnSeal(context, seal, peer, 'to-primary');
}

function* beginOnSeal(
  context: RoleContext,
  seal: SealRecord,
  peer: SiteAddress | null,
  kind: 'to-primary' | 'switchover',
): Procedure<RoleRow> {
  return yield* begin(context, {
    operation: { ...newOperation(seal.operationId, kind, context.now()), seal, peer },
    checked: [
      { step: 'O1', detail: '' },
      ...(kind === 'to-primary'
        ? [{ step: 'O2' as const, detail: `sealed at LSN ${seal.position.lsn} by ${seal.site}` }]
        : []),
    ],
    next: 'O3',
    guard: row => {
      refuseNoStandby(context, row);
      if (row.cancelled.includes(seal.operationId)) {
        throw new ObError('OBS_ROLE_OPERATION_CANCELLED', { operation: seal.operationId, site: row.site });
      }
    },
    build: row => ({ ...row, switchoverStatus: 'PREPARE SWITCHING TO PRIMARY' }),
  });
}

export interface SwitchoverPlan {
  readonly peer: SiteAddress;
  /** the seal the primary made already, by hand or in an earlier try */
  readonly seal: SealRecord | null;
  readonly finding: string;
}

/** Checks both sides before a switchover is recorded; leaves no trace. */
export function* checkSwitchover(context: RoleContext): Procedure<SwitchoverPlan> {
  const row = context.row();
  refuseNoStandby(context, row);
  const { found, failure } = yield* describeSource(context);
  if (found === null) {
    if (failure !== null) throw failure;
    throw new ObError('OBS_ROLE_NO_SOURCE', { tenant: row.tenant });
  }
  const { description, address } = found;
  const peer = { site: description.site, address };
  if (description.role === 'PRIMARY') {
    if (description.switchoverStatus !== 'NORMAL') {
      throw new ObError('OBS_ROLE_SOURCE_NOT_NORMAL', { status: description.switchoverStatus });
    }
    const finding = `primary ${description.site} in epoch ${description.epoch} at LSN ${description.end.lsn}`;
    return { peer, seal: null, finding };
  }
  if (description.sealed === null) {
    throw new ObError('OBS_ROLE_SOURCE_IS_STANDBY', { site: description.site, epoch: description.epoch });
  }
  const { seal } = yield* findSeal(context);
  return { peer, seal, finding: `site ${description.site} is sealed at LSN ${seal.position.lsn} already` };
}

/** Begins the one command: the intent, with its operation id, is durable here before the primary hears of it. */
export function* beginSwitchover(context: RoleContext, operationId: string): Procedure<RoleRow> {
  yield* load(context);
  const plan = yield* checkSwitchover(context);
  if (plan.seal !== null) return yield* beginOnSeal(context, plan.seal, plan.peer, 'switchover');
  return yield* begin(context, {
    operation: { ...newOperation(operationId, 'switchover', context.now()), peer: plan.peer },
    checked: [
      { step: 'O1', detail: plan.finding },
      { step: 'T0', detail: '' },
    ],
    next: 'T1',
    guard: row => refuseNoStandby(context, row),
    build: row => ({ ...row, switchoverStatus: 'PREPARE SWITCHING TO PRIMARY' }),
  });
}

/** T1: the primary runs its half; asked again it answers with the same seal. */
export function* sealPrimary(context: RoleContext, row: RoleRow): Procedure<RoleRow> {
  const { operation } = current(row);
  const peer = must(operation.peer, 'peer of a switchover');
  const address = must(peer.address, 'address of the primary');
  const reply = yield* call('peers', 'control', address, {
    op: 'seal',
    operationId: operation.id,
    epoch: row.epoch,
    target: { site: row.site, address: context.settings.address },
    archiveName: yield* call('archive', 'configured'),
  });
  if (reply.kind !== 'sealed') throw unexpected(address, reply.kind, 'sealed');
  const { seal } = reply;
  if (seal.operationId !== operation.id) throw unexpected(address, seal.operationId, operation.id);
  return yield* advance(
    context,
    row,
    'O3',
    each => ({ ...each, operation: { ...operation, seal } }),
    `sealed at LSN ${seal.position.lsn} by ${seal.site}`,
  );
}

/** O3: this log ends where the primary's ended, byte for byte, and all of it is applied. */
export function* catchUp(context: RoleContext, row: RoleRow): Procedure<RoleRow> {
  const seal = must(current(row).operation.seal, 'seal to catch up with');
  const end = seal.position;
  yield* call('local', 'startPulling');
  yield* call('local', 'caughtUpTo', end.lsn, context.settings.catchUpMs);
  yield* call('local', 'stopPulling');
  const local = yield* call('local', 'observe');
  if (local.end.lsn !== end.lsn || local.end.checksum !== end.checksum) {
    throw new ObError('OBS_ROLE_SEAL_MISMATCH', { at: local.end.lsn, end: end.lsn });
  }
  if (local.appliedLsn < end.lsn) {
    throw new ObError('OBS_ROLE_NOT_SYNCED', { at: local.appliedLsn, end: end.lsn });
  }
  return yield* advance(context, row, 'O4', each => each, `at LSN ${end.lsn}`);
}

/** O4 and O5: get the right to continue this history, then decide. */
export function* claimAndDecide(context: RoleContext, row: RoleRow): Procedure<RoleRow> {
  const { operation } = current(row);
  const seal = must(operation.seal, 'seal to open on');
  const epoch = roleEpoch(seal.epoch + 1);
  const archive = yield* call('archive', 'configured');
  const details: string[] = [];
  if (seal.arbiter === 'network' || seal.archiveName !== archive) {
    details.push(yield* obtainGrant(context, row, seal, operation.peer));
  }
  if (archive !== null) {
    const claim = { epoch, site: row.site, operationId: operation.id };
    const answer = yield* call('archive', 'claim', claim);
    if (answer.kind === 'lost') throw claimLost(row, answer.to);
    details.push(`claimed in ${archive}`);
  }
  return yield* decide(context, row, {
    event: 'opened',
    epoch,
    cut: seal.position,
    decided: 'O5',
    next: 'O6',
    detail: [`epoch ${epoch}`, ...details].join(', '),
  });
}

function* obtainGrant(
  context: RoleContext,
  row: RoleRow,
  seal: SealRecord,
  peer: SiteAddress | null,
): Procedure<string> {
  if (seal.arbiter === 'network' && seal.target?.site === row.site) return `granted by ${seal.site}`;
  const address = peer?.address ?? null;
  if (address === null) throw new ObError('OBS_ROLE_NO_SOURCE', { tenant: row.tenant });
  const target = { site: row.site, address: context.settings.address };
  const reply = yield* call('peers', 'control', address, {
    op: 'grant',
    operationId: seal.operationId,
    target,
  });
  if (reply.kind !== 'sealed') throw unexpected(address, reply.kind, 'sealed');
  if (reply.seal.operationId !== seal.operationId || reply.seal.target?.site !== row.site) {
    throw new ObError('OBS_ROLE_NOT_GRANTED', { operation: seal.operationId, site: reply.seal.target?.site });
  }
  return `granted by ${seal.site}`;
}

/** O8: the old primary follows. The switchover is done without it; what is left is said and can be resumed. */
export function* repointOldPrimary(context: RoleContext, row: RoleRow): Procedure<RoleRow> {
  const { operation } = current(row);
  const address = operation.peer?.address ?? null;
  const own = context.settings.address;
  if (address === null || own === null) {
    return yield* finish(
      context,
      row,
      each => each,
      'set its LOG_RESTORE_SOURCE by hand: no address is known',
    );
  }
  try {
    const reply = yield* call('peers', 'control', address, {
      op: 'follow',
      operationId: operation.id,
      epoch: row.epoch,
      site: row.site,
      address: own,
      openings: row.openings,
    });
    if (reply.kind !== 'following') throw unexpected(address, reply.kind, 'following');
  } catch (error) {
    if (!(error instanceof ObError)) throw error;
    throw new ObError('OBS_ROLE_INCOMPLETE', { step: 'O8', why: error.message }, error);
  }
  return yield* finish(context, row, each => each, `${operation.peer?.site} follows`);
}
