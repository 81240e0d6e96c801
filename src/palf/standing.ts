/**
 * How fit a replica is to lead: the version of its record first, then how complete its log is, then its place in the
 * primary zone list, then its name, so that of two different replicas one is always fitter.
 */
import type { NodeId } from '../base/scalars.ts';
import { compareVersions } from '../codec/config-record.ts';
import type { Standing } from '../codec/palf-message.ts';
import type { Replica } from './replica.ts';

export const standingOf = (replica: Replica): Standing => ({
  version: replica.config.version,
  accepted: replica.meta.wanted.accepted,
  end: replica.log.flushed.lsn,
  priority: replica.settings.priority,
});

export interface Candidate {
  readonly node: NodeId;
  readonly standing: Standing;
}

/** Above 0: `a` is fitter than `b`. */
export function compareFitness(a: Candidate, b: Candidate): number {
  return (
    compareVersions(a.standing.version, b.standing.version) ||
    a.standing.accepted - b.standing.accepted ||
    a.standing.end - b.standing.end ||
    b.standing.priority - a.standing.priority ||
    (a.node < b.node ? 1 : a.node > b.node ? -1 : 0)
  );
}
