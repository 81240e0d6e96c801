/** What an archiver's round looks like from outside: OceanBase's states, and a comment that says why. Pure. */
import { unreachable } from '../base/assert.ts';
import { archiverInterruptedMs } from '../base/limits.ts';
import type { LogPosition } from '../base/log-access.ts';
import type { Lsn, MonoMs, RoleEpoch } from '../base/scalars.ts';
import type { ArchiveState } from '../codec/manifest.ts';
import type { RoundState } from './archiver-language.ts';
import { gapComment } from './batch-core.ts';
import { headEpochOf, openRoundOf, ownerOf } from './chain-core.ts';

/** What the operator, or the chain, wants of the archiver. */
export type Mode =
  | { readonly kind: 'new' }
  | { readonly kind: 'running' }
  | { readonly kind: 'suspended' }
  | { readonly kind: 'stopping'; readonly token: number; readonly until: MonoMs }
  | { readonly kind: 'stopped' }
  | { readonly kind: 'fenced'; readonly epoch: RoleEpoch };

/** Since when, how often and why nothing works. */
export interface Failing {
  readonly since: MonoMs;
  readonly attempts: number;
  readonly retryAt: MonoMs;
  readonly lasting: boolean;
  readonly message: string;
}

export interface RoundSituation {
  readonly mode: Mode;
  readonly isBusy: boolean;
  readonly failing: Failing | null;
  readonly gapTo: Lsn | null;
  readonly archive: ArchiveState | null;
  readonly epoch: RoleEpoch;
  readonly committed: LogPosition | null;
  readonly now: MonoMs;
}

export interface ShownRound {
  readonly state: RoundState;
  readonly comment: string;
}

export function describeRound(situation: RoundSituation): ShownRound {
  const { mode, failing } = situation;
  const comment = failing?.message ?? '';
  switch (mode.kind) {
    case 'new':
      return { state: 'PREPARE', comment };
    case 'suspended':
      return { state: situation.isBusy ? 'SUSPENDING' : 'SUSPEND', comment };
    case 'stopping':
      return { state: 'STOPPING', comment };
    case 'stopped':
      return { state: 'STOP', comment };
    case 'fenced':
      return { state: 'INTERRUPTED', comment: `the archive belongs to role epoch ${mode.epoch}` };
    case 'running':
      return describeRunning(situation, comment);
    default:
      return unreachable(mode);
  }
}

function describeRunning(situation: RoundSituation, comment: string): ShownRound {
  const { failing, archive, gapTo, now, epoch, committed } = situation;
  // a short failure is only a comment
  if (failing !== null && (failing.lasting || now - failing.since >= archiverInterruptedMs))
    return { state: 'INTERRUPTED', comment };
  if (archive === null) return { state: 'PREPARE', comment };
  if (gapTo !== null && archive.end !== null)
    return { state: 'INTERRUPTED', comment: gapComment(archive.end.lsn, gapTo) };
  if (headEpochOf(archive) !== epoch) return { state: 'PREPARE', comment };
  const sealed = ownerOf(archive)?.sealed ?? null;
  if (sealed !== null) {
    return { state: 'SUSPEND', comment: `sealed at LSN ${sealed.lsn} by switchover ${sealed.switchoverId}` };
  }
  const archivedLsn = archive.end?.lsn ?? 0;
  const isBehind = committed !== null && committed.lsn < archivedLsn;
  return {
    state: openRoundOf(archive)?.status === 'DOING' ? 'DOING' : 'BEGINNING',
    comment: isBehind ? `the log ends below the archived LSN ${archivedLsn}` : comment,
  };
}
