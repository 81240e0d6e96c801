/**
 * A2: a member is degraded only when it was silent for the timeout and is known to be dead (or stopped, without disk, being
 * rebuilt), the arbiter answers, and those left are known to be alive and half of the F replicas: with the arbiter a majority. And
 * soon, if all of this has held for a while: silence is counted from the last answer, whoever led then.
 */
import { Conditions } from './conditions.ts';
import { hold, type MakeInvariant } from './invariant.ts';
import { newRecords } from './records.ts';

export const a2: MakeInvariant = world => {
  const { arbitration, leaseMs, renewMs } = world.options;
  if (arbitration === null) return {};
  const conditions = new Conditions(world);
  return {
    afterEvent() {
      for (const step of world.facts.steps) {
        const known = conditions.follow(step);
        for (const effect of step.effects) {
          if (effect.kind !== 'trace' || effect.trace.event !== 'degrade') continue;
          const { node } = effect.trace;
          // What governed when it decided.
          const objection = conditions.objection(step, step.view.governing);
          hold('A2', objection === undefined, () => `${step.self} degrades ${node}, though ${objection}`);
        }
        const mayAct = arbitration.policy === 'LS_POLICY' || known.isRootReachable;
        // A hand-over that is under way comes first, for a lease at most.
        const isLate = known.since !== undefined && step.now - known.since > 2 * leaseMs + renewMs;
        hold(
          'A2',
          step.input.kind !== 'wake' || !mayAct || !isLate,
          () =>
            `${step.self} could have degraded a dead member since ${known.since}, at ${step.now} it did not`,
        );
      }
      for (const { node, record, previous } of newRecords(world)) {
        const gone = previous.members.filter(id => record.degraded.includes(id));
        hold(
          'A2',
          gone.length === 0 || (record.arbiter !== null && !gone.includes(node.id)),
          () => `${node.id} degrades [${gone.join(' ')}] of [${previous.members.join(' ')}]`,
        );
      }
    },
  };
};
