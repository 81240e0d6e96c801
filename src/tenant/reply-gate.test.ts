import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ReplyGate } from './reply-gate.ts';

test('an answer leaves exactly when its commit is kept, or is undone with it, once', () => {
  const operation = fc.oneof(
    fc.record({ kind: fc.constant('wait' as const), ahead: fc.nat(6) }),
    fc.record({ kind: fc.constant('commit' as const), by: fc.nat(3) }),
    fc.record({ kind: fc.constant('undo' as const), keep: fc.nat(3) }),
  );
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 60 }), operations => {
      const gate = new ReplyGate<{ release: () => void; undone: (taken: number) => void }>();
      const waiting = new Map<number, number>();
      const outcomes = new Map<number, string>();
      let next = 0;
      for (const step of operations) {
        if (step.kind === 'wait') {
          const id = next++;
          const sequence = gate.committed + step.ahead;
          waiting.set(id, sequence);
          const note = (outcome: string) => {
            expect(outcomes.has(id)).toBe(false);
            outcomes.set(id, outcome);
          };
          gate.wait(sequence, {
            release: () => note('released'),
            undone: taken => note(`undone ${taken}`),
          });
        } else if (step.kind === 'commit') gate.commit(gate.committed + step.by);
        else gate.undo(gate.committed + step.keep, (waiter, taken) => waiter.undone(taken));
        const undoneAbove = step.kind === 'undo' ? gate.committed + step.keep : Number.POSITIVE_INFINITY;
        for (const [id, sequence] of waiting) {
          if (sequence <= gate.committed) expect(outcomes.get(id)).toBe('released');
          else if (sequence > undoneAbove) expect(outcomes.get(id)).toBe(`undone ${sequence}`);
          else expect(outcomes.get(id)).toBeUndefined();
          if (outcomes.has(id)) waiting.delete(id);
        }
      }
    }),
  );
});
