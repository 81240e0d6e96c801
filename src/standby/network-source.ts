/** A restore source reached over the network, as the puller sees it: addresses to try, one login each. */
import { must } from '../base/assert.ts';
import type { RoleEpoch } from '../base/scalars.ts';
import { connectPeer, type PeerConnectOptions } from './network/log-client.ts';
import type { PeerConnection } from './network/peer-connection.ts';
import type { NetworkSource } from './puller.ts';
import { addressText } from './restore-source.ts';

export interface NetworkSourceOptions extends Omit<PeerConnectOptions, 'address' | 'knownEpoch'> {
  readonly addresses: readonly PeerConnectOptions['address'][];
}

export class PeerNetworkSource implements NetworkSource {
  readonly name: string;
  readonly addresses: number;
  readonly #options: NetworkSourceOptions;

  constructor(options: NetworkSourceOptions) {
    this.#options = options;
    this.addresses = options.addresses.length;
    this.name = `${options.tenant} at ${options.addresses.map(addressText).join(';')}`;
  }

  connect(address: number, knownEpoch: RoleEpoch): Promise<PeerConnection> {
    return connectPeer({
      ...this.#options,
      address: must(this.#options.addresses[address], 'an address of the restore source'),
      knownEpoch,
    });
  }
}
