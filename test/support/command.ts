/** Runs the command line as an operator's script would: exit code and the JSON it printed. */
import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { LocalSite } from '../../src/client/local-site.ts';

const programMs = 120_000;
const program = fileURLToPath(new URL('../../bin/obstandby.js', import.meta.url));

export interface CommandAnswer {
  readonly exitCode: number;
  readonly body: {
    readonly ok: boolean;
    readonly error?: { readonly code: string };
    readonly [key: string]: unknown;
  };
}

/** `site`: whose server the command talks to. */
export const obstandby = (site: LocalSite, ...parameters: string[]): Promise<CommandAnswer> =>
  new Promise((resolve, reject) => {
    const all = [program, ...parameters, '--config', site.configFile, '--json'];
    execFile(process.execPath, all, (error, output) => {
      const exitCode = error === null ? 0 : Number(error.code);
      try {
        resolve({ exitCode, body: JSON.parse(output) as CommandAnswer['body'] });
      } catch (unreadable) {
        reject(new Error(`exit code ${exitCode}, printed ${output}`, { cause: unreadable }));
      }
    });
  });

/** Runs any command, with what it printed as it is; one that does not end is cut off. */
export const runProgram = (
  words: readonly string[],
  environment: NodeJS.ProcessEnv,
): Promise<{ readonly code: number; readonly output: string }> =>
  new Promise(resolve => {
    execFile(
      process.execPath,
      [program, ...words],
      { env: environment, timeout: programMs },
      (error, output) => resolve({ code: error === null ? 0 : Number(error.code), output }),
    );
  });
