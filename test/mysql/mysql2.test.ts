/** mysql2, the driver most Node programs use, against the front-end over bare SQLite. */
import { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { createConnection, type Connection, type RowDataPacket } from 'mysql2/promise';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { PacketWriter } from '../../src/sql/protocol/packet-writer.ts';
import { capability } from '../../src/sql/protocol/wire-constants.ts';
import { makeCertificate } from '../support/certificate.ts';
import { rootPassword, startTestFrontEnd, type TestFrontEnd } from '../support/front-end.ts';
import { clientCapabilities, WireClient } from '../support/mysql-wire.ts';
import { isPresent } from '../support/requirement.ts';

let server: TestFrontEnd;
const connections: Connection[] = [];

async function connect(options: Parameters<typeof createConnection>[0] & object = {}): Promise<Connection> {
  const connection = await createConnection({
    host: '127.0.0.1',
    port: server.port,
    user: 'root@acme#c1',
    password: rootPassword,
    ...options,
  });
  connections.push(connection);
  return connection;
}

afterEach(async () => {
  for (const connection of connections.splice(0)) connection.destroy();
});

describe('without TLS', () => {
  beforeAll(async () => {
    server = await startTestFrontEnd();
  });
  afterAll(() => server.stop());

  test('values keep their type and digits, as text and as binary rows', async () => {
    const connection = await connect({ supportBigNumbers: true, bigNumberStrings: false });
    await connection.query(
      `CREATE TABLE kinds (id INTEGER PRIMARY KEY, small TINYINT, big BIGINT, real_one DOUBLE, t TEXT, b BLOB,
        d DATETIME, day DATE)`,
    );
    const bytes = Buffer.from([0, 255, 39, 92, 10]);
    const values = [
      1,
      -3,
      '9223372036854775807',
      1.25,
      "O'Neil \\ ☃\n",
      bytes,
      '2024-02-29 10:11:12',
      '2024-02-29',
    ];
    await connection.execute('INSERT INTO kinds VALUES (?, ?, CAST(? AS INTEGER), ?, ?, ?, ?, ?)', values);
    const expected = {
      id: 1,
      small: -3,
      big: '9223372036854775807',
      real_one: 1.25,
      t: "O'Neil \\ ☃\n",
      b: bytes,
      d: new Date('2024-02-29T10:11:12'),
      day: new Date('2024-02-29T00:00:00'),
    };
    expect((await connection.query<RowDataPacket[]>('SELECT * FROM kinds'))[0]).toEqual([expected]);
    expect((await connection.execute<RowDataPacket[]>('SELECT * FROM kinds'))[0]).toEqual([expected]);
  });

  test('NULLs and no rows at all arrive as such', async () => {
    const connection = await connect();
    const [rows, fields] = await connection.execute<RowDataPacket[]>('SELECT ? AS a, 1 AS b WHERE 0', [null]);
    expect(rows).toEqual([]);
    expect(fields.map(field => field.name)).toEqual(['a', 'b']);
    expect((await connection.execute<RowDataPacket[]>('SELECT ? AS a', [null]))[0]).toEqual([{ a: null }]);
  });

  test('a value of 20 MB goes in and comes back', async () => {
    const connection = await connect();
    const value = Buffer.alloc(20_000_000, 7);
    const [rows] = await connection.execute<RowDataPacket[]>('SELECT ? AS a, length(?) AS n', [value, value]);
    expect(rows[0]?.['n']).toBe(value.length);
    expect(value.equals(Buffer.from(rows[0]?.['a']))).toBe(true);
  });

  test('several statements in one text give their results in order', async () => {
    const connection = await connect({ multipleStatements: true });
    const [results] = await connection.query<RowDataPacket[][]>(
      'SELECT 1 AS a; SELECT 2 AS a; SELECT 3 AS a',
    );
    expect(results).toEqual([[{ a: 1 }], [{ a: 2 }], [{ a: 3 }]]);
    await expect(connection.query('SELECT 1; SELECT * FROM nowhere; SELECT 2')).rejects.toMatchObject({
      errno: 1146,
      sqlState: '42S02',
    });
    expect((await connection.query<RowDataPacket[]>('SELECT 4 AS a'))[0]).toEqual([{ a: 4 }]);
  });

  test('queries sent without waiting are answered in order', async () => {
    const connection = await connect();
    const answers = await Promise.all(
      Array.from({ length: 200 }, (_, n) => connection.query<RowDataPacket[]>(`SELECT ${n} AS n`)),
    );
    expect(answers.map(([rows]) => rows[0]?.['n'])).toEqual(Array.from({ length: 200 }, (_, n) => n));
  });

  test('transactions of several connections do not mix', async () => {
    const writers = await Promise.all([connect(), connect(), connect()]);
    await writers[0]?.query('CREATE TABLE counted (id INTEGER PRIMARY KEY, n INT)');
    await writers[0]?.query('INSERT INTO counted VALUES (1, 0)');
    await Promise.all(
      writers.map(async connection => {
        for (let round = 0; round < 20; round++) {
          await connection.beginTransaction();
          const [rows] = await connection.query<RowDataPacket[]>('SELECT n FROM counted WHERE id = 1');
          await connection.execute('UPDATE counted SET n = ? WHERE id = 1', [Number(rows[0]?.['n']) + 1]);
          await connection.commit();
        }
      }),
    );
    const [rows] = await (await connect()).query<RowDataPacket[]>('SELECT n FROM counted');
    expect(rows).toEqual([{ n: 60 }]);
  });

  test('a wrong password is refused with number and state', async () => {
    await expect(connect({ password: 'guess' })).rejects.toMatchObject({ errno: 1045, sqlState: '28000' });
    await expect(connect({ database: 'nowhere' })).rejects.toMatchObject({ errno: 1064 });
  });

  test('change of user and reset of the connection', async () => {
    const connection = await connect();
    await connection.query('MAKEUSER reader pw');
    await connection.query('BEGIN');
    await connection.query('CREATE TABLE seen (x INT)');
    await connection.changeUser({ user: 'reader@acme', password: 'pw' });
    await expect(connection.query('SELECT * FROM seen')).rejects.toMatchObject({ errno: 1227 });
    await connection.changeUser({ user: 'root@acme', password: rootPassword });
    await connection.query('BEGIN');
    await connection.query('INSERT INTO seen VALUES (1)');
    await connection.reset();
    expect((await connection.query<RowDataPacket[]>('SELECT * FROM seen'))[0]).toEqual([]);
  });

  test('a refused change of user ends the connection', async () => {
    const connection = await connect();
    await expect(connection.changeUser({ user: 'root@acme', password: 'no' })).rejects.toMatchObject({
      errno: 1045,
    });
  });

  test('stopping ends idle connections at once and waits for open transactions', async () => {
    const own = await startTestFrontEnd();
    const idle = await connect({ port: own.port });
    const busy = await connect({ port: own.port });
    const told = new Promise(resolve => idle.on('error', resolve));
    await busy.query('CREATE TABLE x (a INT)');
    await busy.query('BEGIN');
    const stopped = own.frontEnd.stop();
    expect(await told).toMatchObject({ code: 1053 });
    await busy.query('INSERT INTO x VALUES (1)');
    await busy.query('COMMIT');
    await stopped;
    for (const engine of own.engines.values()) await engine.close();
  });
});

describe('with caching_sha2_password', () => {
  test('the password is proven by the fast path alone', async () => {
    server = await startTestFrontEnd({ defaultPlugin: 'caching_sha2_password' });
    const connection = await connect();
    expect((await connection.query<RowDataPacket[]>('SELECT 1 AS a'))[0]).toEqual([{ a: 1 }]);
    await expect(connect({ password: 'guess' })).rejects.toMatchObject({ errno: 1045 });
    for (const open of connections.splice(0)) open.destroy();
    await server.stop();
  });
});

describe.skipIf(!isPresent('TLS test', ['openssl']))('with TLS', () => {
  let certificate: string;

  beforeAll(async () => {
    const made = makeCertificate();
    certificate = made.certificate;
    server = await startTestFrontEnd({ tls: { ...made, required: true } });
  });
  afterAll(() => server.stop());

  test('100 connections in a row get through', async () => {
    for (let round = 0; round < 100; round++) {
      const connection = await connect({ ssl: { ca: certificate } });
      expect((await connection.query<RowDataPacket[]>('SELECT 1 AS a'))[0]).toEqual([{ a: 1 }]);
      await connection.end();
    }
  });

  test('a ClientHello in the same segment as the SSL request is not lost', async () => {
    for (let round = 0; round < 50; round++) {
      const client = new WireClient(server.port);
      await client.next();
      client.socket.removeAllListeners('data');
      const request = new PacketWriter().start(1).begin();
      request
        .u32(clientCapabilities | capability.ssl)
        .u32(2 ** 24)
        .u8(45)
        .zeros(23)
        .end();
      const glued = glue(client, request.take());
      await new Promise<void>((resolve, reject) => {
        const options = { socket: glued, ca: certificate, checkServerIdentity: () => undefined };
        const secure = connectTls(options, resolve);
        secure.on('error', reject);
      });
      await client.close();
    }
  });

  test('a login in the clear is refused where TLS is required', async () => {
    await expect(connect()).rejects.toMatchObject({ errno: 3159 });
  });

  test('bytes that are no TLS end the connection and nothing else', async () => {
    const client = new WireClient(server.port);
    await client.next();
    const request = new PacketWriter().start(1).begin();
    request
      .u32(clientCapabilities | capability.ssl)
      .u32(2 ** 24)
      .u8(45)
      .zeros(23)
      .end();
    client.socket.write(Buffer.concat([request.take(), Buffer.alloc(500, 1)]));
    await client.rest();
    const connection = await connect({ ssl: { ca: certificate } });
    await connection.ping();
    expect(server.fatal).toEqual([]);
  });
});

/** A stream over the client's socket whose first write carries `head` before it, in one piece. */
function glue(client: WireClient, head: Buffer): Duplex {
  let pending: Buffer | undefined = head;
  const stream = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      client.socket.write(pending === undefined ? chunk : Buffer.concat([pending, chunk]));
      pending = undefined;
      done();
    },
  });
  client.socket.on('data', chunk => stream.push(chunk));
  return stream;
}
