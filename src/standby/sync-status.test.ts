import { expect, test } from 'vitest';
import { lsn, roleEpoch, scn, wallMicros } from '../base/scalars.ts';
import { lagBehind } from './sync-status.ts';

const at = (bytes: number, micros: number) => ({ lsn: lsn(bytes), scn: scn(micros) });

test('each stage lags behind the source by its own bytes and seconds, as of when the source was heard', () => {
  const lag = lagBehind(
    { ...at(1_000, 9_000_000), wall: wallMicros(77), epoch: roleEpoch(1) },
    { received: at(900, 8_500_000), flushed: at(600, 7_000_000), applied: at(0, 1_000_000) },
  );
  expect(lag).toEqual({
    transport: { bytes: 100, seconds: 0.5 },
    flush: { bytes: 400, seconds: 2 },
    apply: { bytes: 1_000, seconds: 8 },
    datumTime: 77,
  });
});

test('a stage at or beyond the last told end does not lag', () => {
  const lag = lagBehind(
    { ...at(1_000, 9_000_000), wall: wallMicros(77), epoch: roleEpoch(1) },
    { received: at(1_200, 9_900_000), flushed: at(1_000, 9_000_000), applied: at(1_000, 9_000_000) },
  );
  expect(lag.transport).toEqual({ bytes: 0, seconds: 0 });
  expect(lag.apply).toEqual({ bytes: 0, seconds: 0 });
});

test('a source that was never heard gives no datum', () => {
  const zero = at(0, 0);
  expect(lagBehind(null, { received: zero, flushed: zero, applied: zero }).datumTime).toBeNull();
});
