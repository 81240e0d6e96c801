/**
 * First half of a switchover, on the primary: close it, write down the exact end of its history, leave APPEND.
 *
 * Never: shows a seal before the log has left APPEND and the row says so (the sealed end would not be the end). The row
 * changes to STANDBY in the same compare-and-set that publishes the seal (W1, W2).
 */
import { assert, must } from '../base/assert.ts';
import { isObError, ObError } from '../base/errors.ts';
import { call, type Procedure, type RoleContext } from './procedure.ts';
import { newOperation, type RoleOperation, type RoleRow, type SealRecord, type SiteAddress } from './row.ts';
import {
  advance,
  begin,
  current,
  finish,
  load,
  refuseFenced,
  refuseUnconfirmed,
  refuseUnfinished,
} from './transition.ts';

export interface SealOrder {
  readonly operationId: string;
  /** who asks; null when an operator runs this half by hand */
  readonly target: SiteAddress | null;
  /** the archive chain the target can claim in */
  readonly targetArchive: string | null;
}

/** Checks whether this site can be sealed; leaves no trace. */
export function* checkSealable(context: RoleContext, order: SealOrder | null): Procedure<string> {
  const row = context.row();
  refuseFenced(context, row);
  if (order !== null && row.cancelled.includes(order.operationId)) {
    throw new ObError('OBS_ROLE_OPERATION_CANCELLED', { operation: order.operationId, site: row.site });
  }
  refuseUnfinished(row);
  if (row.role !== 'PRIMARY') {
    throw new ObError('OBS_ROLE_NOT_PRIMARY', { tenant: row.tenant, role: row.role });
  }
  refuseUnconfirmed(context, row);
  const { accessMode, end } = yield* call('local', 'observe');
  if (accessMode !== 'APPEND') {
    throw new ObError('OBS_ROLE_NOT_PRIMARY', { tenant: row.tenant, role: `in ${accessMode}` });
  }
  return `epoch ${row.epoch}, log at LSN ${end.lsn}`;
}

/** Begins the half; from here on it is run by its steps. */
export function* beginSeal(context: RoleContext, order: SealOrder): Procedure<RoleRow> {
  yield* load(context);
  const found = yield* checkSealable(context, order);
  const archive = yield* call('archive', 'configured');
  const chainDecides = archive !== null && (order.target === null || order.targetArchive === archive);
  const operation: RoleOperation = {
    ...newOperation(order.operationId, 'to-standby', context.now()),
    peer: order.target,
    seal: {
      operationId: order.operationId,
      epoch: context.row().epoch,
      site: context.row().site,
      // Where it ends is known when the log has left APPEND (S4).
      position: must(context.row().opening, 'opening of a primary').cut,
      arbiter: chainDecides ? 'archive' : 'network',
      archiveName: archive,
      target: chainDecides ? null : order.target,
    },
  };
  return yield* begin(context, {
    operation,
    checked: [
      { step: 'S1', detail: found },
      { step: 'S2', detail: '' },
    ],
    next: 'S3',
    guard: row => {
      refuseFenced(context, row);
      refuseUnfinished(row);
      if (row.cancelled.includes(order.operationId)) {
        throw new ObError('OBS_ROLE_OPERATION_CANCELLED', { operation: order.operationId, site: row.site });
      }
      if (row.role !== 'PRIMARY') {
        throw new ObError('OBS_ROLE_NOT_PRIMARY', { tenant: row.tenant, role: row.role });
      }
    },
    build: row => ({ ...row, switchoverStatus: 'PREPARE SWITCHING TO STANDBY' }),
  });
}

/** S3: no write is running any more, and the last entry of the log says that the history ends here. */
export function* drainAndSeal(context: RoleContext, row: RoleRow): Procedure<RoleRow> {
  const { operation } = current(row);
  const seal = must(operation.seal, 'seal under way');
  refuseUnconfirmed(context, row);
  const why = `switchover ${operation.id}`;
  yield* call('local', 'drainWrites', why, context.settings.drainMs);
  const { accessMode, end } = yield* call('local', 'observe');
  if (accessMode !== 'APPEND') return yield* advance(context, row, 'S4', each => each, `at LSN ${end.lsn}`);
  refuseFenced(context, context.row());
  const sealed = yield* call('local', 'appendRoleEntry', {
    event: 'sealed',
    epoch: row.epoch,
    site: row.site,
    operationId: operation.id,
    arbiter: seal.arbiter,
    ...(seal.target === null ? {} : { target: seal.target.site }),
  });
  return yield* advance(context, row, 'S4', each => each, `at LSN ${sealed.lsn}`);
}

/** S4: nothing can be appended any more; the end of the log becomes the seal, and the role changes with it. */
export function* leaveAppend(context: RoleContext, row: RoleRow): Procedure<RoleRow> {
  const { operation } = current(row);
  refuseUnconfirmed(context, row);
  const before = yield* call('local', 'observe');
  yield* call('local', 'changeMode', 'RAW_WRITE', before.end.scn);
  const { accessMode, end, writable } = yield* call('local', 'observe');
  assert(accessMode === 'RAW_WRITE', 'a sealed log is not in APPEND');
  assert(!writable || end.lsn >= before.end.lsn, 'the end of the log does not go back');
  const seal: SealRecord = { ...must(operation.seal, 'seal under way'), position: end };
  return yield* advance(
    context,
    row,
    'S5',
    each => ({
      ...each,
      role: 'STANDBY',
      switchoverStatus: 'SWITCHING TO STANDBY',
      sealed: seal,
      operation: { ...operation, seal },
    }),
    `sealed at LSN ${end.lsn}, SCN ${end.scn}`,
  );
}

/** S5: the engine follows, the archive holds everything up to the seal, and the seal itself. */
export function* archiveSeal(context: RoleContext, row: RoleRow): Procedure<RoleRow> {
  const { operation } = current(row);
  const seal = must(operation.seal, 'seal under way');
  yield* call('local', 'demote');
  if (seal.archiveName === null) return yield* advance(context, row, 'S6', each => each, 'no archive');
  let detail = `seal written to ${seal.archiveName}`;
  try {
    yield* call('archive', 'seal', seal);
  } catch (error) {
    // The chain went on without this site: what it holds is decided, and this site can not open again through it.
    if (!isObError(error) || error.kind !== 'fenced') throw error;
    detail = `${seal.archiveName} belongs to a newer epoch`;
  }
  return yield* advance(context, row, 'S6', each => each, detail);
}

/** S6: a standby that remembers its seal until it follows the new primary. */
export function* enterStandby(context: RoleContext, row: RoleRow): Procedure<RoleRow> {
  return yield* finish(context, row, each => ({ ...each, role: 'STANDBY', switchoverStatus: 'NORMAL' }));
}
