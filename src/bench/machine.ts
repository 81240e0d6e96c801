/** What the figures were measured on; the fsync rate says most about durable commits. */
import { closeSync, fdatasyncSync, openSync, rmSync, writeSync } from 'node:fs';
import { availableParallelism, cpus, totalmem } from 'node:os';
import { join } from 'node:path';

export interface Machine {
  readonly cores: number;
  readonly cpu: string;
  readonly memoryGiB: number;
  readonly node: string;
  /** 4 KiB appends to a zero-filled file, each followed by fdatasync */
  readonly fsyncPerSecond: number;
}

const blockBytes = 4096;
const samples = 500;

export async function measureMachine(directory: string): Promise<Machine> {
  const path = join(directory, 'fsync-probe');
  const file = openSync(path, 'w', 0o600);
  try {
    writeSync(file, Buffer.alloc(blockBytes * samples));
    fdatasyncSync(file);
    const block = Buffer.alloc(blockBytes, 1);
    const started = performance.now();
    for (let index = 0; index < samples; index += 1) {
      writeSync(file, block, 0, blockBytes, index * blockBytes);
      fdatasyncSync(file);
    }
    const seconds = (performance.now() - started) / 1000;
    return {
      cores: availableParallelism(),
      cpu: cpus()[0]?.model ?? 'unknown',
      memoryGiB: Math.round(totalmem() / 2 ** 30),
      node: process.version,
      fsyncPerSecond: Math.round(samples / seconds),
    };
  } finally {
    closeSync(file);
    rmSync(path);
  }
}
