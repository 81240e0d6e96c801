/** M2: an access mode acts when a majority holds it durably, and no later leader goes back behind it. */
import type { NodeId } from '../../../../src/base/scalars.ts';
import { votersOf } from '../../../../src/palf/quorum.ts';
import { hold, type MakeInvariant } from './invariant.ts';

export const m2: MakeInvariant = world => {
  let agreed = 0;
  /** the newest mode that each voter ever held durably, also one whose volume was lost since */
  const held = new Map<NodeId, number>();
  const hear = (id: NodeId, version: number) => {
    held.set(id, Math.max(held.get(id) ?? 0, version));
  };
  const agree = (version: number) => {
    agreed = Math.max(agreed, version);
  };
  return {
    afterEvent() {
      for (const { node, self } of world.facts.steps)
        hear(self, node.platter.meta()?.config.modeVersion ?? 0);
      for (const { arbiter, view } of world.facts.arbiterSteps)
        hear(arbiter.id, view.image.config?.modeVersion ?? 0);
      for (const { node, how } of world.facts.taken) {
        const { view } = node;
        if (view === undefined || how === 'raw') continue;
        const voters = votersOf(view.governing);
        const have = voters.filter(id => (held.get(id) ?? 0) >= view.modeVersion);
        hold(
          'M2',
          have.length * 2 > voters.length,
          () =>
            `${node.id} takes log in ${view.accessMode} version ${view.modeVersion}, which only [${have.join(' ')}] of [${voters.join(' ')}] hold`,
        );
        agree(view.modeVersion);
      }
      for (const { self, effects, view } of world.facts.steps)
        for (const effect of effects) {
          if (effect.kind === 'roleChanged' && effect.role === 'leader')
            hold(
              'M2',
              view.modeVersion >= agreed,
              () => `${self} leads with mode version ${view.modeVersion}, ${agreed} was agreed`,
            );
          if (effect.kind === 'reply' && effect.outcome.kind === 'mode-changed')
            agree(effect.outcome.modeVersion);
        }
    },
  };
};
