/**
 * Runs queries over the oceanbase.* views: collects the rows the session may see, and has the view thread answer. The thread starts with the
 * first query. One that does not answer in time is given up (SQLite cannot be interrupted) and replaced; too many given up refuse new queries.
 */
import type { Worker } from 'node:worker_threads';
import { ObError, reviveError } from '../../base/errors.ts';
import { viewQueriesWaitingMax, viewThreadsGivenUpMax } from '../../base/limits.ts';
import type { LossCertificate, TenantInfo } from '../../cluster/operations.ts';
import { type TenantId, tenantId } from '../../base/scalars.ts';
import type { Clock, Timer } from '../../platform/clock.ts';
import { startThread } from '../../platform/thread.ts';
import type { Cell } from '../../tenant/engine.ts';
import type { RowsAnswer, ViewContext } from '../plan.ts';
import { type ServerRow, type ViewInput, type ViewTable, viewTables } from './view-definitions.ts';
import type { ViewReply, ViewRequest } from './view-messages.ts';

const sysTenantId = tenantId(1);

export interface ViewEngineOptions {
  readonly clock: Clock;
  readonly timeoutMs: number;
  /** the server as the views show it; null while it is not known */
  readonly server: () => ServerRow | null;
}

interface Waiting {
  readonly request: ViewRequest;
  readonly resolve: (answer: RowsAnswer) => void;
  readonly reject: (error: unknown) => void;
}

export class ViewEngine {
  readonly #options: ViewEngineOptions;
  #worker: Worker | null = null;
  /** the first is running, the others wait */
  #waiting: Waiting[] = [];
  #timer: Timer | null = null;
  #givenUp = 0;
  #nextId = 1;
  #closed = false;

  constructor(options: ViewEngineOptions) {
    this.#options = options;
  }

  /** Throws what the query throws, OBS_SQL_VIEW_TIMEOUT, OBS_SQL_VIEW_BUSY. */
  async run(sql: string, parameters: readonly Cell[], context: ViewContext): Promise<RowsAnswer> {
    const named = namedViews(sql, context);
    const input = await viewInput(named, context, this.#options.server());
    const tables = named.map(table => ({
      name: table.name.toLowerCase(),
      rows: table.rows(inputFor(table, input, context)),
    }));
    if (
      this.#closed ||
      this.#givenUp > viewThreadsGivenUpMax ||
      this.#waiting.length >= viewQueriesWaitingMax
    )
      throw new ObError('OBS_SQL_VIEW_BUSY');
    const request = { id: this.#nextId++, sql, parameters, tables, rowsMax: context.rowsMax };
    return new Promise((resolve, reject) => {
      this.#waiting.push({ request, resolve, reject });
      if (this.#waiting.length === 1) this.#start();
    });
  }

  /** Ends the thread; queries that run are answered with OBS_SQL_VIEW_BUSY. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    const waiting = this.#waiting;
    this.#waiting = [];
    for (const { reject } of waiting) reject(new ObError('OBS_SQL_VIEW_BUSY'));
    const worker = this.#worker;
    this.#worker = null;
    await worker?.terminate();
  }

  #start(): void {
    const [running] = this.#waiting;
    if (running === undefined) return;
    const worker = (this.#worker ??= this.#openWorker());
    this.#timer = this.#options.clock.after(this.#options.timeoutMs, () => this.#giveUp(worker));
    worker.postMessage(running.request);
  }

  #openWorker(): Worker {
    const worker = startThread('./view-worker', import.meta.url, { name: 'views' });
    worker.unref();
    worker.on('message', (reply: ViewReply) => {
      if (worker === this.#worker) this.#onReply(reply);
    });
    worker.on('error', error => {
      if (worker === this.#worker) this.#onDeath(error);
    });
    return worker;
  }

  #onReply(reply: ViewReply): void {
    const done = this.#waiting.shift();
    if (done === undefined || done.request.id !== reply.id)
      throw new ObError('OBS_BUG', { what: 'a view answer nobody asked for' });
    this.#timer?.cancel();
    if (reply.kind === 'rows') done.resolve({ kind: 'rows', columns: reply.columns, rows: reply.rows });
    else done.reject(reviveError(reply.error));
    this.#start();
  }

  #onDeath(error: unknown): void {
    this.#timer?.cancel();
    this.#worker = null;
    this.#waiting.shift()?.reject(new ObError('OBS_SQL_VIEW_BUSY', {}, error));
    this.#start();
  }

  #giveUp(worker: Worker): void {
    if (worker !== this.#worker) return;
    this.#worker = null;
    this.#givenUp++;
    // The thread ends when SQLite returns; until then it takes a processor, which is why so few are allowed.
    worker.once('exit', () => this.#givenUp--);
    void worker.terminate();
    const seconds = this.#options.timeoutMs / 1000;
    this.#waiting.shift()?.reject(new ObError('OBS_SQL_VIEW_TIMEOUT', { seconds }));
    this.#start();
  }
}

/** Views whose name stands in the query: a name in a literal costs rows nobody reads, and nothing else. */
function namedViews(sql: string, context: ViewContext): readonly ViewTable[] {
  const words = new Set(sql.toLowerCase().match(/[a-z_$][\w$]*/g) ?? []);
  return [...viewTables]
    .filter(([name, table]) => words.has(name) && (context.sys || !table.sysOnly))
    .map(([, table]) => table);
}

async function viewInput(
  named: readonly ViewTable[],
  context: ViewContext,
  server: ServerRow | null,
): Promise<ViewInput> {
  if (named.length === 0)
    return {
      tenants: [],
      sessions: [],
      server,
      certificates: [],
      cluster: null,
      jobs: [],
      arbitration: null,
      events: [],
    };
  const { operations } = context;
  const tenants = await tenantsFor(named, context);
  const wantsCertificates = named.some(table => table.name === 'DBA_OB_LOSS_CERTIFICATES');
  const certificates = wantsCertificates ? await certificatesOf(tenants, context) : [];
  const sessions = context.sessions().filter(session => context.sys || session.tenant === context.tenant);
  const cluster = named.some(({ needs }) => needs === 'cluster') ? await operations.cluster() : null;
  const jobs = named.some(({ needs }) => needs === 'jobs') ? await operations.tenantJobs() : [];
  const wantsArbitration = named.some(({ needsArbitration }) => needsArbitration);
  const arbitration = wantsArbitration ? await operations.arbitration() : null;
  const events = named.some(({ needs }) => needs === 'events') ? await operations.serverEvents() : [];
  const input = { tenants, sessions, server, certificates, cluster, jobs, arbitration, events };
  return context.sys ? input : ofTenant(input, tenants[0]?.tenantId);
}

/** Views of the cluster alone need no word from every tenant's leader. */
function tenantsFor(named: readonly ViewTable[], { sys, tenant, operations }: ViewContext) {
  if (!sys) return operations.tenant(tenant).then(info => [info]);
  return named.every(({ needs }) => needs !== null) ? Promise.resolve([]) : operations.tenants();
}

/** What the session of one tenant may see of it. */
function ofTenant(input: ViewInput, id: TenantId | undefined): ViewInput {
  const { cluster, jobs, arbitration, events } = input;
  const isOwn = ({ tenantId }: { readonly tenantId: TenantId }): boolean => tenantId === id;
  return {
    ...input,
    cluster:
      cluster === null
        ? null
        : {
            ...cluster,
            tenants: cluster.tenants.filter(isOwn),
            replicas: cluster.replicas.filter(isOwn),
          },
    jobs: jobs.filter(isOwn),
    arbitration:
      arbitration === null
        ? null
        : {
            ...arbitration,
            tenants: arbitration.tenants.filter(isOwn),
            tasks: arbitration.tasks.filter(isOwn),
            streams: arbitration.streams.filter(isOwn),
          },
    events: events.filter(isOwn),
  };
}

async function certificatesOf(
  tenants: readonly TenantInfo[],
  context: ViewContext,
): Promise<readonly LossCertificate[]> {
  const found: LossCertificate[] = [];
  for (const { name } of tenants) {
    const certificate = await context.operations.lossCertificate(name);
    if (certificate !== null) found.push(certificate);
  }
  return found;
}

function inputFor(table: ViewTable, input: ViewInput, context: ViewContext): ViewInput {
  if (!table.ownOnly) return input;
  const tenants = input.tenants.filter(tenant => tenant.name === context.tenant);
  return { ...ofTenant(input, context.sys ? sysTenantId : tenants[0]?.tenantId), tenants };
}
