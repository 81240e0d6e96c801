/**
 * Changes of the role row, and the guards that every procedure passes before an effect that lets a site write.
 *
 * Never: changes a row that is not the one the caller reasoned about. A change is a function of the newest row; when
 * somebody else changed the row in between, the guard is asked again about theirs and the change is built anew.
 */
import { ObError } from '../base/errors.ts';
import { roleRebaseMax } from '../base/limits.ts';
import type { WallMicros } from '../base/scalars.ts';
import type { EpochClaim } from './ports.ts';
import { call, type Procedure, type RoleContext } from './procedure.ts';
import type { OperationKind, RoleOperation, RoleRow } from './row.ts';
import { type JournalEntry, type StepId, type StepState, stepReport } from './steps.ts';

type Change = (row: RoleRow) => RoleRow;
type Guard = (row: RoleRow) => void;

/** Loads the stored row. */
export function* load(context: RoleContext): Procedure<RoleRow> {
  const row = yield* call('store', 'load');
  context.learn(row);
  return row;
}

/** Compare-and-set of the row. `guard` throws when the change does not apply to the row it is shown. */
export function* change(
  context: RoleContext,
  guard: Guard,
  build: Change,
  journal: readonly JournalEntry[] = [],
): Procedure<RoleRow> {
  let row = context.row();
  for (let attempt = 0; attempt < roleRebaseMax; attempt += 1) {
    guard(row);
    const next = { ...build(row), revision: row.revision + 1 };
    const answer = yield* call('store', 'compareAndSet', row, next, journal);
    context.learn(answer.row);
    if (answer.stored) return answer.row;
    row = answer.row;
  }
  throw rowChanged(row);
}

/** The operation is still the one under way on this site, at that step, neither cancelled nor fenced. */
const stillAt =
  (context: RoleContext, operationId: string, step: StepId): Guard =>
  row => {
    refuseFenced(context, row);
    if (row.cancelled.includes(operationId) && row.operation?.id !== operationId) {
      throw new ObError('OBS_ROLE_OPERATION_CANCELLED', { operation: operationId, site: row.site });
    }
    if (row.operation?.id !== operationId || row.step !== step) throw rowChanged(row);
  };

/** Ends the step under way and begins `next` in one compare-and-set, which itself may be a step (`passed`). */
export function* advance(
  context: RoleContext,
  row: RoleRow,
  next: StepId,
  build: Change,
  detail = '',
  passed: StepId | null = null,
): Procedure<RoleRow> {
  const { operation, step } = current(row);
  const ended = journalEntry(context, operation, row.site, step, 'done', detail);
  const between = passed === null ? [] : [journalEntry(context, operation, row.site, passed, 'done', '')];
  const begun = journalEntry(context, operation, row.site, next, 'running', '');
  const after = yield* change(
    context,
    stillAt(context, operation.id, step),
    each => ({ ...build(each), step: next }),
    [ended, ...between, begun],
  );
  for (const entry of [ended, ...between, begun]) context.progress(stepReport(entry));
  return after;
}

/** Ends the last step of the operation, and with it the operation. */
export function* finish(context: RoleContext, row: RoleRow, build: Change, detail = ''): Procedure<RoleRow> {
  const { operation, step } = current(row);
  const ended = journalEntry(context, operation, row.site, step, 'done', detail);
  const after = yield* change(
    context,
    stillAt(context, operation.id, step),
    each => ({
      ...build(each),
      operation: null,
      step: null,
      lastOperation: { id: operation.id, kind: operation.kind },
    }),
    [ended],
  );
  context.progress(stepReport(ended));
  return after;
}

/** Begins an operation: `checked` are the steps that were done without leaving a trace so far. */
export function* begin(
  context: RoleContext,
  plan: {
    readonly operation: RoleOperation;
    readonly checked: readonly { readonly step: StepId; readonly detail: string }[];
    readonly next: StepId;
    readonly guard: Guard;
    readonly build: Change;
  },
): Procedure<RoleRow> {
  const site = context.row().site;
  const done = plan.checked.map(({ step, detail }) =>
    journalEntry(context, plan.operation, site, step, 'done', detail),
  );
  const begun = journalEntry(context, plan.operation, site, plan.next, 'running', '');
  const row = yield* change(
    context,
    plan.guard,
    each => ({ ...plan.build(each), operation: plan.operation, step: plan.next }),
    [...done, begun],
  );
  for (const entry of [...done, begun]) context.progress(stepReport(entry));
  return row;
}

export const journalEntry = (
  context: RoleContext,
  operation: { readonly id: string; readonly kind: OperationKind },
  site: string,
  step: StepId,
  state: StepState,
  detail: string,
): JournalEntry => {
  const startTime = context.stepStart(step, state === 'running');
  const endTime: WallMicros | null = state === 'running' || state === 'planned' ? null : context.now();
  return { operationId: operation.id, kind: operation.kind, site, step, state, detail, startTime, endTime };
};

/** The operation and step under way. */
export function current(row: RoleRow): { readonly operation: RoleOperation; readonly step: StepId } {
  if (row.operation === null || row.step === null) throw rowChanged(row);
  return { operation: row.operation, step: row.step };
}

/** Refuses to go on when a newer epoch is known, from the row or from a sign that is still being written into it. */
export function refuseFenced(context: RoleContext, row: RoleRow): void {
  if (row.fenced !== null) {
    throw new ObError('OBS_ROLE_FENCED', {
      tenant: row.tenant,
      mine: row.fenced.ownEpoch,
      newer: row.fenced.by.epoch,
      site: row.fenced.by.site,
    });
  }
  const sign = context.fencing();
  if (sign !== null) {
    throw new ObError('OBS_ROLE_EPOCH_STALE', {
      tenant: row.tenant,
      mine: row.epoch,
      newer: sign.epoch,
      site: sign.site,
    });
  }
}

/** A restarted primary that has not been confirmed may have a successor: its history must not be handed on. */
export function refuseUnconfirmed(context: RoleContext, row: RoleRow): void {
  const waiting = context.unconfirmed();
  if (waiting === null) return;
  throw new ObError('OBS_ROLE_FENCE_PENDING', { tenant: row.tenant, waiting: waiting.join(', ') });
}

/** Refuses a new operation while another one is unfinished. */
export function refuseUnfinished(row: RoleRow): void {
  if (row.switchoverStatus === 'NORMAL') return;
  throw new ObError('OBS_ROLE_OPERATION_UNFINISHED', {
    status: row.switchoverStatus,
    operation: row.operation?.id,
    step: row.step,
  });
}

export const rowChanged = (row: RoleRow): ObError =>
  new ObError('OBS_ROLE_ROW_CHANGED', { tenant: row.tenant, role: row.role, status: row.switchoverStatus });

export const claimLost = (row: RoleRow, to: EpochClaim): ObError =>
  new ObError('OBS_ROLE_CLAIM_LOST', { tenant: row.tenant, epoch: to.epoch, site: to.site });
