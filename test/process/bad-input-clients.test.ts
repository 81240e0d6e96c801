/** Clients that are wrong, greedy, impatient or hostile, before a real server: each gets its error, and everybody else is served. */
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { connect as connectTcp } from 'node:net';
import { join } from 'node:path';
import type { Connection, RowDataPacket } from 'mysql2/promise';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { LocalSite } from '../../src/client/local-site.ts';
import { connect, endAll, failureOf, notesOf, startSite, upTo, writeNotes } from '../support/lone-site.ts';
import { until } from '../support/two-sites.ts';

const connectionsMax = 4;
const statementBytesMax = 65_536;
const resultRowsMax = 100;
let site: LocalSite;

beforeAll(async () => {
  site = await startSite({
    tenants: ['orders', 'other'],
    settings: {
      sql: { connectionsPerTenantMax: connectionsMax, statementBytesMax, resultRowsMax, lockWaitMs: 20_000 },
    },
  });
  for (const tenant of ['orders', 'other']) await writeNotes(site, tenant, 3);
});

afterAll(endAll);

/** Every door answers, and what was acknowledged is there. */
async function stillServes(): Promise<void> {
  expect(await notesOf(site, 'orders')).toEqual(upTo(3));
  expect((await site.api.facts()).pid).toBe(site.pid);
  expect(site.isRunning).toBe(true);
}

async function rows(connection: Connection, sql: string): Promise<RowDataPacket[]> {
  return (await connection.query<RowDataPacket[]>(sql))[0];
}

test('a wrong password, an unknown user and an unknown tenant are refused alike', async () => {
  const attempts = [
    () => connect(site, 'orders', { password: 'wrong' }),
    () => connect(site, 'orders', { password: '' }),
    () => connect(site, 'orders', { user: 'nobody' }),
    () => connect(site, 'nowhere'),
    () => connect(site, 'orders#another-cluster'),
  ];
  for (const attempt of attempts) {
    const error = await failureOf(attempt());
    expect(error).toMatchObject({ errno: 1045, sqlState: '28000' });
    expect(error.message).toMatch(/^Access denied for user '.*'@'127.0.0.1'/);
    expect(error.message).not.toContain('wrong');
  }
  await stillServes();
});

test('a statement over the limit is refused by its length, and nothing of it happened', async () => {
  const connection = await connect(site, 'orders');
  const text = 'x'.repeat(statementBytesMax);
  const error = await failureOf(connection.query(`INSERT INTO note VALUES (999, '${text}')`));
  expect(error).toMatchObject({ errno: 1153, sqlState: '08S01' });
  expect(error.message).toContain(`of ${statementBytesMax}`);
  await stillServes();
});

test('a result over the row limit is refused, and the connection goes on', async () => {
  const connection = await connect(site, 'orders');
  const numbers = (count: number): string =>
    `WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c WHERE n < ${count}) SELECT n FROM c`;
  expect(await rows(connection, numbers(resultRowsMax))).toHaveLength(resultRowsMax);
  const error = await failureOf(connection.query(numbers(resultRowsMax + 1)));
  expect(error).toMatchObject({ errno: 1301 });
  expect(error.message).toContain(`more than ${resultRowsMax} rows`);
  expect(await rows(connection, 'SELECT count(*) AS notes FROM note')).toEqual([{ notes: 3 }]);
  await connection.end();
});

test('a connection over the tenant’s limit is refused, others of it and of other tenants are not', async () => {
  const connections: Connection[] = [];
  for (let index = 0; index < connectionsMax; index += 1) connections.push(await connect(site, 'orders'));
  const error = await failureOf(connect(site, 'orders'));
  expect(error).toMatchObject({ errno: 1226, sqlState: '42000' });
  expect(error.message).toContain(`(current value: ${connectionsMax})`);
  expect(await notesOf(site, 'other')).toEqual(upTo(3));
  for (const connection of connections) expect(await rows(connection, 'SELECT 1 AS one')).toHaveLength(1);
  await Promise.all(connections.map(connection => connection.end()));
  await until(
    'their places are free again',
    () => connect(site, 'orders').then(connection => connection.end()),
    () => true,
  );
});

test('what a client that vanishes had not committed is rolled back, and the writer is free at once', async () => {
  const vanishing = await connect(site, 'orders');
  const waiting = await connect(site, 'orders');
  await vanishing.query('BEGIN');
  await vanishing.query("INSERT INTO note VALUES (1000, 'never committed')");
  await vanishing.query("UPDATE note SET text = 'changed' WHERE n = 1");
  const write = waiting.query("UPDATE note SET text = 'the next writer' WHERE n = 2");
  vanishing.destroy();
  // Its turn comes by the other's end, long before the lock wait would be over.
  await write;
  expect(await rows(waiting, 'SELECT n, text FROM note ORDER BY n')).toEqual([
    { n: 1, text: 'note 1' },
    { n: 2, text: 'the next writer' },
    { n: 3, text: 'note 3' },
  ]);
  await waiting.end();
  await site.kill();
  await site.start();
  await stillServes();
});

/** Sends bytes to a port and leaves; resolves when the server closed, or at once if `leave`. */
async function throwAt(port: number, bytes: Uint8Array, leave: boolean): Promise<void> {
  const socket = connectTcp(port, '127.0.0.1');
  socket.on('error', () => {});
  await once(socket, 'connect');
  socket.resume();
  const closed = new Promise<void>(resolve => socket.once('close', () => resolve()));
  socket.write(bytes);
  if (leave) socket.destroy();
  else socket.end();
  await closed;
}

/** The same bytes at every run. */
function noise(length: number, seed: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state >>> 24;
  });
}

const portOf = (address: string): number => Number(address.slice(address.lastIndexOf(':') + 1));

test('hostile and truncated bytes at every door end their connection and nothing else', async () => {
  const { sqlAddress, peerAddress, httpAddress } = site.addresses;
  const text = (value: string): Uint8Array => Buffer.from(value);
  const hostile: Uint8Array[] = [
    // MySQL: a login cut short, a packet of the largest length, one of length 0, a wrong packet number
    Uint8Array.from([0x20, 0, 0, 1, 0x8d, 0xa6]),
    Uint8Array.from([0xff, 0xff, 0xff, 1, ...noise(500, 1)]),
    Uint8Array.from([0, 0, 0, 1]),
    Uint8Array.from([1, 0, 0, 77, 0x0e]),
    // peers: lengths of all kinds before the first proof
    Uint8Array.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
    // HTTP: a request cut short, one that is none, headers without end, smuggled lengths
    text('POST /api/v1/tenant-list HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{'),
    text('GET / HTTP/9.9\r\n\r\n'),
    text(`GET /health HTTP/1.1\r\nX: ${'y'.repeat(200_000)}`),
    text(
      'POST /api/v1/tenant-list HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    ),
    ...Array.from({ length: 20 }, (_, seed) => noise(1 + seed * 97, seed + 2)),
  ];
  for (const address of [sqlAddress, peerAddress, httpAddress]) {
    await Promise.all(
      hostile.flatMap(bytes => [false, true].map(leave => throwAt(portOf(address), bytes, leave))),
    );
  }
  await stillServes();
});

test('the API answers what it does not understand with a row of the catalogue', async () => {
  const url = `http://${site.addresses.httpAddress}`;
  const token = `Bearer ${readFileSync(join(site.dataDirectory, 'http.token'), 'utf8').trim()}`;
  const ask = async (path: string, body: string, headers: Record<string, string> = {}) => {
    const response = await fetch(url + path, {
      method: 'POST',
      headers: { authorization: token, 'content-type': 'application/json', ...headers },
      body,
    });
    const { error } = (await response.json()) as { error: { code: string; hint: string } };
    expect(error.hint.length).toBeGreaterThan(20);
    return { status: response.status, code: error.code };
  };
  expect(await ask('/api/v1/tenant-list', '{}', { authorization: 'Bearer no' })).toEqual({
    status: 401,
    code: 'OBS_API_UNAUTHORIZED',
  });
  expect(await ask('/api/v1/fly', '{}')).toEqual({ status: 404, code: 'OBS_API_NO_SUCH_VERB' });
  expect(await ask('/api/v1/tenant-show', '{}')).toEqual({ status: 400, code: 'OBS_API_ARGUMENTS' });
  expect(await ask('/api/v1/tenant-show', '{"name": ')).toEqual({ status: 400, code: 'OBS_API_BAD_REQUEST' });
  expect(await ask('/api/v1/tenant-show', 'name=x', { 'content-type': 'application/xml' })).toEqual({
    status: 415,
    code: 'OBS_API_BAD_REQUEST',
  });
  expect(await ask('/api/v1/tenant-show', `{"name": "${'x'.repeat(1_100_000)}"}`)).toEqual({
    status: 413,
    code: 'OBS_API_BAD_REQUEST',
  });
  expect(await ask('/somewhere/else', '{}')).toEqual({ status: 404, code: 'OBS_API_BAD_REQUEST' });
  await stillServes();
});
