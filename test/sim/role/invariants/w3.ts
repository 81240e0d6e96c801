/** W3: whatever was interrupted, running the commands again ends with one primary and nothing unfinished. */
import { isUnfinished } from '../../../../src/role/row.ts';
import type { RoleInvariant } from './invariant.ts';

export const w3: RoleInvariant = {
  id: 'W3',
  check: () => null,
  atRest(world) {
    const unfinished = world.sites.filter(site => isUnfinished(site.row));
    if (unfinished.length > 0) {
      return `unfinished: ${unfinished.map(({ name, row }) => `${name} at ${row.step}`).join(', ')}`;
    }
    const primaries = world.primaries().map(site => site.name);
    return primaries.length === 1 ? null : `${primaries.length} primaries at rest: ${primaries.join(', ')}`;
  },
};
