/**
 * Body of a role entry: a tenant's role change, written into its own log so that every copy of the log carries it
 * (W5). JSON with a version; fields a reader does not know are ignored.
 * Decoding never throws on foreign bytes.
 */
import { assert } from '../base/assert.ts';
import { roleEntryBytesMax } from '../base/limits.ts';
import { type Lsn, lsn, type RoleEpoch, roleEpoch, type Scn, scn } from '../base/scalars.ts';

const roleEntryVersion = 1;

type RoleEvent =
  /** first entry of a primary: a new epoch begins */
  | 'opened'
  /** last entry of a primary before a switchover */
  | 'sealed'
  /** first entry of a primary whose switchover was rolled back: a new epoch too */
  | 'reopened';

export interface RoleEntry {
  readonly event: RoleEvent;
  readonly epoch: RoleEpoch;
  /** the site that wrote it */
  readonly site: string;
  /** of the switchover or failover it belongs to; empty for the first opening */
  readonly operationId: string;
  /** sealed: the site that may open next */
  readonly target?: string;
  /** sealed: who decides whether the target opened: the target's journal, or the archive chain */
  readonly arbiter?: 'network' | 'archive';
  /** opened: everything up to here was inherited */
  readonly cutLsn?: Lsn;
  readonly cutScn?: Scn;
}

export interface RoleEntryProblem {
  readonly kind: 'problem';
  readonly what: string;
}

export function encodeRoleEntry(entry: RoleEntry): Uint8Array {
  const bytes = Buffer.from(JSON.stringify({ version: roleEntryVersion, ...entry }), 'utf8');
  assert(bytes.length <= roleEntryBytesMax, 'a role entry keeps to its size limit');
  return bytes;
}

export function decodeRoleEntry(bytes: Uint8Array): RoleEntry | RoleEntryProblem {
  const bad = (what: string): RoleEntryProblem => ({ kind: 'problem', what });
  if (bytes.length > roleEntryBytesMax) return bad('a role entry is larger than the limit');
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return bad('a role entry is no JSON');
  }
  if (typeof value !== 'object' || value === null) return bad('a role entry is no object');
  const raw = value as Record<string, unknown>;
  if (raw['version'] !== roleEntryVersion)
    return bad(`the role entry has version ${String(raw['version'])}, not ${roleEntryVersion}`);
  const { event, epoch, site, operationId, target, arbiter, cutLsn, cutScn } = raw;
  if (event !== 'opened' && event !== 'sealed' && event !== 'reopened') return bad('unknown role event');
  if (!isWhole(epoch) || typeof site !== 'string' || typeof operationId !== 'string')
    return bad('a role entry lacks its epoch, site or operation');
  if (target !== undefined && typeof target !== 'string') return bad('the target is no text');
  if (arbiter !== undefined && arbiter !== 'network' && arbiter !== 'archive') return bad('unknown arbiter');
  if (cutLsn !== undefined && !isWhole(cutLsn)) return bad('the cut is no LSN');
  if (cutScn !== undefined && !isWhole(cutScn)) return bad('the cut is no SCN');
  return {
    event,
    epoch: roleEpoch(epoch),
    site,
    operationId,
    ...(target === undefined ? {} : { target }),
    ...(arbiter === undefined ? {} : { arbiter }),
    ...(cutLsn === undefined ? {} : { cutLsn: lsn(cutLsn) }),
    ...(cutScn === undefined ? {} : { cutScn: scn(cutScn) }),
  };
}

const isWhole = (value: unknown): value is number =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
