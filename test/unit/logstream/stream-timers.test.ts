import { expect, test } from 'vitest';
import { monoMs } from '../../../src/base/scalars.ts';
import { StreamTimers } from '../../../src/logstream/stream-timers.ts';
import { simClock } from '../../support/sim/clock.ts';
import { EventLoop } from '../../support/sim/event-loop.ts';

function rig() {
  const loop = new EventLoop();
  const clock = simClock(loop);
  const heard: string[] = [];
  const alarm = (name: string) => StreamTimers.of(clock).alarm(() => heard.push(`${name} at ${clock.now()}`));
  return { loop, clock, heard, alarm };
}

test('wake-ups that are near each other come in one tick, none early', () => {
  const { loop, heard, alarm } = rig();
  alarm('b').set(monoMs(17));
  alarm('a').set(monoMs(12));
  alarm('c').set(monoMs(20.5));
  while (loop.turn());
  expect(heard).toEqual(['b at 20', 'a at 20', 'c at 30']);
});

test('the last wake-up asked for counts, earlier or later, and a cancelled one never comes', () => {
  const { loop, heard, alarm } = rig();
  const [later, earlier, never] = [alarm('later'), alarm('earlier'), alarm('never')];
  later.set(monoMs(10));
  later.set(monoMs(50));
  earlier.set(monoMs(90));
  earlier.set(monoMs(30));
  never.set(monoMs(20));
  never.cancel();
  while (loop.turn());
  expect(heard).toEqual(['earlier at 30', 'later at 50']);
});

test('one that wakes may stop another that is due, and ask anew', () => {
  const { loop, clock, heard } = rig();
  const timers = StreamTimers.of(clock);
  const second = timers.alarm(() => heard.push('second'));
  const first = timers.alarm(() => {
    heard.push(`first at ${clock.now()}`);
    second.cancel();
    if (heard.length < 3) first.set(monoMs(clock.now() + 5));
  });
  first.set(monoMs(10));
  second.set(monoMs(10));
  while (loop.turn());
  expect(heard).toEqual(['first at 10', 'first at 20', 'first at 30']);
});
