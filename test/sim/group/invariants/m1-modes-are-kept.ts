/** M1: entries are taken in APPEND only, raw groups in RAW_WRITE only. */
import { hold, type MakeInvariant } from './invariant.ts';

export const m1: MakeInvariant = world => ({
  afterEvent() {
    for (const { node, how, accessMode } of world.facts.taken)
      hold(
        'M1',
        accessMode === (how === 'entry' ? 'APPEND' : 'RAW_WRITE'),
        () => `${node.id} took ${how === 'entry' ? 'an entry' : 'raw groups'} in ${accessMode}`,
      );
  },
});
