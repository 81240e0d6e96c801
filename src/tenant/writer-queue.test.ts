import { expect, test } from 'vitest';
import { monoMs, wallMicros } from '../base/scalars.ts';
import type { Clock } from '../platform/clock.ts';
import { WriterQueue } from './writer-queue.ts';

/** A clock that is moved by hand. */
class HandClock implements Clock {
  #now = 0;
  #timers: { at: number; callback: () => void }[] = [];
  now = () => monoMs(this.#now);
  wall = () => wallMicros(0);
  after(delayMs: number, callback: () => void) {
    const timer = { at: this.#now + delayMs, callback };
    this.#timers.push(timer);
    return {
      cancel: () => {
        this.#timers = this.#timers.filter(other => other !== timer);
      },
    };
  }
  pass(ms: number) {
    this.#now += ms;
    const due = this.#timers.filter(({ at }) => at <= this.#now);
    this.#timers = this.#timers.filter(({ at }) => at > this.#now);
    for (const { callback } of due) callback();
  }
  get timers(): number {
    return this.#timers.length;
  }
}

const setUp = () => {
  const clock = new HandClock();
  const room = { there: true };
  const queue = new WriterQueue('acme', clock, () => room.there);
  const log: string[] = [];
  const shared = (name: string, waitMs = 100) =>
    queue.shared(
      waitMs,
      () => log.push(name),
      error => log.push(`${name}: ${error.code}`),
    );
  const exclusive = (name: string, waitMs = 100) =>
    queue.exclusive(
      waitMs,
      () => log.push(name),
      error => log.push(`${name}: ${error.code}`),
    );
  return { clock, room, queue, log, shared, exclusive };
};

test('shared turns begin at once, and wait behind an exclusive one in order', () => {
  const { queue, log, shared, exclusive, clock } = setUp();
  shared('a');
  const b = exclusive('b');
  shared('c');
  const d = exclusive('d');
  shared('e');
  expect(log).toEqual(['a', 'b']);
  b.release();
  expect(log).toEqual(['a', 'b', 'c', 'd']);
  d.release();
  d.release();
  expect(log).toEqual(['a', 'b', 'c', 'd', 'e']);
  expect(queue.held).toBe(false);
  expect(clock.timers).toBe(0);
});

test('who waits too long is refused, and the others go on', () => {
  const { log, shared, exclusive, clock } = setUp();
  const a = exclusive('a');
  shared('b', 10);
  exclusive('c', 50);
  clock.pass(10);
  expect(log).toEqual(['a', 'b: OBS_TENANT_LOCK_WAIT']);
  a.release();
  expect(log).toEqual(['a', 'b: OBS_TENANT_LOCK_WAIT', 'c']);
  clock.pass(100);
  expect(log).toHaveLength(3);
});

test('a refused exclusive turn lets those behind it pass', () => {
  const { room, queue, log, shared, exclusive, clock } = setUp();
  room.there = false;
  shared('a');
  exclusive('b', 10);
  shared('c');
  clock.pass(10);
  expect(log).toEqual(['b: OBS_TENANT_LOCK_WAIT']);
  room.there = true;
  queue.pump();
  expect(log).toEqual(['b: OBS_TENANT_LOCK_WAIT', 'a', 'c']);
});

test('a turn given up while waiting is passed over', () => {
  const { log, shared, exclusive } = setUp();
  const a = exclusive('a');
  const b = exclusive('b');
  shared('c');
  b.release();
  a.release();
  expect(log).toEqual(['a', 'c']);
});

test('without room shared turns wait, exclusive ones do not', () => {
  const { room, queue, log, shared, exclusive } = setUp();
  room.there = false;
  exclusive('a').release();
  shared('b');
  expect(log).toEqual(['a']);
  room.there = true;
  queue.pump();
  expect(log).toEqual(['a', 'b']);
});
