/**
 * For which log each replica ever counted when its leader committed it: that log it must have, or know that it does not,
 * for ever; unless a flashback cut it off.
 */
import type { LogPosition } from '../../../src/base/log-access.ts';
import type { NodeId } from '../../../src/base/scalars.ts';
import type { PalfView } from '../../../src/palf/view.ts';
import type { Branch } from './truth.ts';

export class Counted {
  readonly #ends = new Map<NodeId, Map<Branch, LogPosition>>();

  /** A leader committed up to `end`. */
  committed(leader: NodeId, { peers, proposalId, config }: PalfView, end: LogPosition, branch: Branch): void {
    this.#add(leader, branch, end);
    for (const { node, flushed, version, isImpaired } of peers)
      if (
        flushed >= end.lsn &&
        version.proposalId === proposalId &&
        !isImpaired &&
        config.members.includes(node)
      )
        this.#add(node, branch, end);
  }

  #add(node: NodeId, branch: Branch, end: LogPosition): void {
    const ends = this.#ends.get(node) ?? new Map<Branch, LogPosition>();
    this.#ends.set(node, ends.set(branch, end));
  }

  /** What a replica whose log is on `branch` must have. */
  of(node: NodeId, branch: Branch): number {
    let needed = 0;
    for (const [before, end] of this.#ends.get(node) ?? [])
      if (branch.descendsFrom(before)) needed = Math.max(needed, Math.min(end.lsn, branch.cutBelow(before)));
    return needed;
  }
}
