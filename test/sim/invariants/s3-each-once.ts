/** S3: no entry is applied twice, none is skipped, at every crash point: the state is the history's at its position. */
import { hold, type MakeInvariant } from './invariant.ts';

export const s3: MakeInvariant = world => ({
  afterEvent() {
    for (const { site, after, expected } of world.facts.applied)
      hold('S3', after.hash === expected?.hash, () => `${site.name} computed something else at ${after.lsn}`);
  },
  atEnd() {
    const last = world.truth.entries.at(-1);
    for (const site of world.sites) {
      const { machine } = site.life ?? {};
      hold(
        'S3',
        machine === undefined ||
          (machine.count === world.truth.entries.length && machine.hash === (last?.hash ?? 0)),
        () =>
          `${site.name} ends with ${machine?.count} entries, the history has ${world.truth.entries.length}`,
      );
    }
  },
});
