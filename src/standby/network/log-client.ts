/**
 * Connects to another site's log server and logs in. The server has to prove that it holds the user's verifier before
 * anything it says is believed.
 */
import { isObError, ObError } from '../../base/errors.ts';
import { peerHandshakeTimeoutMs } from '../../base/limits.ts';
import type { RoleEpoch } from '../../base/scalars.ts';
import { drawNonce, transcriptOf } from '../../codec/handshake-transcript.ts';
import type { Hello, PeerDescription, PeerMessage } from '../../codec/peer-message.ts';
import { deriveScramKeys, type ScramKeys } from '../../codec/scram.ts';
import type { Clock } from '../../platform/clock.ts';
import type { ClientTls, Net, NetAddress } from '../../platform/net.ts';
import type { Random } from '../../platform/random.ts';
import {
  answerChallenge,
  challengeProblem,
  keysFitChallenge,
  type PeerCredential,
  peerVersionMax,
  peerVersionMin,
} from './handshake.ts';
import { PeerChannel } from './peer-channel.ts';
import { PeerConnection, peerError } from './peer-connection.ts';

export interface PeerConnectOptions {
  readonly net: Net;
  readonly clock: Clock;
  readonly random: Random;
  readonly address: NetAddress;
  readonly tls?: ClientTls;
  /** who this side is */
  readonly cluster: string;
  readonly site: string;
  /** where this site's own peer port is reached, as host:port, or null */
  readonly advertise: string | null;
  readonly localTenant: string;
  /** the tenant there */
  readonly tenant: string;
  readonly credential: PeerCredential;
  /** refuses a tenant of another incarnation; null accepts any (a standby that is being created) */
  readonly incarnation: string | null;
  /** highest role epoch known here; a primary with a lower one is fenced by being told */
  readonly knownEpoch: RoleEpoch;
  readonly timeoutMs?: number;
  /** told who answered, once it has proved itself */
  readonly onPeer?: (peer: { readonly site: string; readonly cluster: string }) => void;
}

/** Messages of a login in the order they come, one waited for at a time. */
class LoginInbox {
  #arrived: { message: PeerMessage; payload: Uint8Array }[] = [];
  #failure: ObError | null = null;
  #wake: (() => void) | null = null;

  push(message: PeerMessage, payload: Uint8Array): void {
    this.#arrived.push({ message, payload });
    this.#wake?.();
  }

  fail(error: ObError): void {
    this.#failure ??= error;
    this.#wake?.();
  }

  /** Gives what came after the login, and the end if it came, to the connection. */
  handOver(connection: PeerConnection): void {
    for (const { message } of this.#arrived.splice(0)) connection.message(message);
    if (this.#failure !== null) connection.closed(this.#failure);
  }

  async take(): Promise<{ message: PeerMessage; payload: Uint8Array }> {
    for (;;) {
      const next = this.#arrived.shift();
      if (next !== undefined) return next;
      if (this.#failure !== null) throw this.#failure;
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
  }
}

const shown = (address: NetAddress): string => `${address.host}:${address.port}`;

/**
 * Throws OBS_PEER_UNREACHABLE, OBS_PEER_TIMEOUT, OBS_PEER_ACCESS_DENIED, OBS_PEER_NO_SUCH_TENANT, OBS_PEER_VERSION,
 * OBS_PEER_INCARNATION, OBS_PEER_PROTOCOL, OBS_PEER_CLOSED.
 */
export async function connectPeer(options: PeerConnectOptions): Promise<PeerConnection> {
  const { net, clock, address, tls, timeoutMs = peerHandshakeTimeoutMs } = options;
  const connection = await net
    .connect(address, { timeoutMs, ...(tls === undefined ? {} : { tls }) })
    .catch((error: unknown) => {
      throw new ObError('OBS_PEER_UNREACHABLE', { address: shown(address), why: reasonOf(error) }, error);
    });
  const inbox = new LoginInbox();
  let peerConnection: PeerConnection | null = null;
  const channel = new PeerChannel(connection, {
    onMessage: (message, payload) => {
      if (peerConnection !== null) peerConnection.message(message);
      else inbox.push(message, payload);
    },
    onClosed: error => {
      if (peerConnection !== null) peerConnection.closed(error);
      else inbox.fail(error);
    },
  });
  const timer = clock.after(timeoutMs, () =>
    channel.close(new ObError('OBS_PEER_TIMEOUT', { address: shown(address), what: 'the login', timeoutMs })),
  );
  try {
    const peer = await login(options, channel, inbox);
    options.onPeer?.(peer);
    peerConnection = new PeerConnection(channel, clock, peer);
    inbox.handOver(peerConnection);
    return peerConnection;
  } catch (error) {
    channel.close(
      isObError(error)
        ? error
        : new ObError('OBS_PEER_CLOSED', { address: shown(address), why: 'the login failed' }),
    );
    throw error;
  } finally {
    timer.cancel();
  }
}

async function login(
  options: PeerConnectOptions,
  channel: PeerChannel,
  inbox: LoginInbox,
): Promise<PeerDescription> {
  const { credential, address } = options;
  const hello: Hello = {
    versionMin: peerVersionMin,
    versionMax: peerVersionMax,
    cluster: options.cluster,
    site: options.site,
    address: options.advertise,
    localTenant: options.localTenant,
    tenant: options.tenant,
    user: credential.user,
    incarnation: options.incarnation,
    knownEpoch: options.knownEpoch,
    nonce: drawNonce(options.random),
  };
  const protocolProblem = (what: string): ObError =>
    new ObError('OBS_PEER_PROTOCOL', { address: shown(address), what });
  const denied = (): ObError =>
    new ObError('OBS_PEER_ACCESS_DENIED', {
      user: credential.user,
      tenant: options.tenant,
      address: shown(address),
    });

  const helloPayload = channel.send({ kind: 'hello', ...hello });
  const { message: challenge, payload: challengePayload } = await inbox.take();
  if (challenge.kind === 'error') throw refusal(challenge, shown(address));
  if (challenge.kind !== 'challenge') throw protocolProblem(`a ${challenge.kind} message for a challenge`);
  const wrong = challengeProblem(hello, challenge);
  if (wrong !== undefined) throw protocolProblem(`a challenge with ${wrong}`);

  let keys: ScramKeys;
  if (credential.kind === 'password') {
    const salt = Buffer.from(challenge.salt, 'base64');
    keys = await deriveScramKeys(credential.password, salt, challenge.iterations);
  } else {
    // The user's password was changed since these keys were learned: they prove nothing any more.
    if (!keysFitChallenge(credential, challenge)) throw denied();
    keys = credential;
  }
  const answer = answerChallenge(keys, transcriptOf(helloPayload, challengePayload));
  channel.send({ kind: 'proof', nonce: challenge.nonce, proof: answer.proof });

  const { message: welcome } = await inbox.take();
  if (welcome.kind === 'error') throw refusal(welcome, shown(address));
  if (welcome.kind !== 'welcome') throw protocolProblem(`a ${welcome.kind} message for a welcome`);
  if (!answer.isServer(welcome.signature)) throw protocolProblem('a welcome that proves nothing');
  channel.sealWith(answer.channelKeys, 'client');
  channel.verifyWith(answer.channelKeys, 'server');
  const { message: described } = await inbox.take();
  if (described.kind === 'error') throw refusal(described, shown(address));
  if (described.kind !== 'described') throw protocolProblem(`a ${described.kind} message after the login`);
  return described.peer;
}

/** The server's refusal, with the address this side used for it. */
function refusal(message: Extract<PeerMessage, { kind: 'error' }>, address: string): ObError {
  return peerError({ ...message, details: { ...message.details, address } });
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown';
  const code = (error as NodeJS.ErrnoException).code;
  return code === undefined ? error.message : `${error.message} (${code})`;
}
