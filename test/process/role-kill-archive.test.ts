/**
 * A switchover whose sites are joined by an archive directory alone: each half is a command on its own site. Killed at
 * every step that a site can stand at, then resumed by the same command, or rolled back.
 */
import { test, vi } from 'vitest';
import type { LocalSite } from '../../src/client/local-site.ts';
import type { StepId } from '../../src/role/steps.ts';
import {
  expectNoTwoPrimaries,
  expectOnePrimary,
  expectRefused,
  isDecided,
  killedBy,
  killVariables,
  restart,
  stepsToKillAt,
} from '../support/role-kill.ts';
import { tenant, type TwoSites, withTwoSites } from '../support/two-sites.ts';

// A case waits more than it works: two at once use what a small machine has.
vi.setConfig({ maxConcurrency: 2 });

const timeout = 120_000;
const writers = 4;
const settings = { archive: { lagTargetMs: 100 } };

const toStandby = (site: LocalSite): Promise<unknown> =>
  site.api.call('switchover-to-standby', { name: tenant });
const toPrimary = (site: LocalSite): Promise<unknown> =>
  site.api.call('switchover-to-primary', { name: tenant });
const rollback = (site: LocalSite): Promise<unknown> => site.api.call('rollback', { name: tenant });

/** The last act of an operator: the old primary follows. */
const follow = ({ sourceTo }: TwoSites, from: LocalSite, to: LocalSite): Promise<unknown> =>
  from.api.call('standby-source', { name: tenant, source: sourceTo(to) });

const both = (steps: readonly StepId[]) =>
  steps.flatMap(step => [
    { step, end: 'resume' as const },
    { step, end: 'rollback' as const },
  ]);

test.concurrent.each(both(stepsToKillAt('to-standby')))(
  'the half of the primary killed at step $step, then $end',
  { timeout },
  async ({ step, end }) => {
    await withTwoSites(
      {
        transport: 'archive',
        settings,
        environmentOf: name => (name === 'site-a' ? killVariables(step) : {}),
      },
      async sites => {
        const { a, b, ledger } = sites;
        ledger.start(writers);
        await ledger.nextAcknowledgement(10_000);
        await killedBy(a, () => toStandby(a));
        await restart(a);
        await expectNoTwoPrimaries(sites);
        if (end === 'rollback') {
          await rollback(a);
          await expectOnePrimary(sites, a, a);
          return;
        }
        await toStandby(a);
        await toPrimary(b);
        await follow(sites, a, b);
        await expectOnePrimary(sites, b, a);
      },
    );
  },
);

test.concurrent.each(both(stepsToKillAt('to-primary')))(
  'the half of the standby killed at step $step, then $end',
  { timeout },
  async ({ step, end }) => {
    await withTwoSites(
      {
        transport: 'archive',
        settings,
        environmentOf: name => (name === 'site-b' ? killVariables(step) : {}),
      },
      async sites => {
        const { a, b, ledger } = sites;
        ledger.start(writers);
        await ledger.nextAcknowledgement(10_000);
        await toStandby(a);
        await killedBy(b, () => toPrimary(b));
        await restart(b);
        await expectNoTwoPrimaries(sites);
        if (end === 'rollback' && !isDecided(step)) {
          await rollback(b);
          await rollback(a);
          await expectOnePrimary(sites, a, a);
          return;
        }
        if (end === 'rollback') {
          await expectRefused(rollback(b), ['OBS_ROLE_ROLLBACK_REFUSED', 'OBS_ROLE_NOTHING_TO_DO']);
          // Not from the other side either: the chain belongs to the new primary.
          await expectRefused(rollback(a), ['OBS_ROLE_CLAIM_LOST']);
        }
        await toPrimary(b);
        await follow(sites, a, b);
        await expectOnePrimary(sites, b, a);
      },
    );
  },
);
