/**
 * A small S3 server in this process, with faults on demand: the eight calls the archive uses, path-style, signatures
 * not checked beyond the key id. The same conformance suite runs over it and over a real store, so that it cannot drift.
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { must } from '../../src/base/assert.ts';

export type FakeFault =
  /** 500 and nothing happened */
  | 'errorBefore'
  /** it happened, and the answer is 500 */
  | 'errorAfter'
  /** it happened, and the connection is cut without an answer */
  | 'cutAfter'
  /** nothing happened, and nothing is ever answered */
  | 'silent'
  /** 409, as for a concurrent conditional request */
  | 'conflict'
  /** half of the body, then the connection is cut */
  | 'cutBody'
  /** nothing in the listing */
  | 'staleList'
  | 'denied';

export interface FakeBehaviour {
  /** conditional headers are silently ignored */
  readonly ignoresConditions?: boolean;
  readonly versioned?: boolean;
  readonly refusesConditions?: boolean;
}

export interface FakeRequest {
  readonly method: string;
  readonly bucket: string;
  readonly key: string;
  /** counted from 1, over all requests */
  readonly number: number;
}

export class FakeS3 {
  readonly objects = new Map<string, Uint8Array>();
  readonly buckets = new Set<string>();
  readonly requests: FakeRequest[] = [];
  /** asked for each request */
  faultFor: (request: FakeRequest) => FakeFault | undefined = () => undefined;
  readonly #behaviour: FakeBehaviour;
  readonly #server: Server;
  readonly #accessKeyId: string;

  constructor(behaviour: FakeBehaviour = {}, accessKeyId = 'test-key') {
    this.#behaviour = behaviour;
    this.#accessKeyId = accessKeyId;
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => {
        response.destroy(error instanceof Error ? error : new Error(String(error)));
      });
    });
  }

  async listen(): Promise<string> {
    this.#server.listen(0, '127.0.0.1');
    await once(this.#server, 'listening');
    const address = this.#server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return `http://127.0.0.1:${address.port}`;
  }

  /** Resets every connection, answered or not. */
  cutConnections(): void {
    this.#server.closeAllConnections();
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(must(request.url, 'a URL'), 'http://fake');
    const [bucket = '', ...rest] = decodeURIComponent(url.pathname).slice(1).split('/');
    const key = rest.join('/');
    const method = must(request.method, 'a method');
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part as Buffer);
    const body = new Uint8Array(Buffer.concat(parts));
    const told: FakeRequest = { method, bucket, key, number: this.requests.length + 1 };
    this.requests.push(told);
    const fault = this.faultFor(told);
    if (fault === 'silent') return;
    if (fault === 'errorBefore') return fail(response, 500, 'InternalError');
    if (fault === 'conflict') return fail(response, 409, 'ConditionalRequestConflict');
    if (fault === 'denied' || request.headers.authorization?.includes(`=${this.#accessKeyId}/`) !== true)
      return fail(response, 403, 'AccessDenied');
    const answer = this.#act(method, bucket, key, url.searchParams, request, body);
    if (fault === 'errorAfter') return fail(response, 500, 'InternalError');
    if (fault === 'cutAfter') {
      response.destroy();
      return;
    }
    if (fault === 'staleList' && method === 'GET' && key === '')
      return reply(response, { status: 200, body: listing([], false) });
    if (fault === 'cutBody' && answer.body !== undefined) {
      response.writeHead(answer.status, { 'content-length': answer.body.length });
      response.write(answer.body.subarray(0, answer.body.length >>> 1), () => {
        response.destroy();
      });
      return;
    }
    reply(response, answer);
  }

  #act(
    method: string,
    bucket: string,
    key: string,
    query: URLSearchParams,
    request: IncomingMessage,
    body: Uint8Array,
  ): Answer {
    if (key === '' && method === 'PUT') {
      this.buckets.add(bucket);
      return { status: 200 };
    }
    if (!this.buckets.has(bucket)) return error(404, 'NoSuchBucket');
    const name = `${bucket}/${key}`;
    if (key === '') return this.#actOnBucket(method, bucket, query);
    const there = this.objects.get(name);
    switch (method) {
      case 'PUT': {
        const conditional = request.headers['if-none-match'] === '*';
        if (conditional && this.#behaviour.refusesConditions === true) return error(501, 'NotImplemented');
        const honoured = this.#behaviour.ignoresConditions !== true && this.#behaviour.versioned !== true;
        if (conditional && honoured && there !== undefined) return error(412, 'PreconditionFailed');
        this.objects.set(name, body);
        const version =
          this.#behaviour.versioned === true ? { 'x-amz-version-id': `v${this.requests.length}` } : {};
        return { status: 200, headers: { etag: '"fake"', ...version } };
      }
      case 'GET':
        return there === undefined ? error(404, 'NoSuchKey') : ranged(there, request.headers.range);
      case 'DELETE':
        this.objects.delete(name);
        return { status: 204 };
      default:
        return error(405, 'MethodNotAllowed');
    }
  }

  #actOnBucket(method: string, bucket: string, query: URLSearchParams): Answer {
    if (method === 'HEAD') return { status: 200 };
    if (query.has('versioning')) {
      const status = this.#behaviour.versioned === true ? '<Status>Enabled</Status>' : '';
      return xml(200, `<VersioningConfiguration>${status}</VersioningConfiguration>`);
    }
    const prefix = query.get('prefix') ?? '';
    const after = query.get('start-after') ?? '';
    const max = Number(query.get('max-keys') ?? '1000');
    const keys = [...this.objects.keys()]
      .filter(name => name.startsWith(`${bucket}/`))
      .map(name => name.slice(bucket.length + 1))
      .filter(key => key.startsWith(prefix) && key > after)
      .sort();
    return { status: 200, body: listing(keys.slice(0, max), keys.length > max) };
  }
}

interface Answer {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Uint8Array;
}

const xml = (status: number, text: string): Answer => ({
  status,
  headers: { 'content-type': 'application/xml' },
  body: new TextEncoder().encode(`<?xml version="1.0" encoding="UTF-8"?>${text}`),
});

const error = (status: number, code: string): Answer =>
  xml(status, `<Error><Code>${code}</Code><Message>${code}</Message></Error>`);

const listing = (keys: readonly string[], isTruncated: boolean): Uint8Array => {
  const contents = keys.map(key => `<Contents><Key>${key}</Key><Size>1</Size></Contents>`).join('');
  const text = `<ListBucketResult><IsTruncated>${isTruncated}</IsTruncated>${contents}</ListBucketResult>`;
  return must(xml(200, text).body, 'a listing');
};

function ranged(bytes: Uint8Array, range: string | undefined): Answer {
  const match = /^bytes=(\d+)-(\d+)$/.exec(range ?? '');
  if (match === null) return { status: 200, body: bytes };
  const [start, end] = [Number(match[1]), Number(match[2])];
  if (start >= bytes.length) return error(416, 'InvalidRange');
  return { status: 206, body: bytes.subarray(start, end + 1) };
}

const fail = (response: ServerResponse, status: number, code: string): void => {
  reply(response, error(status, code));
};

function reply(response: ServerResponse, { status, headers, body }: Answer): void {
  response.writeHead(status, { ...headers, 'content-length': body?.length ?? 0 });
  response.end(body);
}
