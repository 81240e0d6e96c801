/** Limits of the MySQL front-end that the configuration may change, with their defaults. */
import { resultBytesMaxDefault, resultRowsMaxDefault, statementBytesMaxDefault } from '../base/limits.ts';

export interface FrontEndLimits {
  /** all connections of this server (error 1040) */
  readonly connectionsMax: number;
  /** connections of one tenant (error 1226) */
  readonly tenantConnectionsMax: number;
  /** one client packet (error 1153) */
  readonly statementBytesMax: number;
  readonly resultRowsMax: number;
  readonly resultBytesMax: number;
  /** an open write transaction that does nothing for longer is rolled back */
  readonly idleInTransactionMs: number;
  /** how long BEGIN waits for the tenant's writer (error 1205) */
  readonly lockWaitMs: number;
  /** a connection that sends nothing for longer is closed (wait_timeout) */
  readonly idleMs: number;
  /** what open transactions get at shutdown */
  readonly drainMs: number;
}

export const frontEndLimits: FrontEndLimits = {
  connectionsMax: 5_000,
  tenantConnectionsMax: 1_000,
  statementBytesMax: statementBytesMaxDefault,
  resultRowsMax: resultRowsMaxDefault,
  resultBytesMax: resultBytesMaxDefault,
  idleInTransactionMs: 60_000,
  lockWaitMs: 50_000,
  idleMs: 28_800_000,
  drainMs: 5_000,
};
