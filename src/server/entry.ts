/**
 * The server's door for the command line: what the CLI may call, and the shapes it prints. Nothing else of the
 * layers below reaches the CLI.
 */
import type { RunningServer, StartOptions } from './compose.ts';
import type { DumpRecord } from './dump.ts';
export type {
  LossCertificate,
  StepReport,
  SwitchoverOutcome,
  TenantInfo,
} from '../cluster/operations.ts';
export { readConfig, sampleConfig } from './config.ts';
export type { DumpRecord } from './dump.ts';

// Loaded when they are needed: `obstandby status` must not wait for SQLite and the S3 client.

/** Starts a server in this process. Throws OBS_SERVER_*, OBS_LOG_*, OBS_TENANT_*. */
export async function startServer(options: StartOptions): Promise<RunningServer> {
  return (await import('./compose.ts')).startServer(options);
}

/** The records of a file that obstandby wrote. Throws OBS_DUMP_UNREADABLE, OBS_DUMP_UNKNOWN_FORMAT. */
export async function* dumpFile(
  path: string,
  options: { readonly bodies: boolean },
): AsyncGenerator<DumpRecord> {
  yield* (await import('./dump.ts')).dumpFile(path, options);
}
