/** The benchmarks by name. */
import { applyBench } from './apply.ts';
import { arbitrationBench } from './arbitration.ts';
import type { Bench } from './bench.ts';
import { captureBench } from './capture.ts';
import { commitBench } from './commit.ts';
import { lagBench } from './lag.ts';
import { memoryBench } from './memory.ts';
import { rtoBench } from './rto.ts';
import { streamsBench } from './streams.ts';
import { switchoverBench } from './switchover.ts';

export const benches: readonly Bench[] = [
  captureBench,
  commitBench,
  applyBench,
  lagBench,
  switchoverBench,
  memoryBench,
  rtoBench,
  streamsBench,
  arbitrationBench,
];
