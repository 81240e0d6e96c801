/** W2: whoever takes writes has everything that was ever acknowledged, as long as nobody has failed over. */
import type { RoleInvariant } from './invariant.ts';

export const w2: RoleInvariant = {
  id: 'W2',
  check(world) {
    if (world.failedOver) return null;
    for (const site of world.primaries()) {
      const ids = new Set(site.log.map(entry => (entry.kind === 'write' ? entry.id : null)));
      const lost = world.acknowledged.filter(({ id }) => !ids.has(id));
      if (lost.length > 0) return `${site.name} opened without ${lost.length} acknowledged writes`;
    }
    return null;
  },
};
