/** An invariant that does not hold: its id, and what was seen. */
export class Broken extends Error {}

export const hold = (id: string, condition: boolean, what: () => string): void => {
  if (!condition) throw new Broken(`${id}: ${what()}`);
};
