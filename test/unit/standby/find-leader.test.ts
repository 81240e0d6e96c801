/** A site of several nodes, of which one leads: whoever connects finds it, and a standby follows its leader around. */
import { afterEach, expect, test } from 'vitest';
import { ObError } from '../../../src/base/errors.ts';
import { roleEpoch } from '../../../src/base/scalars.ts';
import type { NetAddress } from '../../../src/platform/net.ts';
import { connectLeader } from '../../../src/standby/network/leader-connect.ts';
import type { LogServerOptions } from '../../../src/standby/network/log-server.ts';
import { addressText } from '../../../src/standby/restore-source.ts';
import {
  append,
  atEnd,
  closeSites,
  connectOptions,
  logContent,
  networkTo,
  openLog,
  pullerInto,
  serve,
  testTenant,
  verifierOf,
} from '../../support/peer-sites.ts';

afterEach(closeSites);

/** A node that refuses everybody, naming `leader` if it knows one. */
const follower = async (
  leader: () => NetAddress | null,
  options: Partial<LogServerOptions> = {},
): Promise<NetAddress> => {
  const find = (): never => {
    const at = leader();
    throw new ObError('OBS_PEER_NOT_LEADER', {
      tenant: 'shop',
      address: 'this node',
      leader: at === null ? 'an address not known yet' : addressText(at),
    });
  };
  const directory = { find, verifier: () => verifierOf('') };
  return (await serve(testTenant(null), { directory, ...options })).address;
};

const leaderOf = async (...addresses: readonly NetAddress[]): Promise<NetAddress['port']> => {
  const { address: _, ...login } = connectOptions({ host: '127.0.0.1', port: 1 });
  const connection = await connectLeader({ ...login, addresses, timeoutMs: 5_000 });
  atEnd(() => connection.close());
  return Number(connection.peer.address?.split(':')[1]);
};

/** A node that leads, and names itself when it is asked. */
const leading = async (log = openLog()): Promise<NetAddress> => {
  let port = 0;
  const { address } = await serve(testTenant(await log), { advertise: () => `127.0.0.1:${port}` });
  ({ port } = address);
  return address;
};

const nobody: NetAddress = { host: '127.0.0.1', port: 1 };

test('the node that leads is found behind dead ones and ones that do not lead', async () => {
  const leader = await leading();
  const other = await follower(() => null);
  expect(await leaderOf(nobody, other, leader)).toBe(leader.port);
});

test('a node that does not lead says who does, listed or not', async () => {
  const leader = await leading();
  const other = await follower(() => leader);
  expect(await leaderOf(other)).toBe(leader.port);
});

test('two nodes that point at each other end the search, with what they said', async () => {
  const pair: NetAddress[] = [];
  pair.push(await follower(() => pair[1] ?? null), await follower(() => pair[0] ?? null));
  await expect(leaderOf(...pair)).rejects.toMatchObject({ code: 'OBS_PEER_NOT_LEADER', kind: 'not-leader' });
});

test('a site that nobody leads yet is told apart from one that is gone', async () => {
  const other = await follower(() => null);
  await expect(leaderOf(nobody, other, nobody)).rejects.toMatchObject({ code: 'OBS_PEER_NOT_LEADER' });
  await expect(leaderOf(nobody)).rejects.toMatchObject({ code: 'OBS_PEER_UNREACHABLE' });
});

test('a wrong password is not tried at every node', async () => {
  const leader = await leading();
  let asked = 0;
  const other = await follower(() => {
    asked += 1;
    return null;
  });
  const { address: _, ...login } = connectOptions(leader, {
    credential: { kind: 'password', user: 'root', password: 'wrong' },
  });
  const connecting = connectLeader({ ...login, addresses: [leader, other] });
  await expect(connecting).rejects.toMatchObject({ code: 'OBS_PEER_ACCESS_DENIED' });
  expect(asked).toBe(0);
});

test('a standby that is given one node follows the leader to another one, and loses no place', async () => {
  const source = await openLog();
  const nodes: NetAddress[] = [];
  const advertise = (): string => nodes.map(addressText).join(';');
  const first = await serve(testTenant(source), { advertise });
  const second = await serve(testTenant(source), { advertise });
  nodes.push(first.address, second.address);
  const here = await openLog({ mode: 'RAW_WRITE' });
  const puller = pullerInto(here, { network: networkTo(first.address), archive: null }, null);
  puller.start();
  await append(source, 'before');
  await puller.caughtUpTo(source.state().end.lsn, 10_000);
  // The named node ends; the other one was told of at the first login.
  await first.server.stop();
  await append(source, 'after');
  await puller.caughtUpTo(source.state().end.lsn, 10_000);
  expect(await logContent(here)).toEqual(await logContent(source));
  expect(puller.status()).toMatchObject({ status: 'NORMAL', knownEpoch: roleEpoch(1) });
});
