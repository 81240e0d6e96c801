/** A tenant as a server has it: a directory, a real log stream, workers, an engine. For tests and benchmarks. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ObError } from '../../src/base/errors.ts';
import type { LogPosition } from '../../src/base/log-access.ts';
import { logStreamId } from '../../src/base/scalars.ts';
import { LogStream } from '../../src/logstream/log-stream.ts';
import type { LogStreamOptions } from '../../src/logstream/log-stream-options.ts';
import { nodeClock } from '../../src/platform/clock.ts';
import { nodeDisk } from '../../src/platform/disk.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import type { Cell, EngineSession, TenantEngine } from '../../src/tenant/engine.ts';
import { openTenantEngine, type TenantEngineOptions } from '../../src/tenant/sqlite-engine.ts';
import { WorkerPool } from '../../src/tenant/worker-pool.ts';
import { HeldLog } from './held-log.ts';

export interface SiteOptions {
  readonly directory?: string;
  readonly mode?: 'leader' | 'follower';
  readonly engine?: Partial<TenantEngineOptions>;
  readonly log?: Partial<LogStreamOptions>;
}

export class TenantSite {
  readonly directory: string;
  readonly pool: WorkerPool;
  readonly stream: LogStream;
  readonly log: HeldLog;
  readonly checkpoints: LogPosition[] = [];
  readonly fatal: Error[];
  engine!: TenantEngine;
  readonly #options: SiteOptions;

  private constructor(
    directory: string,
    parts: { readonly pool: WorkerPool; readonly stream: LogStream; readonly fatal: Error[] },
    options: SiteOptions,
  ) {
    this.directory = directory;
    this.pool = parts.pool;
    this.stream = parts.stream;
    this.fatal = parts.fatal;
    this.log = new HeldLog(parts.stream);
    this.#options = options;
  }

  static async open(options: SiteOptions = {}): Promise<TenantSite> {
    const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'obs-tenant-'));
    const fatal: Error[] = [];
    const onFatal = (error: Error) => {
      fatal.push(error);
    };
    const stream = await LogStream.open({
      disk: nodeDisk,
      clock: nodeClock,
      directory: join(directory, 'log'),
      stream: logStreamId(1001),
      incarnation,
      limits: { blockBytes: 16_777_216, diskBytesMax: 1_073_741_824 },
      initialAccessMode: options.mode === 'follower' ? 'RAW_WRITE' : 'APPEND',
      onFatal,
      ...options.log,
    });
    const pool = new WorkerPool({ workers: 1, onFatal });
    const site = new TenantSite(directory, { pool, stream, fatal }, options);
    await site.openEngine();
    return site;
  }

  async openEngine(mode = this.#options.mode ?? 'leader'): Promise<TenantEngine> {
    this.engine = await openTenantEngine({
      pool: this.pool,
      directory: this.directory,
      tenant: 'acme',
      incarnation,
      log: this.log,
      mode,
      pageBytes: 4096,
      clock: nodeClock,
      logger: silentLogger,
      onFatal: error => this.fatal.push(error),
      onCheckpoint: position => this.checkpoints.push(position),
      ...this.#options.engine,
    });
    return this.engine;
  }

  /** Applies everything the other site's log has committed and this one has not. */
  async follow(leader: TenantSite): Promise<void> {
    for (;;) {
      const chunk = await leader.stream.read(this.stream.state().end.lsn, 1_000_000);
      if (chunk.bytes.length === 0) return;
      await this.stream.rawWrite(chunk);
      await this.engine.apply(chunk);
    }
  }

  /** Stops everything; the directory stays if it was given. */
  async close(): Promise<void> {
    await this.engine.close();
    await this.pool.close();
    await this.stream.close();
    if (this.#options.directory === undefined) rmSync(this.directory, { recursive: true, force: true });
  }
}

export const incarnation = '0123456789abcdef0123456789abcdef';

export const run = (session: EngineSession, sql: string, ...parameters: Cell[]) =>
  session.execute({ sql, parameters, rowsMax: 100_000 });

export const rows = async (session: EngineSession, sql: string, ...parameters: Cell[]) => {
  const result = await run(session, sql, ...parameters);
  if (result.kind !== 'rows') throw new Error(`no rows: ${sql}`);
  return result.rows;
};

/** `done`, or the code of the error the promise rejects with. */
export const outcomeOf = async (promise: Promise<unknown>): Promise<string> => {
  try {
    await promise;
    return 'done';
  } catch (error) {
    if (error instanceof ObError) return error.code;
    throw error;
  }
};

/** Runs one statement in a session of its own. */
export const runOnce = async (site: TenantSite, sql: string, ...parameters: Cell[]) => {
  const session = site.engine.openSession();
  try {
    return await run(session, sql, ...parameters);
  } finally {
    await session.close();
  }
};
