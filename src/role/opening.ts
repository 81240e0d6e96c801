/**
 * The last stretch of every way to become primary: after the decision (role epoch durable in the row) the log enters
 * APPEND, gets its role entry, and the engine takes writes.
 *
 * Never: opens before the row says SWITCHING TO PRIMARY under the new epoch (W5), nor after a newer epoch was seen (W6).
 */
import { assert, must } from '../base/assert.ts';
import type { RoleEpoch } from '../base/scalars.ts';
import { scnUnlimited } from '../base/scalars.ts';
import { call, type Procedure, type RoleContext } from './procedure.ts';
import { type OpeningRecord, type RoleRow, withCancelled, withOpening } from './row.ts';
import type { StepId } from './steps.ts';
import { advance, current, finish, refuseFenced, rowChanged } from './transition.ts';

/** The durable decision: from here on the operation only goes forward. */
export function* decide(
  context: RoleContext,
  row: RoleRow,
  decision: {
    readonly event: OpeningRecord['event'];
    readonly epoch: RoleEpoch;
    readonly cut: OpeningRecord['cut'];
    /** the steps of this kind of operation: the decision itself, and the opening after it */
    readonly decided: StepId;
    readonly next: StepId;
    readonly detail: string;
    readonly also?: (row: RoleRow) => Partial<RoleRow>;
  },
): Procedure<RoleRow> {
  const { operation } = current(row);
  const opening: OpeningRecord = {
    event: decision.event,
    epoch: decision.epoch,
    operationId: operation.id,
    kind: operation.kind,
    cut: decision.cut,
    time: context.now(),
  };
  return yield* advance(
    context,
    row,
    decision.next,
    each => {
      if (each.epoch >= decision.epoch) throw rowChanged(each);
      return {
        ...each,
        switchoverStatus: 'SWITCHING TO PRIMARY',
        epoch: decision.epoch,
        opening,
        openings: withOpening(
          // An epoch that began behind the cut was heard of, but its history does not continue here.
          each.openings.filter(({ cut }) => cut.lsn <= opening.cut.lsn),
          opening,
        ),
        sealed: null,
        ...decision.also?.(each),
      };
    },
    decision.detail,
    decision.decided,
  );
}

/** Enters APPEND and writes the role entry. Can be run again from any point inside. */
export function* openLog(context: RoleContext, row: RoleRow, next: StepId): Procedure<RoleRow> {
  assert(row.switchoverStatus === 'SWITCHING TO PRIMARY', 'the decision to open is durable');
  const opening = must(row.opening, 'opening record of a decided row');
  assert(opening.epoch === row.epoch, 'the epoch to open under is the decided one');
  refuseFenced(context, row);
  yield* call('local', 'changeMode', 'APPEND', opening.cut.scn);
  refuseFenced(context, context.row());
  const end = yield* call('local', 'appendRoleEntry', {
    event: opening.event,
    epoch: opening.epoch,
    site: row.site,
    operationId: opening.operationId,
    cutLsn: opening.cut.lsn,
    cutScn: opening.cut.scn,
  });
  return yield* advance(
    context,
    row,
    next,
    each => each,
    `epoch ${opening.epoch} from LSN ${opening.cut.lsn}, first entry ends at ${end.lsn}`,
  );
}

/** Opens the engine: role PRIMARY, status NORMAL. A site that died after opening does both again. With `next` the operation goes on after that; else it ends here. */
export function* enterPrimary(
  context: RoleContext,
  row: RoleRow,
  next: StepId | null,
  also: Partial<RoleRow> = {},
): Procedure<RoleRow> {
  assert(row.switchoverStatus === 'SWITCHING TO PRIMARY', 'the decision to open is durable');
  refuseFenced(context, context.row());
  yield* call('local', 'promote');
  const build = (each: RoleRow): RoleRow => ({
    ...each,
    role: 'PRIMARY',
    switchoverStatus: 'NORMAL',
    recoveryUntilScn: scnUnlimited,
    ...also,
  });
  return next === null ? yield* finish(context, row, build) : yield* advance(context, row, next, build);
}

/** Rows of a decision that ends somebody else's seal remember that its operation may never be used again. */
export const cancelling =
  (operationId: string) =>
  (row: RoleRow): Partial<RoleRow> => ({ cancelled: withCancelled(row, operationId) });
