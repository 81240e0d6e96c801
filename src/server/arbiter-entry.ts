/** The arbiter's door for the command line; what runs is loaded when it is to run. */
import type { ArbiterConfig } from './arbiter-config.ts';
import type { RunningArbiter } from './arbiter.ts';
export { readArbiterConfig, sampleArbiterConfig } from './arbiter-config.ts';

/** Starts an arbiter in this process. Throws OBS_ARBITER_*, OBS_CLUSTER_SECRET_FILE, OBS_SERVER_CANNOT_LISTEN. */
export const startArbiter = async (config: ArbiterConfig): Promise<RunningArbiter> =>
  (await import('./arbiter.ts')).startArbiter(config);

export const forgetCluster = async (config: ArbiterConfig, name: string): Promise<boolean> =>
  (await import('./arbiter.ts')).forgetCluster(config, name);
