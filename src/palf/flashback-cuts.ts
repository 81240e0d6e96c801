/**
 * Which flashbacks a config record tells of, and where the log of a replica that did not hear of some of them is cut.
 *
 * A replica may have been away while the log was cut, written on and cut again. What it shares with the others ends at the
 * lowest cut that it missed, and that is a boundary of its own log: the ones between were made in log that it never had. So
 * the list ascends: a cut makes all those above it needless.
 *
 * The list is bounded. Who missed one that is not told of any more is not cut at a guess: it needs a copy.
 */
import { configCutsMax } from '../base/limits.ts';
import type { ConfigVersion, LogPosition } from '../base/log-access.ts';
import { type ConfigRecord, compareVersions, noVersion } from '../codec/config-record.ts';

export type Cuts = Pick<ConfigRecord, 'cuts' | 'cutsForgotten'>;

/** The record that decided the last flashback. */
export const lastCutVersion = ({ cuts }: Cuts): ConfigVersion => cuts.at(-1)?.version ?? noVersion;

/** The cuts with one more, which the record of `version` decides. */
export function withCut({ cuts, cutsForgotten }: Cuts, at: LogPosition, version: ConfigVersion): Cuts {
  const all = [...cuts.filter(cut => cut.at.lsn < at.lsn), { at, version }];
  const forgotten = all.splice(0, all.length - configCutsMax).at(-1);
  return { cuts: all, cutsForgotten: forgotten?.version ?? cutsForgotten };
}

/**
 * Up to where a log that has made all cuts up to `applied` is that of the record: `null` for all of it, `unknown` if the
 * record does not tell any more.
 */
export function missedCut(
  { cuts, cutsForgotten }: Cuts,
  applied: ConfigVersion,
): LogPosition | 'unknown' | null {
  if (compareVersions(cutsForgotten, applied) > 0) return 'unknown';
  return cuts.find(({ version }) => compareVersions(version, applied) > 0)?.at ?? null;
}
