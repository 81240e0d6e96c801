/**
 * A switchover over TCP, killed at every step of it that a site can stand at, on the site that runs the step, then resumed
 * or rolled back; and rollbacks killed in turn. The steps come from the code.
 */
import { expect, test, vi } from 'vitest';
import { resumableSteps } from '../../src/role/operation.ts';
import { operationSteps, roleSteps, type StepId } from '../../src/role/steps.ts';
import {
  expectNoTwoPrimaries,
  expectOnePrimary,
  expectRefused,
  isDecided,
  killedBy,
  killVariables,
  restart,
  stepsToKillAt,
  switchover,
} from '../support/role-kill.ts';
import { isWritable, tenant, withTwoSites } from '../support/two-sites.ts';

// A case waits more than it works: two at once use what a small machine has.
vi.setConfig({ maxConcurrency: 2 });

const timeout = 120_000;
const writers = 4;

interface Case {
  readonly site: 'site-a' | 'site-b';
  readonly step: StepId;
  readonly end: 'resume' | 'rollback';
}

const cases: Case[] = [
  ...stepsToKillAt('to-standby').map(step => ({ site: 'site-a' as const, step })),
  ...stepsToKillAt('switchover').map(step => ({ site: 'site-b' as const, step })),
].flatMap(one => [
  { ...one, end: 'resume' as const },
  { ...one, end: 'rollback' as const },
]);

test('no row stands at the steps that are not killed at: they are checks, or part of the change that begins or decides', () => {
  const passed = Object.keys(roleSteps).filter(step => !resumableSteps.includes(step as StepId));
  // The check that leaves no trace, and the record of the intent itself: the row appears at the step after them.
  const beginnings = ['S1', 'S2', 'O1', 'T0', 'O2', 'R1', 'U1', 'F1'];
  // The decision is one change of the row, made at the end of the claim: the row goes from O4 to O6, R2 to R4, F4 to F6.
  const decisions = ['O5', 'R3', 'F5'];
  expect(passed.toSorted()).toEqual([...beginnings, ...decisions].toSorted());
  expect(cases.map(({ step }) => step)).toEqual(
    expect.arrayContaining(
      [...operationSteps['to-standby'], ...operationSteps.switchover].filter(step => !passed.includes(step)),
    ),
  );
});

test.concurrent.each(cases)(
  'switchover with $site killed at step $step, then $end',
  { timeout },
  async ({ site, step, end }) => {
    await withTwoSites({ environmentOf: name => (name === site ? killVariables(step) : {}) }, async sites => {
      const { a, b, ledger } = sites;
      const victim = site === 'site-a' ? a : b;
      ledger.start(writers);
      await ledger.nextAcknowledgement(10_000);
      await killedBy(victim, () => switchover(b));
      await restart(victim);
      await expectNoTwoPrimaries(sites);

      if (end === 'resume') {
        await switchover(b);
      } else if (isDecided(step)) {
        await expectRefused(b.api.call('rollback', { name: tenant }), [
          'OBS_ROLE_ROLLBACK_REFUSED',
          'OBS_ROLE_NOTHING_TO_DO',
        ]);
        await switchover(b);
      } else {
        await b.api.call('rollback', { name: tenant });
      }
      await expectOnePrimary(sites, end === 'resume' || isDecided(step) ? b : a, a);
    });
  },
);

test.concurrent.each(stepsToKillAt('undo'))(
  'a rollback killed at step %s of the standby is continued by the same command',
  { timeout },
  async step => {
    await withTwoSites(
      { environmentOf: name => (name === 'site-b' ? killVariables('O4') : {}) },
      async sites => {
        const { a, b, ledger } = sites;
        ledger.start(writers);
        await ledger.nextAcknowledgement(10_000);
        await killedBy(b, () => switchover(b));
        await restart(b, step);
        await killedBy(b, () => b.api.call('rollback', { name: tenant }));
        await restart(b);
        await expectNoTwoPrimaries(sites);
        await b.api.call('rollback', { name: tenant });
        await expectOnePrimary(sites, a, a);
        // Nothing is left of it: the next switchover goes through.
        await switchover(b);
        expect(await isWritable(b)).toBe(true);
      },
    );
  },
);

test.concurrent.each(stepsToKillAt('reopen'))(
  'a rollback killed at step %s of the primary that opens again is continued by the same command',
  { timeout },
  async step => {
    await withTwoSites(
      { environmentOf: name => killVariables(name === 'site-b' ? 'O4' : step) },
      async sites => {
        const { a, b, ledger } = sites;
        ledger.start(writers);
        await ledger.nextAcknowledgement(10_000);
        await killedBy(b, () => switchover(b));
        await restart(b);
        await killedBy(a, () => b.api.call('rollback', { name: tenant }));
        await restart(a);
        await expectNoTwoPrimaries(sites);
        await b.api.call('rollback', { name: tenant });
        await expectOnePrimary(sites, a, a);
        await switchover(b);
        expect(await isWritable(b)).toBe(true);
      },
    );
  },
);

test.concurrent.each(stepsToKillAt('bootstrap'))(
  'a tenant whose creation was killed at step %s is created by the same command',
  { timeout },
  async step => {
    await withTwoSites({ withoutStandby: true }, async ({ b }) => {
      await b.kill();
      await restart(b, step);
      const create = (): Promise<unknown> =>
        b.api.call('tenant-create', { name: tenant, rootPassword: 'test-password', ifNotExists: true });
      await killedBy(b, create);
      await restart(b);
      await create();
      expect(await isWritable(b)).toBe(true);
    });
  },
);
