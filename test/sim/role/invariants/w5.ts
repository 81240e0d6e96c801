/** W5: the epoch is durable before effect, never decreases, and is stamped on the log that is written under it. */
import type { World } from '../world.ts';
import type { RoleInvariant } from './invariant.ts';

const highest = new WeakMap<World, Map<string, number>>();

export const w5: RoleInvariant = {
  id: 'W5',
  check(world) {
    const seen = highest.get(world) ?? new Map<string, number>();
    highest.set(world, seen);
    for (const site of world.sites) {
      const { epoch, opening } = site.row;
      if (epoch < (seen.get(site.name) ?? 0)) return `${site.name}: epoch went back to ${epoch}`;
      seen.set(site.name, epoch);
      if (!site.writable) continue;
      if (opening === null || opening.epoch !== epoch)
        return `${site.name} is open without an opening of epoch ${epoch}`;
      const stamped = site.log.some(
        entry => entry.kind === 'role' && entry.entry.event !== 'sealed' && entry.entry.epoch === epoch,
      );
      if (!stamped) return `${site.name} is open, its log has no role entry of epoch ${epoch}`;
    }
    return null;
  },
};
