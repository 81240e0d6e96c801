/**
 * Threads of this process. Each runs a module beside its caller's: the source in a checkout, the compiled file in the package.
 *
 * Node uses WebAssembly in every thread (it strips types and reads CommonJS with it). When threads make native wrappers of
 * WebAssembly imports at the same moment, V8 may free one twice, and ends the process: "Check failed: jit_page.has_value()".
 * They are made after so many calls; here that many are never made. The generic wrappers stay in use, and nothing of ours
 * depends on their speed.
 */
import { setFlagsFromString } from 'node:v8';
import { Worker, type WorkerOptions } from 'node:worker_threads';

let isBudgetSet = false;

/** `module`: './worker', without its extension; `beside`: the caller's `import.meta.url`. */
export function startThread(module: string, beside: string, options: WorkerOptions = {}): Worker {
  if (!isBudgetSet) {
    setFlagsFromString('--wasm-wrapper-tiering-budget=2147483647');
    isBudgetSet = true;
  }
  return new Worker(new URL(`${module}${beside.endsWith('.ts') ? '.ts' : '.js'}`, beside), options);
}
