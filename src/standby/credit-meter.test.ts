import { expect, test } from 'vitest';
import { monoMs } from '../base/scalars.ts';
import { CreditMeter } from './credit-meter.ts';

test('without a limit everything owed is given back at once', () => {
  const meter = new CreditMeter(0);
  meter.owe(5_000);
  expect(meter.take(monoMs(0))).toBe(5_000);
  expect(meter.throttling).toBe(false);
  expect(meter.dueAt(monoMs(0))).toEqual([]);
});

test('with a limit no more than the limit is given back over any time', () => {
  const meter = new CreditMeter(1_000_000);
  meter.reset(monoMs(0));
  meter.owe(10_000_000);
  let given = 0;
  for (let now = 7; now <= 3_000; now += 7) {
    given += meter.take(monoMs(now));
    expect(given).toBeLessThanOrEqual(now * 1_000);
  }
  expect(given).toBeGreaterThan(2_900_000);
  expect(meter.throttling).toBe(true);
});

test('a long idle time is not saved up', () => {
  const meter = new CreditMeter(1_000_000);
  meter.reset(monoMs(0));
  meter.take(monoMs(100));
  meter.owe(10_000_000);
  meter.take(monoMs(200));
  meter.take(monoMs(200));
  const [due] = meter.dueAt(monoMs(200));
  expect(due).toBe(250);
});
