/** Every effect of a switchover is a place to die, on either site, before or after it; every way out ends well. */
import { expect, test } from 'vitest';
import { resumableSteps } from '../../src/role/operation.ts';
import { isUnfinished } from '../../src/role/row.ts';
import { operationSteps } from '../../src/role/steps.ts';
import { type Form, type Recovery, runScenario } from './role/scenario.ts';

const transports = ['network', 'archive', 'both'] as const;
const recoveries: readonly Recovery[] = [
  'same command',
  'resume',
  'rollback at B',
  'rollback at A',
  'B never returns',
];
const forms = (transport: (typeof transports)[number]): readonly Form[] =>
  transport === 'archive' ? ['two commands'] : ['one command', 'two commands'];

for (const transport of transports) {
  for (const form of forms(transport)) {
    test(`a switchover by ${form} over ${transport} moves the role and loses nothing`, () => {
      const world = runScenario({ form, transport, crash: null, recovery: 'resume' });
      expect(world.primaries().map(site => site.name)).toEqual(['B']);
      expect(world.site('A').row.role).toBe('STANDBY');
      expect(world.site('B').row.epoch).toBe(2);
    });

    for (const recovery of recoveries) {
      test(`killed at any effect of a switchover by ${form} over ${transport}, ${recovery} ends it`, {
        timeout: 180_000,
      }, () => {
        const places = new Set<string>();
        for (const site of ['A', 'B']) {
          for (const when of ['before', 'after'] as const) {
            for (let at = 1; ; at += 1) {
              const scenario = { form, transport, recovery, crash: { site, at, when } };
              let crashedAt: string | null;
              try {
                crashedAt = runScenario(scenario).crashedAt;
              } catch (error) {
                throw new Error(`${JSON.stringify(scenario)}`, { cause: error });
              }
              if (crashedAt === null) break;
              places.add(`${site} ${crashedAt}`);
            }
          }
        }
        expect(places.size).toBeGreaterThan(20);
        const steps = new Set([...places].map(place => place.split(' ')[1]));
        for (const step of ['S3', 'S4', 'O3', 'O4', 'O6', 'O7']) expect(steps).toContain(step);
      });
    }
  }
}

test('every step an operation can stop at is one that can be run again', () => {
  const stored = Object.values(operationSteps).flat();
  expect(resumableSteps.every(step => stored.includes(step))).toBe(true);
  expect(new Set(stored).size).toBeGreaterThan(resumableSteps.length);
});

test('the row of a site at rest has no operation under way', () => {
  const world = runScenario({ form: 'one command', transport: 'network', crash: null, recovery: 'resume' });
  expect(world.sites.some(site => isUnfinished(site.row) || site.row.operation !== null)).toBe(false);
});
