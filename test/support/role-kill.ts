/**
 * What every interrupted role change is held to, whoever was killed in it: the victim died at the step that was named,
 * one site at most takes writes at any time, and in the end one does, with everything that was acknowledged, and the
 * other follows it.
 */
import { expect } from 'vitest';
import { isObError } from '../../src/base/errors.ts';
import type { LocalSite } from '../../src/client/local-site.ts';
import { resumableSteps } from '../../src/role/operation.ts';
import type { OperationKind } from '../../src/role/row.ts';
import { operationSteps, roleSteps, type StepId } from '../../src/role/steps.ts';
import { expectEqualDatabases, infoOf, isWritable, tenant, type TwoSites, until } from './two-sites.ts';

const killAt = 'OBSTANDBY_KILL_AT';

export const killVariables = (step: StepId): NodeJS.ProcessEnv => ({ [killAt]: `role:${step}` });

/** The steps of an operation that a row can stand at; the others are passed inside the change of the row that begins or decides it. */
export const stepsToKillAt = (kind: OperationKind): StepId[] =>
  operationSteps[kind].filter(step => resumableSteps.includes(step));

/** True when `rollback` at that step is refused: the decision is durable there. */
export const isDecided = (step: StepId): boolean => roleSteps[step].rollback === 'refused';

/** Gives a command that the victim does not survive. The kill point fires at its step alone, so a death proves the step. */
export async function killedBy(victim: LocalSite, command: () => Promise<unknown>): Promise<void> {
  const pid = victim.pid;
  const failure = await command().then(
    () => null,
    (error: unknown) => error,
  );
  expect(isObError(failure), `the command was interrupted: ${String(failure)}`).toBe(true);
  await until(
    `${victim.name} (pid ${pid}) was killed at its step`,
    () => Promise.resolve(victim.endSignal),
    signal => signal === 'SIGKILL',
    5_000,
  );
}

/** Starts a killed site again, with the next kill point if there is one. */
export async function restart(site: LocalSite, nextStep: StepId | null = null): Promise<void> {
  site.setEnvironment(killAt, nextStep === null ? null : `role:${nextStep}`);
  await site.start();
}

/** Before anybody decides anything, each site by itself: two may never write. */
export async function expectNoTwoPrimaries({ a, b }: TwoSites): Promise<void> {
  const writable = await Promise.all([isWritable(a), isWritable(b)]);
  expect(writable.filter(Boolean).length, 'sites that take writes').toBeLessThanOrEqual(1);
}

/** A command that is to be refused with one of these codes. */
export async function expectRefused(command: Promise<unknown>, codes: readonly string[]): Promise<void> {
  const failure = await command.then(
    () => null,
    (error: unknown) => error,
  );
  expect(codes).toContain(isObError(failure) ? failure.code : String(failure));
}

/**
 * The role change is over: `primary` alone serves, has every acknowledged row, and the other site becomes its equal.
 * `from` was primary before; what it acknowledged, it was sent before the other one acknowledged anything.
 */
export async function expectOnePrimary(
  { a, b, ledger }: TwoSites,
  primary: LocalSite,
  from: LocalSite,
): Promise<void> {
  await until(
    `${primary.name} is primary`,
    () => infoOf(primary),
    info => info.role === 'PRIMARY' && info.writesRefused === null,
  );
  await ledger.nextAcknowledgement(30_000);
  await ledger.stop();
  const standby = primary === a ? b : a;
  expect(await isWritable(standby), `${standby.name} takes writes`).toBe(false);
  expect(await isWritable(primary), `${primary.name} takes writes`).toBe(true);
  const other = from === a ? b : a;
  const handover = ledger.serviceOf(other.name);
  if (primary === from) expect(handover).toBeUndefined();
  else {
    const before = ledger.serviceOf(from.name);
    expect(before?.lastSentMs ?? 0).toBeLessThanOrEqual(handover?.firstAcknowledgedMs ?? 0);
  }

  const rows = await ledger.rowsAt(primary.sqlPort);
  expect([...ledger.acknowledged].filter(n => !rows.has(n))).toEqual([]);
  expect([...rows].filter(n => !ledger.acknowledged.has(n) && !ledger.unknown.has(n))).toEqual([]);
  await until(
    'the other site follows',
    () => infoOf(standby),
    info => info.role === 'STANDBY' && info.standby?.syncStatus === 'NORMAL',
  );
  await expectEqualDatabases(primary, standby);
}

/** The switchover command, as its help tells an operator to run it. */
export const switchover = (site: LocalSite): Promise<unknown> =>
  site.api.call('switchover', { name: tenant });
