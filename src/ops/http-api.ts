/**
 * The operators' door: JSON over HTTP on the configured address, every call with the site's bearer token.
 *
 * `POST /api/v1/<verb>` answers with JSON lines: any number of `{kind:'progress'}`, then exactly one
 * `{kind:'result'}` or `{kind:'error'}`. A caller that goes away does not stop the operation: role changes are
 * journaled and are continued, not abandoned. `GET /metrics` is Prometheus text, `GET /health` needs no token.
 *
 * The door may be open before the server serves: then it says so, and what is behind it changes when it does.
 */
import { timingSafeEqual } from 'node:crypto';
import { PassThrough } from 'node:stream';
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from 'fastify';
import { AssertionError } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import { httpBodyBytesMax } from '../base/limits.ts';
import type { ServerOperations } from '../cluster/cluster-operations.ts';
import type { StepReport } from '../cluster/operations.ts';
import type { Logger } from '../platform/logger.ts';
import { type ApiVerb, apiVerbs } from './api-verbs.ts';

/** What is behind the door. */
export interface HttpApiBackend {
  /** WAITING: not part of a cluster yet. STARTING: part of one since a moment ago, and opening what it has. */
  readonly state: 'SERVING' | 'WAITING' | 'STARTING';
  readonly operations: ServerOperations;
  /** Prometheus text */
  readonly metrics: () => Promise<string>;
  /** facts of this server for `status`: addresses, version, uptime */
  readonly serverInfo: () => object;
}

export interface HttpApiOptions {
  readonly host: string;
  readonly port: number;
  /** never logged */
  readonly token: string;
  readonly backend: HttpApiBackend;
  readonly logger: Logger;
  /** a broken invariant ends the process */
  readonly onFatal: (error: unknown) => void;
}

export class HttpApi {
  readonly #options: HttpApiOptions;
  readonly #app: FastifyInstance;
  readonly #expected: Buffer;
  #backend: HttpApiBackend;

  constructor(options: HttpApiOptions) {
    this.#options = options;
    this.#backend = options.backend;
    this.#expected = Buffer.from(`Bearer ${options.token}`);
    this.#app = fastify({ bodyLimit: httpBodyBytesMax, forceCloseConnections: true });
    this.#routes();
  }

  /** Requests that come from now on are for this; those that run go on as they are. */
  serve(backend: HttpApiBackend): void {
    this.#backend = backend;
  }

  /** Listens; resolves with the port. Throws OBS_SERVER_ADDRESS_IN_USE. */
  async start(): Promise<number> {
    const { host, port } = this.#options;
    try {
      await this.#app.listen({ host, port });
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code ?? 'unknown';
      throw new ObError(
        'OBS_SERVER_CANNOT_LISTEN',
        { door: 'http', address: `${host}:${port}`, why: code },
        error,
      );
    }
    const address = this.#app.server.address();
    return typeof address === 'object' && address !== null ? address.port : port;
  }

  async stop(): Promise<void> {
    await this.#app.close();
  }

  #routes(): void {
    this.#app.setErrorHandler((error, _request, reply) => {
      // A caller that went away gets no answer; what it asked for goes on.
      if ((error as { code?: string }).code === 'ERR_STREAM_PREMATURE_CLOSE') return;
      const { statusCode: status = 500, message } = error as { statusCode?: number; message: string };
      const isCallers = status >= 400 && status < 500;
      const told = isCallers ? new ObError('OBS_API_BAD_REQUEST', { what: message }, error) : error;
      this.#refuse(reply, told, status);
    });
    this.#app.setNotFoundHandler((request, reply) => {
      const what = `there is no ${request.method} ${request.url.slice(0, 200)}`;
      this.#refuse(reply, new ObError('OBS_API_BAD_REQUEST', { what }), 404);
    });
    this.#app.get('/health', () => ({ ok: true, state: this.#backend.state }));
    this.#app.get('/metrics', async (request, reply) => {
      if (!this.#authorized(request, reply)) return reply;
      return reply.type('text/plain; version=0.0.4').send(await this.#backend.metrics());
    });
    this.#app.get('/api/v1', (request, reply) => {
      if (!this.#authorized(request, reply)) return reply;
      const verbs = Object.entries(apiVerbs).map(([verb, { changes }]) => ({ verb, changes }));
      const { state } = this.#backend;
      return reply.send({ state, ...this.#backend.serverInfo(), verbs });
    });
    this.#app.post<{ Params: { verb: string } }>('/api/v1/:verb', (request, reply) => {
      if (!this.#authorized(request, reply)) return reply;
      const { verb } = request.params;
      if (!Object.hasOwn(apiVerbs, verb))
        return this.#refuse(reply, new ObError('OBS_API_NO_SUCH_VERB', { verb }), 404);
      const definition = apiVerbs[verb as ApiVerb];
      const parsed = definition.arguments.safeParse(request.body ?? {});
      if (!parsed.success) {
        const problems = parsed.error.issues
          .map(issue => `${issue.path.join('.') || verb}: ${issue.message}`)
          .join('; ');
        return this.#refuse(reply, new ObError('OBS_API_ARGUMENTS', { verb, problems }), 400);
      }
      const lines = new PassThrough();
      const send = (line: object): void => {
        if (!lines.destroyed) lines.write(`${JSON.stringify(line, jsonValue)}\n`);
      };
      const run = definition.run as (
        o: ServerOperations,
        v: unknown,
        p: (report: StepReport) => void,
      ) => Promise<unknown>;
      run(this.#backend.operations, parsed.data, report => send({ kind: 'progress', report }))
        .then(
          value => send({ kind: 'result', value: value ?? null }),
          (error: unknown) => send({ kind: 'error', error: this.#describe(error) }),
        )
        .finally(() => lines.end());
      return reply.type('application/x-ndjson').send(lines);
    });
  }

  #authorized(request: FastifyRequest, reply: FastifyReply): boolean {
    const given = Buffer.from(request.headers.authorization ?? '');
    if (given.length === this.#expected.length && timingSafeEqual(given, this.#expected)) return true;
    this.#refuse(reply, new ObError('OBS_API_UNAUTHORIZED'), 401);
    return false;
  }

  #refuse(reply: FastifyReply, error: unknown, status = 400): FastifyReply {
    return reply.code(status).send({ kind: 'error', error: this.#describe(error) });
  }

  #describe(error: unknown): object {
    if (error instanceof ObError) return error.toJSON();
    if (error instanceof AssertionError) this.#options.onFatal(error);
    this.#options.logger.error({ error: String(error) }, 'an operation failed without a catalogued error');
    return new ObError('OBS_BUG', { what: error instanceof Error ? error.message : String(error) }).toJSON();
  }
}

/** Integers beyond 2^53 and bytes have no JSON form of their own. */
const jsonValue = (_key: string, value: unknown): unknown =>
  typeof value === 'bigint' ? value.toString() : value;
