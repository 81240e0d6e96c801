/** An invariant of the role manager, checked after every event of the simulation, and once when it has come to rest. */
import type { World } from '../world.ts';

export interface RoleInvariant {
  readonly id: string;
  /** what is broken, or null */
  check(world: World): string | null;
  atRest?(world: World): string | null;
}
