/** All invariants of the role simulation. W7 (same command twice) is a test of its own. */
import type { World } from '../world.ts';
import { w1 } from './w1.ts';
import { w2 } from './w2.ts';
import { w3 } from './w3.ts';
import { w4 } from './w4.ts';
import { w5 } from './w5.ts';
import { w6 } from './w6.ts';

const all = [w1, w2, w3, w4, w5, w6];

export class InvariantBroken extends Error {
  override readonly name = 'InvariantBroken';
}

const raise = (id: string, broken: string | null): void => {
  if (broken !== null) throw new InvariantBroken(`${id}: ${broken}`);
};

/** Throws on the first broken invariant. */
export function checkAll(world: World): void {
  for (const { id, check } of all) raise(id, check(world));
}

export function checkAtRest(world: World): void {
  checkAll(world);
  for (const { id, atRest } of all) if (atRest !== undefined) raise(id, atRest(world));
}
