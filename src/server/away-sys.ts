/**
 * The sys tenant on a server that holds no replica of it: operators log in as root@sys there too, since their statements go by themselves to where
 * they must run. What a session reads of the sys tenant's own database is asked of the server that leads it; nothing is written from here.
 */
import { z } from 'zod';
import { ObError } from '../base/errors.ts';
import { rootCallMs, sysRowsMax } from '../base/limits.ts';
import { lsn, scn } from '../base/scalars.ts';
import type { LeaderCalls } from '../cluster/root/leader-calls.ts';
import { parseBody } from '../cluster/root/node-body.ts';
import { openJson, sealJson } from '../cluster/sealed-json.ts';
import type { SecretBox } from '../cluster/secret-box.ts';
import { sysTenantId } from '../cluster/tenant-paths.ts';
import type {
  Cell,
  EngineSession,
  EngineState,
  StatementRequest,
  StatementResult,
  TenantEngine,
} from '../tenant/engine.ts';

export const sysReadOp = 'sys.read';

const context = 'sys read';
const envelope = z.object({ sealed: z.base64() });
const question = z.object({
  sql: z.string(),
  parameters: z.array(z.unknown()),
  rowsMax: z.int().min(1).max(sysRowsMax),
  internal: z.boolean(),
});

export interface AwaySysOptions {
  readonly leaders: LeaderCalls;
  readonly box: SecretBox;
  /** what clients are told who want more than to read */
  readonly elsewhere: () => ObError;
}

const state: EngineState = {
  mode: 'follower',
  pageBytes: 0,
  databasePages: 0,
  appliedLsn: lsn(0),
  readableScn: scn(0),
  checkpointLsn: lsn(0),
  walBytes: 0,
  sessions: 0,
};

/** An engine that has nothing itself. */
export function awaySysEngine(options: AwaySysOptions): TenantEngine {
  const refuse = (): Promise<never> => Promise.reject(options.elsewhere());
  return {
    state: () => state,
    leads: false,
    openSession: ({ internal = false } = {}) => awaySession(options, internal),
    apply: refuse,
    promote: refuse,
    drainWrites: refuse,
    resumeWrites: () => {},
    leadershipEnded: () => {},
    demote: refuse,
    checkpoint: refuse,
    snapshot: refuse,
    close: () => Promise.resolve(),
  };
}

function awaySession({ leaders, box, elsewhere }: AwaySysOptions, internal: boolean): EngineSession {
  const refuse = (): Promise<never> => Promise.reject(elsewhere());
  return {
    inTransaction: false,
    async execute({ sql, parameters, rowsMax }: StatementRequest): Promise<StatementResult> {
      const asked = { sql, parameters, rowsMax: Math.min(rowsMax, sysRowsMax), internal };
      const call = { findMs: rootCallMs, timeoutMs: rootCallMs, repeatable: true };
      const answer = await leaders.ask(sysTenantId, 'the sys tenant', sysReadOp, seal(box, asked), call);
      return open(box, answer) as StatementResult;
    },
    describe: refuse,
    begin: kind => (kind === 'read' ? Promise.resolve() : refuse()),
    commit: () => Promise.resolve(),
    rollback: () => Promise.resolve(),
    setForeignKeys: () => Promise.resolve(),
    close: () => Promise.resolve(),
  };
}

/** Answers such a read where the sys tenant leads. Throws OBS_NODE_BAD_REQUEST for anything that is no query. */
export async function serveSysRead(engine: TenantEngine, box: SecretBox, body: unknown): Promise<object> {
  const { sql, parameters, rowsMax, internal } = parseBody(question, open(box, body));
  const session = engine.openSession({ internal });
  try {
    const { readOnly } = await session.describe(sql);
    if (!readOnly) throw new ObError('OBS_NODE_BAD_REQUEST', { what: 'it is no query' });
    return seal(box, await session.execute({ sql, parameters: parameters as Cell[], rowsMax }));
  } finally {
    await session.close();
  }
}

const seal = (box: SecretBox, value: unknown): object => ({
  sealed: sealJson(box, context, value, cellsAsText),
});

function open(box: SecretBox, body: unknown): unknown {
  const { sealed } = parseBody(envelope, body);
  return openJson(box, context, sealed, textAsCells);
}

/** JSON has neither bytes nor large integers. */
function cellsAsText(_key: string, value: unknown): unknown {
  if (typeof value === 'bigint') return { $integer: String(value) };
  return value instanceof Uint8Array ? { $bytes: Buffer.from(value).toString('base64') } : value;
}

function textAsCells(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value;
  if ('$bytes' in value && typeof value.$bytes === 'string')
    return new Uint8Array(Buffer.from(value.$bytes, 'base64'));
  return '$integer' in value && typeof value.$integer === 'string' ? BigInt(value.$integer) : value;
}
