/**
 * What every command shares: the server it talks to, `--json`, errors to exit codes. A command is a function that
 * gets a connected client and an output, and returns its exit code (0 unless it says otherwise).
 */
import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import { isObError, ObError } from '../base/errors.ts';
import type { ApiClient } from '../client/api-client.ts';
import { runLocal } from './local.ts';
import type { Output } from './output.ts';
import { connectTarget, type TargetOptions } from './target.ts';

const serverPollMs = 50;

export interface CommonOptions extends TargetOptions {
  readonly json?: boolean;
  /** first wait for the server, at most this long */
  readonly wait?: string;
}

export interface CommandContext {
  readonly api: ApiClient;
  readonly output: Output;
}

/** Adds the options that name a server, and `--json`. */
export function withTarget(command: Command): Command {
  return command
    .option('-c, --config <file>', 'configuration of the local server (default: $OBSTANDBY_CONFIG)')
    .option('--data <dir>', 'data directory of the local server')
    .option('--server <url>', 'a server by address; its token in $OBSTANDBY_TOKEN')
    .option('--json', 'print one JSON line');
}

/** Runs a command body against a server; prints errors and sets the exit code. */
export async function runOnServer(
  options: CommonOptions,
  body: (context: CommandContext) => Promise<number | undefined>,
): Promise<void> {
  await runLocal(options, async output => {
    if (options.wait !== undefined) await waitForServer(options, durationMs(options.wait));
    return body({ api: connectTarget(options), output });
  });
}

/** Resolves when the server answers; rejects after `waitMs` with what was wrong last. */
async function waitForServer(options: TargetOptions, waitMs: number): Promise<void> {
  const deadline = performance.now() + waitMs;
  for (;;) {
    try {
      const { state } = await connectTarget(options).facts();
      if (state === 'STARTING') throw new ObError('OBS_SERVER_STARTING');
      return;
    } catch (error) {
      const isStarting =
        isObError(error, 'OBS_CLI_NOT_RUNNING') ||
        isObError(error, 'OBS_API_UNREACHABLE') ||
        isObError(error, 'OBS_SERVER_STARTING');
      if (!isStarting || performance.now() > deadline) throw error;
    }
    await new Promise(resolve => setTimeout(resolve, serverPollMs));
  }
}

/** A password from a file or the environment; never from an argument. Undefined when none was given. */
export function passwordFrom(options: { readonly passwordFile?: string | undefined }): string | undefined {
  if (options.passwordFile !== undefined) {
    try {
      return readFileSync(options.passwordFile, 'utf8').replace(/\r?\n$/, '');
    } catch (error) {
      throw new ObError('OBS_CLI_USAGE', { what: `cannot read ${options.passwordFile}` }, error);
    }
  }
  return process.env['OBSTANDBY_PASSWORD'];
}

/** `1500`, `1500ms`, `2s`, `5m`, `1h` in milliseconds. Throws OBS_CLI_USAGE. */
export function durationMs(text: string): number {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h)?$/.exec(text);
  if (match === null)
    throw new ObError('OBS_CLI_USAGE', { what: `'${text}' is no duration (like 500ms, 2s, 5m)` });
  const unitMs = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match[2] ?? 'ms'] ?? 1;
  return Number(match[1]) * unitMs;
}
