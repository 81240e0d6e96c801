/** What the role manager refuses, in which words, and that a refusal leaves no trace. */
import { expect, test } from 'vitest';
import { must } from '../../src/base/assert.ts';
import { isObError, type ObError } from '../../src/base/errors.ts';
import { lsn, scn, wallMicros } from '../../src/base/scalars.ts';
import type { CommandResult, RoleCommand } from '../../src/role/commands.ts';
import { isUnfinished } from '../../src/role/row.ts';
import { command, freshCommand } from '../sim/role/scenario.ts';
import { World } from '../sim/role/world.ts';

const network = (): World => new World({ sites: 3, transport: 'network' });

function give(world: World, site: string, given: RoleCommand): CommandResult | ObError {
  const token = world.command(site, given);
  world.wake();
  world.settle();
  const outcome = must(world.replies.get(token), 'reply to a command');
  return outcome.kind === 'ok' ? (outcome.value as CommandResult) : outcome.error;
}

function refused(world: World, site: string, given: RoleCommand, code: string): ObError {
  const before = JSON.stringify(world.sites.map(each => each.row));
  const answer = give(world, site, given);
  if (!isObError(answer)) throw new Error(`${given.kind} was not refused`);
  expect(answer.code).toBe(code);
  expect(JSON.stringify(world.sites.map(each => each.row))).toBe(before);
  return answer;
}

const activate = (world: World, maxLagMs: number | null, force = false): RoleCommand => ({
  kind: 'activate',
  operationId: world.newOperationId(),
  maxLagMs,
  force,
  verify: false,
});

test('the second half is refused while the source is still primary, in the words operators know', () => {
  const world = network();
  const error = refused(
    world,
    'B',
    freshCommand(world, 'switchover-to-primary'),
    'OBS_ROLE_SOURCE_IS_PRIMARY',
  );
  expect(error.message).toBe('log restore source is primary, switchover to primary is not allowed');
});

test('a switchover to standby is refused on a standby, one to primary on a primary', () => {
  const world = network();
  refused(world, 'B', freshCommand(world, 'switchover-to-standby'), 'OBS_ROLE_NOT_PRIMARY');
  refused(world, 'A', freshCommand(world, 'switchover-to-primary'), 'OBS_ROLE_NOT_STANDBY');
  refused(world, 'A', freshCommand(world, 'switchover'), 'OBS_ROLE_NOT_STANDBY');
});

test('a failover is refused while the primary answers, and pulling goes on', () => {
  const world = network();
  refused(world, 'B', activate(world, null), 'OBS_ROLE_PRIMARY_ALIVE');
  expect(world.site('B').pulling).toBe(true);
});

test('a failover is refused beyond the lag bound, and without knowledge of the primary, unless forced', () => {
  const world = network();
  world.write();
  world.settle();
  world.crash('A');
  const lag = refused(world, 'B', activate(world, 1), 'OBS_ROLE_LAG_EXCEEDED');
  expect(lag.details['lagMs']).toBeGreaterThan(1);
  world.site('B').contact = { end: null, time: null };
  refused(world, 'B', activate(world, 1_000), 'OBS_ROLE_LAG_UNKNOWN');
  expect(isObError(give(world, 'B', activate(world, 1, true)))).toBe(false);
  expect(world.site('B').writable).toBe(true);
});

test('what is here and not applied counts as missing: a failover cuts it away', () => {
  const world = network();
  for (let count = 0; count < 3; count += 1) {
    world.write();
    world.now = wallMicros(world.now + 3_600_000_000);
  }
  world.settle();
  const b = world.site('B');
  world.crash('A');
  expect(b.log).toHaveLength(4);
  const { end } = b;
  b.unapplied = 2;
  const lag = refused(world, 'B', activate(world, 60_000), 'OBS_ROLE_LAG_EXCEEDED');
  expect(lag.details['lagMs']).toBeGreaterThan(7_200_000 - 1);
  // Also where the source told less than what has come.
  b.contact = { end: { lsn: lsn(1), scn: scn(1) }, time: world.now };
  refused(world, 'B', activate(world, 60_000), 'OBS_ROLE_LAG_EXCEEDED');
  const done = give(world, 'B', activate(world, null)) as CommandResult;
  expect(done.steps.find(({ step }) => step === 'F1')?.detail).toContain('from LSN 2 to 4');
  expect(b.row.certificate).toMatchObject({ cutLsn: 2, knownEndLsn: 4, knownEndScn: end.scn });
});

test('a failover of a standby that could not apply its log is refused, at its beginning and before the cut, unless forced', () => {
  const world = network();
  for (let count = 0; count < 3; count += 1) world.write();
  world.settle();
  world.crash('A');
  const b = world.site('B');
  b.unapplied = 2;
  b.applyProblem = 'it is damaged';
  const error = refused(world, 'B', activate(world, null), 'OBS_ROLE_APPLY_STOPPED');
  expect(error.message).toContain('up to LSN 4, and could apply it only up to LSN 2: it is damaged');
  expect(b.pulling).toBe(true);
  b.applyProblem = null;
  b.unapplied = 0;
  const token = world.command('B', activate(world, null));
  while (b.row.step !== 'F3') world.event();
  b.unapplied = 2;
  b.applyProblem = 'it is damaged';
  world.settle();
  const stopped = must(world.replies.get(token), 'reply to a command');
  expect(stopped).toMatchObject({ kind: 'failed', error: { code: 'OBS_ROLE_APPLY_STOPPED' } });
  expect(b.log).toHaveLength(4);
  give(world, 'B', { kind: 'rollback' });
  expect(b.row.switchoverStatus).toBe('NORMAL');
  give(world, 'B', activate(world, null, true));
  expect(b.writable).toBe(true);
  expect(b.row.certificate).toMatchObject({ cutLsn: 2, forced: true });
});

test('a forced failover past a living primary fences it as soon as it hears, and counts what it lost', () => {
  const world = network();
  world.write();
  world.settle();
  world.cut.add('B>A').add('A>B').add('C>A');
  for (let count = 0; count < 5; count += 1) world.write();
  give(world, 'B', activate(world, null));
  expect(world.primaries().map(site => site.name)).toEqual(['A', 'B']);
  expect(world.site('B').row.certificate?.lostTransactions).toBeNull();
  world.cut.clear();
  world.wake();
  world.settle();
  expect(world.primaries().map(site => site.name)).toEqual(['B']);
  const { fenced } = world.site('A').row;
  expect(fenced?.by.site).toBe('B');
  expect(world.site('A').core?.view().writesRefused?.code).toBe('OBS_ROLE_EPOCH_STALE');
  expect(world.site('B').row.certificate).toMatchObject({ oldEpoch: 1, newEpoch: 2, lostTransactions: 5 });
  refused(world, 'A', freshCommand(world, 'switchover-to-standby'), 'OBS_ROLE_FENCED');
});

test('an old primary that meets only the successor of its successor still counts from where its own history ended', () => {
  const world = network();
  world.write();
  world.settle();
  world.cut.add('B>A').add('A>B').add('C>A').add('A>C');
  for (let count = 0; count < 3; count += 1) world.write();
  give(world, 'B', activate(world, null));
  world.crash('A');
  world.site('C').restoreSource = 'B:2882';
  world.crash('C');
  world.start('C');
  for (let count = 0; count < 9; count += 1) world.write();
  world.settle();
  expect(isObError(give(world, 'C', freshCommand(world, 'switchover')))).toBe(false);
  expect(world.primaries().map(site => site.name)).toEqual(['C']);
  world.write();
  world.cut.delete('A>C');
  world.cut.delete('C>A');
  world.start('A');
  world.wake();
  world.settle();
  expect(world.site('A').row.fenced).toMatchObject({ ownEpoch: 1, suffix: { transactions: 3 } });
  expect(world.primaries().map(site => site.name)).toEqual(['C']);
});

test('a restarted primary stays closed, and is not sealed, until its followers have answered or an operator vouches', () => {
  const world = network();
  for (const name of ['A', 'B', 'C']) world.crash(name);
  world.start('A');
  world.settle();
  expect(world.primaries()).toEqual([]);
  const refusal = world.site('A').core?.view().writesRefused;
  expect(refusal?.code).toBe('OBS_ROLE_FENCE_PENDING');
  expect(refusal?.message).toContain('B:2882, C:2882');
  refused(world, 'A', freshCommand(world, 'switchover-to-standby'), 'OBS_ROLE_FENCE_PENDING');
  world.site('A').step({ kind: 'open-anyway' }, world.now);
  world.wake();
  world.settle();
  expect(world.primaries().map(site => site.name)).toEqual(['A']);
});

test('a sealed primary is not opened again while the site that may open does not answer', () => {
  const world = network();
  command(world, 'A', 'switchover-to-standby');
  world.site('A').row = {
    ...world.site('A').row,
    sealed: { ...must(world.site('A').row.sealed, 'seal'), target: { site: 'B', address: 'B:2882' } },
  };
  world.crash('B');
  world.crash('A');
  world.start('A');
  refused(world, 'A', freshCommand(world, 'rollback'), 'OBS_ROLE_ROLLBACK_UNSAFE');
  const forcedOnly = refused(world, 'A', activate(world, null), 'OBS_ROLE_OPERATION_UNFINISHED');
  expect(forcedOnly.hint).toContain('rollback');
});

test('rollback after the decision is refused, and resume finishes instead', () => {
  const world = network();
  world.cut.add('B>A');
  command(world, 'A', 'switchover-to-standby');
  world.cut.clear();
  give(world, 'B', freshCommand(world, 'switchover-to-primary'));
  const error = refused(world, 'A', freshCommand(world, 'rollback'), 'OBS_ROLE_NOTHING_TO_DO');
  expect(error.message).toContain('no unfinished role change');
  expect(world.sites.some(site => isUnfinished(site.row))).toBe(false);
});

test('a switchover with nobody to run it with is refused, and so is one of a paused standby', () => {
  const world = new World({ sites: 2, transport: 'archive' });
  refused(world, 'B', freshCommand(world, 'switchover'), 'OBS_ROLE_NO_SOURCE');
  give(world, 'B', { kind: 'set-recovery-until', until: 'cancel' });
  refused(world, 'B', freshCommand(world, 'switchover-to-primary'), 'OBS_ROLE_RECOVERY_BOUNDED');
  refused(world, 'B', { kind: 'set-recovery-until', until: scn(1) }, 'OBS_ROLE_RECOVERY_PASSED');
});

test('the same command given twice answers with the same steps and changes nothing more', () => {
  const world = network();
  const first = give(world, 'B', freshCommand(world, 'switchover'));
  const rows = JSON.stringify(world.sites.map(site => site.row));
  const second = give(world, 'B', freshCommand(world, 'switchover'));
  if (isObError(first) || isObError(second)) throw new Error('a switchover was refused');
  expect(second.operationId).toBe(first.operationId);
  expect(second.steps).toEqual(first.steps);
  expect(second.steps.map(({ step, state }) => `${step} ${state}`)).toEqual(
    ['O1', 'T0', 'T1', 'O3', 'O4', 'O5', 'O6', 'O7', 'O8'].map(step => `${step} done`),
  );
  expect(JSON.stringify(world.sites.map(site => site.row))).toBe(rows);
});

test('a dry run shows the steps and what was found, and leaves no trace', () => {
  const world = network();
  const before = JSON.stringify(world.sites.map(site => site.row));
  const plan = give(world, 'B', { kind: 'switchover', operationId: 'dry', planOnly: true });
  if (isObError(plan)) throw plan;
  expect(plan.steps[0]).toMatchObject({ step: 'O1', state: 'done' });
  expect(plan.steps[0]?.detail).toMatch(/primary A in epoch 1 at LSN \d+/);
  expect(plan.steps.slice(1).every(({ state }) => state === 'planned')).toBe(true);
  expect(JSON.stringify(world.sites.map(site => site.row))).toBe(before);
});

test('two role changes of one tenant do not run at once on a site', () => {
  const world = network();
  const first = world.command('A', freshCommand(world, 'switchover-to-standby'));
  const second = world.command('A', freshCommand(world, 'rollback'));
  world.settle();
  const outcome = must(world.replies.get(second), 'reply');
  expect(outcome.kind === 'failed' && outcome.error.code).toBe('OBS_ROLE_OPERATION_RUNNING');
  expect(world.replies.get(first)?.kind).toBe('ok');
});

test('a command given while a restarted site finishes its opening by itself waits for that, and tells the same end', () => {
  for (const kind of ['switchover', 'resume', 'rollback'] as const) {
    const world = network();
    world.command('B', freshCommand(world, 'switchover'));
    while (world.site('B').row.step !== 'O6') world.event();
    world.crash('B');
    world.start('B');
    while ((world.site('B').core?.view().running ?? null) === null) world.event();
    const token = world.command('B', freshCommand(world, kind));
    world.wake();
    world.settle();
    expect(world.site('B').row).toMatchObject({ role: 'PRIMARY', operation: null });
    const outcome = must(world.replies.get(token), 'reply');
    const told = outcome.kind === 'ok' ? 'ok' : outcome.error.code;
    expect(told).toBe(kind === 'rollback' ? 'OBS_ROLE_NOTHING_TO_DO' : 'ok');
  }
});

test('a command given while a restarted primary makes its restart check waits for the check', () => {
  const world = network();
  world.crash('A');
  world.start('A');
  world.event();
  const token = world.command('A', freshCommand(world, 'switchover-to-standby'));
  world.settle();
  expect(world.replies.get(token)?.kind).toBe('ok');
  expect(world.site('A').row).toMatchObject({ role: 'STANDBY', operation: null });
});

test('a command given while that opening waits for a site that does not answer is refused at once', () => {
  const world = network();
  world.command('B', freshCommand(world, 'switchover'));
  while (world.site('B').row.step !== 'O6') world.event();
  world.crash('B');
  world.site('B').followers.add('C:2882');
  world.crash('C');
  world.start('B');
  world.settle();
  const error = give(world, 'B', freshCommand(world, 'switchover'));
  expect(isObError(error) && error.code).toBe('OBS_ROLE_OPERATION_RUNNING');
});

test('a switchover whose old primary can not be reached afterwards is done, and says what is left', () => {
  const world = network();
  command(world, 'A', 'switchover-to-standby');
  const token = world.command('B', freshCommand(world, 'switchover-to-primary'));
  while (world.site('B').row.step !== 'O8') world.event();
  world.cut.add('B>A');
  world.settle();
  const outcome = must(world.replies.get(token), 'reply');
  if (outcome.kind === 'failed') throw outcome.error;
  const { steps } = outcome.value as CommandResult;
  expect(steps.at(-1)).toMatchObject({ step: 'O8', state: 'failed' });
  world.cut.clear();
  command(world, 'B', 'resume');
  expect(world.site('A').restoreSource).toBe('B:2882');
  expect(world.site('B').row.operation).toBeNull();
});
