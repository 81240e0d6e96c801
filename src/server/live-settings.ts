/**
 * What the configuration means to the parts of a server, and which of it a running server takes over when the file changes.
 * Must agree with the keys that the schema marks reloadable.
 */
import type { UnitSettings } from '../cluster/unit-host.ts';
import type { FrontEndLimits } from '../sql/front-end-limits.ts';
import type { ServerConfig } from './config-schema.ts';

/** All reloadable: a new value counts from the next statement on, a statement's size from the next login. */
export const reloadableLimits = ({ sql }: ServerConfig): Partial<FrontEndLimits> => ({
  tenantConnectionsMax: sql.connectionsPerTenantMax,
  statementBytesMax: sql.statementBytesMax,
  resultRowsMax: sql.resultRowsMax,
  idleInTransactionMs: sql.idleInTransactionMs,
});

export const frontEndLimitsOf = (config: ServerConfig): Partial<FrontEndLimits> => ({
  ...reloadableLimits(config),
  lockWaitMs: config.sql.lockWaitMs,
});

/** The settings of tenants that a running server takes over. */
export const reloadableSettings = ({ log, role }: ServerConfig) => ({
  logDiskBytesMax: log.diskBytesMax,
  drainMs: role.drainMs,
  catchUpMs: role.catchUpMs,
  probeMs: role.probeMs,
});

export const unitSettings = (config: ServerConfig): UnitSettings => ({
  ...reloadableSettings(config),
  blockBytes: config.log.blockBytes,
  pageBytes: config.tenant.pageBytes,
  engine: {
    keepAliveMs: config.log.keepAliveMs,
    checkpointWalBytes: config.tenant.checkpointWalBytes,
    checkpointIntervalMs: config.tenant.checkpointIntervalMs,
    lockWaitMs: config.sql.lockWaitMs,
    idleInTransactionMs: config.sql.idleInTransactionMs,
  },
  archiveLagTargetMs: config.archive.lagTargetMs,
  restartFencing: config.role.restartFencing,
});
