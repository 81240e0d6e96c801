/**
 * A site on this machine: a data directory and a real server process on loopback. The demo, the benchmarks and the
 * process tests run their sites with it: started, killed and stopped by pid, never left behind.
 */
import { randomInt } from 'node:crypto';
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { must } from '../base/assert.ts';
import { ObError, reviveError } from '../base/errors.ts';
import { ApiClient } from './api-client.ts';

const program = fileURLToPath(new URL('../../bin/obstandby.js', import.meta.url));
const stopMs = 10_000;
/** Below the ports that outgoing connections get: none of them can take a site's port while the site is down. */
const firstPort = 20_000;
const lastPort = 32_000;
const portTries = 100;

interface Addresses {
  readonly sqlAddress: string;
  readonly peerAddress: string;
  readonly httpAddress: string;
}

/** The line a server prints when it is ready, or cannot be. */
interface StartAnswer extends Addresses {
  readonly ok: boolean;
  readonly error?: {
    readonly code: string;
    readonly message: string;
    readonly details?: Record<string, string>;
  };
}

export class LocalSite {
  readonly name: string;
  readonly directory: string;
  readonly configFile: string;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #settings: Readonly<Record<string, object | string>>;
  #process: ChildProcess | undefined;
  #addresses: Addresses | undefined;

  /** `settings`: configuration sections beside addresses and directory, as the schema spells them. */
  constructor(
    name: string,
    parent: string,
    environment: NodeJS.ProcessEnv,
    settings: Readonly<Record<string, object | string>> = {},
  ) {
    this.name = name;
    this.directory = join(parent, name);
    this.configFile = join(parent, `${name}.yaml`);
    this.#environment = { ...environment };
    this.#settings = settings;
    mkdirSync(parent, { recursive: true, mode: 0o700 });
    this.#writeConfig({ sql: 0, peer: 0, http: 0 });
  }

  get dataDirectory(): string {
    return join(this.directory, 'data');
  }

  get sqlPort(): number {
    return portOf(this.addresses.sqlAddress);
  }

  get addresses(): Addresses {
    if (this.#addresses === undefined) throw new ObError('OBS_CLI_NOT_RUNNING', { path: this.dataDirectory });
    return this.#addresses;
  }

  get isRunning(): boolean {
    const child = this.#process;
    return child !== undefined && child.exitCode === null && child.signalCode === null;
  }

  /** The signal that ended the server by itself or by others' hands; null while it runs or after `kill` and `stop`. */
  get endSignal(): NodeJS.Signals | null {
    return this.#process?.signalCode ?? null;
  }

  /** The next start goes with this variable, or (null) without it. */
  setEnvironment(name: string, value: string | null): void {
    if (value === null) delete this.#environment[name];
    else this.#environment[name] = value;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  get api(): ApiClient {
    const token = readFileSync(join(this.dataDirectory, 'http.token'), 'utf8').trim();
    return new ApiClient({ url: `http://${this.addresses.httpAddress}`, token });
  }

  /** Starts the server; resolves when it is ready. A later start takes the same ports again. */
  async start(): Promise<void> {
    mkdirSync(this.directory, { recursive: true, mode: 0o700 });
    if (this.#addresses === undefined) {
      this.#writeConfig({ sql: await freePort(), peer: await freePort(), http: await freePort() });
    }
    const errors = openSync(join(this.directory, 'server.log'), 'a', 0o600);
    const child = spawn(process.execPath, [program, 'server', '--config', this.configFile, '--json'], {
      stdio: ['ignore', 'pipe', errors] satisfies StdioOptions,
      env: this.#environment,
    }) as ChildProcess;
    this.#process = child;
    const lines = createInterface({ input: must(child.stdout, 'standard output of the server') });
    const ready = once(lines, 'line').then(([line]) => JSON.parse(String(line)) as StartAnswer);
    // After 'close', not 'exit': what the server printed last has been read by then.
    const ended = once(child, 'close').then(([code]) => {
      throw new ObError('OBS_SITE_ENDED', {
        site: this.name,
        code: Number(code),
        log: join(this.directory, 'server.log'),
      });
    });
    const answer = await Promise.race([ready, ended]);
    ended.catch(() => {});
    if (!answer.ok) {
      const { error } = answer;
      throw reviveError(error ?? { code: 'OBS_BUG', message: `site ${this.name} did not start` });
    }
    this.#addresses = answer;
    this.#writeConfig({
      sql: this.sqlPort,
      peer: portOf(answer.peerAddress),
      http: portOf(answer.httpAddress),
    });
  }

  /** SIGKILL, as a machine that loses power would look to its clients. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const gone = once(child, 'exit');
    child.kill(signal);
    const timer = setTimeout(() => child.kill('SIGKILL'), stopMs);
    await gone;
    clearTimeout(timer);
  }

  /** Leaves the process running when the demo ends (`--keep`). */
  detach(): void {
    this.#process?.unref();
    (this.#process?.stdout as { unref?: () => void } | null)?.unref?.();
  }

  #writeConfig(ports: { sql: number; peer: number; http: number }): void {
    const section = (name: string, port: number): object => ({
      ...(this.#settings[name] as object | undefined),
      port,
    });
    const config = {
      ...this.#settings,
      clusterName: this.name,
      dataDirectory: this.dataDirectory,
      sql: section('sql', ports.sql),
      peer: section('peer', ports.peer),
      http: section('http', ports.http),
    };
    writeFileSync(this.configFile, stringify(config), { mode: 0o600 });
  }
}

/** A port of loopback that nobody listens on now. */
async function freePort(): Promise<number> {
  for (let tries = 0; tries < portTries; tries += 1) {
    const port = randomInt(firstPort, lastPort);
    const server = createServer();
    const bound = await new Promise<boolean>(resolve => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!bound) continue;
    await new Promise<void>(resolve => server.close(() => resolve()));
    return port;
  }
  throw new ObError('OBS_SITE_NO_PORT', { first: firstPort, last: lastPort });
}

const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1));
