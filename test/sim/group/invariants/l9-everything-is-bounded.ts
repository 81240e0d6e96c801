/** L9: windows and queues keep to their limits. */
import { entryBodyBytesMax, windowBytesMax, windowGroupsMax } from '../../../../src/base/limits.ts';
import { hold, type MakeInvariant } from './invariant.ts';

/** Groups that one entry may add to a window that has room, with the padding between them. */
const entryGroupsMax = 32;

export const l9: MakeInvariant = world => ({
  afterEvent() {
    for (const { self, view } of world.facts.steps) {
      hold(
        'L9',
        view.pendingGroups <= windowGroupsMax + entryGroupsMax,
        () => `${self} has ${view.pendingGroups} groups pending`,
      );
      hold(
        'L9',
        view.pendingBytes <= windowBytesMax + entryBodyBytesMax,
        () => `${self} has ${view.pendingBytes} bytes pending`,
      );
    }
  },
});
