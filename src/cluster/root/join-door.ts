/**
 * How a server becomes part of a cluster, as the others reach it: answers what it is, prepares, and becomes a member; and on an operator's word makes
 * the cluster itself. What was prepared is in `join.json` of the data directory.
 */
import { z } from 'zod';
import { ObError } from '../../base/errors.ts';
import { rootOrderMs } from '../../base/limits.ts';
import { parseJson } from '../../codec/json-bytes.ts';
import type { Disk } from '../../platform/disk.ts';
import type { Random } from '../../platform/random.ts';
import type { BootstrapReport } from '../cluster-operations.ts';
import type { Progress } from '../operations.ts';
import { bootstrapCluster } from './bootstrap.ts';
import { clusterServerSchema } from './cluster-file.ts';
import { joinBox } from './cluster-secret.ts';
import { joinPlanSchema, type JoinState, joinStateSchema, type ServerDescription } from './join-plan.ts';
import { nodeShape, parseBody } from './node-body.ts';
import type { NodeCalls } from './node-calls.ts';
import { netAddress } from './root-context.ts';
import { WaitingServer, type WaitingServerPorts } from './waiting-server.ts';

const formatVersion = 1;
const stored = joinStateSchema.extend({
  format: z.literal('obstandby-join'),
  version: z.literal(formatVersion),
});
const ofPlan = z.object({ planId: z.uuid() });
const admission = z.object({
  cluster: z.object({
    clusterId: z.uuid(),
    servers: z.array(clusterServerSchema).min(1),
    sysNodes: z.array(nodeShape).min(1),
  }),
  sealedKey: z.base64().max(512),
});

export interface JoinDoorOptions {
  readonly calls: NodeCalls;
  readonly facts: WaitingServerPorts['facts'];
  readonly directory: WaitingServerPorts['directory'] & { readonly secretKey: Uint8Array };
  readonly disk: Disk;
  /** of `join.json` */
  readonly path: string;
  readonly secret: string;
  readonly random: Random;
}

export class JoinDoor {
  readonly server: WaitingServer;
  readonly #options: JoinDoorOptions;
  readonly #stops: readonly (() => void)[];

  private constructor(options: JoinDoorOptions, server: WaitingServer) {
    this.#options = options;
    this.server = server;
    const { calls } = options;
    this.#stops = [
      calls.onRequest('join.describe', (): Promise<ServerDescription> => server.describe()),
      calls.onRequest('join.prepare', body => server.prepare(parseBody(joinPlanSchema, body))),
      calls.onRequest('join.commit', body => server.commit(parseBody(ofPlan, body).planId)),
      calls.onRequest('join.abandon', body => server.abandon(parseBody(ofPlan, body).planId)),
      calls.onRequest('join.admit', body => {
        const { cluster, sealedKey } = parseBody(admission, body);
        return server.admit(cluster, sealedKey);
      }),
    ];
  }

  static async open(options: JoinDoorOptions): Promise<JoinDoor> {
    const { facts, directory, secret, random } = options;
    const server = await WaitingServer.open({
      facts,
      directory,
      store: joinStore(options.disk, options.path),
      openKey: (sealedKey, clusterId) => {
        const hex = joinBox(secret, clusterId, random).open(Buffer.from(sealedKey, 'base64'), 'join');
        return new Uint8Array(Buffer.from(hex, 'hex'));
      },
    });
    return new JoinDoor(options, server);
  }

  /** Throws OBS_CLUSTER_*, OBS_NODE_SECRET. */
  bootstrap(addresses: readonly string[], progress: Progress): Promise<BootstrapReport> {
    const { calls, directory, secret, random } = this.#options;
    return bootstrapCluster({
      self: this.server,
      addresses,
      ask: (address, op, body) => calls.requestAt(netAddress(address), op, body, { timeoutMs: rootOrderMs }),
      newPlanId: () => random.uuid(),
      sealKey: planId => sealedJoinKey(secret, planId, directory.secretKey, random),
      progress,
    });
  }

  stop(): void {
    for (const stop of this.#stops) stop();
  }
}

/** A cluster's key as servers hand it to those that join. */
export function sealedJoinKey(secret: string, clusterId: string, key: Uint8Array, random: Random): string {
  const sealed = joinBox(secret, clusterId, random).seal(Buffer.from(key).toString('hex'), 'join');
  return Buffer.from(sealed).toString('base64');
}

function joinStore(disk: Disk, path: string): WaitingServerPorts['store'] {
  return {
    async load() {
      const bytes = await disk.readFile(path);
      if (bytes === undefined) return null;
      const parsed = stored.safeParse(parseJson(bytes));
      if (!parsed.success)
        throw new ObError('OBS_CLUSTER_FILE_DAMAGED', { path, why: 'it is not what a server writes there' });
      return { plan: parsed.data.plan, phase: parsed.data.phase };
    },
    async save(state: JoinState | null) {
      if (state === null) return disk.remove(path);
      const text = JSON.stringify({ format: 'obstandby-join', version: formatVersion, ...state });
      await disk.replaceFile(path, Buffer.from(`${text}\n`));
    },
  };
}
