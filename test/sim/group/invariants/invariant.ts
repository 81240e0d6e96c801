/** What an invariant of the group simulation is. */
import type { GroupWorld } from '../world.ts';

export interface Invariant {
  /** looks at what the last event did; throws a `Violation` */
  readonly afterEvent?: () => void;
  /** looks at the end of a run */
  readonly atEnd?: () => void;
}

/** Made anew for each run, so that it may remember. */
export type MakeInvariant = (world: GroupWorld) => Invariant;

/** A broken invariant, by its id. */
class Violation extends Error {
  override readonly name = 'Violation';
  readonly id: string;

  constructor(id: string, what: string) {
    super(`${id}: ${what}`);
    this.id = id;
  }
}

/** Throws unless `condition` holds. */
export function hold(id: string, condition: boolean, what: () => string): asserts condition {
  if (!condition) throw new Violation(id, what());
}
