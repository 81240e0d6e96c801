/**
 * Moving a leadership to a server that was chosen. A hand-over is one message that nobody acknowledges, and a target that is not up to date yet is
 * refused: it is asked for again until the server leads, for as long as somebody waits for an answer.
 *
 * Must never say that it got there before that server itself says that it leads.
 */
import { isObError, ObError } from '../../base/errors.ts';
import { leaderTransferMs, leaderTransferPauseMs, rootCallMs, routedFindMs } from '../../base/limits.ts';
import { monoMs, type NodeId, type TenantId } from '../../base/scalars.ts';
import type { StoredTenant } from '../sys-store.ts';
import { replicaLookSchema } from './node-agent.ts';
import { parseBody } from './node-body.ts';
import type { ServerEntry } from './picture.ts';
import type { RootContext } from './root-context.ts';

/** Resolves when that server leads. Throws OBS_LOCALITY_LEADER_NOT_MOVED when it does not in time, and what asking again does not help. */
export async function transferLeader(
  context: RootContext,
  tenant: Pick<StoredTenant, 'id' | 'name'>,
  { nodeId, address }: Pick<ServerEntry, 'nodeId' | 'address'>,
): Promise<void> {
  let why = '';
  let askAt = context.now;
  // After a hand-over that was lost the others elect somebody, who is to be named.
  const lastAskAt = askAt + leaderTransferMs - rootCallMs;
  const isThere = await context.until(leaderTransferMs, async () => {
    if (context.now >= askAt && context.now <= lastAskAt) {
      why = (await ask(context, tenant, nodeId)) ?? 'it was told to lead and was not elected';
      askAt = monoMs(context.now + leaderTransferPauseMs);
    }
    return leads(context, nodeId, tenant.id);
  });
  if (isThere) return;
  const leader = (await leaderNow(context, tenant.id)) ?? 'nobody';
  throw new ObError('OBS_LOCALITY_LEADER_NOT_MOVED', { address, tenant: tenant.name, leader, why });
}

/** Why the leader there is now does not hand over at this moment; null: it did. */
async function ask(
  { options }: RootContext,
  { id, name }: Pick<StoredTenant, 'id' | 'name'>,
  to: NodeId,
): Promise<string | null> {
  // A leader has handed over, or says why not, within a lease.
  const call = { findMs: routedFindMs, timeoutMs: options.leaseMs + rootCallMs, repeatable: true };
  try {
    await options.leaders.ask(id, `tenant '${name}'`, 'stream.transfer', { tenantId: id, to }, call);
    return null;
  } catch (error) {
    if (!isObError(error)) throw error;
    const isPassing = error.kind === 'unavailable' || error.kind === 'not-leader' || error.kind === 'unknown';
    if (!isPassing) throw error;
    return error.message;
  }
}

/** The address of the server that says that it leads. */
async function leaderNow(context: RootContext, tenant: TenantId): Promise<string | null> {
  const { facts } = context;
  for (const { node } of facts.replicasOf(tenant))
    if (facts.isAlive(node) && (await leads(context, node, tenant)))
      return facts.server(node)?.address ?? node;
  return null;
}

async function leads({ options }: RootContext, node: NodeId, tenantId: TenantId): Promise<boolean> {
  try {
    const answer = await options.calls.request(node, 'replica.look', { tenantId }, { timeoutMs: rootCallMs });
    return parseBody(replicaLookSchema.nullable(), answer)?.leads ?? false;
  } catch (error) {
    if (isObError(error)) return false;
    throw error;
  }
}
