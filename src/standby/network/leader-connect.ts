/**
 * Connects to whichever node of a site leads a tenant: tries the addresses in turn, and goes where a node that does not lead
 * points. One attempt in a bounded time; who wants to wait for an election tries again.
 *
 * A refusal that every node of the site would give (access, version, incarnation) ends it at once.
 */
import { must } from '../../base/assert.ts';
import { isObError, ObError } from '../../base/errors.ts';
import { leaderHopsMax, peerHandshakeTimeoutMs } from '../../base/limits.ts';
import type { NetAddress } from '../../platform/net.ts';
import { isAmong, parseSiteAddress } from '../site-address.ts';
import { connectPeer, type PeerConnectOptions } from './log-client.ts';
import type { PeerConnection } from './peer-connection.ts';

export interface LeaderConnectOptions extends Omit<PeerConnectOptions, 'address'> {
  /** tried in this order */
  readonly addresses: readonly NetAddress[];
}

/** Throws what `connectPeer` throws: of the node that told most, when none leads. OBS_PEER_NOT_LEADER if none does yet. */
export async function connectLeader(options: LeaderConnectOptions): Promise<PeerConnection> {
  const { addresses, clock, timeoutMs = peerHandshakeTimeoutMs, ...login } = options;
  const deadline = clock.now() + timeoutMs;
  const waiting = [...addresses];
  const asked: NetAddress[] = [];
  let failure: ObError | null = null;
  while (waiting.length > 0 && asked.length < leaderHopsMax) {
    const address = must(waiting.shift(), 'an address to try');
    if (isAmong(address, asked)) continue;
    asked.push(address);
    // A node that swallows what it gets must leave time for the others.
    const leftMs = Math.floor((deadline - clock.now()) / (waiting.length + 1));
    if (leftMs <= 0) break;
    try {
      return await connectPeer({ ...login, clock, address, timeoutMs: leftMs });
    } catch (error) {
      if (!isObError(error) || !mayLeadElsewhere(error)) throw error;
      if (failure === null || error.kind === 'not-leader') failure = error;
      waiting.unshift(...leaderHint(error));
    }
  }
  throw failure ?? new ObError('OBS_PEER_UNREACHABLE', { address: '(none)', why: 'no address is known' });
}

const mayLeadElsewhere = (error: ObError): boolean =>
  error.kind === 'not-leader' || error.kind === 'unavailable' || error.kind === 'unknown';

/** Where a node that does not lead says that its leader is. */
function leaderHint(error: ObError): readonly NetAddress[] {
  const { leader } = error.details;
  if (error.code !== 'OBS_PEER_NOT_LEADER' || typeof leader !== 'string') return [];
  return parseSiteAddress(leader) ?? [];
}
