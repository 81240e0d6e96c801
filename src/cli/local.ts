/** A command that needs no server: `--json`, errors to exit codes. */
import { exitCodeOf } from './exit-codes.ts';
import { createOutput, type Output } from './output.ts';

/** Runs a command body; prints errors and sets the exit code. */
export async function runLocal(
  options: { readonly json?: boolean },
  body: (output: Output) => Promise<number | undefined>,
): Promise<void> {
  const output = createOutput(options.json === true);
  try {
    process.exitCode = (await body(output)) ?? 0;
  } catch (error) {
    output.error(error);
    process.exitCode = exitCodeOf(error);
  }
}
