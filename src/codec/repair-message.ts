/**
 * Messages by which a replica with damaged log gets the same bytes from another one. They travel among those of palf and
 * are told apart by their first bytes.
 *
 *   0 magic 'OBRP' u32 · 4 version u8 · 5 kind u8 (1 ask, 2 log, 3 none) · 6 zero u16 · 8 number of the ask u32
 *   12 checksum of the position u32 · 16 its LSN u64 · 24 its SCN u64 · 32 last cut made by who asks: proposal id u64
 *   40 and sequence u64 (ask) · 48 bytes wanted u32 (ask) · 52 checksum u32 · 56 groups (log)
 *
 * The head has a checksum; groups prove themselves by the chain that begins at the position. That chain does not tell apart
 * what a flashback cut off and what was written in its place: both begin where the cut is. Decoding never throws.
 */
import type { ConfigVersion, LogPosition } from '../base/log-access.ts';
import { lsn, proposalId, scn } from '../base/scalars.ts';
import { checksum } from './checksum.ts';
import { readU64, viewOf, writeU64 } from './u64.ts';

const repairMagic = 0x5052_424f; // 'OBRP'
const repairVersion = 2;
const checksumAt = 52;
const headBytes = 56;

export type RepairMessage =
  /** which committed groups follow this position in a log whose last flashback is `cut`? */
  | {
      readonly kind: 'ask';
      readonly id: number;
      readonly at: LogPosition;
      readonly cut: ConfigVersion;
      readonly bytesMax: number;
    }
  | { readonly kind: 'log'; readonly id: number; readonly at: LogPosition; readonly bytes: Uint8Array }
  /** none that this replica has: it is recycled, not committed yet, or another history */
  | { readonly kind: 'none'; readonly id: number; readonly at: LogPosition };

const kinds = ['ask', 'log', 'none'] as const;

/** The message's bytes, in parts: groups are not copied. */
export function encodeRepair(message: RepairMessage): readonly Uint8Array[] {
  const head = new Uint8Array(headBytes);
  const view = viewOf(head);
  view.setUint32(0, repairMagic, true);
  view.setUint8(4, repairVersion);
  view.setUint8(5, kinds.indexOf(message.kind) + 1);
  view.setUint32(8, message.id, true);
  view.setUint32(12, message.at.checksum, true);
  writeU64(view, 16, message.at.lsn);
  writeU64(view, 24, message.at.scn);
  if (message.kind === 'ask') {
    writeU64(view, 32, message.cut.proposalId);
    writeU64(view, 40, message.cut.sequence);
    view.setUint32(48, message.bytesMax, true);
  }
  view.setUint32(checksumAt, checksum(head.subarray(0, checksumAt)), true);
  return message.kind === 'log' ? [head, message.bytes] : [head];
}

/** `foreign`: no message of this kind at all. `bad`: damaged, or of a newer program. */
export function decodeRepair(bytes: Uint8Array): RepairMessage | 'foreign' | 'bad' {
  if (bytes.length < 4 || viewOf(bytes).getUint32(0, true) !== repairMagic) return 'foreign';
  if (bytes.length < headBytes) return 'bad';
  const view = viewOf(bytes);
  const kind = kinds[view.getUint8(5) - 1];
  const at = { lsn: readU64(view, 16), scn: readU64(view, 24), checksum: view.getUint32(12, true) };
  const cut = { proposalId: readU64(view, 32), sequence: readU64(view, 40) };
  const isSound =
    view.getUint32(checksumAt, true) === checksum(bytes.subarray(0, checksumAt)) &&
    view.getUint8(4) === repairVersion &&
    kind !== undefined &&
    at.lsn >= 0 &&
    at.scn >= 0 &&
    cut.proposalId >= 0 &&
    cut.sequence >= 0 &&
    (kind === 'log') === bytes.length > headBytes;
  if (!isSound) return 'bad';
  const head = {
    id: view.getUint32(8, true),
    at: { lsn: lsn(at.lsn), scn: scn(at.scn), checksum: at.checksum },
  };
  switch (kind) {
    case 'ask':
      return {
        kind,
        ...head,
        cut: { proposalId: proposalId(cut.proposalId), sequence: cut.sequence },
        bytesMax: view.getUint32(48, true),
      };
    case 'log':
      return { kind, ...head, bytes: bytes.subarray(headBytes) };
    default:
      return { kind, ...head };
  }
}
