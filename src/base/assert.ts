/**
 * Assertions. They stay on in production: a process that has lost an invariant must stop before it spreads the loss.
 * Only for programmers' mistakes and broken invariants, never for what a user, a disk or a peer may do.
 */

/** A broken invariant. Whoever catches it ends the process. */
export class AssertionError extends Error {
  override readonly name = 'AssertionError';
}

export function assert(condition: boolean, invariant: string): asserts condition {
  if (!condition) throw new AssertionError(`invariant broken: ${invariant}`);
}

/** The value, which is known to be there. */
export function must<T>(value: T | undefined | null, what: string): T {
  if (value === undefined || value === null) throw new AssertionError(`missing: ${what}`);
  return value;
}

/** The default of a switch over a tagged union: the type checker proves that it is never reached. */
export function unreachable(value: never): never {
  throw new AssertionError(`unreachable case: ${JSON.stringify(value)}`);
}
