/**
 * The server's door for the command line: what the CLI may call, and the shapes it prints. Nothing else of the
 * layers below reaches the CLI.
 */
export type {
  LossCertificate,
  StepReport,
  SwitchoverOutcome,
  TenantInfo,
} from '../cluster/operations.ts';
export { type RunningServer, startServer } from './compose.ts';
export { readConfig, sampleConfig } from './config.ts';
export type { ServerConfig } from './config-schema.ts';
export { dumpFile } from './dump.ts';
