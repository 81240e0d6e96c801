/**
 * The journaled steps of every role change, in the order they run. A row whose `step` is X says: X may have been done in
 * part, nothing after X was begun. Each step can therefore be run again from its start; the tests that kill a site at
 * every step read this table.
 */
import type { WallMicros } from '../base/scalars.ts';
import type { OperationKind } from './row.ts';

export type StepId = keyof typeof roleSteps;

/** What `rollback` does to an operation that stopped at this step. */
type StepRollback =
  /** the site opens again under a new epoch */
  | 'reopen'
  /** the operation is cancelled for good, here and at its peer */
  | 'undo'
  /** the log goes back to RAW_WRITE and the standby pulls on */
  | 'undo-activate'
  /** the decision is durable: only forward */
  | 'refused'
  /** already a rollback: it is continued */
  | 'continue';

interface StepRow {
  readonly title: string;
  readonly rollback: StepRollback;
}

export const roleSteps = {
  B1: { title: 'open the log of the new tenant', rollback: 'refused' },
  B2: { title: 'take writes, enter PRIMARY', rollback: 'refused' },

  S1: { title: 'check the primary', rollback: 'reopen' },
  S2: { title: 'record the intent to become standby', rollback: 'reopen' },
  S3: { title: 'drain writes and seal the log', rollback: 'reopen' },
  S4: { title: 'leave APPEND and record the sealed end', rollback: 'reopen' },
  S5: { title: 'stop serving and archive the sealed end', rollback: 'reopen' },
  S6: { title: 'enter STANDBY', rollback: 'reopen' },

  T0: { title: 'record the switchover', rollback: 'undo' },
  T1: { title: 'make the primary a standby', rollback: 'undo' },
  O1: { title: 'check the standby', rollback: 'undo' },
  O2: { title: 'find the sealed end', rollback: 'undo' },
  O3: { title: 'catch up with the sealed end', rollback: 'undo' },
  O4: { title: 'claim the next epoch', rollback: 'undo' },
  O5: { title: 'decide', rollback: 'refused' },
  O6: { title: 'open the log', rollback: 'refused' },
  O7: { title: 'take writes, enter PRIMARY', rollback: 'refused' },
  O8: { title: 'make the old primary follow', rollback: 'refused' },

  R1: { title: 'ask for the right to open again', rollback: 'continue' },
  R2: { title: 'claim the next epoch', rollback: 'continue' },
  R3: { title: 'decide', rollback: 'continue' },
  R4: { title: 'open the log again', rollback: 'continue' },
  R5: { title: 'take writes, enter PRIMARY', rollback: 'continue' },

  U1: { title: 'cancel the switchover here', rollback: 'continue' },
  U2: { title: 'hand a claimed epoch back', rollback: 'continue' },
  U3: { title: 'make the primary open again', rollback: 'continue' },
  U4: { title: 'enter STANDBY', rollback: 'continue' },

  F1: { title: 'probe the primary and check the loss bound', rollback: 'undo-activate' },
  F2: { title: 'stop taking log', rollback: 'undo-activate' },
  F3: { title: 'cut the log at the replayable SCN', rollback: 'undo-activate' },
  F4: { title: 'claim the next epoch', rollback: 'refused' },
  F5: { title: 'decide, with the loss certificate', rollback: 'refused' },
  F6: { title: 'open the log', rollback: 'refused' },
  F7: { title: 'take writes, enter PRIMARY', rollback: 'refused' },

  V1: { title: 'give up the failover', rollback: 'continue' },
} as const satisfies Record<string, StepRow>;

/** The steps of each kind of operation, in order. */
export const operationSteps: Readonly<Record<OperationKind, readonly StepId[]>> = {
  bootstrap: ['B1', 'B2'],
  'to-standby': ['S1', 'S2', 'S3', 'S4', 'S5', 'S6'],
  'to-primary': ['O1', 'O2', 'O3', 'O4', 'O5', 'O6', 'O7', 'O8'],
  switchover: ['O1', 'T0', 'T1', 'O3', 'O4', 'O5', 'O6', 'O7', 'O8'],
  activate: ['F1', 'F2', 'F3', 'F4', 'F5', 'F6', 'F7'],
  reopen: ['R1', 'R2', 'R3', 'R4', 'R5'],
  undo: ['U1', 'U2', 'U3', 'U4'],
  'undo-activate': ['V1'],
};

export type StepState = 'planned' | 'running' | 'done' | 'failed';

/** One step as a command prints it. */
export interface StepReport {
  readonly step: string;
  /** what the step does; absent where `step` says it already */
  readonly title?: string;
  readonly site: string;
  readonly state: StepState;
  readonly detail: string;
  readonly ms: number;
}

/** One step as the journal keeps it; the key is (operation, site, step), a repeat overwrites. */
export interface JournalEntry {
  readonly operationId: string;
  readonly kind: OperationKind;
  readonly site: string;
  readonly step: StepId;
  readonly state: StepState;
  readonly detail: string;
  readonly startTime: WallMicros;
  readonly endTime: WallMicros | null;
}

export const stepReport = (entry: JournalEntry): StepReport => ({
  step: entry.step,
  title: roleSteps[entry.step].title,
  site: entry.site,
  state: entry.state,
  detail: entry.detail,
  ms: entry.endTime === null ? 0 : Math.max(0, Math.round((entry.endTime - entry.startTime) / 1000)),
});

/** All steps of an operation, as a dry run shows them. */
export const plannedSteps = (kind: OperationKind, site: string): StepReport[] =>
  operationSteps[kind].map(step => ({
    step,
    title: roleSteps[step].title,
    site,
    state: 'planned',
    detail: '',
    ms: 0,
  }));
