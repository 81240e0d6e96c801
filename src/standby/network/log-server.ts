/**
 * Where peers of other sites connect: takes them through the login, then hands each to a session.
 *
 * Before a login a peer costs one connection of a bounded number, small frames, and a bounded time; nothing it says is
 * acted on. Whoever knows of a newer role epoch is believed only after the login, and the tenant is told (W6).
 */
import { isFatal, ObError } from '../../base/errors.ts';
import {
  followerHoldBytesDefault,
  peerConnectionsMax,
  peerHandshakesMax,
  peerHandshakeTimeoutMs,
  peerSnapshotsMax,
} from '../../base/limits.ts';
import { drawNonce, transcriptOf } from '../../codec/handshake-transcript.ts';
import type { Challenge, Hello, PeerDescription, PeerMessage } from '../../codec/peer-message.ts';
import { type ScramVerifier, scramIterationsMin } from '../../codec/scram.ts';
import type { Clock } from '../../platform/clock.ts';
import type { Logger } from '../../platform/logger.ts';
import type { Connection, Listener, Net, NetAddress, ServerTls } from '../../platform/net.ts';
import type { Random } from '../../platform/random.ts';
import { FollowerRegistry } from './follower-registry.ts';
import { acceptProof, agreeVersion, decoyVerifier } from './handshake.ts';
import { PeerChannel } from './peer-channel.ts';
import type { FollowerView, PeerDirectory, PeerIdentity, PeerTenant } from './peer-tenant.ts';
import { ServerSession } from './server-session.ts';

export interface LogServerOptions {
  readonly net: Net;
  readonly address: NetAddress;
  readonly tls?: ServerTls;
  readonly cluster: string;
  readonly site: string;
  /** where other sites reach this one, as host:port, or null */
  readonly advertise: () => string | null;
  readonly directory: PeerDirectory;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  /** log kept for a follower that lags; well below what the log disk of a tenant holds */
  readonly followerHoldBytesMax?: number;
  /** a broken invariant or a failed disk came up while serving a peer: the process must end */
  readonly onFatal: (error: unknown) => void;
}

/** How far a login has come. */
type Login =
  | { readonly kind: 'hello' }
  | { readonly kind: 'verifying' }
  | {
      readonly kind: 'proof';
      readonly hello: Hello;
      readonly nonce: string;
      readonly transcript: Uint8Array;
      readonly verifier: ScramVerifier;
      readonly known: boolean;
    }
  | { readonly kind: 'done'; readonly session: ServerSession };

export class LogServer {
  readonly #options: LogServerOptions;
  readonly #decoySecret: Uint8Array;
  readonly #channels = new Set<PeerChannel>();
  /** by incarnation: a tenant dropped and made again has other followers */
  readonly #followers = new Map<string, FollowerRegistry>();
  #listener: Listener | null = null;
  /** not logged in yet, oldest first */
  readonly #strangers = new Set<PeerChannel>();
  #snapshots = 0;

  constructor(options: LogServerOptions) {
    this.#options = options;
    this.#decoySecret = options.random.bytes(32);
  }

  /** Resolves with the address bound. */
  async start(): Promise<NetAddress> {
    const { net, address, tls } = this.#options;
    const listener = await net.listen(
      address,
      { connectionsMax: peerConnectionsMax, ...(tls === undefined ? {} : { tls }) },
      connection => this.#accept(connection),
    );
    this.#listener = listener;
    return listener.address;
  }

  /** Stops listening and cuts every peer. */
  async stop(): Promise<void> {
    const closing = this.#listener?.close();
    this.#listener = null;
    for (const channel of this.#channels) {
      channel.close(
        new ObError('OBS_PEER_CLOSED', { address: channel.remoteAddress, why: 'this server stops' }),
      );
    }
    for (const followers of this.#followers.values()) followers.close();
    await closing;
  }

  /** Standbys that pull, or lately pulled, from the tenant of this incarnation. */
  followers(incarnation: string): FollowerView[] {
    return this.#followers.get(incarnation)?.view() ?? [];
  }

  /** The tenant is closed or dropped: cuts its followers and lets go of the log kept for them. */
  forget(incarnation: string): void {
    this.#followers.get(incarnation)?.close();
    this.#followers.delete(incarnation);
  }

  #accept(connection: Connection): void {
    const { clock, logger } = this.#options;
    if (this.#channels.size >= peerConnectionsMax) {
      connection.destroy();
      return;
    }
    this.#makeRoom();
    let login: Login = { kind: 'hello' };
    const finishHandshake = (): void => {
      this.#strangers.delete(channel);
      timer.cancel();
    };
    const channel: PeerChannel = new PeerChannel(connection, {
      onMessage: (message, payload) => {
        if (login.kind === 'done') {
          login.session.message(message);
          return;
        }
        const before = login;
        login = { kind: 'verifying' };
        this.#continueLogin(channel, before, message, payload)
          .then(next => {
            if (!channel.open) {
              if (next.kind === 'done') next.session.closed();
              return;
            }
            login = next;
            if (next.kind === 'done') finishHandshake();
          })
          .catch((error: unknown) => {
            if (isFatal(error)) this.#options.onFatal(error);
            channel.refuse(toldError(error));
          });
      },
      onClosed: error => {
        this.#channels.delete(channel);
        if (login.kind === 'done') login.session.closed();
        else {
          finishHandshake();
          logger.info({ err: error, remote: channel.remoteAddress }, 'peer did not log in');
        }
      },
    });
    const timer = clock.after(peerHandshakeTimeoutMs, () =>
      channel.close(
        new ObError('OBS_PEER_TIMEOUT', {
          address: channel.remoteAddress,
          what: 'the login',
          timeoutMs: peerHandshakeTimeoutMs,
        }),
      ),
    );
    this.#channels.add(channel);
    this.#strangers.add(channel);
  }

  /** A login takes milliseconds: under a flood the one that has waited longest goes, and peers that log in get through. */
  #makeRoom(): void {
    if (this.#strangers.size < peerHandshakesMax) return;
    const [oldest] = this.#strangers;
    oldest?.close(
      new ObError('OBS_PEER_BUSY', { what: 'the number of logins under way', limit: peerHandshakesMax }),
    );
  }

  async #continueLogin(
    channel: PeerChannel,
    login: Exclude<Login, { kind: 'done' }>,
    message: PeerMessage,
    payload: Uint8Array,
  ): Promise<Login> {
    if (login.kind === 'hello' && message.kind === 'hello') return this.#hello(channel, message, payload);
    if (login.kind === 'proof' && message.kind === 'proof') return this.#proof(channel, login, message);
    throw new ObError('OBS_PEER_PROTOCOL', {
      address: channel.remoteAddress,
      what: `a ${message.kind} message out of turn`,
    });
  }

  async #hello(channel: PeerChannel, hello: Hello, payload: Uint8Array): Promise<Login> {
    const version = agreeVersion(hello);
    if (version instanceof ObError) throw version;
    // That a tenant is not here is told: a standby whose source was dropped must be able to say so.
    if (this.#options.directory.find(hello.tenant) === undefined) {
      throw new ObError('OBS_PEER_NO_SUCH_TENANT', { tenant: hello.tenant, address: 'this site' });
    }
    const found = await this.#options.directory.verifier(hello.tenant, hello.user, channel.loopback);
    const verifier = found ?? decoyVerifier(this.#decoySecret, hello.tenant, hello.user, scramIterationsMin);
    const challenge: Challenge = {
      version,
      nonce: hello.nonce + drawNonce(this.#options.random),
      salt: Buffer.from(verifier.salt).toString('base64'),
      iterations: verifier.iterations,
    };
    const sent = channel.send({ kind: 'challenge', ...challenge });
    return {
      kind: 'proof',
      hello,
      nonce: challenge.nonce,
      transcript: transcriptOf(payload, sent),
      verifier,
      known: found !== undefined,
    };
  }

  async #proof(
    channel: PeerChannel,
    login: Extract<Login, { kind: 'proof' }>,
    message: { nonce: string; proof: string },
  ): Promise<Login> {
    const { directory, clock, logger } = this.#options;
    const { hello } = login;
    const accepted = acceptProof(login.verifier, message.proof, login.transcript);
    if (accepted === undefined || !login.known || message.nonce !== login.nonce) {
      throw new ObError('OBS_PEER_ACCESS_DENIED', {
        user: hello.user,
        tenant: hello.tenant,
        address: 'this site',
      });
    }
    const tenant = directory.find(hello.tenant);
    if (tenant === undefined) {
      throw new ObError('OBS_PEER_NO_SUCH_TENANT', { tenant: hello.tenant, address: 'this site' });
    }
    channel.send({ kind: 'welcome', signature: accepted.signature });
    channel.sealWith(accepted.channelKeys, 'server');
    channel.verifyWith(accepted.channelKeys, 'client');
    const peer: PeerIdentity = {
      cluster: hello.cluster,
      site: hello.site,
      address: hello.address,
      localTenant: hello.localTenant,
      tenant: hello.tenant,
      user: hello.user,
      knownEpoch: hello.knownEpoch,
      remoteAddress: channel.remoteAddress,
    };
    if (hello.incarnation !== null && hello.incarnation !== tenant.incarnation) {
      throw new ObError('OBS_PEER_INCARNATION', {
        tenant: hello.tenant,
        theirs: tenant.incarnation,
        ours: hello.incarnation,
      });
    }
    const describe = (): PeerDescription => this.#describe(tenant);
    channel.send({ kind: 'described', id: 0, peer: describe() });
    const { roleEpoch } = tenant.state();
    if (hello.knownEpoch > roleEpoch) {
      logger.warn(
        { site: peer.site, tenant: peer.tenant, epoch: roleEpoch, theirs: hello.knownEpoch },
        'peer knows of a newer role epoch',
      );
      tenant.epochSeen(hello.knownEpoch, peer);
    }
    const isKnown = tenant.peerSeen(peer, { kind: 'keys', user: hello.user, ...accepted.keys });
    const session = new ServerSession({
      channel,
      peer,
      tenant,
      followers: this.#followersOf(tenant.incarnation),
      clock,
      logger,
      describe,
      enterSnapshot: () => this.#enterSnapshot(),
      onFatal: this.#options.onFatal,
    });
    isKnown.catch((error: unknown) => session.refuse(error));
    return { kind: 'done', session };
  }

  #describe(tenant: PeerTenant): PeerDescription {
    const { cluster, site, advertise, clock } = this.#options;
    const state = tenant.log?.state() ?? null;
    return {
      cluster,
      site,
      address: advertise(),
      tenant: tenant.name,
      incarnation: tenant.incarnation,
      ...tenant.state(),
      wall: clock.wall(),
      log: state === null ? null : { ...state, proposalHistory: [...state.proposalHistory] },
    };
  }

  #followersOf(incarnation: string): FollowerRegistry {
    let followers = this.#followers.get(incarnation);
    if (followers === undefined) {
      followers = new FollowerRegistry(
        this.#options.clock,
        this.#options.followerHoldBytesMax ?? followerHoldBytesDefault,
      );
      this.#followers.set(incarnation, followers);
    }
    return followers;
  }

  #enterSnapshot(): () => void {
    if (this.#snapshots >= peerSnapshotsMax) {
      throw new ObError('OBS_PEER_BUSY', {
        what: 'the number of snapshots under way',
        limit: peerSnapshotsMax,
      });
    }
    this.#snapshots += 1;
    return () => {
      this.#snapshots -= 1;
    };
  }
}

const toldError = (error: unknown): ObError =>
  error instanceof ObError
    ? error
    : new ObError(
        'OBS_PEER_FAILED',
        { why: error instanceof Error ? error.message : 'unknown failure' },
        error,
      );
