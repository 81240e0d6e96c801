/** K2: acknowledged writes are there once, unknown ones at most once, refused ones not at all. */
import { hold, type MakeInvariant } from './invariant.ts';

export const k2: MakeInvariant = world => ({
  atEnd() {
    const leader = world.leader();
    if (leader === undefined) return;
    const branch = world.branchOf(leader);
    const times = new Map<number, number>();
    for (const serial of branch.serials()) times.set(serial, (times.get(serial) ?? 0) + 1);
    for (const { kind, value, returnedAt, endLsn, age } of world.load.calls) {
      if (kind !== 'write' || value === null) continue;
      const count = times.get(value) ?? 0;
      hold('K2', count <= 1, () => `write ${value} is there ${count} times`);
      const wasCut = branch.forks().some(fork => fork.age > age && (endLsn ?? 0) > fork.cut.lsn);
      hold(
        'K2',
        count === 1 || !Number.isFinite(returnedAt) || wasCut,
        () => `write ${value} was acknowledged at LSN ${endLsn} and is lost`,
      );
    }
    for (const serial of world.load.refused)
      hold('K2', !times.has(serial), () => `write ${serial} was refused and is there`);
  },
});
