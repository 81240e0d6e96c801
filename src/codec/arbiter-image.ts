/**
 * What the arbiter of a log stream must remember: the highest proposal it promised and the newest record it took, which
 * says who takes part, who counts, and the access mode. Whoever it gave its vote or lease to it may forget: it refuses a
 * proposal that was promised before a restart, and keeps silent until leases from before have run out; so it remembers how long
 * those may be.
 *
 * JSON, without a frame: the journal it is written to has checksums. Strict: what is malformed is a problem, never a default.
 */
import { assert } from '../base/assert.ts';
import { arbiterImageBytesMax, leaseMsMax } from '../base/limits.ts';
import type { ConfigVersion, LogPosition } from '../base/log-access.ts';
import { type Lsn, lsn, type NodeId, type ProposalId, proposalId } from '../base/scalars.ts';
import {
  type ConfigRecord,
  Malformed,
  need,
  reviveNode,
  reviveObject,
  revivePosition,
  reviveRecord,
  reviveVersion,
  reviveWhole,
} from './config-record.ts';

export interface ArbiterImage {
  /** the node whose vote this is: made with its data directory, so that a wiped one is another */
  readonly self: NodeId;
  readonly promised: ProposalId;
  /** the longest lease that it gave and that may hold still; 0: none ever */
  readonly leaseMs: number;
  /** null: none was ever taken */
  readonly config: ConfigRecord | null;
  /** what the record was taken with; null: there is none, or it was taken before this was kept */
  readonly basis: RecordBasis | null;
}

/** The log that who takes a record must have, as its leader said it. */
interface RecordBasis {
  /** where the leader's log ended when it began */
  readonly start: LogPosition;
  /** and up to where it must go on as that leader's */
  readonly barrier: Lsn;
  /** of the records that the arbiter took up to this one, the first of those in a row with the same voters and degraded replicas */
  readonly since: ConfigVersion;
}

export interface ArbiterImageProblem {
  readonly kind: 'problem';
  readonly what: string;
}

/** An arbiter that has heard of nothing yet. */
export const newArbiterImage = (self: NodeId): ArbiterImage => ({
  self,
  promised: proposalId(0),
  leaseMs: 0,
  config: null,
  basis: null,
});

export function encodeArbiterImage(image: ArbiterImage): Uint8Array {
  const bytes = Buffer.from(JSON.stringify(image), 'utf8');
  assert(bytes.length <= arbiterImageBytesMax, 'the image of an arbiter keeps to its size limit');
  return bytes;
}

export function decodeArbiterImage(bytes: Uint8Array): ArbiterImage | ArbiterImageProblem {
  try {
    need(bytes.length <= arbiterImageBytesMax, 'it keeps to its size limit');
    const raw = reviveObject(JSON.parse(utf8.decode(bytes)));
    const config = raw['config'] === null ? null : reviveRecord(raw['config']);
    return {
      self: reviveNode(raw['self']),
      promised: proposalId(reviveWhole(raw['promised'])),
      // Journals of earlier versions do not say it.
      leaseMs: raw['leaseMs'] === undefined ? leaseMsMax : reviveWhole(raw['leaseMs']),
      config,
      // Journals of earlier versions do not have it.
      basis: config === null || (raw['basis'] ?? null) === null ? null : reviveBasis(raw['basis'], config),
    };
  } catch (error) {
    if (error instanceof Malformed || error instanceof SyntaxError)
      return { kind: 'problem', what: `the image of an arbiter is malformed: ${error.message}` };
    throw error;
  }
}

function reviveBasis(value: unknown, { version }: ConfigRecord): RecordBasis {
  const raw = reviveObject(value);
  return {
    start: revivePosition(raw['start']),
    barrier: lsn(reviveWhole(raw['barrier'])),
    // Journals of earlier versions do not say it: what was before is not known.
    since: raw['since'] === undefined ? version : reviveVersion(raw['since']),
  };
}

const utf8 = new TextDecoder('utf-8');
