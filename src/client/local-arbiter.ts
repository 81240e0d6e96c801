/**
 * An arbiter on this machine: a real process on loopback, for the demo, the benchmarks and the process tests. Started, killed and
 * started again at the same address, never left behind.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { stringify } from 'yaml';
import { must } from '../base/assert.ts';
import { ObError, reviveError } from '../base/errors.ts';
import { freePort } from './free-port.ts';

const program = fileURLToPath(new URL('../../bin/obstandby.js', import.meta.url));

interface Ready {
  readonly ok: boolean;
  readonly address: string;
  readonly httpAddress: string;
  readonly nodeId: string;
  readonly error?: { readonly code: string; readonly message: string };
}

export interface ServedCluster {
  readonly name: string;
  readonly secretFile: string;
}

export class LocalArbiter {
  readonly directory: string;
  readonly configFile: string;
  readonly #name: string;
  readonly #environment: NodeJS.ProcessEnv;
  readonly #clusters: readonly ServedCluster[];
  readonly #listen: Readonly<Record<string, unknown>>;
  #process: ChildProcess | null = null;
  #ready: Ready | null = null;
  #startMs = 0;

  /** `listen`: what its configuration says of its door, besides the port */
  constructor(
    name: string,
    parent: string,
    clusters: readonly ServedCluster[],
    environment: NodeJS.ProcessEnv = process.env,
    listen: Readonly<Record<string, unknown>> = {},
  ) {
    this.#name = name;
    this.#clusters = clusters;
    this.#environment = environment;
    this.#listen = listen;
    this.directory = join(parent, name);
    this.configFile = join(parent, `${name}.yaml`);
    mkdirSync(this.directory, { recursive: true, mode: 0o700 });
  }

  get dataDirectory(): string {
    return join(this.directory, 'data');
  }

  get address(): string {
    return must(this.#ready, 'an arbiter that was started').address;
  }

  get nodeId(): string {
    return must(this.#ready, 'an arbiter that was started').nodeId;
  }

  get isRunning(): boolean {
    return this.#process !== null && this.#process.exitCode === null && this.#process.signalCode === null;
  }

  get pid(): number | undefined {
    return this.#process?.pid;
  }

  /** From the start of the process to its line that says it is ready. */
  get startMs(): number {
    return this.#startMs;
  }

  /** Resolves when it is ready; a later start takes the same address again. Throws what the arbiter said instead. */
  async start(): Promise<void> {
    if (this.#ready === null) this.#writeConfig(await freePort(), await freePort());
    const log = openSync(join(this.directory, 'arbiter.log'), 'a', 0o600);
    const startedAt = performance.now();
    const child = spawn(process.execPath, [program, 'arbiter', '--config', this.configFile, '--json'], {
      stdio: ['ignore', 'pipe', log],
      env: this.#environment,
    });
    closeSync(log);
    this.#process = child;
    const lines = createInterface({ input: must(child.stdout, 'standard output of the arbiter') });
    const ended = once(child, 'close').then(([code]) => {
      throw new ObError('OBS_SITE_ENDED', {
        site: this.#name,
        code: Number(code),
        log: join(this.directory, 'arbiter.log'),
      });
    });
    ended.catch(() => {});
    const [line] = (await Promise.race([once(lines, 'line'), ended])) as [string];
    this.#startMs = performance.now() - startedAt;
    const ready = JSON.parse(line) as Ready;
    if (!ready.ok) throw reviveError(ready.error ?? { code: 'OBS_BUG', message: line });
    this.#ready = ready;
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL');
  }

  async stop(): Promise<void> {
    await this.#end('SIGTERM');
  }

  pause(): void {
    this.#process?.kill('SIGSTOP');
  }

  resume(): void {
    this.#process?.kill('SIGCONT');
  }

  /** It loses its data: the next start is another arbiter at the same address. */
  wipe(): void {
    rmSync(this.dataDirectory, { recursive: true, force: true });
  }

  async status(): Promise<unknown> {
    return JSON.parse(await this.get('/status'));
  }

  async get(path: string): Promise<string> {
    const token = readFileSync(join(this.dataDirectory, 'http.token'), 'utf8').trim();
    const { httpAddress } = must(this.#ready, 'an arbiter that was started');
    const answer = await fetch(`http://${httpAddress}${path}`, {
      headers: { authorization: `Bearer ${token}` },
    });
    return answer.text();
  }

  /** Leaves it running when this process ends. */
  detach(): void {
    this.#process?.unref();
    (this.#process?.stdout as { unref?: () => void } | null)?.unref?.();
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    if (child === null || !this.isRunning) return;
    const ended = once(child, 'exit');
    child.kill(signal);
    // One that is held takes no other signal.
    if (signal !== 'SIGKILL') child.kill('SIGCONT');
    await ended;
  }

  #writeConfig(port: number, httpPort: number): void {
    const config = {
      dataDirectory: this.dataDirectory,
      clusters: this.#clusters,
      listen: { ...this.#listen, port },
      http: { port: httpPort },
    };
    writeFileSync(this.configFile, stringify(config), { mode: 0o600 });
  }
}
