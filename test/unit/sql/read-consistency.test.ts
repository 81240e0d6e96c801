/** Which statements a replica that does not lead may answer: weak reads alone, however they are asked for. */
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ObError } from '../../../src/base/errors.ts';
import { tenantId } from '../../../src/base/scalars.ts';
import { nodeClock } from '../../../src/platform/clock.ts';
import { nodeRandom } from '../../../src/platform/random.ts';
import { MysqlDialect } from '../../../src/sql/dialect/translate.ts';
import { frontEndLimits } from '../../../src/sql/front-end-limits.ts';
import { Session } from '../../../src/sql/session.ts';
import { DirectEngine } from '../../support/direct-engine.ts';

let engine: DirectEngine;
let leads: boolean;
let session: Session;

const notLeader = (): ObError =>
  new ObError('OBS_TENANT_NOT_LEADER', { tenant: 'acme', leader: '10.0.0.2:2881', node: 'b' });

const run = (text: string) => session.run({ text, textIsBytes: false }, []);
const outcome = async (text: string): Promise<unknown> => {
  try {
    const answer = await run(text);
    return answer.kind === 'rows' ? answer.rows : 'done';
  } catch (error) {
    if (error instanceof ObError) return error.code;
    throw error;
  }
};

beforeEach(async () => {
  engine = new DirectEngine();
  leads = true;
  session = new Session(
    {
      services: {
        dialect: new MysqlDialect(),
        runView: async () => ({ kind: 'rows', columns: [], rows: [[1]] }),
        executeAdmin: async () => ({ kind: 'ok' }),
        loadTableShape: async () => null,
      },
      operations: {} as never,
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
        info: () => ({}) as never,
        writable: () => leads,
        admit: () => (leads ? undefined : Promise.reject(notLeader())),
      },
      user: 'app',
      host: '127.0.0.1',
      privileges: new Set(['ALL']),
      connectionId: 1,
    },
  );
  await run('CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)');
  await run("INSERT INTO t VALUES (1, 'v')");
  leads = false;
});

afterEach(async () => {
  await session.close();
  await engine.close();
});

test('without a word for old data every statement goes to the leader, and says where that is', async () => {
  for (const text of [
    'SELECT id FROM t',
    "SELECT '/*+ READ_CONSISTENCY(WEAK) */' FROM t",
    'SELECT /* READ_CONSISTENCY(WEAK) */ id FROM t',
    "INSERT INTO t VALUES (2, 'w')",
    'UPDATE t SET v = 1',
    'CREATE TABLE u (id INTEGER)',
    'BEGIN',
    'SHOW TABLES',
    "CREATE USER 'x' IDENTIFIED BY 'y'",
  ])
    expect([text, await outcome(text)]).toEqual([text, 'OBS_TENANT_NOT_LEADER']);
  await expect(run('SELECT id FROM t')).rejects.toMatchObject({
    kind: 'not-leader',
    mysql: { number: 4038 },
    message: expect.stringContaining('10.0.0.2:2881') as string,
    details: { leader: '10.0.0.2:2881', node: 'b' },
  });
});

test.each([
  'SELECT /*+ READ_CONSISTENCY(WEAK) */ id FROM t',
  'select /*+ index(t) read_consistency( weak ) */ id from t where id = 1',
])('one statement asks for a weak read: %s', async text => {
  expect(await outcome(text)).toEqual([[1]]);
  expect(await outcome('SELECT id FROM t')).toBe('OBS_TENANT_NOT_LEADER');
});

test.each([
  'SET ob_read_consistency = WEAK',
  "SET SESSION ob_read_consistency = 'weak'",
  'SET @@ob_read_consistency = 2',
])('a session asks for weak reads: %s', async text => {
  await run(text);
  expect(await outcome('SELECT id FROM t')).toEqual([[1]]);
  expect(await outcome('SHOW TABLES')).toEqual([['t']]);
  expect(await outcome("INSERT INTO t VALUES (2, 'w')")).toBe('OBS_TENANT_NOT_LEADER');
  expect(await outcome('SELECT id FROM t FOR UPDATE')).toBe('OBS_TENANT_NOT_LEADER');
  await run('SET ob_read_consistency = STRONG');
  expect(await outcome('SELECT id FROM t')).toBe('OBS_TENANT_NOT_LEADER');
});

test('a session of weak reads reads in transactions too, and writes in none', async () => {
  await run('SET ob_read_consistency = WEAK');
  await run('BEGIN');
  expect(await outcome('SELECT id FROM t')).toEqual([[1]]);
  expect(await outcome('DELETE FROM t')).toBe('OBS_TENANT_NOT_LEADER');
  await run('COMMIT');
});

test('a value that is none is refused, and nothing changes', async () => {
  expect(await outcome("SET ob_read_consistency = 'FROZEN'")).toBe('OBS_SQL_VARIABLE');
  expect(await outcome('SELECT id FROM t')).toBe('OBS_TENANT_NOT_LEADER');
});

test('a reset connection reads strongly again', async () => {
  await run('SET ob_read_consistency = WEAK');
  await session.reset();
  expect(await outcome('SELECT id FROM t')).toBe('OBS_TENANT_NOT_LEADER');
});
