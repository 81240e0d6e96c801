import { expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { MemoryClog } from '../../test/support/memory-clog.ts';
import { ObError } from '../base/errors.ts';
import type { LogChunk } from '../base/log-access.ts';
import { type Lsn, lsn, scn } from '../base/scalars.ts';
import { silentLogger } from '../platform/logger.ts';
import { FollowerApply } from './follower-apply.ts';

const body = new Uint8Array(4);
const damage = new ObError('OBS_TENANT_REDO_CORRUPT', { path: 'a test', detail: 'it is made up' });

/** A follower over a log in memory; its engine answers when it is told to. */
class Rig {
  readonly log = new MemoryClog();
  readonly clock = new ManualClock();
  readonly failures: unknown[] = [];
  readonly handed: { readonly chunk: LogChunk; answer(error?: ObError): void }[] = [];
  readonly apply: FollowerApply;
  #engine: Lsn = lsn(0);

  constructor(delayMs = 0) {
    this.apply = new FollowerApply({
      log: Object.assign(this.log, { readRecent: () => this.recent() }),
      apply: chunk =>
        new Promise((resolve, reject) => {
          const answer = (error?: ObError): void => {
            if (error !== undefined) {
              reject(error);
              return;
            }
            this.#engine = chunk.end.lsn;
            resolve({ appliedLsn: chunk.end.lsn, readableScn: chunk.end.scn });
          };
          this.handed.push({ chunk, answer });
        }),
      applied: () => ({ lsn: this.#engine, scn: scn(0) }),
      delayMs,
      clock: this.clock,
      logger: silentLogger,
      onFailed: error => this.failures.push(error),
      onFatal: error => {
        throw error;
      },
    });
  }

  recent: () => LogChunk | undefined = () => undefined;

  append(): void {
    this.log.append('redo', body, this.clock.wall());
    this.log.commit();
  }
}

const turn = (): Promise<void> => new Promise(resolve => setImmediate(resolve));

test('what failed can be begun again, from what the engine has by then', async () => {
  const { apply, handed, failures, log, append } = bound(new Rig());
  append();
  apply.start();
  await turn();
  append();
  await turn();
  expect(handed).toHaveLength(2);
  handed[0]?.answer(damage);
  await turn();
  // The engine has not answered for all of it yet: what comes next would meet what is still on its way.
  expect(failures).toEqual([]);
  handed[1]?.answer(damage);
  await turn();
  expect(failures).toEqual([damage]);
  expect(apply.problem).toBe(damage);
  await apply.idle();
  apply.start();
  expect(apply.problem).toBe(null);
  await turn();
  expect(handed[2]?.chunk).toMatchObject({ start: { lsn: 0 }, end: log.state().end });
  handed[2]?.answer();
  await apply.idle();
  expect(apply.applied.lsn).toBe(log.state().end.lsn);
  await apply.stop();
});

test('log that turns out to be damaged when its age is looked at ends the apply, not whoever looked', async () => {
  const rig = new Rig(1_000);
  const { apply, failures } = rig;
  rig.append();
  apply.start();
  await turn();
  expect(failures).toEqual([]);
  const whole = await rig.log.read(lsn(0), 1 << 20);
  rig.recent = () => ({ ...whole, bytes: new Uint8Array(whole.bytes.length) });
  expect(() => rig.append()).not.toThrow();
  await turn();
  expect(failures).toMatchObject([{ code: 'OBS_LOG_CORRUPT' }]);
  await apply.stop();
});

function bound(rig: Rig) {
  const { apply, handed, failures, log } = rig;
  return { apply, handed, failures, log, append: () => rig.append() };
}
