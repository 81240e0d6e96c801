/**
 * Messages between peers, each the payload of one frame. What moves log is binary; the rest is JSON of a checked shape.
 * Little-endian; a position is {LSN u64, SCN u64, checksum u32}.
 *
 * Decoding takes foreign bytes: it returns a problem and never throws; every list and text has a bound.
 */
import { z } from 'zod';
import { assert } from '../base/assert.ts';
import {
  peerChunkFrameBytesMax,
  peerControlBytesMax,
  peerCreditBytesMax,
  peerErasMax,
  peerHandshakeFrameBytesMax,
  siteAddressLengthMax,
} from '../base/limits.ts';
import type { LogChunk, LogPosition } from '../base/log-access.ts';
import {
  type Lsn,
  logStreamId,
  lsn,
  proposalId,
  type RoleEpoch,
  roleEpoch,
  type Scn,
  scn,
  type WallMicros,
  wallMicros,
} from '../base/scalars.ts';
import { readU64, viewOf, writeU64 } from './u64.ts';

const whole = z.int().min(0);
const requestId = z.int().min(1).max(0xffff_ffff);
const name = z.string().min(1).max(128);
/** `host:port` of each node of a site, with `;` between */
const siteAddress = z.string().min(1).max(siteAddressLengthMax);
const base64 = z.base64().max(256);
const position = z.object({
  lsn: whole.transform(lsn),
  scn: whole.transform(scn),
  checksum: whole.max(0xffff_ffff),
});
const eras = z
  .array(z.object({ proposalId: whole.transform(proposalId), startLsn: whole.transform(lsn) }))
  .max(peerErasMax);

const logDescription = z.object({
  stream: whole.transform(logStreamId),
  role: z.enum(['leader', 'follower']),
  proposalId: whole.transform(proposalId),
  accessMode: z.enum(['APPEND', 'RAW_WRITE', 'PREPARE_FLASHBACK', 'FLASHBACK']),
  modeVersion: whole,
  baseLsn: whole.transform(lsn),
  beginLsn: whole.transform(lsn),
  end: position,
  maxLsn: whole.transform(lsn),
  maxScn: whole.transform(scn),
  proposalHistory: eras,
});

/** What a server tells a peer that has logged in. `log` is null while the tenant is not open. */
const description = z.object({
  cluster: name,
  site: name,
  /** where this site's peer ports are reached, or null if it has none to tell */
  address: siteAddress.nullable(),
  tenant: name,
  incarnation: name,
  role: z.enum(['PRIMARY', 'STANDBY', 'RESTORE']),
  switchoverStatus: z.enum([
    'NORMAL',
    'PREPARE SWITCHING TO STANDBY',
    'SWITCHING TO STANDBY',
    'PREPARE SWITCHING TO PRIMARY',
    'SWITCHING TO PRIMARY',
    'PREPARE FLASHBACK',
    'FLASHBACK',
  ]),
  roleEpoch: whole.transform(roleEpoch),
  pageBytes: whole,
  /** of the log's block files: a log that takes over its groups has blocks of the same size */
  blockBytes: whole,
  wall: whole.transform(wallMicros),
  log: logDescription.nullable(),
  /** the exact end of the log, while this site has closed it for a switchover */
  sealed: z
    .object({
      lsn: whole.transform(lsn),
      scn: whole.transform(scn),
      checksum: whole.max(0xffff_ffff),
      epoch: whole.transform(roleEpoch),
      operationId: name,
    })
    .nullable(),
});
export type PeerDescription = z.output<typeof description>;

const hello = z.object({
  versionMin: whole.max(255),
  versionMax: whole.max(255),
  cluster: name,
  site: name,
  /** where the caller's own peer ports are reached, or null */
  address: siteAddress.nullable(),
  /** the caller's own name for the tenant, which tells two standbys of one site apart */
  localTenant: name,
  tenant: name,
  user: name,
  /** what the caller expects, or null before it has copied the tenant */
  incarnation: name.nullable(),
  /** highest role epoch of the tenant that the caller knows of; 0 for none */
  knownEpoch: whole.transform(roleEpoch),
  nonce: base64,
});
export type Hello = z.output<typeof hello>;

const challenge = z.object({
  version: whole.max(255),
  /** the caller's nonce followed by the server's */
  nonce: base64,
  salt: base64,
  iterations: whole,
});
export type Challenge = z.output<typeof challenge>;

const proof = z.object({ nonce: base64, proof: base64 });
const welcome = z.object({ signature: base64 });
const errorMessage = z.object({
  /** the request it answers, or 0 for the connection */
  id: whole.max(0xffff_ffff),
  code: name,
  message: z.string().max(4_096),
  details: z.record(z.string().max(64), z.union([z.string().max(2_048), z.number(), z.boolean(), z.null()])),
});
const describe = z.object({ id: requestId });
/** id 0: told unasked, right after the login */
const described = z.object({ id: whole.max(0xffff_ffff), peer: description });
const control = z.object({ id: requestId, op: name, body: z.unknown() });
const reply = z.object({ id: requestId, body: z.unknown() });
const subscribe = z.object({
  id: requestId,
  from: position,
  proposalHistory: eras,
  creditBytes: whole.max(peerCreditBytesMax),
});
const subscribed = z.object({ id: requestId, end: position });
const snapshot = z.object({ id: requestId, creditBytes: whole.max(peerCreditBytesMax) });
const snapshotBegin = z.object({
  id: requestId,
  start: position,
  proposalHistory: eras,
  pageBytes: whole,
});
const snapshotEnd = z.object({ id: requestId, minimumLsn: whole.transform(lsn), fileBytes: whole });

const jsonMessages = {
  hello: { type: 1, shape: hello, bytesMax: peerHandshakeFrameBytesMax },
  challenge: { type: 2, shape: challenge, bytesMax: peerHandshakeFrameBytesMax },
  proof: { type: 3, shape: proof, bytesMax: peerHandshakeFrameBytesMax },
  error: { type: 4, shape: errorMessage, bytesMax: 65_536 },
  welcome: { type: 5, shape: welcome, bytesMax: peerControlBytesMax },
  describe: { type: 10, shape: describe, bytesMax: peerControlBytesMax },
  described: { type: 11, shape: described, bytesMax: peerControlBytesMax },
  control: { type: 12, shape: control, bytesMax: peerControlBytesMax },
  reply: { type: 13, shape: reply, bytesMax: peerControlBytesMax },
  subscribe: { type: 20, shape: subscribe, bytesMax: peerControlBytesMax },
  subscribed: { type: 21, shape: subscribed, bytesMax: peerControlBytesMax },
  snapshot: { type: 30, shape: snapshot, bytesMax: peerControlBytesMax },
  'snapshot-begin': { type: 31, shape: snapshotBegin, bytesMax: peerControlBytesMax },
  'snapshot-end': { type: 33, shape: snapshotEnd, bytesMax: peerControlBytesMax },
} as const;

type JsonMessages = {
  [K in keyof typeof jsonMessages]: { readonly kind: K } & Readonly<
    z.output<(typeof jsonMessages)[K]['shape']>
  >;
};

/** Committed groups, with the source's end and wall clock at the moment of sending. */
interface ChunkMessage {
  readonly kind: 'chunk';
  readonly chunk: LogChunk;
  readonly sourceEnd: LogPosition;
  readonly wall: WallMicros;
}

interface HeartbeatMessage {
  readonly kind: 'heartbeat';
  readonly sourceEnd: LogPosition;
  readonly wall: WallMicros;
  readonly epoch: RoleEpoch;
}

/** What the standby has, and how many more bytes it takes. */
interface AckMessage {
  readonly kind: 'ack';
  readonly flushedLsn: Lsn;
  readonly flushedScn: Scn;
  readonly appliedLsn: Lsn;
  readonly appliedScn: Scn;
  readonly creditBytes: number;
}

interface SnapshotPieceMessage {
  readonly kind: 'snapshot-piece';
  /** byte offset in the database file */
  readonly position: number;
  readonly bytes: Uint8Array;
}

/** How many more bytes of a snapshot are taken. */
interface CreditMessage {
  readonly kind: 'credit';
  readonly bytes: number;
}

export type PeerMessage =
  | JsonMessages[keyof JsonMessages]
  | ChunkMessage
  | HeartbeatMessage
  | AckMessage
  | SnapshotPieceMessage
  | CreditMessage;

export type PeerMessageOf<K extends PeerMessage['kind']> = Extract<PeerMessage, { kind: K }>;

export interface MessageProblem {
  readonly kind: 'problem';
  readonly what: string;
}

const chunkType = 22;
const heartbeatType = 23;
const ackType = 24;
const pieceType = 32;
const creditType = 34;

const positionBytes = 20;
const chunkHeadBytes = positionBytes * 3 + 8;
const heartbeatBytes = positionBytes + 16;
const ackBytes = 36;
const pieceHeadBytes = 8;
const creditBytes = 4;

type JsonRow = { readonly kind: keyof JsonMessages; readonly shape: z.ZodType; readonly bytesMax: number };
const jsonByType = new Map<number, JsonRow>(
  Object.entries(jsonMessages).map(([kind, row]) => [row.type, { kind: kind as keyof JsonMessages, ...row }]),
);

/** The largest payload a frame of this type may have, or undefined for an unknown type. */
export function peerPayloadBytesMax(type: number): number | undefined {
  switch (type) {
    case chunkType:
    case pieceType:
      return peerChunkFrameBytesMax;
    case heartbeatType:
      return heartbeatBytes;
    case ackType:
      return ackBytes;
    case creditType:
      return creditBytes;
    default:
      return jsonByType.get(type)?.bytesMax;
  }
}

/** Types a server listens to before the caller is known, and a caller before the server is. */
export const isHandshakeType = (type: number): boolean => type >= 1 && type <= 5;

/** A message as frame type and payload parts. */
export function encodePeerMessage(message: PeerMessage): { type: number; payload: Uint8Array[] } {
  switch (message.kind) {
    case 'chunk': {
      const head = new Uint8Array(chunkHeadBytes);
      const view = viewOf(head);
      writePosition(view, 0, message.chunk.start);
      writePosition(view, positionBytes, message.chunk.end);
      writePosition(view, positionBytes * 2, message.sourceEnd);
      writeU64(view, positionBytes * 3, message.wall);
      return { type: chunkType, payload: [head, message.chunk.bytes] };
    }
    case 'heartbeat': {
      const body = new Uint8Array(heartbeatBytes);
      const view = viewOf(body);
      writePosition(view, 0, message.sourceEnd);
      writeU64(view, positionBytes, message.wall);
      writeU64(view, positionBytes + 8, message.epoch);
      return { type: heartbeatType, payload: [body] };
    }
    case 'ack': {
      const body = new Uint8Array(ackBytes);
      const view = viewOf(body);
      writeU64(view, 0, message.flushedLsn);
      writeU64(view, 8, message.flushedScn);
      writeU64(view, 16, message.appliedLsn);
      writeU64(view, 24, message.appliedScn);
      view.setUint32(32, message.creditBytes, true);
      return { type: ackType, payload: [body] };
    }
    case 'snapshot-piece': {
      const head = new Uint8Array(pieceHeadBytes);
      writeU64(viewOf(head), 0, message.position);
      return { type: pieceType, payload: [head, message.bytes] };
    }
    case 'credit': {
      const body = new Uint8Array(creditBytes);
      viewOf(body).setUint32(0, message.bytes, true);
      return { type: creditType, payload: [body] };
    }
    default: {
      const { kind, ...body } = message;
      const payload = Buffer.from(JSON.stringify(body));
      const row = jsonMessages[kind];
      assert(payload.length <= row.bytesMax, `a ${kind} message fits its frame`);
      return { type: row.type, payload: [payload] };
    }
  }
}

/** The message in a frame's payload. Bytes of chunks and pieces are views of `payload`. */
export function decodePeerMessage(type: number, payload: Uint8Array): PeerMessage | MessageProblem {
  switch (type) {
    case chunkType:
      return decodeChunk(payload);
    case heartbeatType:
      return decodeHeartbeat(payload);
    case ackType:
      return decodeAck(payload);
    case pieceType: {
      if (payload.length < pieceHeadBytes) return problem('a snapshot piece without its head');
      const position = readU64(viewOf(payload), 0);
      if (position < 0) return problem('a number over 2^53');
      return { kind: 'snapshot-piece', position, bytes: payload.subarray(pieceHeadBytes) };
    }
    case creditType:
      if (payload.length !== creditBytes) return problem('a credit of the wrong length');
      return { kind: 'credit', bytes: viewOf(payload).getUint32(0, true) };
    default:
      return decodeJson(type, payload);
  }
}

function decodeChunk(payload: Uint8Array): ChunkMessage | MessageProblem {
  if (payload.length < chunkHeadBytes) return problem('a chunk without its head');
  const view = viewOf(payload);
  const start = readPosition(view, 0);
  const end = readPosition(view, positionBytes);
  const sourceEnd = readPosition(view, positionBytes * 2);
  const wall = readU64(view, positionBytes * 3);
  if (start === undefined || end === undefined || sourceEnd === undefined || wall < 0) {
    return problem('a number over 2^53');
  }
  const bytes = payload.subarray(chunkHeadBytes);
  if (end.lsn - start.lsn !== bytes.length)
    return problem('a chunk whose bytes are not those between its positions');
  if (end.lsn > sourceEnd.lsn) return problem('a chunk beyond the end of its source');
  return { kind: 'chunk', chunk: { start, end, bytes }, sourceEnd, wall: wallMicros(wall) };
}

function decodeHeartbeat(payload: Uint8Array): HeartbeatMessage | MessageProblem {
  if (payload.length !== heartbeatBytes) return problem('a heartbeat of the wrong length');
  const view = viewOf(payload);
  const sourceEnd = readPosition(view, 0);
  const wall = readU64(view, positionBytes);
  const epoch = readU64(view, positionBytes + 8);
  if (sourceEnd === undefined || wall < 0 || epoch < 0) return problem('a number over 2^53');
  return { kind: 'heartbeat', sourceEnd, wall: wallMicros(wall), epoch: roleEpoch(epoch) };
}

function decodeAck(payload: Uint8Array): AckMessage | MessageProblem {
  if (payload.length !== ackBytes) return problem('an ack of the wrong length');
  const view = viewOf(payload);
  const flushedLsn = readU64(view, 0);
  const flushedScn = readU64(view, 8);
  const appliedLsn = readU64(view, 16);
  const appliedScn = readU64(view, 24);
  if (Math.min(flushedLsn, flushedScn, appliedLsn, appliedScn) < 0) return problem('a number over 2^53');
  return {
    kind: 'ack',
    flushedLsn: lsn(flushedLsn),
    flushedScn: scn(flushedScn),
    appliedLsn: lsn(appliedLsn),
    appliedScn: scn(appliedScn),
    creditBytes: view.getUint32(32, true),
  };
}

function decodeJson(type: number, payload: Uint8Array): PeerMessage | MessageProblem {
  const row = jsonByType.get(type);
  if (row === undefined) return problem(`message type ${type} is not known`);
  if (payload.length > row.bytesMax) return problem(`a ${row.kind} message over its size`);
  let value: unknown;
  try {
    value = JSON.parse(utf8.decode(payload));
  } catch {
    return problem(`a ${row.kind} message that is not JSON`);
  }
  const parsed = row.shape.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    return problem(`a ${row.kind} message with a wrong ${issue?.path.join('.') ?? 'shape'}`);
  }
  return { ...(parsed.data as object), kind: row.kind } as PeerMessage;
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

const problem = (what: string): MessageProblem => ({ kind: 'problem', what });

function writePosition(target: DataView, offset: number, value: LogPosition): void {
  writeU64(target, offset, value.lsn);
  writeU64(target, offset + 8, value.scn);
  target.setUint32(offset + 16, value.checksum, true);
}

/** The position at `offset`, or undefined when a number is over 2^53. */
function readPosition(source: DataView, offset: number): LogPosition | undefined {
  const at = readU64(source, offset);
  const time = readU64(source, offset + 8);
  if (at < 0 || time < 0) return undefined;
  return { lsn: lsn(at), scn: scn(time), checksum: source.getUint32(offset + 16, true) };
}
