/**
 * What the history of the simulated tenant is: every entry its primaries ordered, in order, with the state of the checksum machine after it,
 * and every group boundary with its chained checksum. A primary's crash or a failover cuts it; nothing that was cut
 * may ever be seen again.
 */
import { crc32 } from 'node:zlib';
import type { EntryKind, LogPosition } from '../../src/base/log-access.ts';
import type { Lsn, Scn } from '../../src/base/scalars.ts';

export interface TrueEntry {
  readonly serial: number;
  readonly kind: EntryKind;
  readonly endLsn: Lsn;
  readonly scn: Scn;
  /** state of the machine after this entry */
  readonly hash: number;
  isAcked: boolean;
}

/** What every copy of the tenant computes from its entries. */
export const machineHash = (before: number, kind: EntryKind, scn: Scn, body: Uint8Array): number =>
  crc32(body, crc32(`${kind}:${scn}`, before));

export class Truth {
  readonly entries: TrueEntry[] = [];
  readonly boundaries = new Map<Lsn, LogPosition>();
  /** acknowledged entries that failovers gave up, as reported */
  lostAcked = 0;
  #nextSerial = 1;

  get nextSerial(): number {
    return this.#nextSerial;
  }

  ordered(kind: EntryKind, endLsn: Lsn, scn: Scn, body: Uint8Array): TrueEntry {
    const hash = machineHash(this.entries.at(-1)?.hash ?? 0, kind, scn, body);
    const entry: TrueEntry = { serial: this.#nextSerial++, kind, endLsn, scn, hash, isAcked: false };
    this.entries.push(entry);
    return entry;
  }

  /** Everything behind `to` is not part of the history any more. Returns it. */
  cut(to: Lsn): TrueEntry[] {
    const kept = this.entries.findIndex(entry => entry.endLsn > to);
    const cut = kept < 0 ? [] : this.entries.splice(kept);
    for (const at of this.boundaries.keys()) if (at > to) this.boundaries.delete(at);
    return cut;
  }
}
