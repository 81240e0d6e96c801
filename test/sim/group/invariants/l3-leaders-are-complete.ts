/** L3: whoever begins to lead holds everything that was committed before. */
import { hold, type MakeInvariant } from './invariant.ts';

export const l3: MakeInvariant = world => ({
  afterEvent() {
    for (const { node, self, effects } of world.facts.steps)
      for (const effect of effects) {
        if (effect.kind !== 'roleChanged' || effect.role !== 'leader') continue;
        const { agreed } = world.truth;
        const branch = world.branchOf(node);
        hold(
          'L3',
          branch.descendsFrom(agreed),
          () => `${self} leads with history ${branch.id}, a majority accepted the cut ${agreed.id}`,
        );
        const needed = branch.endOf(agreed);
        hold(
          'L3',
          node.platter.holds(needed),
          () =>
            `${self} leads with log to ${node.platter.end().lsn}, committed was LSN ${needed.lsn} #${needed.checksum}`,
        );
      }
  },
});
