/**
 * The server's door for the command line: what the CLI may call, and the shapes it prints. Nothing else of the
 * layers below reaches the CLI.
 */
import { drawClusterSecret } from '../cluster/root/cluster-secret.ts';
import { nodeRandom } from '../platform/random.ts';
import type { RunningServer, StartOptions } from './compose.ts';
import type { DumpRecord } from './dump.ts';
export type {
  ArbiterOutcome,
  ArbitrationInfo,
  BootstrapReport,
  ClusterInfo,
  ReplicaInfo,
  ServerEventInfo,
  ServerInfo,
  TenantJob,
} from '../cluster/cluster-operations.ts';
export type {
  LossCertificate,
  StepReport,
  SwitchoverOutcome,
  TenantInfo,
} from '../cluster/operations.ts';
export { readConfig, sampleConfig } from './config.ts';
export type { DumpRecord } from './dump.ts';

/** A secret for `cluster.secretFile`. */
export const clusterSecret = (): string => drawClusterSecret(nodeRandom);

// Loaded when they are needed: `obstandby status` must not wait for SQLite and the S3 client.

/** Starts a server in this process; null when it was told to end before it served. Throws OBS_SERVER_*, OBS_LOG_*, OBS_TENANT_*. */
export async function startServer(options: StartOptions): Promise<RunningServer | null> {
  return (await import('./compose.ts')).startServer(options);
}

/** The records of a file that obstandby wrote. Throws OBS_DUMP_UNREADABLE, OBS_DUMP_UNKNOWN_FORMAT. */
export async function* dumpFile(
  path: string,
  options: { readonly bodies: boolean },
): AsyncGenerator<DumpRecord> {
  yield* (await import('./dump.ts')).dumpFile(path, options);
}
