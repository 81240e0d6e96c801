/**
 * Audits an archive from the media alone: folds the chain from its first manifest, compares the full states on the way,
 * and reads every segment. What it proves is R1 to R4 for whoever has the log: an unbroken chain of checksums, no hole
 * inside a round, no writer of an older epoch after a claim, every named object there and unaltered.
 */
import { isDeepStrictEqual } from 'node:util';
import { ObError } from '../base/errors.ts';
import type { LogPosition } from '../base/log-access.ts';
import { samePosition } from '../codec/clog.ts';
import { noHash, type SegmentRecord } from '../codec/manifest.ts';
import type { ObjectStore } from '../platform/object-store.ts';
import type { ArchivedTenant } from './archive-format.ts';
import { type ArchiveHead, headOf } from './archive-head.ts';
import { applyManifest, emptyArchive } from './chain-core.ts';
import { TenantLayout } from './layout.ts';
import { ManifestChain } from './manifest-chain.ts';
import { SegmentShelf } from './segment-shelf.ts';

/** A hole between rounds: log that was recycled before it was archived, or written while archiving was off. */
interface ArchiveHole {
  readonly from: LogPosition;
  readonly to: LogPosition;
}

export interface ArchiveAudit {
  readonly head: ArchiveHead;
  readonly manifests: number;
  readonly segments: number;
  readonly logBytes: number;
  readonly holes: readonly ArchiveHole[];
  /** empty when the archive is sound */
  readonly problems: readonly string[];
}

/** Reads the whole archive. Throws only when the store does not answer. */
export async function verifyArchive(
  store: ObjectStore,
  tenant: ArchivedTenant,
  onProgress: (line: string) => void = () => {},
): Promise<ArchiveAudit> {
  const layout = new TenantLayout(tenant.incarnation);
  const problems: string[] = [];
  const chain = new ManifestChain(store, layout, tenant);
  let state = emptyArchive;
  let hash = noHash;
  for (let number = 1; ; number += 1) {
    const link = await orProblem(problems, () => chain.read(number));
    if (link === undefined) break;
    if (link.manifest.previousHash !== hash)
      problems.push(`manifest ${number} does not follow ${number - 1}`);
    const step = applyManifest(state, link.manifest);
    if (step.kind === 'broken') {
      problems.push(`manifest ${number}: ${step.why}`);
      break;
    }
    const told = link.manifest.state;
    if (told !== null && !isDeepStrictEqual(told, step.state))
      problems.push(`manifest ${number} tells another state than the manifests before it`);
    state = step.state;
    hash = link.hash;
  }
  onProgress(`${state.number} manifests`);
  const shelf = new SegmentShelf(store, layout, tenant);
  let logBytes = 0;
  for (const [index, segment] of state.segments.entries()) {
    await orProblem(problems, () => shelf.fetch(segment));
    logBytes += segment.end.lsn - segment.start.lsn;
    if (index % 100 === 99) onProgress(`${index + 1} of ${state.segments.length} segments`);
  }
  return {
    head: headOf(tenant, state),
    manifests: state.number,
    segments: state.segments.length,
    logBytes,
    holes: holesIn(state.segments),
    problems,
  };
}

const holesIn = (segments: readonly SegmentRecord[]): ArchiveHole[] =>
  segments.flatMap((segment, index) => {
    const before = segments[index - 1];
    return before === undefined || samePosition(before.end, segment.start)
      ? []
      : [{ from: before.end, to: segment.start }];
  });

async function orProblem<T>(problems: string[], work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof ObError) || (error.kind !== 'corrupt' && error.kind !== 'invalid')) throw error;
    problems.push(error.message);
    return undefined;
  }
}
