/**
 * Which server a command talks to: a local one found through its configuration or data directory, or any one by URL.
 * The token comes from the data directory or the environment, never from an argument (arguments are world-readable).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { ObError } from '../base/errors.ts';
import { ApiClient } from '../client/api-client.ts';
import { readConfig } from '../server/config.ts';

export interface TargetOptions {
  readonly config?: string | undefined;
  readonly data?: string | undefined;
  readonly server?: string | undefined;
}

const runningServer = z.object({ httpAddress: z.string() });

/** Throws OBS_CLI_NO_SERVER, OBS_CLI_NOT_RUNNING, OBS_CONFIG_*. */
export function connectTarget(options: TargetOptions): ApiClient {
  if (options.server !== undefined) {
    const token = process.env['OBSTANDBY_TOKEN'];
    if (token === undefined) throw new ObError('OBS_CLI_NO_SERVER');
    const url = options.server.includes('://') ? options.server : `http://${options.server}`;
    return new ApiClient({ url: url.replace(/\/$/, ''), token });
  }
  const dataDirectory = options.data ?? dataDirectoryOf(options.config ?? process.env['OBSTANDBY_CONFIG']);
  try {
    const { httpAddress } = runningServer.parse(
      JSON.parse(readFileSync(join(dataDirectory, 'server.json'), 'utf8')),
    );
    const token = readFileSync(join(dataDirectory, 'http.token'), 'utf8').trim();
    return new ApiClient({ url: `http://${httpAddress}`, token });
  } catch (error) {
    throw new ObError('OBS_CLI_NOT_RUNNING', { path: dataDirectory }, error);
  }
}

function dataDirectoryOf(configPath: string | undefined): string {
  if (configPath === undefined) throw new ObError('OBS_CLI_NO_SERVER');
  return readConfig(configPath).dataDirectory;
}
