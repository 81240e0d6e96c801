/**
 * A site on this machine: a data directory and a real server process on loopback. The demo, the benchmarks and the
 * process tests run their sites with it: started, killed and stopped by pid, never left behind.
 */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { must } from '../base/assert.ts';
import { ObError, reviveError } from '../base/errors.ts';
import { ApiClient } from './api-client.ts';
import { freePort } from './free-port.ts';

const program = fileURLToPath(new URL('../../bin/obstandby.js', import.meta.url));
const stopMs = 10_000;

interface Addresses {
  readonly sqlAddress: string;
  readonly peerAddress: string;
  readonly httpAddress: string;
}

/** The line a server prints when it is ready, or waits to become part of a cluster, or can do neither. */
interface StartAnswer extends Addresses {
  readonly ok: boolean;
  /** only its API door is open; another line comes when it serves */
  readonly waiting?: boolean;
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
  /** the line of a server that serves, while it waits to become part of a cluster */
  #serving: Promise<StartAnswer> | undefined;
  #isPaused = false;

  /** `settings`: configuration keys and sections beside addresses and directory, as the schema spells them. */
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
      const address = async (): Promise<string> => `127.0.0.1:${await freePort()}`;
      const addresses = {
        sqlAddress: await address(),
        peerAddress: await address(),
        httpAddress: await address(),
      };
      this.#takeAddresses(addresses);
    }
    const errors = openSync(join(this.directory, 'server.log'), 'a', 0o600);
    const child = spawn(process.execPath, [program, 'server', '--config', this.configFile, '--json'], {
      stdio: ['ignore', 'pipe', errors] satisfies StdioOptions,
      env: this.#environment,
    }) as ChildProcess;
    closeSync(errors);
    this.#process = child;
    const lines = createInterface({ input: must(child.stdout, 'standard output of the server') });
    const texts = lines[Symbol.asyncIterator]();
    const line = async (): Promise<StartAnswer> => {
      const { value, done } = await texts.next();
      return done === true ? ended : (JSON.parse(value) as StartAnswer);
    };
    // After 'close', not 'exit': what the server printed last has been read by then.
    const ended: Promise<never> = once(child, 'close').then(([code]) => {
      throw new ObError('OBS_SITE_ENDED', {
        site: this.name,
        code: Number(code),
        log: join(this.directory, 'server.log'),
      });
    });
    ended.catch(() => {});
    const answer = await Promise.race([line(), ended]);
    if (!answer.ok) {
      const { error } = answer;
      throw reviveError(error ?? { code: 'OBS_BUG', message: `site ${this.name} did not start` });
    }
    this.#serving = undefined;
    if (answer.waiting === true) {
      this.#serving = Promise.race([line(), ended]);
      this.#serving.catch(() => {});
    } else this.#takeAddresses(answer);
  }

  /** Resolves when a server that waited to become part of a cluster serves. */
  async serving(): Promise<void> {
    const answer = await this.#serving;
    if (answer === undefined) return;
    if (!answer.ok)
      throw reviveError(answer.error ?? { code: 'OBS_BUG', message: `${this.name} does not serve` });
    this.#takeAddresses(answer);
  }

  #takeAddresses({ sqlAddress, peerAddress, httpAddress }: Addresses): void {
    this.#addresses = { sqlAddress, peerAddress, httpAddress };
    this.#writeConfig({ sql: portOf(sqlAddress), peer: portOf(peerAddress), http: portOf(httpAddress) });
  }

  /** SIGKILL, as a machine that loses power would look to its clients. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  /** SIGSTOP: the process stands still with all its connections, until `resume`. */
  pause(): void {
    this.#isPaused = true;
    this.#process?.kill('SIGSTOP');
  }

  resume(): void {
    this.#isPaused = false;
    this.#process?.kill('SIGCONT');
  }

  get isPaused(): boolean {
    return this.#isPaused;
  }

  /** The data directory is empty, as a new disk would be. The server must not run. */
  wipe(): void {
    if (!existsSync(this.dataDirectory)) return;
    // The directory itself may be where a disk is mounted.
    for (const name of readdirSync(this.dataDirectory))
      rmSync(join(this.dataDirectory, name), { recursive: true, force: true });
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    this.#isPaused = false;
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
      clusterName: this.name,
      ...this.#settings,
      dataDirectory: this.dataDirectory,
      sql: section('sql', ports.sql),
      peer: section('peer', ports.peer),
      http: section('http', ports.http),
    };
    writeFileSync(this.configFile, stringify(config), { mode: 0o600 });
  }
}

const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1));
