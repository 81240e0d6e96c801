import { expect, test } from 'vitest';
import {
  arbitrationTimeoutMsMin,
  checkSettings,
  degradedTakeoverMs,
  palfSettingsDefault,
  takeoverMsMax,
} from './settings.ts';

test('a leader that died with half of the replicas is replaced in time, by default and at the shortest timeout', () => {
  const shortest = { ...palfSettingsDefault, arbitrationTimeoutMs: arbitrationTimeoutMsMin };
  for (const settings of [palfSettingsDefault, shortest]) {
    checkSettings(settings);
    expect(degradedTakeoverMs(settings)).toBeLessThan(takeoverMsMax);
  }
});

test('times that miss the promise are refused', () => {
  const refused = (changes: object) => () => checkSettings({ ...palfSettingsDefault, ...changes });
  expect(refused({ arbitrationTimeoutMs: palfSettingsDefault.leaseMs })).toThrow(
    'before a member is degraded',
  );
  expect(refused({ leaseMs: 1_900, renewMs: 600 })).toThrow('in time');
  expect(refused({ renewMs: 800 })).toThrow('two lost renewals');
  // Waiting longer is an operator's choice.
  expect(refused({ arbitrationTimeoutMs: 30 * 86_400_000 })).not.toThrow();
});
