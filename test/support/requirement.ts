/**
 * Tests that need a real part (a client, a store) run where it is installed and skip with a loud line elsewhere; with
 * OBSTANDBY_REQUIRE_ALL=1, as in CI, an absent part is a failure and not a skip.
 */
import { execFileSync } from 'node:child_process';

/** True when every program is installed. Throws instead of answering false when everything is required. */
export function isPresent(what: string, programs: readonly string[]): boolean {
  const missing = programs.filter(program => !isInstalled(program));
  if (missing.length === 0) return true;
  if (process.env['OBSTANDBY_REQUIRE_ALL'] === '1')
    throw new Error(`${what} must run here but ${missing.join(', ')} is not installed`);
  console.warn(`SKIPPED: ${what} needs ${missing.join(', ')}`);
  return false;
}

function isInstalled(program: string): boolean {
  try {
    execFileSync('sh', ['-c', `command -v ${program}`], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
