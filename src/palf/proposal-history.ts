/**
 * Which proposal wrote which part of a log: a list of eras, a function of the log's groups alone, so that it is the
 * same on every site that holds the same bytes. Two logs forked where their eras part. Bounded: the oldest are
 * forgotten first.
 */
import { proposalErasMax } from '../base/limits.ts';
import type { ProposalEra } from '../base/log-access.ts';
import type { Lsn, ProposalId } from '../base/scalars.ts';

/** The history with a group of `proposalId` at `startLsn` added behind; the same list if its era goes on. */
export function extendHistory(
  history: readonly ProposalEra[],
  proposalId: ProposalId,
  startLsn: Lsn,
): readonly ProposalEra[] {
  if (history.at(-1)?.proposalId === proposalId) return history;
  return [...history, { proposalId, startLsn }].slice(-proposalErasMax);
}

/** The history of the log that ends at `end`. */
export function cutHistory(history: readonly ProposalEra[], end: Lsn): readonly ProposalEra[] {
  return (history.at(-1)?.startLsn ?? -1) < end ? history : history.filter(era => era.startLsn < end);
}

/** The proposal that wrote the newest group, 0 in an empty log. */
export const lastProposal = (history: readonly ProposalEra[]): number => history.at(-1)?.proposalId ?? 0;
