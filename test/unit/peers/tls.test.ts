/** TLS between nodes, with the certificates that a configuration names. */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import type { Connection } from '../../../src/platform/net.ts';
import { nodeNet } from '../../../src/platform/net.ts';
import { readCertificates } from '../../../src/server/certificates.ts';
import { parseConfig } from '../../../src/server/config.ts';
import { makeCertificate } from '../../support/certificate.ts';
import { afterwards, introduce, say, startNode, stopNodes, until } from '../../support/nodes.ts';

afterEach(stopNodes);

/** Files with a certificate, its key, and the certificate as the only authority. */
function filesOf({ certificate, key }: ReturnType<typeof makeCertificate>) {
  const directory = mkdtempSync(join(tmpdir(), 'obstandby-tls-'));
  afterwards(() => rmSync(directory, { recursive: true, force: true }));
  const put = (name: string, text: string): string => {
    writeFileSync(join(directory, name), text);
    return join(directory, name);
  };
  return {
    tlsCertFile: put('certificate.pem', certificate),
    tlsKeyFile: put('key.pem', key),
    tlsCaFile: put('authorities.pem', certificate),
  };
}

function certificatesFor(files: ReturnType<typeof filesOf>) {
  const config = parseConfig('dataDirectory: d', '/tmp');
  return readCertificates({
    ...config,
    peer: { ...config.peer, ...files },
    cluster: { ...config.cluster, ...files },
  });
}

test('servers that one authority has signed connect with each other, and nobody else does', async () => {
  const tls = must(certificatesFor(filesOf(makeCertificate())).cluster, 'certificates of the cluster');
  const [a, b] = [await startNode('a', { tls }), await startNode('b', { tls })];
  await introduce(a, b);
  say(a, b, 'in secret');
  await until(() => b.received.length === 1);
  // Trusts them, and shows nothing itself.
  const { authorities } = must(tls.client, 'client');
  const bare = await startNode('c', {
    tls: { ...tls, client: { authorities: must(authorities, 'authorities') } },
  });
  await expect(bare.links.requestAt(b.address, 'who', null)).rejects.toMatchObject({
    code: 'OBS_NODE_UNREACHABLE',
  });
  const foreign = makeCertificate();
  const other = await startNode('d', {
    tls: { ...tls, client: { ...tls.client, own: foreign } },
  });
  await expect(other.links.requestAt(b.address, 'who', null)).rejects.toMatchObject({
    code: 'OBS_NODE_UNREACHABLE',
  });
});

test('sites that one authority has signed connect with each other', async () => {
  const { peer, peerClient } = certificatesFor(filesOf(makeCertificate()));
  const accepted = Promise.withResolvers<Connection>();
  const listener = await nodeNet.listen(
    { host: '127.0.0.1', port: 0 },
    { connectionsMax: 10, tls: must(peer, 'server') },
    accepted.resolve,
  );
  afterwards(() => listener.close());
  const connection = await nodeNet.connect(listener.address, {
    timeoutMs: 1_000,
    tls: must(peerClient, 'client'),
  });
  const other = await accepted.promise;
  const heard = Promise.withResolvers<string>();
  other.onData(bytes => heard.resolve(Buffer.from(bytes).toString()));
  connection.write([Buffer.from('hello')]);
  expect(await heard.promise).toBe('hello');
  connection.destroy();
});

test('connections that say nothing do not keep those out who speak TLS', async () => {
  const certificate = makeCertificate();
  const connectionsMax = 8;
  const accepted: Connection[] = [];
  const listener = await nodeNet.listen(
    { host: '127.0.0.1', port: 0 },
    { connectionsMax, tls: certificate },
    connection => accepted.push(connection),
  );
  afterwards(() => listener.close());
  const silent: Socket[] = [];
  const beSilent = async (count: number): Promise<void> => {
    for (let made = 0; made < count; made += 1) {
      const socket = connect(listener.address);
      socket.on('error', () => {});
      afterwards(() => void socket.destroy());
      await once(socket, 'connect');
      silent.push(socket);
    }
  };
  const closed = (): number => silent.filter(socket => socket.closed).length;
  await beSilent(2 * connectionsMax);
  // The oldest made room.
  await until(() => closed() === 2 * connectionsMax - connectionsMax / 2);
  let lost = 0;
  for (let count = 0; count < connectionsMax / 2; count += 1) {
    const connection = await nodeNet.connect(listener.address, {
      timeoutMs: 1_000,
      tls: { authorities: certificate.certificate },
    });
    connection.onClose(() => (lost += 1));
    afterwards(() => connection.destroy());
  }
  await until(() => accepted.length === connectionsMax / 2);
  // Who was let in makes room for nobody.
  const before = closed();
  await beSilent(connectionsMax);
  await until(() => closed() >= before + connectionsMax - connectionsMax / 2);
  expect(lost).toBe(0);
});
