/**
 * Known mistakes put back into a copy of the sources, and whether the simulation finds them: the proof that it would
 * find the next one.
 */
import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assert } from '../../src/base/assert.ts';

/** file below src (or test/…), the text that is there once, the text in its place */
export type TextChange = readonly [string, string, string];

export interface Mutant {
  readonly mistake: string;
  /** what is right, and the mistake in its place */
  readonly changes: readonly TextChange[];
  /** where to begin, for mistakes that few seeds meet: a little before one that does */
  readonly fromSeed?: number;
  /** seeds within which it must be found */
  readonly seedsMax?: number;
  /** found so soon that every run of the tests proves it again */
  readonly isQuick?: boolean;
  /** what the first failure says: the ids of the invariants that notice, or a text */
  readonly caughtBy: RegExp;
}

export type SwarmName = 'group' | 'sites' | 'arbitration';

export interface MutantVerdict {
  readonly mutant: Mutant;
  /** the seed that failed; undefined: it survived */
  readonly seed: number | undefined;
  /** first line of what the failure said */
  readonly said: string;
  /** caught, and by what should notice it */
  readonly isCaught: boolean;
  readonly ms: number;
}

const repository = join(import.meta.dirname, '../..');
const seedsMaxDefault = 2_000;

/** Runs seeds against sources with the mistake in them until one fails. */
export async function tryMutant(mutant: Mutant, swarm: SwarmName): Promise<MutantVerdict> {
  const startedAt = performance.now();
  const place = mkdtempSync(join(tmpdir(), 'obstandby-mutant-'));
  try {
    copySources(place);
    for (const change of mutant.changes) {
      const isThere = apply(place, change);
      const [file, right] = change;
      const ms = performance.now() - startedAt;
      if (!isThere)
        return { mutant, seed: undefined, said: `${file} has not once: ${right}`, isCaught: false, ms };
    }
    const last = (mutant.fromSeed ?? 1) + (mutant.seedsMax ?? seedsMaxDefault) - 1;
    let verdict = { seed: undefined as number | undefined, said: 'nothing was noticed', isCaught: false };
    // What is noticed otherwise is not what must be: it goes on behind that.
    for (let from = mutant.fromSeed ?? 1; from <= last && !verdict.isCaught; ) {
      const output = await simulate(place, swarm, from, last);
      const failed = /seed (\d+) FAILED/.exec(output);
      if (failed === null) break;
      const report = output.slice(failed.index, output.indexOf('replay:', failed.index));
      const seed = Number(failed[1]);
      verdict = { seed, said: report.split('\n')[0] ?? '', isCaught: mutant.caughtBy.test(report) };
      from = seed + 1;
    }
    return { mutant, ...verdict, ms: performance.now() - startedAt };
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

function copySources(place: string): void {
  for (const folder of ['base', 'codec', 'platform', 'palf', 'logstream'])
    cpSync(join(repository, 'src', folder), join(place, 'src', folder), { recursive: true });
  for (const folder of ['sim', 'support'])
    cpSync(join(repository, 'test', folder), join(place, 'test', folder), { recursive: true });
  cpSync(join(repository, 'package.json'), join(place, 'package.json'));
  symlinkSync(join(repository, 'node_modules'), join(place, 'node_modules'));
}

/**
 * Runs the simulation with other sources that are right too. Resolves with its output, and whether nothing failed.
 */
export async function runVariant(
  changes: readonly TextChange[],
  options: readonly string[],
): Promise<{ readonly output: string; readonly isRight: boolean }> {
  const place = mkdtempSync(join(tmpdir(), 'obstandby-variant-'));
  try {
    copySources(place);
    for (const change of changes) assert(apply(place, change), `${change[0]} has once: ${change[1]}`);
    return await run(place, options);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
}

/** The changes whose text is not in the sources, or more than once: the sources moved on without them. */
export const staleChanges = (changes: readonly TextChange[]): TextChange[] =>
  changes.filter(([file, right]) => {
    const text = readFileSync(join(repository, file.startsWith('test/') ? file : `src/${file}`), 'utf8');
    return text.split(right).length !== 2;
  });

/** False: the text to change is not there, or more than once. */
function apply(place: string, [file, right, wrong]: TextChange): boolean {
  const path = join(place, file.startsWith('test/') ? file : `src/${file}`);
  const text = readFileSync(path, 'utf8');
  if (text.split(right).length !== 2) return false;
  writeFileSync(
    path,
    text.replace(right, () => wrong),
  );
  return true;
}

const simulate = async (place: string, swarm: SwarmName, from: number, to: number): Promise<string> =>
  (await run(place, ['--swarm', swarm, '--seeds', `${from}..${to}`, '--until-failure'])).output;

const run = (
  place: string,
  options: readonly string[],
): Promise<{ readonly output: string; readonly isRight: boolean }> =>
  new Promise(resolve => {
    execFile(
      process.execPath,
      ['test/sim/run.ts', ...options],
      { cwd: place, maxBuffer: 64 * 1_048_576 },
      (error, stdout, stderr) => resolve({ output: stderr + stdout, isRight: error === null }),
    );
  });
