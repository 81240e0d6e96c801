import { expect, test } from 'vitest';
import { LeaderTerm } from './leader-term.ts';

test('work that is over is not remembered, however long the term lasts', async () => {
  const term = new LeaderTerm('shop');
  for (let count = 0; count < 100; count += 1) {
    expect(await term.race(Promise.resolve(count))).toBe(count);
    await expect(term.race(Promise.reject(new Error('no')))).rejects.toThrow('no');
  }
  expect(term.waiting).toBe(0);
  term.end();
});

test('the end of the term is the end of all that is waited for, and of what begins after it', async () => {
  const term = new LeaderTerm('shop');
  const work = Promise.withResolvers<void>();
  const waits = [term.race(work.promise), term.race(new Promise(() => {}))];
  term.end();
  for (const wait of waits) await expect(wait).rejects.toMatchObject({ code: 'OBS_ROLE_STOPPED' });
  await expect(term.race(Promise.reject(new Error('unheard')))).rejects.toMatchObject({
    code: 'OBS_ROLE_STOPPED',
  });
  work.reject(new Error('unheard'));
  expect(() => term.mustLast()).toThrow('stopped');
});
