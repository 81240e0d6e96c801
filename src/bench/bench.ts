/**
 * The benchmark frame: every figure is a median of interleaved rounds, every ratio is against a peer measured in the
 * same run on the same machine. One line of JSON at the end: `{bench, figures, goals, ok, machine}`.
 */
import { type Machine, measureMachine } from './machine.ts';

interface Goal {
  readonly atLeast?: number;
  readonly atMost?: number;
}

export interface BenchContext {
  /** progress for people; goes to standard error */
  note(text: string): void;
  /** how many rounds each figure gets; at least 5 */
  readonly rounds: number;
  /** a directory on the disk to be measured, removed afterwards */
  readonly directory: string;
  /** one server where the figure is of three by default */
  readonly small: boolean;
  /** how long a bench that runs by the clock does; null: its own default */
  readonly minutes: number | null;
}

export interface Bench {
  readonly name: string;
  readonly description: string;
  readonly goals: Readonly<Record<string, Goal>>;
  /** of the small one, where that is another measurement */
  readonly smallGoals?: Readonly<Record<string, Goal>>;
  readonly run: (context: BenchContext) => Promise<Record<string, number>>;
}

export interface BenchReport {
  readonly bench: string;
  readonly figures: Readonly<Record<string, number>>;
  readonly goals: Readonly<Record<string, Goal>>;
  readonly ok: boolean;
  readonly machine: Machine;
}

export async function runBench(bench: Bench, context: BenchContext): Promise<BenchReport> {
  const machine = await measureMachine(context.directory);
  const measured = await bench.run(context);
  const figures = Object.fromEntries(Object.entries(measured).map(([name, value]) => [name, rounded(value)]));
  const goals = context.small ? (bench.smallGoals ?? bench.goals) : bench.goals;
  const ok = Object.entries(goals).every(([name, goal]) => meets(figures[name], goal));
  return { bench: bench.name, figures, goals, ok, machine };
}

function meets(value: number | undefined, goal: Goal): boolean {
  if (value === undefined) return false;
  return (
    value >= (goal.atLeast ?? Number.NEGATIVE_INFINITY) && value <= (goal.atMost ?? Number.POSITIVE_INFINITY)
  );
}

const rounded = (value: number): number =>
  Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(4));

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** `share` from 0 to 1; NaN of nothing. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? Number.NaN;
}
