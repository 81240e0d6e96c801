/**
 * A book of what clients were told. Writers insert numbered rows through the MySQL protocol and note
 * each answer, so that at the end it can be said of every row: acknowledged and there, acknowledged and missing, or
 * never known.
 *
 * A writer that loses its connection goes to the site that takes writes now; the row it was waiting for counts as
 * unknown, neither promised nor refused.
 */
import { type Connection, createConnection } from 'mysql2/promise';

/** Where writers may find the primary; the port may change when a site restarts. */
export interface LedgerSite {
  readonly name: string;
  readonly sqlPort: number;
}

/** The longest time without an acknowledged commit inside a window. */
export interface WriteGap {
  readonly fromMs: number;
  readonly toMs: number;
  readonly gapMs: number;
}

/** When a site took commits, on this process's clock: every one was sent at `lastSentMs` at the latest. */
export interface SiteService {
  readonly commits: number;
  readonly firstAcknowledgedMs: number;
  readonly lastSentMs: number;
}

const retryMs = 5;
const connectTimeoutMs = 1000;
/** Longest a client waits for an answer before it asks elsewhere. */
const answerTimeoutMs = 5000;

export class Ledger {
  readonly acknowledged = new Set<number>();
  readonly unknown = new Set<number>();
  readonly #sites: readonly LedgerSite[];
  readonly #credentials: { readonly user: string; readonly password: string };
  readonly #acknowledgedAtMs: number[] = [];
  readonly #services = new Map<string, SiteService>();
  #next = 1;
  #running = false;
  #writers: Promise<void>[] = [];
  #paused = false;
  #resume: (() => void) | undefined;
  #resumed: Promise<void> = Promise.resolve();
  #waiting = 0;

  constructor(sites: readonly LedgerSite[], credentials: { user: string; password: string }) {
    this.#sites = sites;
    this.#credentials = credentials;
  }

  /** Makes the table, through the site that is primary now. */
  async prepare(port: number): Promise<void> {
    const connection = await this.#connect(port);
    try {
      await connection.query(
        'CREATE TABLE client_ledger (n INTEGER PRIMARY KEY, writer INTEGER NOT NULL, note TEXT NOT NULL)',
      );
    } finally {
      connection.destroy();
    }
  }

  start(writers: number): void {
    this.#running = true;
    this.#writers = Array.from({ length: writers }, (_, writer) => this.#write(writer));
  }

  async stop(): Promise<void> {
    this.#running = false;
    this.resume();
    await Promise.all(this.#writers);
  }

  /** Holds the writers between two rows; resolves when none is waiting for an answer. */
  async pause(): Promise<void> {
    this.#paused = true;
    this.#resumed = new Promise(resolve => {
      this.#resume = resolve;
    });
    while (this.#waiting < this.#writers.length) await delay(retryMs);
  }

  resume(): void {
    this.#paused = false;
    this.#resume?.();
  }

  /** The longest gap between acknowledgements that ended after `sinceMs` (on this process's clock). */
  gapSince(sinceMs: number): WriteGap | undefined {
    let longest: WriteGap | undefined;
    for (let index = 1; index < this.#acknowledgedAtMs.length; index += 1) {
      const fromMs = this.#acknowledgedAtMs[index - 1] ?? 0;
      const toMs = this.#acknowledgedAtMs[index] ?? 0;
      if (toMs < sinceMs) continue;
      if (longest === undefined || toMs - fromMs > longest.gapMs)
        longest = { fromMs, toMs, gapMs: toMs - fromMs };
    }
    return longest;
  }

  /** What a site acknowledged; undefined when it was nothing. */
  serviceOf(site: string): SiteService | undefined {
    return this.#services.get(site);
  }

  /** Resolves when a commit was acknowledged after the call. Rejects after `timeoutMs`. */
  async nextAcknowledgement(timeoutMs: number): Promise<void> {
    const before = this.#acknowledgedAtMs.length;
    const deadline = performance.now() + timeoutMs;
    while (this.#acknowledgedAtMs.length === before) {
      if (performance.now() > deadline) throw new Error(`no commit was acknowledged within ${timeoutMs} ms`);
      await delay(retryMs);
    }
  }

  /** The rows a site has. */
  async rowsAt(port: number): Promise<Set<number>> {
    const connection = await this.#connect(port);
    try {
      const [rows] = await connection.query({ sql: 'SELECT n FROM client_ledger', rowsAsArray: true });
      return new Set((rows as unknown as [number][]).map(([n]) => n));
    } finally {
      connection.destroy();
    }
  }

  async #write(writer: number): Promise<void> {
    let connection: Connection | undefined;
    let site = 0;
    while (this.#running) {
      if (this.#paused) {
        this.#waiting += 1;
        await this.#resumed;
        this.#waiting -= 1;
        continue;
      }
      const n = this.#next;
      this.#next += 1;
      const to = this.#sites[site % this.#sites.length];
      try {
        connection ??= await this.#connect(to?.sqlPort ?? 0);
      } catch {
        site += 1;
        await delay(retryMs);
        continue;
      }
      const sentMs = performance.now();
      try {
        await connection.execute({
          sql: 'INSERT INTO client_ledger (n, writer, note) VALUES (?, ?, ?)',
          values: [n, writer, `row ${n} of writer ${writer}`],
          timeout: answerTimeoutMs,
        });
        this.acknowledged.add(n);
        this.#book(to?.name ?? '', sentMs, performance.now());
      } catch (error) {
        // A refusal (a standby, a sealed primary) is certain; anything else leaves the row unknown.
        if (!isRefusal(error)) this.unknown.add(n);
        connection.destroy();
        connection = undefined;
        site += 1;
        await delay(retryMs);
      }
    }
    connection?.destroy();
  }

  #book(site: string, sentMs: number, acknowledgedMs: number): void {
    this.#acknowledgedAtMs.push(acknowledgedMs);
    const before = this.#services.get(site);
    this.#services.set(site, {
      commits: (before?.commits ?? 0) + 1,
      firstAcknowledgedMs: before?.firstAcknowledgedMs ?? acknowledgedMs,
      lastSentMs: Math.max(before?.lastSentMs ?? 0, sentMs),
    });
  }

  #connect(port: number): Promise<Connection> {
    return createConnection({
      host: '127.0.0.1',
      port,
      user: this.#credentials.user,
      password: this.#credentials.password,
      connectTimeout: connectTimeoutMs,
      supportBigNumbers: true,
    });
  }
}

/** OceanBase's "read only" number: the server certainly did nothing. */
const isRefusal = (error: unknown): boolean => (error as { errno?: number }).errno === 4688;

const delay = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));
