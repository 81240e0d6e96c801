import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { capability, command, packetPartBytes } from '../../../src/sql/protocol/wire-constants.ts';
import { rootPassword, startTestFrontEnd, type TestFrontEnd } from '../../support/front-end.ts';
import { clientCapabilities, errorNumber, isError, isOk, WireClient } from '../../support/mysql-wire.ts';

let server: TestFrontEnd;

beforeAll(async () => {
  server = await startTestFrontEnd({ limits: { statementBytesMax: 20_000_000, tenantConnectionsMax: 5 } });
});

afterAll(() => server.stop());

async function loggedIn(capabilities = clientCapabilities): Promise<WireClient> {
  const client = new WireClient(server.port);
  expect(isOk(await client.login('root@acme', rootPassword, capabilities))).toBe(true);
  return client;
}

/** The server is there for others, and nothing broke inside it. */
async function stillServes(): Promise<void> {
  const client = await loggedIn();
  client.command(command.ping);
  expect(isOk(await client.next())).toBe(true);
  await client.close();
  expect(server.fatal).toEqual([]);
}

test('any bytes instead of a login close the connection, with an error packet or none', async () => {
  const noise = fc.uint8Array({ minLength: 1, maxLength: 300 });
  await fc.assert(
    fc.asyncProperty(noise, async bytes => {
      const client = new WireClient(server.port);
      await client.next();
      client.socket.end(bytes);
      for (const packet of await client.rest()) expect(isError(packet)).toBe(true);
    }),
    { numRuns: 100 },
  );
  await stillServes();
});

test('a login packet over the bound is refused by its header', async () => {
  const client = new WireClient(server.port);
  await client.next();
  client.socket.write(Buffer.from([0, 0, 0x10, 1]));
  const packets = await client.rest();
  expect(errorNumber(packets[0])).toBe(1153);
  await stillServes();
});

test('any command packet is answered, refused, or closes the connection', async () => {
  const code = fc.oneof(fc.integer({ min: 0, max: 255 }), fc.constantFrom(...Object.values(command)));
  const body = fc.uint8Array({ maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(fc.array(fc.tuple(code, body), { maxLength: 6 }), async commands => {
      const client = await loggedIn();
      for (const [first, rest] of commands) client.command(first, rest);
      client.command(command.ping);
      client.command(command.quit);
      const packets = await client.rest();
      expect(packets.length).toBeLessThan(100);
      expect(server.fatal).toEqual([]);
    }),
    { numRuns: 150 },
  );
  await stillServes();
});

test('a truncated EXECUTE is an error and the connection goes on', async () => {
  const client = await loggedIn();
  client.command(command.statementPrepare, 'SELECT ?, ?');
  for (let packet = 0; packet < 5; packet++) await client.next();
  client.command(command.statementExecute, Buffer.from([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3]));
  expect(errorNumber(await client.next())).toBe(1835);
  client.command(command.ping);
  expect(isOk(await client.next())).toBe(true);
  await client.close();
});

test('a statement over the bound is refused before its bytes are read', async () => {
  const client = await loggedIn();
  client.socket.write(Buffer.from([0xff, 0xff, 0xff, 0]));
  client.socket.write(Buffer.alloc(packetPartBytes, 0x20));
  client.socket.write(Buffer.from([0xff, 0xff, 0xff, 1]));
  const packets = await client.rest();
  expect(errorNumber(packets[0])).toBe(1153);
  await stillServes();
});

test('commands sent ahead are answered in order', async () => {
  const client = await loggedIn();
  for (let index = 0; index < 50; index++) client.command(command.query, `SELECT ${index}`);
  for (let index = 0; index < 50; index++) {
    expect((await client.next())?.payload[0]).toBe(1);
    await client.next();
    expect((await client.next())?.payload.toString('latin1')).toBe(
      `${String.fromCharCode(String(index).length)}${index}`,
    );
    expect((await client.next())?.payload[0]).toBe(0xfe);
  }
  await client.close();
});

test('a client that vanishes inside a transaction leaves no writer behind', async () => {
  const client = await loggedIn();
  client.command(command.query, 'BEGIN');
  expect(isOk(await client.next())).toBe(true);
  client.socket.resetAndDestroy();
  const next = await loggedIn();
  next.command(command.query, 'CREATE TABLE after_reset (x)');
  expect(isOk(await next.next())).toBe(true);
  await next.close();
});

test('several statements need CLIENT_MULTI_STATEMENTS', async () => {
  const client = await loggedIn();
  client.command(command.query, 'SELECT 1; SELECT 2');
  expect(errorNumber(await client.next())).toBe(1064);
  await client.close();
  const asking = await loggedIn(clientCapabilities | capability.multiStatements);
  asking.command(command.query, 'SELECT 1; NONSENSE; SELECT 2');
  const kinds: (number | undefined)[] = [];
  for (let index = 0; index < 5; index++) {
    const packet = await asking.next();
    kinds.push(packet?.payload[0]);
    expect(packet?.sequence).toBe(index + 1);
  }
  expect(kinds).toEqual([1, 3, 1, 0xfe, 0xff]);
  await asking.close();
});

test('a wrong password, user or tenant gets the same answer', async () => {
  for (const [user, password] of [
    ['root@acme', 'wrong'],
    ['nobody@acme', rootPassword],
    ['root@nowhere', rootPassword],
    ['root@acme', ''],
  ] as const) {
    const client = new WireClient(server.port);
    expect(errorNumber(await client.login(user, password))).toBe(1045);
    expect(await client.rest()).toEqual([]);
  }
});

test('the connections of a tenant are bounded, and given back', async () => {
  const clients: WireClient[] = [];
  for (let index = 0; index < 5; index++) clients.push(await loggedIn());
  const refused = new WireClient(server.port);
  expect(errorNumber(await refused.login('root@acme', rootPassword))).toBe(1226);
  const sys = new WireClient(server.port);
  expect(isOk(await sys.login('root@sys', rootPassword))).toBe(true);
  await sys.close();
  for (const client of clients) {
    client.command(command.quit);
    await client.rest();
  }
  await stillServes();
});

test('an unknown prepared statement is named as such; the last one may be called by 0xFFFFFFFF', async () => {
  const client = await loggedIn();
  client.command(command.statementExecute, Buffer.from([9, 0, 0, 0, 0, 1, 0, 0, 0]));
  expect(errorNumber(await client.next())).toBe(1243);
  client.command(command.statementPrepare, 'SELECT 5');
  await client.next();
  await client.next();
  client.command(command.statementExecute, Buffer.from([255, 255, 255, 255, 0, 1, 0, 0, 0]));
  expect((await client.next())?.payload[0]).toBe(1);
  await client.close();
});

test('a bug in a statement is told as an internal error and the connection goes on', async () => {
  const client = await loggedIn();
  client.command(command.query, 'BUG');
  expect(isError(await client.next())).toBe(true);
  client.command(command.ping);
  expect(isOk(await client.next())).toBe(true);
  await client.close();
});
