/**
 * A book of what clients were told. Writers insert numbered rows through the MySQL protocol and note
 * each answer, so that at the end it can be said of every row: acknowledged and there, acknowledged and missing, or
 * never known.
 *
 * A writer that loses its connection goes to the server that takes writes now, where a refusal tells it who leads; the row it was
 * waiting for counts as unknown, neither promised nor refused.
 */
import { type Connection, createConnection } from 'mysql2/promise';
import { isElsewhere, leaderPortOf } from './leader-hint.ts';

/** A server where writers may find the primary; the port may change when it restarts. */
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
/** Longest that somebody who asks for the leader's rows waits for one. */
const findLeaderMs = 30_000;

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

  /** Makes the table, through the server that leads now (or that of this port). */
  async prepare(port?: number): Promise<void> {
    await this.#query(
      'CREATE TABLE client_ledger (n INTEGER PRIMARY KEY, writer INTEGER NOT NULL, note TEXT NOT NULL)',
      port,
    );
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

  /** The rows that the leader has. */
  async rows(): Promise<Set<number>> {
    return new Set(await this.#query('SELECT n FROM client_ledger'));
  }

  /** The rows that the server of this port has; where it does not lead, what it has replayed. */
  async rowsAt(port: number): Promise<Set<number>> {
    return new Set(await this.#query('SELECT n FROM client_ledger', port));
  }

  /** Acknowledged rows that are not among these. */
  missingFrom(rows: ReadonlySet<number>): number[] {
    return [...this.acknowledged].filter(n => !rows.has(n));
  }

  /** Rows among these that nobody sent, or that were refused for certain. */
  inventedIn(rows: ReadonlySet<number>): number[] {
    return [...rows].filter(n => !this.acknowledged.has(n) && !this.unknown.has(n));
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
        // Nothing was asked: the number stays unused.
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
        // A refusal (a follower, a standby, a sealed primary) is certain; anything else leaves the row unknown.
        if (!isElsewhere(error)) this.unknown.add(n);
        connection.destroy();
        connection = undefined;
        const leader = this.#siteOfPort(leaderPortOf(error));
        if (leader !== -1 && leader !== site % this.#sites.length) site = leader;
        else {
          site += 1;
          await delay(retryMs);
        }
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

  /** The first column of what a statement gives at the leader (found by asking) or at the server of a port. */
  async #query(sql: string, port?: number): Promise<number[]> {
    const deadline = performance.now() + findLeaderMs;
    for (let site = 0; ; site += 1) {
      let connection: Connection | undefined;
      try {
        connection = await this.#connect(port ?? this.#sites[site % this.#sites.length]?.sqlPort ?? 0);
        if (port !== undefined) await connection.query("SET ob_read_consistency = 'WEAK'");
        const [rows] = await connection.query({ sql, rowsAsArray: true });
        return Array.isArray(rows) ? (rows as unknown as [number][]).map(([value]) => value) : [];
      } catch (error) {
        const isLost = connection === undefined;
        if (port !== undefined || !(isLost || isElsewhere(error)) || performance.now() > deadline)
          throw error;
      } finally {
        connection?.destroy();
      }
      await delay(retryMs);
    }
  }

  /** -1 for no port, and for one that is none of its servers'. */
  #siteOfPort(port: number | undefined): number {
    return port === undefined ? -1 : this.#sites.findIndex(site => site.sqlPort === port);
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

const delay = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));
