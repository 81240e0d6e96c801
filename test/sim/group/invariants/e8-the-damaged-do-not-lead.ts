/** E8: a replica that is damaged, being rebuilt, or no member does not lead. */
import { hold, type MakeInvariant } from './invariant.ts';

export const e8: MakeInvariant = world => ({
  afterEvent() {
    for (const { self, view, before } of world.facts.steps) {
      if (view.role !== 'leader') continue;
      hold('E8', view.impaired === null, () => `${self} leads and is ${view.impaired}`);
      hold(
        'E8',
        before?.role === 'leader' || view.config.members.includes(self),
        () => `${self} leads and is no member of [${view.config.members.join(' ')}]`,
      );
    }
  },
});
