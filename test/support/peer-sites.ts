/**
 * Two sites for tests of the peer transport: a log stream each on a temporary directory, a log server before the first,
 * pullers at the second. Everything is the real part but the database engine.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LogChunk, LogPosition, ProposalEra } from '../../src/base/log-access.ts';
import { logStreamId, lsn, type RoleEpoch, roleEpoch, scn, scnUnlimited } from '../../src/base/scalars.ts';
import { decodeChunk } from '../../src/codec/clog.ts';
import { EntryAssembler } from '../../src/codec/entry-assembler.ts';
import { deriveScramKeys, type ScramVerifier, scramVerifierOf } from '../../src/codec/scram.ts';
import { LogStream } from '../../src/logstream/log-stream.ts';
import { nodeClock } from '../../src/platform/clock.ts';
import { nodeDisk } from '../../src/platform/disk.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import { type NetAddress, nodeNet } from '../../src/platform/net.ts';
import { nodeRandom } from '../../src/platform/random.ts';
import { connectPeer, type PeerConnectOptions } from '../../src/standby/network/log-client.ts';
import { LogServer, type LogServerOptions } from '../../src/standby/network/log-server.ts';
import type { PeerConnection } from '../../src/standby/network/peer-connection.ts';
import type { PeerIdentity, PeerTenant, SnapshotSource } from '../../src/standby/network/peer-tenant.ts';
import { FollowerApply } from '../../src/standby/follower-apply.ts';
import { PeerNetworkSource } from '../../src/standby/network-source.ts';
import { type PullSources, StandbyPuller, type StandbyPullerOptions } from '../../src/standby/puller.ts';

export const incarnation = '8f6c1f0e-0000-4000-8000-000000000001';
export const user = 'root';
export const password = 'correct horse';

const cleanups: (() => Promise<void> | void)[] = [];

/** For afterEach: ends everything that was made, newest first. */
export async function closeSites(): Promise<void> {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
}

export const atEnd = (cleanup: () => Promise<void> | void): void => {
  cleanups.push(cleanup);
};

export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'obstandby-peer-'));
  atEnd(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

export async function openLog(
  options: {
    directory?: string;
    mode?: 'APPEND' | 'RAW_WRITE';
    position?: LogPosition;
    checkpointLsn?: LogPosition['lsn'];
    proposalHistory?: readonly ProposalEra[];
    blockBytes?: number;
    diskBytesMax?: number;
  } = {},
): Promise<LogStream> {
  const log = await LogStream.open({
    disk: nodeDisk,
    clock: nodeClock,
    directory: options.directory ?? join(temporaryDirectory(), 'log'),
    stream: logStreamId(1001),
    incarnation,
    limits: {
      blockBytes: options.blockBytes ?? 65_536,
      diskBytesMax: options.diskBytesMax ?? 268_435_456,
    },
    ...(options.position === undefined ? {} : { initialPosition: options.position }),
    ...(options.checkpointLsn === undefined ? {} : { initialCheckpointLsn: options.checkpointLsn }),
    ...(options.proposalHistory === undefined ? {} : { initialHistory: options.proposalHistory }),
    initialAccessMode: options.mode ?? 'APPEND',
    onFatal: error => {
      throw error;
    },
  });
  atEnd(() => log.close());
  return log;
}

/** Appends an entry and waits until it is committed. */
export async function append(log: LogStream, text: string): Promise<LogPosition> {
  const { endLsn } = log.append({ kind: 'redo', body: [redoOf(text)] });
  await log.committed(endLsn);
  return log.state().end;
}

/** Not a database page: the tests' engine applies texts. */
const redoOf = (text: string): Uint8Array => Buffer.from(text);

const verifiers = new Map<string, ScramVerifier>();
export async function verifierOf(secret: string): Promise<ScramVerifier> {
  let verifier = verifiers.get(secret);
  if (verifier === undefined) {
    verifier = scramVerifierOf(await deriveScramKeys(secret, Buffer.from('a salt of 16 by.'), 4_096));
    verifiers.set(secret, verifier);
  }
  return verifier;
}

export interface TestTenant extends PeerTenant {
  epoch: RoleEpoch;
  log: LogStream | null;
  readonly epochsSeen: { epoch: RoleEpoch; peer: PeerIdentity }[];
  /** why no peer may follow */
  peerRefusal: Error | null;
  readonly peersSeen: { peer: PeerIdentity; credential: Parameters<PeerTenant['peerSeen']>[1] }[];
  snapshot: (() => SnapshotSource) | null;
}

export function testTenant(log: LogStream | null): TestTenant {
  const tenant: TestTenant = {
    name: 'shop',
    incarnation,
    log,
    epoch: roleEpoch(1),
    epochsSeen: [],
    peerRefusal: null,
    peersSeen: [],
    snapshot: null,
    state: () => ({
      role: 'PRIMARY',
      switchoverStatus: 'NORMAL',
      roleEpoch: tenant.epoch,
      pageBytes: 4096,
      blockBytes: tenant.log?.blockBytes ?? 0,
      sealed: null,
    }),
    openSnapshot: async () => {
      if (tenant.snapshot === null) throw new Error('no snapshot in this test');
      return tenant.snapshot();
    },
    control: async (op, body, peer) => ({ op, body, site: peer.site }),
    epochSeen: (epoch, peer) => tenant.epochsSeen.push({ epoch, peer }),
    peerSeen: (peer, credential) => {
      tenant.peersSeen.push({ peer, credential });
      return tenant.peerRefusal === null ? Promise.resolve() : Promise.reject(tenant.peerRefusal);
    },
  };
  return tenant;
}

export async function serve(
  tenant: TestTenant,
  options: Partial<LogServerOptions> & { port?: number } = {},
): Promise<{ server: LogServer; address: NetAddress }> {
  const server = new LogServer({
    net: nodeNet,
    address: { host: '127.0.0.1', port: options.port ?? 0 },
    cluster: 'paris',
    site: 'paris-1',
    advertise: () => null,
    directory: {
      find: name => (name === tenant.name ? tenant : undefined),
      verifier: async (_tenant, name) => (name === user ? verifierOf(password) : undefined),
    },
    clock: nodeClock,
    random: nodeRandom,
    logger: silentLogger,
    onFatal: error => {
      throw error;
    },
    ...options,
  });
  const address = await server.start();
  atEnd(() => server.stop());
  return { server, address };
}

export const connectOptions = (
  address: NetAddress,
  options: Partial<PeerConnectOptions> = {},
): PeerConnectOptions => ({
  net: nodeNet,
  clock: nodeClock,
  random: nodeRandom,
  address,
  cluster: 'rome',
  site: 'rome-1',
  advertise: '127.0.0.1:4242',
  localTenant: 'shop',
  tenant: 'shop',
  credential: { kind: 'password', user, password },
  incarnation,
  knownEpoch: roleEpoch(1),
  ...options,
});

export async function connect(
  address: NetAddress,
  options: Partial<PeerConnectOptions> = {},
): Promise<PeerConnection> {
  const connection = await connectPeer(connectOptions(address, options));
  atEnd(() => connection.close());
  return connection;
}

/** An engine that keeps the texts of the entries it was given, in order. */
export class TextEngine {
  readonly texts: string[] = [];
  readonly #assembler: EntryAssembler;

  constructor(start: LogPosition = { lsn: lsn(0), scn: scn(0), checksum: 0 }) {
    this.#assembler = new EntryAssembler(start);
  }

  readonly apply = async (
    chunk: LogChunk,
  ): Promise<{ appliedLsn: LogPosition['lsn']; readableScn: LogPosition['scn'] }> => {
    const entries = this.#assembler.push(chunk.bytes);
    if ('kind' in entries) throw new Error(`damaged log: ${entries.what}`);
    for (const entry of entries)
      if (entry.kind === 'redo') this.texts.push(Buffer.from(entry.body).toString());
    return { appliedLsn: chunk.end.lsn, readableScn: chunk.end.scn };
  };
}

export const networkTo = (
  address: NetAddress,
  options: Partial<PeerConnectOptions> = {},
): PeerNetworkSource => new PeerNetworkSource({ ...connectOptions(address, options), addresses: [address] });

/** What the engine has not applied yet of the log, it applies from now on. */
export function applyInto(log: LogStream, apply: TextEngine['apply']): FollowerApply {
  const from = log.state().end;
  const applied = new FollowerApply({
    log,
    apply,
    applied: () => from,
    clock: nodeClock,
    logger: silentLogger,
    onFatal: error => {
      throw error;
    },
  });
  applied.start();
  atEnd(() => applied.stop());
  return applied;
}

export function pullerInto(
  log: LogStream,
  sources: PullSources,
  engine: TextEngine | null,
  options: Partial<StandbyPullerOptions> = {},
): StandbyPuller {
  const puller = new StandbyPuller({
    log,
    apply: engine === null ? null : applyInto(log, engine.apply),
    sources,
    recoveryUntil: scnUnlimited,
    knownEpoch: roleEpoch(1),
    sourceEnd: null,
    bandwidthBytesPerSecond: 0,
    clock: nodeClock,
    random: nodeRandom,
    logger: silentLogger,
    onSourceEnd: () => {},
    onEpoch: () => {},
    onFatal: error => {
      throw error;
    },
    ...options,
  });
  atEnd(() => puller.close());
  return puller;
}

/** What a log says, from its start: payloads, SCNs and proposal ids; a site's own header fields are left out. */
export async function logContent(log: LogStream): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  let at = lsn(0);
  while (at < log.state().end.lsn) {
    const chunk = await log.read(at, 1_048_576);
    const groups = decodeChunk(chunk);
    if ('kind' in groups) throw new Error(`damaged log: ${groups.what}`);
    for (const { header, payload, end } of groups) {
      parts.push(Buffer.from(`${end.lsn} ${end.scn} ${end.checksum} ${header.proposalId}\n`), payload);
    }
    at = chunk.end.lsn;
  }
  return Buffer.concat(parts);
}
