/**
 * Connections to other sites of a tenant: who to log in as where. A restore source brings its own credential; any other
 * site is reached with the keys it proved when it logged in here (its users are the same, the database is physical).
 */
import { ObError } from '../base/errors.ts';
import type { RoleEpoch } from '../base/scalars.ts';
import type { PeerCredential } from '../standby/network/handshake.ts';
import { connectLeader } from '../standby/network/leader-connect.ts';
import type { PeerConnection } from '../standby/network/peer-connection.ts';
import { PeerNetworkSource } from '../standby/network-source.ts';
import { isSameSite, parseSiteAddress } from '../standby/site-address.ts';
import type { NetAddress } from '../platform/net.ts';
import type { UnitHost } from './unit-host.ts';

/** How to reach one tenant at one site. */
export interface PeerRoute {
  readonly addresses: readonly NetAddress[];
  /** the tenant's name there */
  readonly tenant: string;
  readonly credential: PeerCredential;
}

export interface PeerLinkOptions {
  readonly host: UnitHost;
  /** the tenant's name here */
  readonly localTenant: string;
  /** null accepts any: a standby that is being created */
  readonly incarnation: string | null;
}

export class PeerLink {
  readonly #options: PeerLinkOptions;

  constructor(options: PeerLinkOptions) {
    this.#options = options;
  }

  /** One login at the node of the route that leads the tenant. Throws OBS_PEER_*. */
  connect(route: PeerRoute, knownEpoch: RoleEpoch, timeoutMs?: number): Promise<PeerConnection> {
    return connectLeader({
      ...this.#identity(route),
      addresses: route.addresses,
      knownEpoch,
      ...(timeoutMs === undefined ? {} : { timeoutMs }),
    });
  }

  /** The route as a source to pull from. */
  source(route: PeerRoute): PeerNetworkSource {
    return new PeerNetworkSource({ ...this.#identity(route), addresses: route.addresses });
  }

  #identity(route: PeerRoute) {
    const { host, localTenant, incarnation } = this.#options;
    return {
      net: host.net,
      clock: host.clock,
      random: host.random,
      ...(host.peerTls === null ? {} : { tls: host.peerTls }),
      cluster: host.clusterName,
      site: host.siteId,
      advertise: host.advertise(),
      localTenant,
      tenant: route.tenant,
      credential: route.credential,
      incarnation,
      onPeer: (peer: { readonly site: string; readonly cluster: string }) =>
        host.siteNames.learn(peer.site, peer.cluster),
    };
  }
}

/** True when the route goes to the site at this address. */
export const leadsTo = (route: PeerRoute, address: string): boolean =>
  isSameSite(route.addresses, parseSiteAddress(address) ?? []);

/** The nodes of a site. Throws OBS_PEER_UNREACHABLE for a text that is no address. */
export function addressesOf(text: string): readonly NetAddress[] {
  const addresses = parseSiteAddress(text);
  if (addresses === undefined)
    throw new ObError('OBS_PEER_UNREACHABLE', { address: text, why: 'it is no host:port' });
  return addresses;
}
