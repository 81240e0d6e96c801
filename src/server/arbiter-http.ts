/** What an arbiter tells operators: /health to anybody, /status (JSON) and /metrics (Prometheus) with its bearer token. */
import { timingSafeEqual } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { ArbiterStatus } from '../logstream/arbiter/arbiter-service.ts';

export interface ArbiterHttpOptions {
  readonly token: string;
  readonly status: () => ArbiterStatus & { readonly uptimeSeconds: number };
}

export class ArbiterHttp {
  readonly #options: ArbiterHttpOptions;
  readonly #expected: Buffer;
  readonly #server: Server;

  constructor(options: ArbiterHttpOptions) {
    this.#options = options;
    this.#expected = Buffer.from(`Bearer ${options.token}`);
    this.#server = createServer((request, response) => this.#answer(request, response));
  }

  /** Listens; resolves with the port. Rejects with the system's error. */
  start(host: string, port: number): Promise<number> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, host, () => resolve((this.#server.address() as AddressInfo).port));
    });
  }

  stop(): Promise<void> {
    return new Promise(resolve => {
      this.#server.close(() => resolve());
      this.#server.closeAllConnections();
    });
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const tell = (status: number, type: string, text: string): void => {
      response.writeHead(status, { 'content-type': type }).end(`${text}\n`);
    };
    if (request.method !== 'GET') return tell(405, 'application/json', '{"error":"only GET"}');
    if (request.url === '/health') return tell(200, 'application/json', '{"ok":true,"state":"SERVING"}');
    if (!this.#isAllowed(request))
      return tell(401, 'application/json', '{"error":"the bearer token is missing"}');
    const status = this.#options.status();
    if (request.url === '/status') return tell(200, 'application/json', JSON.stringify(status));
    if (request.url === '/metrics') return tell(200, 'text/plain; version=0.0.4', metricsText(status));
    tell(404, 'application/json', '{"error":"there are /health, /status and /metrics"}');
  }

  #isAllowed(request: IncomingMessage): boolean {
    const given = Buffer.from(request.headers.authorization ?? '');
    return given.length === this.#expected.length && timingSafeEqual(given, this.#expected);
  }
}

function metricsText(status: ArbiterStatus & { readonly uptimeSeconds: number }): string {
  const { clusters, journal } = status;
  const families = [
    ['obstandby_arbiter_uptime_seconds', 'since it began to serve', 'gauge', [['', status.uptimeSeconds]]],
    ['obstandby_arbiter_memory_bytes', 'resident memory', 'gauge', [['', process.memoryUsage.rss()]]],
    ['obstandby_arbiter_journal_bytes', 'length of the journal', 'gauge', [['', journal.bytes]]],
    ['obstandby_arbiter_journal_live_bytes', 'of what counts in it', 'gauge', [['', journal.liveBytes]]],
    ['obstandby_arbiter_journal_writes_total', 'durable writes', 'counter', [['', journal.writes]]],
    [
      'obstandby_arbiter_adopted',
      '1 when it is the arbitration service of the cluster',
      'gauge',
      clusters.map(({ name, clusterId }) => [name, Number(clusterId !== null)]),
    ],
    [
      'obstandby_arbiter_streams',
      'log streams it votes in',
      'gauge',
      clusters.map(({ name, streams }) => [name, streams]),
    ],
    [
      'obstandby_arbiter_servers_connected',
      'servers heard within seconds',
      'gauge',
      clusters.map(({ name, connectedServers }) => [name, connectedServers]),
    ],
    [
      'obstandby_arbiter_messages_total',
      'messages of log streams taken',
      'counter',
      clusters.map(({ name, messages }) => [name, messages]),
    ],
  ] as const;
  const lines = families.flatMap(([name, help, type, samples]) => [
    `# HELP ${name} ${help}`,
    `# TYPE ${name} ${type}`,
    ...samples.map(([cluster, value]) => `${name}${cluster === '' ? '' : `{cluster="${cluster}"}`} ${value}`),
  ]);
  return lines.join('\n');
}
