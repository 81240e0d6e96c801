/**
 * Runs the operation that the row says is under way, step by step, from wherever it stopped. There is one way to run a
 * step, whether it is the first time, a resume after a crash, or a peer's repeated request.
 */
import { assert } from '../base/assert.ts';
import { isObError, ObError } from '../base/errors.ts';
import { claimAndActivate, cutLog, stopTakingLog } from './failover.ts';
import { enterPrimary, openLog } from './opening.ts';
import { briefError, call, type Procedure, type RoleContext } from './procedure.ts';
import { claimAndReopen, giveUpFailover, handClaimBack, stayStandby, unsealPrimary } from './rollback.ts';
import { isUnfinished, type RoleRow } from './row.ts';
import { roleSteps, type StepId, stepReport } from './steps.ts';
import { catchUp, claimAndDecide, repointOldPrimary, sealPrimary } from './switchover-to-primary.ts';
import { archiveSeal, drainAndSeal, enterStandby, leaveAppend } from './switchover-to-standby.ts';
import { current, journalEntry } from './transition.ts';

type StepProcedure = (context: RoleContext, row: RoleRow) => Procedure<RoleRow>;

/** The steps a row can stand at. The others are done inside the compare-and-set that begins or decides. */
const stepProcedures: Partial<Record<StepId, StepProcedure>> = {
  B1: (context, row) => openLog(context, row, 'B2'),
  B2: (context, row) => enterPrimary(context, row, null),

  S3: drainAndSeal,
  S4: leaveAppend,
  S5: archiveSeal,
  S6: enterStandby,

  T1: sealPrimary,
  O3: catchUp,
  O4: claimAndDecide,
  O6: (context, row) => openLog(context, row, 'O7'),
  O7: (context, row) => enterPrimary(context, row, 'O8'),
  O8: repointOldPrimary,

  R2: claimAndReopen,
  R4: (context, row) => openLog(context, row, 'R5'),
  R5: (context, row) => enterPrimary(context, row, null),

  U2: handClaimBack,
  U3: unsealPrimary,
  U4: stayStandby,

  F2: stopTakingLog,
  F3: cutLog,
  F4: claimAndActivate,
  F6: (context, row) => openLog(context, row, 'F7'),
  F7: (context, row) => enterPrimary(context, row, null),

  V1: giveUpFailover,
};

/** Steps that a site can be found at after a crash; the tests go through all of them. */
export const resumableSteps = Object.keys(stepProcedures) as readonly StepId[];

/** Runs the row's operation to its end, or to the step that fails: its error is journaled and thrown. */
export function* runOperation(context: RoleContext, start: RoleRow): Procedure<RoleRow> {
  let row = start;
  let passed = 0;
  while (row.operation !== null) {
    passed += 1;
    assert(passed <= Object.keys(roleSteps).length, 'an operation passes each of its steps at most once');
    const { operation, step } = current(row);
    const run = stepProcedures[step];
    assert(run !== undefined, `step ${step} is one a row can stand at`);
    try {
      row = yield* run(context, row);
    } catch (error) {
      if (!(error instanceof ObError)) throw error;
      const failed = journalEntry(context, operation, row.site, step, 'failed', briefError(error));
      context.progress(stepReport(failed));
      yield* journalFailure(context, failed);
      yield* keepPulling(context);
      throw error;
    }
    if (row.operation !== null && row.operation.id !== operation.id) break;
  }
  return row;
}

/** The step's own error is the one to report; a journal that can not be written is the lesser one. */
function* journalFailure(context: RoleContext, failed: ReturnType<typeof journalEntry>): Procedure<void> {
  try {
    yield* call('store', 'writeJournal', [failed]);
  } catch (error) {
    if (!isObError(error)) throw error;
    context.progress({ ...stepReport(failed), detail: `journal not written: ${error.code}` });
  }
}

/** A standby whose promotion stopped before its decision goes on being a standby. */
function* keepPulling(context: RoleContext): Procedure<void> {
  const row = context.row();
  const kind = row.operation?.kind ?? null;
  if (row.role !== 'STANDBY' || kind === 'activate' || kind === 'reopen' || kind === 'to-standby') return;
  if (isUnfinished(row) && row.switchoverStatus !== 'PREPARE SWITCHING TO PRIMARY') return;
  try {
    yield* call('local', 'startPulling');
  } catch (error) {
    if (!isObError(error)) throw error;
  }
}
