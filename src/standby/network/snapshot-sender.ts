/**
 * Sends a hot copy of a tenant's database file to a new standby, within the credit it gave. The log from the copy's start
 * on is held before the copy begins and stays held until the standby's first pull.
 */
import { peerChunkBytes, peerCreditBytesMax } from '../../base/limits.ts';
import type { LogReader } from '../../base/log-access.ts';
import { scn } from '../../base/scalars.ts';
import type { FollowerRegistry } from './follower-registry.ts';
import type { PeerChannel } from './peer-channel.ts';
import type { PeerIdentity, PeerTenant, SnapshotSource } from './peer-tenant.ts';

export class SnapshotSender {
  readonly #channel: PeerChannel;
  readonly #id: number;
  #creditBytes: number;
  #wake: (() => void) | null = null;
  #closed = false;

  constructor(channel: PeerChannel, id: number, creditBytes: number) {
    this.#channel = channel;
    this.#id = id;
    this.#creditBytes = creditBytes;
  }

  addCredit(bytes: number): void {
    this.#creditBytes = Math.min(this.#creditBytes + bytes, peerCreditBytesMax);
    this.#wake?.();
  }

  close(): void {
    this.#closed = true;
    this.#wake?.();
  }

  /** Resolves when everything was handed to the connection, or it is closed. Rejects when the copy cannot be made. */
  async run(
    tenant: PeerTenant,
    log: LogReader,
    peer: PeerIdentity,
    followers: FollowerRegistry,
  ): Promise<void> {
    const hold = followers.holdForSnapshot(peer, log, log.state().beginLsn);
    let source: SnapshotSource | undefined;
    let done = false;
    try {
      source = await tenant.openSnapshot();
      hold.advance(source.startLsn);
      this.#channel.send({
        kind: 'snapshot-begin',
        id: this.#id,
        start: { lsn: source.startLsn, scn: scn(source.startScn), checksum: source.startChecksum },
        proposalHistory: [...log.state().proposalHistory],
        pageBytes: source.pageBytes,
      });
      while (await this.#mayGoOn()) {
        const piece = await source.next();
        if (piece === undefined) {
          const { minimumLsn, fileBytes } = source.finish();
          this.#channel.send({ kind: 'snapshot-end', id: this.#id, minimumLsn, fileBytes });
          done = true;
          return;
        }
        this.#creditBytes -= piece.bytes.length;
        for (let offset = 0; offset < piece.bytes.length; offset += peerChunkBytes) {
          this.#channel.send({
            kind: 'snapshot-piece',
            position: piece.position + offset,
            bytes: piece.bytes.subarray(offset, offset + peerChunkBytes),
          });
        }
      }
    } finally {
      if (!done) hold.release();
      await source?.close();
    }
  }

  /** Waits for credit; false when the connection is gone. */
  async #mayGoOn(): Promise<boolean> {
    while (!this.#closed && this.#channel.open && this.#creditBytes <= 0) {
      await new Promise<void>(resolve => {
        this.#wake = resolve;
      });
      this.#wake = null;
    }
    return !this.#closed && this.#channel.open;
  }
}
