/**
 * Bytes of the messages between replicas. One byte of kind, then the fields in the order of the kind's row below,
 * little-endian; a config record is JSON behind its length, log is whole groups behind everything else.
 *
 * Decoding takes foreign bytes: it returns a problem and never throws, reads nothing beyond its bounds, and checks log
 * against the position it is said to follow. The groups are views of the bytes given.
 */
import { assert } from '../base/assert.ts';
import { leaseMsMax, palfMessageBytesMax, palfRecordBytesMax } from '../base/limits.ts';
import type { ConfigVersion, LogPosition } from '../base/log-access.ts';
import { lsn, monoMs, proposalId, scn } from '../base/scalars.ts';
import { decodeGroups, isProblem } from './clog.ts';
import { type ConfigRecord, Malformed, need, reviveRecord } from './config-record.ts';
import type { ClosedGroup } from './group-builder.ts';
import type { PalfMessage, PalfMessageProblem, Standing } from './palf-message.ts';
import { readU64, viewOf, writeU64 } from './u64.ts';

/** How one type of field is written and read; `bytes` is its fixed size. */
interface FieldType<T> {
  readonly bytes: number;
  write(view: DataView, at: number, value: T): void;
  read(view: DataView, at: number): T;
}

const whole = (view: DataView, at: number): number => {
  const value = readU64(view, at);
  need(value >= 0, 'a number is at most 2^53');
  return value;
};

const u64 = <T extends number>(make: (value: number) => T): FieldType<T> => ({
  bytes: 8,
  write: (view, at, value) => writeU64(view, at, value),
  read: (view, at) => make(whole(view, at)),
});

const u32: FieldType<number> = {
  bytes: 4,
  write: (view, at, value) => view.setUint32(at, value, true),
  read: (view, at) => view.getUint32(at, true),
};

const flag: FieldType<boolean> = {
  bytes: 1,
  write: (view, at, value) => view.setUint8(at, value ? 1 : 0),
  read: (view, at) => {
    need(view.getUint8(at) <= 1, 'a flag is 0 or 1');
    return view.getUint8(at) === 1;
  },
};

const time: FieldType<ReturnType<typeof monoMs>> = {
  bytes: 8,
  write: (view, at, value) => view.setFloat64(at, value, true),
  read: (view, at) => {
    const value = view.getFloat64(at, true);
    need(Number.isFinite(value) && value >= 0, 'a time is finite and not negative');
    return monoMs(value);
  },
};

/** Who gives its word gives it for so long: no sender may bind it for longer than any server may be configured to. */
const lease: FieldType<number> = {
  bytes: 4,
  write: (view, at, value) => view.setUint32(at, value, true),
  read: (view, at) => {
    const value = view.getUint32(at, true);
    need(value >= 1 && value <= leaseMsMax, 'a lease keeps to its limit');
    return value;
  },
};

const position: FieldType<LogPosition> = {
  bytes: 20,
  write: (view, at, value) => {
    writeU64(view, at, value.lsn);
    writeU64(view, at + 8, value.scn);
    view.setUint32(at + 16, value.checksum, true);
  },
  read: (view, at) => ({
    lsn: lsn(whole(view, at)),
    scn: scn(whole(view, at + 8)),
    checksum: view.getUint32(at + 16, true),
  }),
};

const version: FieldType<ConfigVersion> = {
  bytes: 16,
  write: (view, at, value) => {
    writeU64(view, at, value.proposalId);
    writeU64(view, at + 8, value.sequence);
  },
  read: (view, at) => ({ proposalId: proposalId(whole(view, at)), sequence: whole(view, at + 8) }),
};

const standing: FieldType<Standing> = {
  bytes: 36,
  write: (view, at, value) => {
    version.write(view, at, value.version);
    writeU64(view, at + 16, value.accepted);
    writeU64(view, at + 24, value.end);
    view.setUint32(at + 32, value.priority, true);
  },
  read: (view, at) => ({
    version: version.read(view, at),
    accepted: proposalId(whole(view, at + 16)),
    end: lsn(whole(view, at + 24)),
    priority: view.getUint32(at + 32, true),
  }),
};

const unfetchedReasons = ['mismatch', 'gone', 'failed'] as const;
const why: FieldType<(typeof unfetchedReasons)[number]> = {
  bytes: 1,
  write: (view, at, value) => view.setUint8(at, unfetchedReasons.indexOf(value)),
  read: (view, at) => {
    const reason = unfetchedReasons[view.getUint8(at)];
    need(reason !== undefined, 'the reason is known');
    return reason;
  },
};

const proposal = u64(proposalId);
const place = u64(lsn);
/** as many as a process can count */
const id = u64(value => value);
const health = { mendings: u32, impaired: flag, checkpoint: place };

/** Fields of each kind, in the order they are written. Log and record stand behind them. */
const layouts = {
  canvass: { proposal, round: u32, standing, insist: flag },
  support: { proposal, round: u32 },
  oppose: { proposal, round: u32, hard: flag, version, isMember: flag },
  prepare: { proposal, sentAt: time, leaseMs: lease, version, released: proposal },
  promise: {
    proposal,
    sentAt: time,
    accepted: proposal,
    end: position,
    committed: position,
    cutApplied: version,
    ...health,
  },
  reject: { proposal, promised: proposal },
  renew: { proposal, sentAt: time, leaseMs: lease, committed: place },
  renewed: { proposal, sentAt: time, priority: u32, healthy: flag, ...health },
  'hand-over': { proposal },
  resign: { proposal },
  push: { proposal, prev: position, committed: place },
  ack: { proposal, flushed: place, received: place, ...health },
  mismatch: { proposal, end: position, committed: position, ...health },
  commit: { proposal, committed: place },
  rebuild: { proposal, base: position },
  mend: { proposal, mendings: u32, end: place },
  fetch: { proposal, id, from: position },
  fetched: { proposal, id, prev: position },
  unfetched: { proposal, id, why, base: position },
  config: { proposal, start: position, barrier: place },
  'config-ack': { proposal, version, ...health },
  parted: { proposal, at: position, base: position },
  record: { proposal, start: position, barrier: place, since: version },
} as const satisfies Record<PalfMessage['kind'], Record<string, unknown>>;

type Fields = readonly (readonly [string, FieldType<unknown>])[];

const kinds = Object.keys(layouts) as PalfMessage['kind'][];
const codes = new Map(kinds.map((kind, index) => [kind, index + 1]));
const fieldsOf = kinds.map((kind): Fields => Object.entries(layouts[kind]) as unknown as Fields);
const headBytesOf = fieldsOf.map(fields => fields.reduce((sum, [, type]) => sum + type.bytes, 1));

/** The message as parts to be sent one after the other; log is not copied. */
export function encodePalfMessage(message: PalfMessage): Uint8Array[] {
  const code = codes.get(message.kind) ?? 0;
  const fields = fieldsOf[code - 1] ?? [];
  const head = new Uint8Array(headBytesOf[code - 1] ?? 0);
  const view = viewOf(head);
  view.setUint8(0, code);
  let at = 1;
  for (const [name, type] of fields) {
    type.write(view, at, (message as unknown as Record<string, unknown>)[name]);
    at += type.bytes;
  }
  switch (message.kind) {
    case 'push':
    case 'fetched':
      return [head, ...message.groups.map(group => group.bytes)];
    case 'config':
    case 'record': {
      const record = Buffer.from(JSON.stringify(message.record), 'utf8');
      assert(record.length <= palfRecordBytesMax, 'a config record keeps to its size limit');
      return [head, record];
    }
    default:
      return [head];
  }
}

/** The message in `bytes`, which hold exactly one. */
export function decodePalfMessage(bytes: Uint8Array): PalfMessage | PalfMessageProblem {
  if (bytes.length > palfMessageBytesMax) return problem('a message over its size');
  const code = bytes[0] ?? 0;
  const kind = kinds[code - 1];
  const fields = fieldsOf[code - 1];
  const headBytes = headBytesOf[code - 1];
  if (kind === undefined || fields === undefined || headBytes === undefined)
    return problem(`message kind ${code} is not known`);
  if (bytes.length < headBytes) return problem(`a ${kind} message is cut short`);
  try {
    const view = viewOf(bytes);
    const message: Record<string, unknown> = { kind };
    let at = 1;
    for (const [name, type] of fields) {
      message[name] = type.read(view, at);
      at += type.bytes;
    }
    const rest = bytes.subarray(headBytes);
    if (kind === 'push' || kind === 'fetched')
      message['groups'] = readGroups(rest, message['prev'] as LogPosition);
    else if (kind === 'config' || kind === 'record') message['record'] = readRecord(rest);
    else need(rest.length === 0, 'nothing follows the message');
    return message as unknown as PalfMessage;
  } catch (error) {
    if (error instanceof Malformed || error instanceof SyntaxError)
      return problem(`a ${kind} message is malformed: ${error.message}`);
    throw error;
  }
}

function readGroups(bytes: Uint8Array, prev: LogPosition): readonly ClosedGroup[] {
  need(Number.isSafeInteger(prev.lsn + bytes.length), 'log lies below 2^53');
  const groups = decodeGroups(bytes, prev);
  if (isProblem(groups)) throw new Malformed(groups.what);
  return groups.map(group => ({
    start: group.start,
    end: group.end,
    proposalId: group.header.proposalId,
    bytes: group.bytes,
  }));
}

function readRecord(bytes: Uint8Array): ConfigRecord {
  need(bytes.length <= palfRecordBytesMax, 'a config record keeps to its size limit');
  return reviveRecord(JSON.parse(utf8.decode(bytes)));
}

const utf8 = new TextDecoder('utf-8');

const problem = (what: string): PalfMessageProblem => ({ kind: 'problem', what });
