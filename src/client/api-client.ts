/**
 * Talks to a server's operators' API. The one place that knows what a lost connection means: before the request was
 * sent nothing happened; after it, the outcome is unknown until somebody asks again.
 */
import { ObError, reviveError } from '../base/errors.ts';
import { apiLineBytesMax } from '../base/limits.ts';

export interface ApiTarget {
  /** http://host:port */
  readonly url: string;
  readonly token: string;
}

/** A step of a long operation, as the server reports it. */
export interface ApiProgress {
  readonly step: string;
  /** what the step does; absent where `step` says it already */
  readonly title?: string;
  readonly site: string;
  readonly state: 'planned' | 'running' | 'done' | 'failed';
  readonly detail: string;
  readonly ms: number;
}

interface ApiLine {
  readonly kind: 'progress' | 'result' | 'error';
  readonly report?: ApiProgress;
  readonly value?: unknown;
  readonly error?: {
    readonly code: string;
    readonly message: string;
    readonly details?: Record<string, string>;
  };
}

/** Facts of a server: `GET /api/v1`. */
export interface ServerFacts {
  /** WAITING: to become part of a cluster; STARTING: part of one, and opening what it has */
  readonly state: 'SERVING' | 'WAITING' | 'STARTING';
  readonly clusterName: string;
  readonly siteId: string;
  /** what other sites call themselves, by site id, as far as they were met */
  readonly siteNames: Readonly<Record<string, string>>;
  readonly version: string;
  readonly pid: number;
  readonly uptimeSeconds: number;
  readonly sqlAddress: string;
  readonly peerAddress: string;
  readonly httpAddress: string;
}

export class ApiClient {
  readonly #target: ApiTarget;

  constructor(target: ApiTarget) {
    this.#target = target;
  }

  async facts(): Promise<ServerFacts> {
    const response = await this.#request('/api/v1', { method: 'GET' });
    return (await response.json()) as ServerFacts;
  }

  async metrics(): Promise<string> {
    const response = await this.#request('/metrics', { method: 'GET' });
    return response.text();
  }

  /**
   * Runs a verb. Rejects with the server's error; with OBS_API_UNREACHABLE when nothing was sent; with
   * OBS_API_OUTCOME_UNKNOWN when the connection was lost before the answer.
   */
  async call<Value>(
    verb: string,
    value: object,
    onProgress: (report: ApiProgress) => void = () => {},
  ): Promise<Value> {
    const response = await this.#request(`/api/v1/${verb}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(value),
    });
    try {
      for await (const line of linesOf(response)) {
        switch (line.kind) {
          case 'progress':
            if (line.report !== undefined) onProgress(line.report);
            break;
          case 'result':
            return line.value as Value;
          case 'error':
            throw reviveError(line.error ?? { code: 'OBS_BUG', message: 'an error without a body' });
        }
      }
    } catch (error) {
      if (error instanceof ObError) throw error;
      throw new ObError('OBS_API_OUTCOME_UNKNOWN', { verb }, error);
    }
    throw new ObError('OBS_API_OUTCOME_UNKNOWN', { verb });
  }

  async #request(path: string, init: RequestInit): Promise<Response> {
    const headers = {
      ...(init.headers as Record<string, string>),
      authorization: `Bearer ${this.#target.token}`,
    };
    let response: Response;
    try {
      response = await fetch(this.#target.url + path, { ...init, headers });
    } catch (error) {
      const cause = (error as { cause?: { code?: string } }).cause?.code;
      const notSent = cause === 'ECONNREFUSED' || cause === 'ENOTFOUND' || cause === 'EHOSTUNREACH';
      if (init.method === 'GET' || notSent) {
        throw new ObError(
          'OBS_API_UNREACHABLE',
          { url: this.#target.url, why: cause ?? String(error) },
          error,
        );
      }
      throw new ObError('OBS_API_OUTCOME_UNKNOWN', { verb: path.slice(path.lastIndexOf('/') + 1) }, error);
    }
    if (!response.ok) {
      const body = (await response.json()) as ApiLine;
      throw reviveError(body.error ?? { code: 'OBS_BUG', message: `status ${response.status}` });
    }
    return response;
  }
}

async function* linesOf(response: Response): AsyncGenerator<ApiLine> {
  const decoder = new TextDecoder();
  let pending = '';
  for await (const bytes of response.body ?? []) {
    pending += decoder.decode(bytes as Uint8Array, { stream: true });
    if (pending.length > apiLineBytesMax)
      throw new ObError('OBS_API_ANSWER_TOO_LONG', { bytes: apiLineBytesMax });
    let end = pending.indexOf('\n');
    while (end >= 0) {
      yield JSON.parse(pending.slice(0, end)) as ApiLine;
      pending = pending.slice(end + 1);
      end = pending.indexOf('\n');
    }
  }
}
