/** Moving a leadership to a server that was chosen, and seeing that it got there. */
import { isObError } from '../../base/errors.ts';
import { rootCallMs, rootOrderMs } from '../../base/limits.ts';
import type { NodeId, TenantId } from '../../base/scalars.ts';
import type { StoredTenant } from '../sys-store.ts';
import { replicaLookSchema } from './node-agent.ts';
import { parseBody } from './node-body.ts';
import type { RootContext } from './root-context.ts';

/** Resolves when that server leads; false: it does not in time. Throws what the leader there is now threw. */
export async function transferLeader(
  context: RootContext,
  { id, name }: Pick<StoredTenant, 'id' | 'name'>,
  to: NodeId,
): Promise<boolean> {
  const call = { findMs: rootCallMs, timeoutMs: rootOrderMs, repeatable: true };
  const order = { tenantId: id, to };
  await context.options.leaders.ask(id, `tenant '${name}'`, 'stream.transfer', order, call);
  return await context.until(rootOrderMs, () => leads(context, to, id));
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
