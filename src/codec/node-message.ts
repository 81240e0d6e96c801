/**
 * Messages between the nodes of one cluster, each the payload of one frame. What moves log or files is binary; the rest is
 * JSON, whose shape is checked wherever the transport itself acts on it. Little-endian.
 *
 * A batch carries the log messages of many streams: {tenant varint, stream varint, bytes varint, message} each.
 *
 * Decoding takes foreign bytes: it returns a problem and never throws; every list and text has a bound.
 */
import { z } from 'zod';
import {
  nodeCreditBytes,
  nodeFrameBytes,
  nodeFrameMessagesMax,
  nodeHandshakeFrameBytesMax,
  nodeJsonBytesMax,
  nodeMessageBytesMax,
  nodePieceBytes,
} from '../base/limits.ts';
import { type LogStreamId, logStreamId, nodeId, type TenantId, tenantId } from '../base/scalars.ts';
import { viewOf } from './u64.ts';
import { readVarint, varintBytesMax } from './varint.ts';

const name = z.string().min(1).max(128);
const node = z
  .string()
  .min(1)
  .max(64)
  .transform(value => nodeId(value));
const version = z.int().min(1).max(255);
/** 24 bytes or more */
const nonce = z.base64().min(32).max(256);
const proofText = z.base64().length(44);

/** What a connection is for. */
const purpose = z.enum([
  /** log messages and requests both ways, for as long as both live */
  'link',
  /** "I am here, connect to me" */
  'knock',
  /** requests of the one who connects */
  'call',
  /** one byte stream to the one who connects */
  'stream',
]);
export type NodePurpose = z.output<typeof purpose>;

const hello = z.object({
  versionMin: version,
  versionMax: version,
  /** null before the node belongs to one */
  cluster: name.nullable(),
  /** what people call it: an arbiter, which serves many, finds the secret by it */
  clusterName: name.optional(),
  purpose,
  node,
  /** drawn anew by each process */
  boot: name,
  /** where the cluster port of the one who connects is reached, as host:port, or null */
  address: name.nullable(),
  /** the node that should be there, or null for whichever is */
  expects: node.nullable(),
  nonce,
});
export type NodeHello = z.output<typeof hello>;

const challenge = z.object({
  version,
  cluster: name.nullable(),
  node,
  boot: name,
  address: name.nullable(),
  nonce,
});
export type NodeChallenge = z.output<typeof challenge>;

const proof = z.object({ proof: proofText });
const welcome = z.object({ proof: proofText });
const errorShape = z.object({
  code: name,
  message: z.string().max(4_096),
  details: z.record(z.string().max(64), z.union([z.string().max(2_048), z.number(), z.boolean(), z.null()])),
});
export type ToldError = z.output<typeof errorShape>;

const handshakeMessages = {
  hello: { type: 1, shape: hello },
  challenge: { type: 2, shape: challenge },
  proof: { type: 3, shape: proof },
  welcome: { type: 4, shape: welcome },
  refusal: { type: 5, shape: errorShape },
} as const;

type HandshakeMessages = {
  [K in keyof typeof handshakeMessages]: { readonly kind: K } & Readonly<
    z.output<(typeof handshakeMessages)[K]['shape']>
  >;
};

/** One log message of a batch. */
export interface StreamMessage {
  readonly tenantId: TenantId;
  readonly stream: LogStreamId;
  /** a view of the frame */
  readonly payload: Uint8Array;
}

export type NodeMessage =
  | HandshakeMessages[keyof HandshakeMessages]
  /** nothing else was to be said */
  | { readonly kind: 'ping' }
  | { readonly kind: 'request'; readonly id: number; readonly op: string; readonly body: unknown }
  /** how far a request has come */
  | { readonly kind: 'progress'; readonly id: number; readonly body: unknown }
  | { readonly kind: 'reply'; readonly id: number; readonly body: unknown }
  | { readonly kind: 'failure'; readonly id: number; readonly error: ToldError }
  /** asks for a byte stream; the sender may be this far ahead */
  | { readonly kind: 'open'; readonly creditBytes: number; readonly op: string; readonly body: unknown }
  | { readonly kind: 'opened' }
  | { readonly kind: 'piece'; readonly bytes: Uint8Array }
  /** a value between the bytes of a stream */
  | { readonly kind: 'note'; readonly body: unknown }
  | { readonly kind: 'end' }
  /** how many more bytes of a stream are taken */
  | { readonly kind: 'credit'; readonly bytes: number };

export type NodeBatch = { readonly kind: 'batch'; readonly messages: readonly StreamMessage[] };
export type NodeMessageOf<K extends NodeMessage['kind']> = Extract<NodeMessage, { kind: K }>;

export interface MessageProblem {
  readonly kind: 'problem';
  readonly what: string;
}

export const batchType = 16;
const pingType = 17;
const requestType = 20;
const progressType = 21;
const replyType = 22;
const failureType = 23;
const openType = 30;
const openedType = 31;
const pieceType = 32;
const noteType = 33;
const endType = 34;
const creditType = 35;

const opBytesMax = 64;
const idBytes = 4;
const errorBytesMax = 65_536;

/** Bytes before a message in a batch, at most. */
export const batchHeadBytesMax = 3 * varintBytesMax;

/** The largest payload a frame of this type may have, or undefined for an unknown type. */
export function nodePayloadBytesMax(type: number): number | undefined {
  switch (type) {
    case batchType:
      return Math.max(nodeMessageBytesMax, nodeFrameBytes) + batchHeadBytesMax;
    case pingType:
    case openedType:
    case endType:
      return 0;
    case requestType:
    case openType:
      return idBytes + 1 + opBytesMax + nodeJsonBytesMax;
    case progressType:
    case replyType:
      return idBytes + nodeJsonBytesMax;
    case failureType:
      return idBytes + errorBytesMax;
    case pieceType:
      return nodePieceBytes;
    case noteType:
      return nodeJsonBytesMax;
    case creditType:
      return idBytes;
    default:
      return isHandshakeType(type) ? nodeHandshakeFrameBytesMax : undefined;
  }
}

/** Types that travel bare, before both ends have proven themselves, and never after. */
export const isHandshakeType = (type: number): boolean => type >= 1 && type <= 5;

/** A message as frame type and payload parts. What has no limit of its own here is checked by the channel. */
export function encodeNodeMessage(message: NodeMessage): { type: number; payload: Uint8Array[] } {
  switch (message.kind) {
    case 'ping':
      return { type: pingType, payload: [] };
    case 'request':
      return { type: requestType, payload: [headOf(message.id, message.op), jsonOf(message.body)] };
    case 'progress':
      return { type: progressType, payload: [headOf(message.id), jsonOf(message.body)] };
    case 'reply':
      return { type: replyType, payload: [headOf(message.id), jsonOf(message.body)] };
    case 'failure':
      return { type: failureType, payload: [headOf(message.id), jsonOf(message.error)] };
    case 'open':
      return { type: openType, payload: [headOf(message.creditBytes, message.op), jsonOf(message.body)] };
    case 'opened':
      return { type: openedType, payload: [] };
    case 'piece':
      return { type: pieceType, payload: [message.bytes] };
    case 'note':
      return { type: noteType, payload: [jsonOf(message.body)] };
    case 'end':
      return { type: endType, payload: [] };
    case 'credit':
      return { type: creditType, payload: [headOf(message.bytes)] };
    default: {
      const { kind, ...body } = message;
      return { type: handshakeMessages[kind].type, payload: [jsonOf(body)] };
    }
  }
}

/** The message in a frame's payload. Bytes are views of `payload`. */
export function decodeNodeMessage(
  type: number,
  payload: Uint8Array,
): NodeMessage | NodeBatch | MessageProblem {
  switch (type) {
    case batchType:
      return decodeBatch(payload);
    case pingType:
      return bare('ping', payload);
    case openedType:
      return bare('opened', payload);
    case endType:
      return bare('end', payload);
    case pieceType:
      return { kind: 'piece', bytes: payload };
    case creditType:
      if (payload.length !== idBytes) return problem('a credit of the wrong length');
      return { kind: 'credit', bytes: viewOf(payload).getUint32(0, true) };
    case noteType:
      return withJson('note', payload, 0, body => ({ kind: 'note', body }));
    case progressType:
      return answer('progress', payload, (id, body) => ({ kind: 'progress', id, body }));
    case replyType:
      return answer('reply', payload, (id, body) => ({ kind: 'reply', id, body }));
    case failureType:
      return answer('failure', payload, (id, body) => {
        const error = errorShape.safeParse(body);
        if (!error.success) return problem('a failure of the wrong shape');
        return { kind: 'failure', id, error: error.data };
      });
    case requestType:
      return asked('request', payload, (id, op, body) => ({ kind: 'request', id, op, body }));
    case openType:
      return asked('open', payload, (credit, op, body) => {
        if (credit > nodeCreditBytes) return problem(`an open with ${credit} bytes of credit`);
        return { kind: 'open', creditBytes: credit, op, body };
      });
    default:
      return decodeHandshake(type, payload);
  }
}

function decodeBatch(payload: Uint8Array): NodeBatch | MessageProblem {
  const messages: StreamMessage[] = [];
  const cursor = { bytes: payload, offset: 0, end: payload.length };
  while (cursor.offset < cursor.end) {
    if (messages.length === nodeFrameMessagesMax) return problem('a batch of too many messages');
    const tenant = readVarint(cursor);
    const stream = tenant < 0 ? -1 : readVarint(cursor);
    const bytes = stream < 0 ? -1 : readVarint(cursor);
    if (bytes < 0) return problem('a batch with a malformed number');
    if (bytes > cursor.end - cursor.offset) return problem('a batch whose message ends after it');
    messages.push({
      tenantId: tenantId(tenant),
      stream: logStreamId(stream),
      payload: payload.subarray(cursor.offset, cursor.offset + bytes),
    });
    cursor.offset += bytes;
  }
  if (messages.length === 0) return problem('a batch of nothing');
  return { kind: 'batch', messages };
}

function decodeHandshake(type: number, payload: Uint8Array): NodeMessage | MessageProblem {
  for (const [kind, row] of Object.entries(handshakeMessages)) {
    if (row.type !== type) continue;
    if (payload.length > nodeHandshakeFrameBytesMax) return problem(`a ${kind} over its size`);
    const value = parseJson(payload);
    if (value === undefined) return problem(`a ${kind} that is not JSON`);
    const parsed = (row.shape as z.ZodType).safeParse(value);
    if (!parsed.success) {
      const issue = parsed.error.issues[0];
      return problem(`a ${kind} with a wrong ${issue?.path.join('.') ?? 'shape'}`);
    }
    return { ...(parsed.data as object), kind } as NodeMessage;
  }
  return problem(`message type ${type} is not known`);
}

type Decoded = NodeMessage | MessageProblem;

const bare = (kind: 'ping' | 'opened' | 'end', payload: Uint8Array): Decoded =>
  payload.length === 0 ? { kind } : problem(`a ${kind} with something in it`);

function withJson(
  what: string,
  payload: Uint8Array,
  offset: number,
  made: (body: unknown) => Decoded,
): Decoded {
  const body = parseJson(payload.subarray(offset));
  return body === undefined ? problem(`a ${what} that is not JSON`) : made(body);
}

function answer(what: string, payload: Uint8Array, made: (id: number, body: unknown) => Decoded): Decoded {
  if (payload.length < idBytes) return problem(`a ${what} without its head`);
  const id = viewOf(payload).getUint32(0, true);
  return withJson(what, payload, idBytes, body => made(id, body));
}

function asked(
  what: string,
  payload: Uint8Array,
  made: (id: number, op: string, body: unknown) => Decoded,
): Decoded {
  if (payload.length < idBytes + 1) return problem(`a ${what} without its head`);
  const id = viewOf(payload).getUint32(0, true);
  const end = idBytes + 1 + (payload[idBytes] ?? 0);
  if (end > payload.length || end === idBytes + 1 || end > idBytes + 1 + opBytesMax) {
    return problem(`a ${what} whose name has a wrong length`);
  }
  const op = Buffer.from(payload.buffer, payload.byteOffset + idBytes + 1, end - idBytes - 1).toString(
    'latin1',
  );
  return withJson(what, payload, end, body => made(id, op, body));
}

/** A number, and the name of what is asked if there is one. */
function headOf(id: number, op?: string): Uint8Array {
  const text = op === undefined ? undefined : Buffer.from(op, 'latin1');
  const head = new Uint8Array(text === undefined ? idBytes : idBytes + 1 + text.length);
  viewOf(head).setUint32(0, id, true);
  if (text !== undefined) {
    head[idBytes] = text.length;
    head.set(text, idBytes + 1);
  }
  return head;
}

/** True for the name of a request that can be sent. */
export const isOpName = (op: string): boolean => /^[\x21-\x7e]{1,64}$/.test(op);

const jsonOf = (value: unknown): Uint8Array => Buffer.from(JSON.stringify(value) ?? 'null');

/** The value, or undefined (which JSON has not) when it is none. */
function parseJson(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(utf8.decode(bytes));
  } catch {
    return undefined;
  }
}

const utf8 = new TextDecoder('utf-8', { fatal: true });

const problem = (what: string): MessageProblem => ({ kind: 'problem', what });
