/** Log streams in a directory of their own, on the real disk with faults to order and a clock that is moved by hand. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ObError } from '../../src/base/errors.ts';
import type { NewEntry } from '../../src/base/log-access.ts';
import { logStreamId, monoMs, wallMicros } from '../../src/base/scalars.ts';
import { LogStream } from '../../src/logstream/log-stream.ts';
import type { LogStreamOptions } from '../../src/logstream/log-stream-options.ts';
import type { Clock } from '../../src/platform/clock.ts';
import { type Disk, nodeDisk } from '../../src/platform/disk.ts';

export class LogPlace {
  readonly root = mkdtempSync(join(tmpdir(), 'obstandby-log-'));
  readonly fatal: ObError[] = [];
  /** durable writes of block files, in order: their sizes */
  readonly blockWrites: number[] = [];
  isFull = false;
  isFailing = false;
  /** the next read of a block file's log waits for this */
  readGate: Promise<void> | undefined;
  #now = 0;
  #timers: (() => void)[] = [];
  readonly #open = new Set<LogStream>();

  readonly clock: Clock = {
    now: () => monoMs(this.#now),
    wall: () => wallMicros(1_000_000_000_000 + this.#now * 1_000),
    after: (_, callback) => {
      this.#timers.push(callback);
      return { cancel: () => (this.#timers = this.#timers.filter(timer => timer !== callback)) };
    },
  };

  readonly disk: Disk = {
    ...nodeDisk,
    open: async (path, options) => {
      if (this.isFull && options.create) throw failure('ENOSPC');
      const file = await nodeDisk.open(path, options);
      return {
        path,
        read: async (position, length) => {
          const bytes = await file.read(position, length);
          const gate = position > 0 && path.endsWith('.clog') ? this.readGate : undefined;
          if (gate !== undefined) {
            this.readGate = undefined;
            await gate;
          }
          return bytes;
        },
        writeDurable: async (position, parts) => {
          if (this.isFailing) throw failure('EIO');
          if (path.endsWith('.clog') && position > 0)
            this.blockWrites.push(parts.reduce((sum, part) => sum + part.length, 0));
          await file.writeDurable(position, parts);
        },
        write: async (position, bytes) => {
          if (this.isFull) throw failure('ENOSPC');
          await file.write(position, bytes);
        },
        sync: () => file.sync(),
        truncate: length => file.truncate(length),
        size: () => file.size(),
        close: () => file.close(),
      };
    },
  };

  /** Time passes: whoever waits for it is called. */
  tick(ms: number): void {
    this.#now += ms;
    const due = this.#timers;
    this.#timers = [];
    for (const timer of due) timer();
  }

  get hasTimers(): boolean {
    return this.#timers.length > 0;
  }

  directory(name = 'log'): string {
    return join(this.root, name);
  }

  async open(changes: Partial<LogStreamOptions> = {}): Promise<LogStream> {
    const stream = await LogStream.open({
      disk: this.disk,
      clock: this.clock,
      directory: this.directory(),
      stream: logStreamId(1001),
      incarnation: 'test',
      limits: { blockBytes: 65_536, diskBytesMax: 1_048_576 },
      onFatal: error => this.fatal.push(error),
      ...changes,
    });
    this.#open.add(stream);
    return stream;
  }

  async close(): Promise<void> {
    for (const stream of this.#open) await stream.close();
    rmSync(this.root, { recursive: true, force: true });
  }
}

const failure = (code: string): Error => Object.assign(new Error(`${code}: ordered by the test`), { code });

export const redo = (text: string | Uint8Array): NewEntry => ({
  kind: 'redo',
  body: [typeof text === 'string' ? Buffer.from(text) : text],
});

/** Orders entries and waits until they are committed. */
export async function commit(log: LogStream, ...entries: readonly NewEntry[]) {
  const ordered = entries.map(entry => log.append(entry));
  for (const { endLsn } of ordered) await log.committed(endLsn);
  return ordered;
}
