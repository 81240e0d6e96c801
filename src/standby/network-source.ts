/**
 * A restore source reached over the network, as the puller sees it: addresses to try, one login each. An address stands for
 * its site: a node that does not lead the tenant tells who does, and one that is gone is looked past with what the site
 * told of its nodes before.
 */
import { must } from '../base/assert.ts';
import type { RoleEpoch } from '../base/scalars.ts';
import type { NetAddress } from '../platform/net.ts';
import { connectLeader, type LeaderConnectOptions } from './network/leader-connect.ts';
import type { PeerConnection } from './network/peer-connection.ts';
import type { NetworkSource } from './puller.ts';
import { addressText } from './restore-source.ts';
import { joinAddresses, parseSiteAddress } from './site-address.ts';

export type NetworkSourceOptions = Omit<LeaderConnectOptions, 'knownEpoch'>;

export class PeerNetworkSource implements NetworkSource {
  readonly name: string;
  readonly addresses: number;
  readonly #options: NetworkSourceOptions;
  /** the nodes of the site, as its leader last told them */
  #told: readonly NetAddress[] = [];

  constructor(options: NetworkSourceOptions) {
    this.#options = options;
    this.addresses = options.addresses.length;
    this.name = `${options.tenant} at ${options.addresses.map(addressText).join(';')}`;
  }

  async connect(address: number, knownEpoch: RoleEpoch): Promise<PeerConnection> {
    const named = must(this.#options.addresses[address], 'an address of the restore source');
    const connection = await connectLeader({
      ...this.#options,
      addresses: joinAddresses([named], this.#told),
      knownEpoch,
    });
    this.#told = parseSiteAddress(connection.peer.address ?? '') ?? [];
    return connection;
  }
}
