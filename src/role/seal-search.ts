/**
 * Where a standby learns the sealed end of the history it follows: from its source over the network, or from the archive
 * chain. Also the probe of a source before a switchover or failover.
 *
 * Never: takes a seal of another epoch than the history this standby has (S7, W2), nor one that was cancelled here.
 */
import { ObError } from '../base/errors.ts';
import { roleProbesMax } from '../base/limits.ts';
import type { SiteDescription } from './control-ops.ts';
import { call, type Procedure, type RoleContext } from './procedure.ts';
import type { RoleRow, SealRecord, SiteAddress } from './row.ts';

export interface FoundSource {
  readonly address: string;
  readonly description: SiteDescription;
}

/** Asks each address of the restore source who it is; undefined when none answers. The last failure is kept for the text. */
export function* describeSource(context: RoleContext): Procedure<{
  readonly found: FoundSource | null;
  readonly addresses: readonly string[];
  readonly failure: ObError | null;
}> {
  const addresses = (yield* call('peers', 'sourceAddresses')).slice(0, roleProbesMax);
  let failure: ObError | null = null;
  for (const address of addresses) {
    try {
      const description = yield* describePeer(context, address);
      return { found: { address, description }, addresses, failure: null };
    } catch (error) {
      if (!(error instanceof ObError) || error.code === 'OBS_ROLE_OTHER_TENANT') throw error;
      failure = error;
    }
  }
  return { found: null, addresses, failure };
}

/** One site's description of itself; refuses another tenant. */
export function* describePeer(context: RoleContext, address: string): Procedure<SiteDescription> {
  const reply = yield* call('peers', 'control', address, { op: 'describe' });
  if (reply.kind !== 'description') throw unexpected(address, reply.kind, 'description');
  const { incarnation } = context.row();
  if (reply.description.incarnation !== incarnation) {
    throw new ObError('OBS_ROLE_OTHER_TENANT', {
      address,
      theirs: reply.description.incarnation,
      mine: incarnation,
    });
  }
  return reply.description;
}

/** The seal to open on, and the site that made it. Throws the refusal that fits what was found. */
export function* findSeal(
  context: RoleContext,
): Procedure<{ readonly seal: SealRecord; readonly peer: SiteAddress | null }> {
  const row = context.row();
  const { found, failure } = yield* describeSource(context);
  if (found !== null) {
    const { description, address } = found;
    if (description.sealed !== null && description.switchoverStatus === 'NORMAL') {
      refuseForeignSeal(row, description.sealed);
      return { seal: description.sealed, peer: { site: description.site, address } };
    }
    refuseUnsealed(description);
  }
  const archive = yield* call('archive', 'configured');
  if (archive !== null) {
    const seal = yield* call('archive', 'sealed');
    if (seal !== null) {
      refuseForeignSeal(row, seal);
      // It was read from the chain this site claims in, whatever the other site calls that chain.
      return { seal: { ...seal, archiveName: archive }, peer: null };
    }
  }
  if (failure !== null && archive === null) throw failure;
  throw new ObError('OBS_ROLE_SOURCE_NOT_SEALED', { tenant: row.tenant });
}

/** The refusal of a source that is not sealed; none when it may be that its seal is in the archive. */
function refuseUnsealed(description: SiteDescription): void {
  if (description.role === 'PRIMARY' && description.switchoverStatus === 'NORMAL') {
    throw new ObError('OBS_ROLE_SOURCE_IS_PRIMARY', { site: description.site });
  }
  if (description.switchoverStatus !== 'NORMAL') {
    throw new ObError('OBS_ROLE_SOURCE_NOT_NORMAL', { status: description.switchoverStatus });
  }
}

function refuseForeignSeal(row: RoleRow, seal: SealRecord): void {
  if (row.cancelled.includes(seal.operationId)) {
    throw new ObError('OBS_ROLE_OPERATION_CANCELLED', { operation: seal.operationId, site: row.site });
  }
  if (seal.epoch < row.epoch) throw new ObError('OBS_ROLE_SOURCE_NOT_SEALED', { tenant: row.tenant });
  if (seal.arbiter === 'network' && seal.target !== null && seal.target.site !== row.site) {
    throw new ObError('OBS_ROLE_NOT_GRANTED', { operation: seal.operationId, site: seal.target.site });
  }
}

export const unexpected = (address: string, got: string, wanted: string): ObError =>
  new ObError('OBS_ROLE_ANSWER_UNEXPECTED', { address, got, wanted });
