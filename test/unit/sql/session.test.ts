import { afterEach, beforeEach, expect, test } from 'vitest';
import { ObError } from '../../../src/base/errors.ts';
import { tenantId } from '../../../src/base/scalars.ts';
import type { ServerOperations } from '../../../src/cluster/cluster-operations.ts';
import type { TenantInfo } from '../../../src/cluster/operations.ts';
import { nodeClock } from '../../../src/platform/clock.ts';
import { nodeRandom } from '../../../src/platform/random.ts';
import { frontEndLimits } from '../../../src/sql/front-end-limits.ts';
import type { DialectContext, EnginePlan, Plan, Privilege, TableShape } from '../../../src/sql/plan.ts';
import { status } from '../../../src/sql/protocol/wire-constants.ts';
import { Session, type StatementAnswer } from '../../../src/sql/session.ts';
import type { Cell } from '../../../src/tenant/engine.ts';
import { DirectEngine } from '../../support/direct-engine.ts';

const engineOf = (name: EnginePlan['class'], sql: string, more: Partial<EnginePlan> = {}): EnginePlan => ({
  kind: 'engine',
  class: name,
  sql,
  ...more,
});

const shapeOf = (name: string): TableShape => ({
  name,
  view: false,
  sql: '',
  columns: [],
  primaryKey: [],
  keys: [],
  attached: [],
  foreignKeys: [],
});

let engine: DirectEngine;
let plans: (context: DialectContext) => readonly Plan[];
let shapesLoaded: string[];

function open(privileges: readonly Privilege[] = ['ALL']): Session {
  return new Session(
    {
      services: {
        dialect: {
          splitStatements: text => text.split(';'),
          countParameters: () => 0,
          translate: (_, context) => plans(context),
        },
        runView: async () => ({ kind: 'rows', columns: [], rows: [] }),
        executeAdmin: async () => ({ kind: 'ok' }),
        loadTableShape: async (_, name) => {
          shapesLoaded.push(name);
          return shapeOf(name);
        },
      },
      operations: {} as ServerOperations,
      limits: frontEndLimits,
      clock: nodeClock,
      random: nodeRandom,
      sessions: () => [],
      kill: () => false,
    },
    {
      tenant: {
        id: tenantId(1002),
        name: 'acme',
        engine: engine.engine,
        info: () => ({}) as TenantInfo,
        writable: () => engine.mode === 'leader',
        admit: () => undefined,
      },
      user: 'app',
      host: '127.0.0.1',
      privileges: new Set(privileges),
      connectionId: 1,
    },
  );
}

async function run(session: Session, ...given: readonly Plan[]): Promise<StatementAnswer> {
  plans = () => given;
  return session.run({ text: 'statement', textIsBytes: false }, []);
}

async function rows(session: Session, sql: string): Promise<readonly (readonly Cell[])[]> {
  const answer = await run(session, engineOf('select', sql));
  return answer.kind === 'rows' ? answer.rows : [];
}

const insert = (id: number) => engineOf('insert', `INSERT INTO t VALUES (${id}, 'v')`);
const begin: Plan = { kind: 'begin', readOnly: false };
const setVariable = (name: string, value: Cell): Plan => ({
  kind: 'set',
  assignments: [{ scope: 'session', name, value }],
});

beforeEach(async () => {
  engine = new DirectEngine();
  shapesLoaded = [];
  await run(open(), engineOf('ddl', 'CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)'));
});

afterEach(() => engine.close());

test('a transaction is invisible until its commit and gone after its rollback', async () => {
  const writer = open();
  const reader = open();
  await run(writer, begin);
  await run(writer, insert(1));
  expect(writer.statusFlags & status.inTransaction).toBe(status.inTransaction);
  expect(await rows(reader, 'SELECT id FROM t')).toEqual([]);
  await run(writer, { kind: 'commit' });
  expect(await rows(reader, 'SELECT id FROM t')).toEqual([[1]]);
  await run(writer, begin);
  await run(writer, insert(2));
  await run(writer, { kind: 'rollback' });
  expect(await rows(reader, 'SELECT id FROM t')).toEqual([[1]]);
  expect(writer.inTransaction).toBe(false);
});

test('DDL commits the open transaction', async () => {
  const session = open();
  await run(session, begin);
  await run(session, insert(1));
  await run(session, engineOf('ddl', 'CREATE TABLE u (x)'));
  expect(session.inTransaction).toBe(false);
  expect(await rows(open(), 'SELECT id FROM t')).toEqual([[1]]);
});

test('without autocommit the first write opens a transaction, a read does not', async () => {
  const session = open();
  await run(session, setVariable('autocommit', 0));
  await rows(session, 'SELECT id FROM t');
  expect(session.inTransaction).toBe(false);
  await run(session, insert(1));
  expect(session.inTransaction).toBe(true);
  expect(session.statusFlags & status.autocommit).toBe(0);
  await run(session, setVariable('autocommit', 1));
  expect(await rows(open(), 'SELECT id FROM t')).toEqual([[1]]);
});

const readCommitted = setVariable('transaction_isolation', 'READ-COMMITTED');
const commit: Plan = { kind: 'commit' };

test('a READ COMMITTED transaction holds nobody up before it writes, and sees what others committed', async () => {
  const one = open();
  const two = open();
  for (const session of [one, two]) {
    await run(session, readCommitted);
    await run(session, begin);
    expect(session.statusFlags & status.inTransaction).toBe(status.inTransaction);
  }
  expect(await rows(one, 'SELECT id FROM t')).toEqual([]);
  await run(two, insert(1));
  expect(await rows(one, 'SELECT id FROM t')).toEqual([]);
  await run(two, commit);
  expect(await rows(one, 'SELECT id FROM t')).toEqual([[1]]);
  await run(one, insert(2));
  expect(await rows(two, 'SELECT id FROM t')).toEqual([[1]]);
  expect(await rows(one, 'SELECT id FROM t')).toEqual([[1], [2]]);
  await run(one, { kind: 'rollback' });
  expect(one.inTransaction).toBe(false);
  expect(await rows(one, 'SELECT id FROM t')).toEqual([[1]]);
});

test('a READ COMMITTED transaction that only read ends without a trace', async () => {
  const session = open();
  await run(session, readCommitted);
  for (const end of [commit, { kind: 'rollback' } as const, begin]) {
    await run(session, begin);
    await rows(session, 'SELECT id FROM t');
    await run(session, end);
    expect(session.inTransaction).toBe(end === begin);
  }
  await run(session, engineOf('ddl', 'CREATE TABLE u (x)'));
  expect(session.inTransaction).toBe(false);
});

test('a locking read, a savepoint and a statement of several writes begin a READ COMMITTED transaction in earnest', async () => {
  const plansOf: (readonly Plan[])[] = [
    [engineOf('select', 'SELECT id FROM t', { locking: true })],
    [engineOf('savepoint', 'SAVEPOINT a')],
    [insert(1), insert(2)],
  ];
  for (const given of plansOf) {
    const session = open();
    await run(session, readCommitted);
    await run(session, begin);
    await run(session, ...given);
    await run(session, insert(3));
    expect(await rows(open(), 'SELECT count(*) FROM t')).toEqual([[0]]);
    await run(session, { kind: 'rollback' });
  }
  expect(await rows(open(), 'SELECT count(*) FROM t')).toEqual([[0]]);
});

test('a level without a scope is the next transaction’s alone; others are serializable', async () => {
  const session = open();
  const value = 'READ-COMMITTED';
  const next: Plan = {
    kind: 'set',
    assignments: [{ scope: 'transaction', name: 'transaction_isolation', value }],
  };
  const holdsWriter = async () => {
    await run(session, begin);
    const other = open();
    const writing = run(other, insert(1)).then(() => 'written');
    const first = await Promise.race([writing, rows(session, 'SELECT 1').then(() => 'held')]);
    await run(session, commit);
    await writing;
    await run(other, engineOf('delete', 'DELETE FROM t'));
    return first === 'held' && session.inTransaction === false;
  };
  await run(session, next);
  await run(session, begin);
  await run(open(), insert(1));
  expect(await rows(session, 'SELECT id FROM t')).toEqual([[1]]);
  await run(session, commit);
  await run(open(), engineOf('delete', 'DELETE FROM t'));
  expect(await holdsWriter()).toBe(true);
  await expect(run(session, setVariable('tx_isolation', 'CHAOS'))).rejects.toMatchObject({
    code: 'OBS_SQL_VARIABLE',
  });
});

test('several plans of one statement happen together or not at all', async () => {
  const session = open();
  await expect(run(session, insert(1), insert(1))).rejects.toMatchObject({ code: 'OBS_SQL_DUPLICATE_KEY' });
  expect(await rows(session, 'SELECT id FROM t')).toEqual([]);
  await run(session, insert(1), insert(2));
  expect(await rows(session, 'SELECT id FROM t')).toEqual([[1], [2]]);
  expect(session.inTransaction).toBe(false);
});

test('without autocommit a statement of several plans leaves its transaction open', async () => {
  const session = open();
  await run(session, setVariable('autocommit', 0));
  await run(session, insert(1), insert(2));
  expect(session.inTransaction).toBe(true);
  await run(session, { kind: 'rollback' });
  expect(await rows(session, 'SELECT id FROM t')).toEqual([]);
});

test('a standby gives read transactions to clients that always begin', async () => {
  engine.mode = 'follower';
  const session = open();
  await run(session, begin);
  expect(session.statusFlags & status.inReadOnlyTransaction).toBe(status.inReadOnlyTransaction);
  expect(await rows(session, 'SELECT count(*) FROM t')).toEqual([[0]]);
  await run(session, { kind: 'commit' });
  await expect(run(session, insert(1))).rejects.toMatchObject({ code: 'OBS_TENANT_READ_ONLY' });
});

test('a failed statement leaves the session usable and is the only warning', async () => {
  const session = open();
  await expect(run(session, engineOf('select', 'SELECT * FROM nowhere'))).rejects.toThrow('nowhere');
  expect(session.warningCount).toBe(1);
  const shown = await run(session, { kind: 'warnings', errorsOnly: false, countOnly: false });
  expect(shown).toMatchObject({ rows: [['Error', 1146, "Table 'nowhere' doesn't exist"]] });
  await rows(session, 'SELECT 1');
  expect(session.warningCount).toBe(0);
});

test('the first id of a multi-row INSERT is told, and remembered', async () => {
  const session = open();
  const answer = await run(session, engineOf('insert', "INSERT INTO t (v) VALUES ('a'), ('b'), ('c')"));
  expect(answer).toMatchObject({ changes: 3, lastInsertId: 1 });
  let seen: DialectContext | undefined;
  plans = context => {
    seen = context;
    return [{ kind: 'ok' }];
  };
  await session.run({ text: 'x', textIsBytes: false }, []);
  expect(seen?.lastInsertId).toBe(1);
});

test('privileges are checked before anything runs', async () => {
  const session = open(['SELECT']);
  const missing = async (...given: readonly Plan[]) =>
    expect(run(session, ...given)).rejects.toMatchObject({ code: 'OBS_SQL_PRIVILEGE' });
  await missing(insert(1));
  await missing(engineOf('ddl', 'DROP TABLE t'));
  await missing(insert(1), insert(2));
  await missing({ kind: 'admin', statement: { kind: 'checkpoint' } as never });
  await missing({ kind: 'set', assignments: [{ scope: 'global', name: 'x', value: 1 }] });
  await missing({ kind: 'kill', connectionId: 99, query: false });
  expect(await rows(session, 'SELECT id FROM t')).toEqual([]);
});

test('tables the dialect asks for are loaded once and forgotten at DDL', async () => {
  const session = open();
  plans = context =>
    context.table('t') === undefined ? [{ kind: 'tables', names: ['t'] }] : [{ kind: 'ok' }];
  const statement = { text: 'x', textIsBytes: false };
  await session.run(statement, []);
  await session.run(statement, []);
  await open().run(statement, []);
  expect(shapesLoaded).toEqual(['t']);
  const asking = plans;
  await run(open(), engineOf('ddl', 'ALTER TABLE t ADD COLUMN w'));
  plans = asking;
  await session.run(statement, []);
  expect(shapesLoaded).toEqual(['t', 't']);
});

test('a dialect that never settles is given up', async () => {
  const session = open();
  await expect(run(session, { kind: 'tables', names: ['t'] })).rejects.toMatchObject({
    code: 'OBS_SQL_STATEMENT_UNSETTLED',
  });
});

test('foreign keys switched inside a transaction change after it', async () => {
  const session = open();
  await run(session, begin);
  await run(session, setVariable('foreign_key_checks', 0));
  await run(session, insert(1));
  await run(session, { kind: 'commit' });
  expect(await rows(session, 'PRAGMA foreign_keys')).toEqual([[0]]);
});

test('a reset rolls back and forgets variables', async () => {
  const session = open();
  await run(session, setVariable('autocommit', 0));
  await run(session, setVariable('wait_timeout', 5));
  await run(session, insert(1));
  await session.reset();
  expect(session.inTransaction).toBe(false);
  expect(session.idleMs).toBe(frontEndLimits.idleMs);
  expect(session.statusFlags).toBe(status.autocommit);
  expect(await rows(session, 'SELECT id FROM t')).toEqual([]);
});

test('COMMIT of a transaction that was ended meanwhile is an error, never OK', async () => {
  const ended = { code: 'OBS_TENANT_TRANSACTION_IDLE' };
  const endings: readonly Plan[][] = [
    [{ kind: 'commit' }],
    [begin],
    [engineOf('ddl', 'CREATE TABLE u (x)')],
    [setVariable('autocommit', 1)],
    [insert(2)],
    [insert(2), insert(3)],
    [engineOf('savepoint', 'SAVEPOINT s')],
  ];
  for (const ending of endings) {
    const session = open();
    await run(session, setVariable('autocommit', 0));
    await run(session, insert(1));
    engine.endTransactions();
    await expect(run(session, ...ending)).rejects.toMatchObject(ended);
    await run(session, { kind: 'commit' });
    expect(await rows(session, 'SELECT id FROM t')).toEqual([]);
    await session.close();
  }
});

test('COMMIT AND CHAIN opens the next transaction', async () => {
  const session = open();
  await run(session, begin);
  await run(session, insert(1));
  await run(session, { kind: 'commit', chain: true });
  expect(session.inTransaction).toBe(true);
  await session.close();
  expect(await rows(open(), 'SELECT id FROM t')).toEqual([[1]]);
});

test("a plan's own values and the client's parameters are bound where the plan says", async () => {
  const session = open();
  plans = () => [
    engineOf('select', 'SELECT ?, ?, ?', {
      parameters: [
        { kind: 'client', index: 1 },
        { kind: 'value', value: 'own' },
        { kind: 'client', index: 0 },
      ],
    }),
  ];
  const answer = await session.run({ text: 'x', textIsBytes: false }, ['first', 'second']);
  expect(answer).toMatchObject({ rows: [['second', 'own', 'first']] });
  await expect(session.run({ text: 'x', textIsBytes: false }, ['first'])).rejects.toBeInstanceOf(ObError);
});
