/**
 * The operators' verbs. Each begins an operation or continues the one it finds; given twice it answers the same (W7).
 */
import { ObError } from '../base/errors.ts';
import { roleEpoch, type Scn, scnUnlimited } from '../base/scalars.ts';
import { beginActivate, checkActivation } from './failover.ts';
import { runOperation } from './operation.ts';
import { call, type Procedure, type RoleContext } from './procedure.ts';
import { isUnfinished, type OperationKind, type RoleRow } from './row.ts';
import { beginRollback } from './rollback.ts';
import { plannedSteps, type StepReport, stepReport } from './steps.ts';
import { beginSwitchover, beginToPrimary, checkOpenable, checkSwitchover } from './switchover-to-primary.ts';
import { beginSeal, checkSealable } from './switchover-to-standby.ts';
import { change, load, refuseFenced, refuseUnfinished, rowChanged } from './transition.ts';

/** `operationId` is a fresh id, used if the command begins an operation of its own. */
export type RoleCommand =
  | { readonly kind: 'switchover-to-standby'; readonly operationId: string; readonly verify: boolean }
  | { readonly kind: 'switchover-to-primary'; readonly verify: boolean }
  | { readonly kind: 'switchover'; readonly operationId: string; readonly planOnly: boolean }
  | {
      readonly kind: 'activate';
      readonly operationId: string;
      readonly maxLagMs: number | null;
      readonly force: boolean;
      readonly verify: boolean;
    }
  | { readonly kind: 'resume' }
  | { readonly kind: 'rollback' }
  | { readonly kind: 'set-recovery-until'; readonly until: Scn | 'cancel' }
  | { readonly kind: 'leave-restore' };

export interface CommandResult {
  readonly row: RoleRow;
  /** the operation whose steps these are; null when there was nothing to do */
  readonly operationId: string | null;
  /** this site's steps in the order they ran; planned ones for a dry run */
  readonly steps: readonly StepReport[];
}

export function* runCommand(context: RoleContext, command: RoleCommand): Procedure<CommandResult> {
  const row = yield* load(context);
  switch (command.kind) {
    case 'switchover-to-standby':
      return yield* toStandby(context, row, command);
    case 'switchover-to-primary':
      return yield* toPrimary(context, row, command.verify);
    case 'switchover':
      return yield* switchover(context, row, command);
    case 'activate':
      return yield* activate(context, row, command);
    case 'resume':
      if (row.operation === null) return { row, operationId: null, steps: [] };
      refuseFenced(context, row);
      return yield* run(context, row);
    case 'rollback':
      return yield* rollback(context, row);
    case 'set-recovery-until':
      return { row: yield* setRecoveryUntil(context, command.until), operationId: null, steps: [] };
    case 'leave-restore':
      return { row: yield* leaveRestore(context), operationId: null, steps: [] };
  }
}

function* toStandby(
  context: RoleContext,
  row: RoleRow,
  command: Extract<RoleCommand, { kind: 'switchover-to-standby' }>,
): Procedure<CommandResult> {
  if (command.verify) {
    const finding = yield* checkSealable(context, null);
    return planned(row, 'to-standby', 'S1', finding);
  }
  if (underWay(row, ['to-standby'])) return yield* run(context, row);
  const { lastOperation } = row;
  if (row.role === 'STANDBY' && !isUnfinished(row) && lastOperation?.kind === 'to-standby') {
    return yield* repeated(context, row, lastOperation.id);
  }
  const { operationId } = command;
  return yield* run(context, yield* beginSeal(context, { operationId, target: null, targetArchive: null }));
}

function* toPrimary(context: RoleContext, row: RoleRow, verify: boolean): Procedure<CommandResult> {
  if (verify) {
    const { seal } = yield* checkOpenable(context);
    return planned(row, 'to-primary', 'O2', `sealed at LSN ${seal.position.lsn} by ${seal.site}`);
  }
  if (underWay(row, ['to-primary', 'switchover'])) return yield* run(context, row);
  const again = yield* openedBy(context, row, ['to-primary', 'switchover']);
  return again ?? (yield* run(context, yield* beginToPrimary(context)));
}

function* switchover(
  context: RoleContext,
  row: RoleRow,
  command: Extract<RoleCommand, { kind: 'switchover' }>,
): Procedure<CommandResult> {
  if (command.planOnly) {
    const { finding } = yield* checkSwitchover(context);
    return planned(row, 'switchover', 'O1', finding);
  }
  if (underWay(row, ['to-primary', 'switchover'])) return yield* run(context, row);
  const again = yield* openedBy(context, row, ['to-primary', 'switchover']);
  return again ?? (yield* run(context, yield* beginSwitchover(context, command.operationId)));
}

function* activate(
  context: RoleContext,
  row: RoleRow,
  command: Extract<RoleCommand, { kind: 'activate' }>,
): Procedure<CommandResult> {
  if (command.verify) {
    try {
      const { detail } = yield* checkActivation(context, command);
      return planned(row, 'activate', 'F1', detail);
    } finally {
      if (row.role === 'STANDBY' && !isUnfinished(row)) yield* call('local', 'startPulling');
    }
  }
  if (underWay(row, ['activate'])) return yield* run(context, row);
  const again = yield* openedBy(context, row, ['activate']);
  return again ?? (yield* run(context, yield* beginActivate(context, command)));
}

function* rollback(context: RoleContext, row: RoleRow): Procedure<CommandResult> {
  const { lastOperation } = row;
  if (!isUnfinished(row) && row.sealed === null) {
    if (yield* handLateClaimBack(context, row)) return { row, operationId: null, steps: [] };
    const kind = lastOperation?.kind ?? null;
    if (lastOperation !== null && (kind === 'reopen' || kind === 'undo' || kind === 'undo-activate')) {
      return yield* repeated(context, row, lastOperation.id);
    }
  }
  return yield* run(context, yield* beginRollback(context));
}

/**
 * A claim of this site that reached the archive only after its switchover had been rolled back here would keep the sealed
 * primary closed: it is handed over.
 */
function* handLateClaimBack(context: RoleContext, row: RoleRow): Procedure<boolean> {
  if (row.role !== 'STANDBY' || (yield* call('archive', 'configured')) === null) return false;
  const head = yield* call('archive', 'head');
  const mine = head.site === row.site && head.epoch > row.epoch && head.operationId !== null;
  if (!mine || head.operationId === null || !row.cancelled.includes(head.operationId)) return false;
  const seal = yield* call('archive', 'sealed');
  if (seal === null) return false;
  const epoch = roleEpoch(head.epoch + 1);
  const claim = { epoch, site: seal.site, operationId: head.operationId };
  return (yield* call('archive', 'claim', claim)).kind === 'claimed';
}

/** RECOVER STANDBY UNTIL …: for a standby at rest. `cancel` freezes it where it is. */
function* setRecoveryUntil(context: RoleContext, until: Scn | 'cancel'): Procedure<RoleRow> {
  const { end } = yield* call('local', 'observe');
  const target = until === 'cancel' ? end.scn : until;
  const guard = (row: RoleRow): void => {
    refuseFenced(context, row);
    refuseUnfinished(row);
    if (row.role !== 'STANDBY') {
      throw new ObError('OBS_ROLE_NOT_STANDBY', { tenant: row.tenant, role: row.role });
    }
    if (target < end.scn) {
      throw new ObError('OBS_ROLE_RECOVERY_PASSED', { tenant: row.tenant, until: target, sync: end.scn });
    }
  };
  return yield* change(context, guard, row => ({ ...row, recoveryUntilScn: target }));
}

/** A restore is complete: the tenant is a standby that is paused where it was restored to. */
function* leaveRestore(context: RoleContext): Procedure<RoleRow> {
  const { end } = yield* call('local', 'observe');
  return yield* change(
    context,
    row => {
      if (row.role === 'PRIMARY') throw rowChanged(row);
    },
    row =>
      row.role === 'STANDBY'
        ? row
        : {
            ...row,
            role: 'STANDBY',
            recoveryUntilScn: row.recoveryUntilScn === scnUnlimited ? end.scn : row.recoveryUntilScn,
          },
  );
}

const underWay = (row: RoleRow, kinds: readonly OperationKind[]): boolean =>
  row.operation !== null && kinds.includes(row.operation.kind);

function* openedBy(
  context: RoleContext,
  row: RoleRow,
  kinds: readonly OperationKind[],
): Procedure<CommandResult | null> {
  const { opening } = row;
  if (row.role !== 'PRIMARY' || isUnfinished(row) || opening === null || !kinds.includes(opening.kind)) {
    return null;
  }
  return yield* repeated(context, row, opening.operationId);
}

function* run(context: RoleContext, begun: RoleRow): Procedure<CommandResult> {
  const operationId = begun.operation?.id ?? begun.lastOperation?.id ?? null;
  let row = begun;
  try {
    row = yield* runOperation(context, begun);
  } catch (error) {
    // The switchover itself is done when only the old primary does not follow yet: that is said in its step.
    if (!(error instanceof ObError) || error.code !== 'OBS_ROLE_INCOMPLETE') throw error;
    row = context.row();
  }
  return operationId === null ? { row, operationId, steps: [] } : yield* repeated(context, row, operationId);
}

function* repeated(context: RoleContext, row: RoleRow, operationId: string): Procedure<CommandResult> {
  const journal = yield* call('store', 'readJournal', operationId);
  return { row, operationId, steps: journal.map(stepReport) };
}

function planned(row: RoleRow, kind: OperationKind, step: string, finding: string): CommandResult {
  const steps = plannedSteps(kind, row.site).map(each =>
    each.step === step ? { ...each, state: 'done' as const, detail: finding } : each,
  );
  return { row, operationId: null, steps };
}
