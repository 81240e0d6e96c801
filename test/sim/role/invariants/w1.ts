/** W1: at most one site takes writes at any instant, as long as nobody has failed over from a primary that still ran. */
import type { RoleInvariant } from './invariant.ts';

export const w1: RoleInvariant = {
  id: 'W1',
  check(world) {
    const writable = world.primaries().map(site => site.name);
    return writable.length <= 1 || world.failedOver ? null : `writable at once: ${writable.join(' and ')}`;
  },
};
