/**
 * One logged-in peer at the server: answers what it is asked, streams log and snapshots to it. One subscription or snapshot
 * a connection; requests beyond the bound are refused. A peer that knows of a newer role epoch gets no log.
 */
import { isFatal, ObError } from '../../base/errors.ts';
import { peerControlBytesMax, peerIdleMs, peerRequestsMax, peerSilenceMs } from '../../base/limits.ts';
import type { LogReader, LogTailReader } from '../../base/log-access.ts';
import { lsn } from '../../base/scalars.ts';
import type { PeerDescription, PeerMessage, PeerMessageOf } from '../../codec/peer-message.ts';
import type { Clock, Timer } from '../../platform/clock.ts';
import type { Logger } from '../../platform/logger.ts';
import { assertContinues } from '../continuity.ts';
import type { FollowerRegistry, FollowerSession } from './follower-registry.ts';
import { errorMessage, type PeerChannel } from './peer-channel.ts';
import type { PeerIdentity, PeerTenant } from './peer-tenant.ts';
import { SnapshotSender } from './snapshot-sender.ts';
import { Subscription } from './subscription.ts';

export interface ServerSessionOptions {
  readonly channel: PeerChannel;
  readonly peer: PeerIdentity;
  readonly tenant: PeerTenant;
  readonly followers: FollowerRegistry;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly describe: () => PeerDescription;
  /** takes one of the server's places for snapshots; throws OBS_PEER_BUSY */
  readonly enterSnapshot: () => () => void;
  readonly onFatal: (error: unknown) => void;
}

export class ServerSession implements FollowerSession {
  readonly #options: ServerSessionOptions;
  #subscription: Subscription | null = null;
  #snapshot: SnapshotSender | null = null;
  #starting = false;
  #requests = 0;
  #closed = false;
  #refusal: { readonly error: unknown } | null = null;
  #watch: Timer | null = null;
  #heardAt: number;
  #heardBytes = 0;

  constructor(options: ServerSessionOptions) {
    this.#options = options;
    this.#heardAt = options.clock.now();
    this.#watchSilence();
  }

  message(message: PeerMessage): void {
    switch (message.kind) {
      case 'describe':
        this.#request(message.id, async () => {
          this.#options.channel.send({ kind: 'described', id: message.id, peer: this.#options.describe() });
        });
        return;
      case 'control':
        this.#request(message.id, () => this.#control(message));
        return;
      case 'subscribe':
        this.#request(message.id, () => this.#subscribe(message));
        return;
      case 'ack':
        this.#acked(message);
        return;
      case 'snapshot':
        this.#request(message.id, () => this.#sendSnapshot(message));
        return;
      case 'credit':
        this.#snapshot?.addCredit(message.bytes);
        return;
      default:
        this.#options.channel.close(
          new ObError('OBS_PEER_PROTOCOL', {
            address: this.#options.channel.remoteAddress,
            what: `a ${message.kind} message from a client`,
          }),
        );
    }
  }

  dismiss(why: string): void {
    const { channel } = this.#options;
    channel.close(new ObError('OBS_PEER_CLOSED', { address: channel.remoteAddress, why }));
  }

  /** It may not follow. What else it asks is answered: it may be the one who tells of a newer epoch. */
  refuse(error: unknown): void {
    this.#refusal = { error };
    if (this.#subscription !== null)
      this.dismiss(error instanceof Error ? error.message : 'it may not follow');
  }

  closed(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#watch?.cancel();
    this.#subscription?.close();
    this.#snapshot?.close();
    this.#options.followers.left(this.#options.peer, this);
  }

  /** Runs a request within the bound; what it throws is its answer. */
  #request(id: number, run: () => Promise<void>): void {
    const { channel, logger, peer } = this.#options;
    if (this.#requests >= peerRequestsMax) {
      channel.send(
        errorMessage(
          id,
          new ObError('OBS_PEER_BUSY', { what: 'requests of one peer', limit: peerRequestsMax }),
        ),
      );
      return;
    }
    this.#requests += 1;
    run()
      .catch((error: unknown) => {
        if (isFatal(error)) this.#options.onFatal(error);
        logger.warn({ err: error, site: peer.site, tenant: peer.tenant }, 'request of a peer failed');
        channel.send(errorMessage(id, error));
      })
      .finally(() => {
        this.#requests -= 1;
      });
  }

  async #control(message: PeerMessageOf<'control'>): Promise<void> {
    const { tenant, peer, channel } = this.#options;
    const body = (await tenant.control(message.op, message.body, peer)) ?? null;
    if (Buffer.byteLength(JSON.stringify(body)) > peerControlBytesMax / 2) {
      throw new ObError('OBS_PEER_FAILED', { why: 'the answer is too large' });
    }
    channel.send({ kind: 'reply', id: message.id, body });
  }

  async #subscribe(message: PeerMessageOf<'subscribe'>): Promise<void> {
    const { tenant, peer, channel, clock, followers, logger } = this.#options;
    const log = this.#beginStream();
    try {
      const epoch = tenant.state().roleEpoch;
      const source = `${peer.tenant} at this site`;
      if (peer.knownEpoch > epoch) {
        throw new ObError('OBS_STANDBY_SOURCE_STALE', { source, theirs: epoch, known: peer.knownEpoch });
      }
      await assertContinues(log, message.from, message.proposalHistory, source);
      if (this.#refusal !== null) throw this.#refusal.error;
    } finally {
      this.#starting = false;
    }
    if (this.#closed) return;
    followers.subscribed(peer, this, log, message.from);
    channel.send({ kind: 'subscribed', id: message.id, end: log.state().end });
    this.#subscription = new Subscription({
      log,
      channel,
      clock,
      from: message.from,
      creditBytes: message.creditBytes,
      epoch: () => tenant.state().roleEpoch,
      onFailed: error => {
        logger.warn({ err: error, site: peer.site, tenant: peer.tenant }, 'stream to a follower ended');
        channel.send(errorMessage(message.id, error));
        this.#subscription = null;
        followers.left(peer, this);
      },
    });
    logger.info({ site: peer.site, tenant: peer.tenant, from: message.from.lsn }, 'follower pulls');
  }

  #acked(message: PeerMessageOf<'ack'>): void {
    const { tenant, peer, followers } = this.#options;
    if (this.#subscription === null) return;
    followers.acked(peer, this, message, tenant.log?.state().end.lsn ?? lsn(0));
    this.#subscription.addCredit(message.creditBytes);
  }

  async #sendSnapshot(message: PeerMessageOf<'snapshot'>): Promise<void> {
    const { tenant, peer, channel, followers, logger } = this.#options;
    const log = this.#beginStream();
    try {
      const leave = this.#options.enterSnapshot();
      try {
        this.#snapshot = new SnapshotSender(channel, message.id, message.creditBytes);
        logger.info({ site: peer.site, tenant: peer.tenant }, 'snapshot for a new standby');
        await this.#snapshot.run(tenant, log, peer, followers);
      } finally {
        this.#snapshot = null;
        leave();
      }
    } finally {
      this.#starting = false;
    }
  }

  /** The log to stream, or the reason why not. One stream a connection. */
  #beginStream(): LogReader & LogTailReader {
    const { tenant } = this.#options;
    if (this.#starting || this.#subscription !== null) {
      throw new ObError('OBS_PEER_BAD_REQUEST', { what: 'this connection streams already' });
    }
    if (tenant.log === null) {
      throw new ObError('OBS_PEER_NOT_READY', {
        tenant: tenant.name,
        why: 'it is being created or recovered',
      });
    }
    this.#starting = true;
    return tenant.log;
  }

  /** A follower answers every heartbeat; one that says nothing is gone, whatever TCP believes. */
  #watchSilence(): void {
    const { channel, clock } = this.#options;
    this.#watch = clock.after(peerSilenceMs / 2, () => {
      if (this.#closed) return;
      const now = clock.now();
      if (channel.receivedBytes !== this.#heardBytes) {
        this.#heardBytes = channel.receivedBytes;
        this.#heardAt = now;
      }
      const limitMs = this.#subscription === null ? peerIdleMs : peerSilenceMs;
      if (now - this.#heardAt >= limitMs && this.#requests === 0) {
        channel.close(
          new ObError('OBS_PEER_CLOSED', {
            address: channel.remoteAddress,
            why: 'nothing was heard from it',
          }),
        );
        return;
      }
      this.#watchSilence();
    });
  }
}
