/** M2: the mode version only grows, on disk before it acts, and the mode belongs to it over restarts. */
import type { AccessMode } from '../../../src/base/log-access.ts';
import type { LogSite } from '../log-site.ts';
import { hold, type MakeInvariant } from './invariant.ts';

export const m2: MakeInvariant = world => {
  const seen = new Map<LogSite, { version: number; mode: AccessMode }>();
  return {
    afterEvent() {
      for (const site of world.sites) {
        const { life } = site;
        if (world.roles.isBeingRebuilt(site)) seen.delete(site);
        if (life === undefined) continue;
        const { modeVersion, accessMode } = life.log.state();
        const before = seen.get(site);
        if (before !== undefined) {
          hold('M2', modeVersion >= before.version, () => `${site.name}: mode version ${modeVersion}`);
          hold(
            'M2',
            modeVersion > before.version || accessMode === before.mode,
            () => `${site.name} is in ${accessMode} with the version of ${before.mode}`,
          );
        }
        seen.set(site, { version: modeVersion, mode: accessMode });
      }
    },
  };
};
