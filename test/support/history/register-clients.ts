/**
 * Clients that read and write registers through the MySQL protocol and note when each operation was called, when it was answered, and
 * what it said, so that the history of each register can be judged by itself.
 *
 * Half of them go where leaders are said to be; the other half stay at one server each and ask it again and again, whatever it
 * says: a leader that was replaced and does not know it would be found by them.
 */
import { type Connection, createConnection } from 'mysql2/promise';
import { isElsewhere, leaderPortOf } from '../../../src/client/leader-hint.ts';
import type { LedgerSite } from '../../../src/client/ledger.ts';
import { isLinearizable, type LinearizableVerdict, type RegisterOperation } from './linearizable.ts';

const retryMs = 5;
const connectTimeoutMs = 1000;
const answerTimeoutMs = 5000;
/** Registers in use at a time. */
const width = 4;
/** Operations after which the registers move on: a short history can be judged. */
const operationsPerMove = 60;

export class RegisterClients {
  readonly #servers: readonly LedgerSite[];
  readonly #credentials: { readonly user: string; readonly password: string };
  readonly #histories = new Map<number, RegisterOperation[]>();
  #called = 0;
  #noted = 0;
  #nextValue = 1;
  #running = false;
  #clients: Promise<void>[] = [];

  constructor(servers: readonly LedgerSite[], credentials: { user: string; password: string }) {
    this.#servers = servers;
    this.#credentials = credentials;
  }

  /** Makes the table at the server that leads. */
  async prepare(port: number): Promise<void> {
    const connection = await this.#connect(port);
    try {
      await connection.query('CREATE TABLE register (k INTEGER PRIMARY KEY, v INTEGER NOT NULL)');
    } finally {
      connection.destroy();
    }
  }

  start(clients: number): void {
    this.#running = true;
    this.#clients = Array.from({ length: clients }, (_, client) => this.#run(client));
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#clients);
  }

  get operations(): number {
    return [...this.#histories.values()].reduce((sum, history) => sum + history.length, 0);
  }

  /** The registers whose history is not linearizable, or could not be judged. */
  suspects(): { readonly register: number; readonly verdict: LinearizableVerdict }[] {
    return [...this.#histories]
      .map(([register, history]) => ({ register, verdict: isLinearizable(history) }))
      .filter(({ verdict }) => verdict !== 'yes');
  }

  async #run(client: number): Promise<void> {
    const stays = client % 2 === 1;
    let server = client >> 1;
    let connection: Connection | undefined;
    while (this.#running) {
      const to = this.#servers[server % this.#servers.length];
      try {
        connection ??= await this.#connect(to?.sqlPort ?? 0);
      } catch {
        if (!stays) server += 1;
        await delay(retryMs);
        continue;
      }
      try {
        await this.#operate(connection, client);
      } catch (error) {
        if (!(isElsewhere(error) && stays)) {
          connection.destroy();
          connection = undefined;
        }
        const port = leaderPortOf(error);
        const leader = this.#servers.findIndex(({ sqlPort }) => sqlPort === port);
        if (!stays) server = leader === -1 ? server + 1 : leader;
        await delay(retryMs);
      }
    }
    connection?.destroy();
  }

  /** One operation, noted with what is known of it. Throws what the server or the connection said. */
  async #operate(connection: Connection, client: number): Promise<void> {
    this.#called += 1;
    const register = Math.floor(this.#noted / operationsPerMove) * width + ((this.#called + client) % width);
    const isWrite = this.#called % 3 === 0;
    const calledAt = performance.now();
    if (!isWrite) {
      const [rows] = await connection.execute({
        sql: 'SELECT v FROM register WHERE k = ?',
        values: [register],
        timeout: answerTimeoutMs,
        rowsAsArray: true,
      });
      const [row] = rows as unknown as [number][];
      const value = row?.[0] ?? null;
      this.#note(register, { kind: 'read', value, calledAt, returnedAt: performance.now() });
      return;
    }
    const value = this.#nextValue;
    this.#nextValue += 1;
    try {
      await connection.execute({
        sql: 'REPLACE INTO register (k, v) VALUES (?, ?)',
        values: [register, value],
        timeout: answerTimeoutMs,
      });
    } catch (error) {
      if (!isElsewhere(error))
        this.#note(register, { kind: 'write', value, calledAt, returnedAt: Number.POSITIVE_INFINITY });
      throw error;
    }
    this.#note(register, { kind: 'write', value, calledAt, returnedAt: performance.now() });
  }

  #note(register: number, operation: RegisterOperation): void {
    this.#noted += 1;
    const history = this.#histories.get(register);
    if (history === undefined) this.#histories.set(register, [operation]);
    else history.push(operation);
  }

  async #connect(port: number): Promise<Connection> {
    const connection = await createConnection({
      host: '127.0.0.1',
      port,
      ...this.#credentials,
      connectTimeout: connectTimeoutMs,
    });
    connection.on('error', () => {});
    return connection;
  }
}

const delay = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms));
