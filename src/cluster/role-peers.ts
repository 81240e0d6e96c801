/**
 * The role manager's line to the other sites of a tenant: control requests over authenticated connections, one login each
 * (role changes are rare; a kept connection would only be another thing that can be stale).
 */
import { ObError } from '../base/errors.ts';
import type { RoleEpoch } from '../base/scalars.ts';
import { type ControlReply, type ControlRequest, decodeControlReply } from '../role/control-ops.ts';
import type { Peers } from '../role/ports.ts';
import { siteAddressText } from '../standby/site-address.ts';
import { addressesOf, leadsTo, type PeerLink, type PeerRoute } from './peer-link.ts';

export interface RolePeersOptions {
  readonly link: PeerLink;
  readonly source: () => PeerRoute | null;
  /** sites that have pulled from here, with the credential their login left */
  readonly followers: () => Promise<readonly { readonly address: string; readonly route: PeerRoute }[]>;
  readonly knownEpoch: () => RoleEpoch;
  /** one request, login included */
  readonly connectMs: () => number;
  readonly requestMs: () => number;
}

export class RolePeers implements Peers {
  readonly #options: RolePeersOptions;

  constructor(options: RolePeersOptions) {
    this.#options = options;
  }

  sourceAddresses(): Promise<readonly string[]> {
    const source = this.#options.source();
    const address = source === null ? null : siteAddressText(source.addresses);
    return Promise.resolve(address === null ? [] : [address]);
  }

  async followerAddresses(): Promise<readonly string[]> {
    return (await this.#options.followers()).map(({ address }) => address);
  }

  async control(address: string, request: ControlRequest): Promise<ControlReply> {
    const { link, knownEpoch, connectMs, requestMs } = this.#options;
    const route = await this.#routeTo(address);
    const connection = await link.connect(
      { ...route, addresses: addressesOf(address) },
      knownEpoch(),
      connectMs(),
    );
    try {
      const { op, ...body } = request;
      return decodeControlReply(await connection.control(op, body, requestMs()));
    } finally {
      connection.close();
    }
  }

  async #routeTo(address: string): Promise<PeerRoute> {
    const source = this.#options.source();
    if (source !== null && leadsTo(source, address)) return source;
    const follower = (await this.#options.followers()).find(({ route }) => leadsTo(route, address));
    if (follower !== undefined) return follower.route;
    throw new ObError('OBS_PEER_UNREACHABLE', { address, why: 'there is no credential for that site' });
  }
}
