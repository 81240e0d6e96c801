/** The arbitration service as all see it: what the root service has, how each server hears the arbiter, what the arbiter remembers. */
import { z } from 'zod';
import { isObError } from '../../base/errors.ts';
import { rootCallMs } from '../../base/limits.ts';
import type { NodeId } from '../../base/scalars.ts';
import { reviveRecord } from '../../codec/config-record.ts';
import type { ArbitrationFacts, ArbitrationInfo } from '../cluster-operations.ts';
import { nodeShape, parseBody, tenantShape } from './node-body.ts';
import type { NodeCalls } from './node-calls.ts';

const activeSchema = z.object({ active: z.boolean() });

const streamsSchema = z.object({
  streams: z.array(
    z.object({
      key: z.object({ tenantId: tenantShape, stream: z.int() }),
      image: z.object({ self: nodeShape, promised: z.int(), config: z.unknown() }),
    }),
  ),
});

export async function gatherArbitration(
  calls: NodeCalls,
  facts: ArbitrationFacts,
  servers: readonly NodeId[],
): Promise<ArbitrationInfo> {
  const { service } = facts;
  if (service === null) return { ...facts, servers: [], streams: [] };
  const [seen, streams] = await Promise.all([
    Promise.all(servers.map(node => howSeen(calls, node))),
    rememberedBy(calls, service.nodeId),
  ]);
  return { ...facts, servers: seen.flat(), streams };
}

/** Nothing of a server that does not answer. */
async function howSeen(calls: NodeCalls, nodeId: NodeId): Promise<ArbitrationInfo['servers']> {
  const answer = await attempt(() => calls.request(nodeId, 'node.arbiter', {}, { timeoutMs: rootCallMs }));
  if (answer === null) return [];
  return [{ nodeId, status: parseBody(activeSchema, answer).active ? 'ACTIVE' : 'INACTIVE' }];
}

async function rememberedBy(calls: NodeCalls, arbiter: NodeId): Promise<ArbitrationInfo['streams']> {
  const all: ArbitrationInfo['streams'][number][] = [];
  for (let after = 0; ; ) {
    const body = { after };
    const answer = await attempt(() =>
      calls.request(arbiter, 'arbiter.streams', body, { timeoutMs: rootCallMs }),
    );
    const { streams } = answer === null ? { streams: [] } : parseBody(streamsSchema, answer);
    for (const { key, image } of streams) {
      const config = image.config === null ? null : reviveRecord(image.config);
      all.push({
        ...key,
        proposalId: image.promised,
        configVersion: config?.version ?? { proposalId: 0, sequence: 0 },
        accessMode: config?.accessMode ?? null,
        members: config?.members ?? [],
        degraded: config?.degraded ?? [],
        arbiter: config?.arbiter ?? null,
      });
    }
    const last = streams.at(-1);
    if (last === undefined) return all;
    after = last.key.tenantId;
  }
}

async function attempt(ask: () => Promise<unknown>): Promise<unknown> {
  try {
    return await ask();
  } catch (error) {
    if (isObError(error)) return null;
    throw error;
  }
}
