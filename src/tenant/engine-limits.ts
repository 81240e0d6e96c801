/** What a tenant's engine is configured with. Every value has a default; a server's configuration may change them. */

export interface EngineLimits {
  /** how long a write waits for the tenant's writer (MySQL's error 1205 after that) */
  readonly lockWaitMs: number;
  /** a transaction idle for longer is rolled back */
  readonly idleInTransactionMs: number;
  /** an idle leader appends a keep-alive this often, so that its SCN follows the clock */
  readonly keepAliveMs: number;
  /** WAL size from which a checkpoint is due */
  readonly checkpointWalBytes: number;
  /**
   * checkpoints by size are at least this far apart, while the WAL is below its limit: each stops the writer until
   * nothing is in flight, and its flush of the file competes with the log's
   */
  readonly checkpointSpacingMs: number;
  /** a checkpoint is due this long after the last one, if anything was written */
  readonly checkpointIntervalMs: number;
  /** above this size a checkpoint is due at once, and waits for readers */
  readonly walBytesMax: number;
  /** how long such a checkpoint blocks its worker thread for readers to end */
  readonly readersWaitMs: number;
  /** without a statement for this long, page caches and readers are given back */
  readonly restAfterMs: number;
}

export const engineLimitsDefault: EngineLimits = {
  lockWaitMs: 10_000,
  idleInTransactionMs: 30_000,
  keepAliveMs: 500,
  checkpointWalBytes: 4_194_304,
  checkpointSpacingMs: 10_000,
  checkpointIntervalMs: 60_000,
  walBytesMax: 134_217_728,
  readersWaitMs: 20,
  restAfterMs: 10_000,
};
