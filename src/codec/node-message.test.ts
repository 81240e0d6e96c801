import fc from 'fast-check';
import { expect, test } from 'vitest';
import { nodeCreditBytes, nodeFrameMessagesMax } from '../base/limits.ts';
import {
  batchType,
  decodeNodeMessage,
  encodeNodeMessage,
  isHandshakeType,
  isOpName,
  type NodeMessage,
  nodePayloadBytesMax,
} from './node-message.ts';
import { writeVarint } from './varint.ts';

const joined = (message: NodeMessage): { type: number; payload: Uint8Array } => {
  const { type, payload } = encodeNodeMessage(message);
  return { type, payload: Buffer.concat(payload) };
};

const id = fc.nat({ max: 0xffff_ffff });
const body = fc.jsonValue();
const op = fc.string({ minLength: 1, maxLength: 64 }).filter(isOpName);
const text = fc.string({ minLength: 1, maxLength: 40 });
const proofText = fc
  .uint8Array({ minLength: 32, maxLength: 32 })
  .map(bytes => Buffer.from(bytes).toString('base64'));
const nonce = fc
  .uint8Array({ minLength: 24, maxLength: 48 })
  .map(bytes => Buffer.from(bytes).toString('base64'));
const maybe = fc.option(text, { nil: null });
const details = fc.dictionary(
  fc.string({ maxLength: 20 }).filter(key => key !== '__proto__'),
  fc.oneof(fc.string({ maxLength: 50 }), fc.integer(), fc.boolean(), fc.constant(null)),
);

const message = fc.oneof(
  fc.record({
    kind: fc.constant('hello'),
    versionMin: fc.integer({ min: 1, max: 255 }),
    versionMax: fc.integer({ min: 1, max: 255 }),
    cluster: maybe,
    purpose: fc.constantFrom('link', 'knock', 'call', 'stream'),
    node: text,
    boot: text,
    address: maybe,
    expects: maybe,
    nonce,
  }),
  fc.record({
    kind: fc.constant('challenge'),
    version: fc.integer({ min: 1, max: 255 }),
    cluster: maybe,
    node: text,
    boot: text,
    address: maybe,
    nonce,
  }),
  fc.record({ kind: fc.constantFrom('proof', 'welcome'), proof: proofText }),
  fc.record({ kind: fc.constant('refusal'), code: text, message: fc.string(), details }),
  fc.record({ kind: fc.constantFrom('ping', 'opened', 'end') }),
  fc.record({ kind: fc.constant('request'), id, op, body }),
  fc.record({ kind: fc.constant('open'), creditBytes: fc.nat({ max: nodeCreditBytes }), op, body }),
  fc.record({ kind: fc.constantFrom('progress', 'reply'), id, body }),
  fc.record({
    kind: fc.constant('failure'),
    id,
    error: fc.record({ code: text, message: fc.string(), details }),
  }),
  fc.record({ kind: fc.constant('note'), body }),
  fc.record({ kind: fc.constant('credit'), bytes: id }),
  fc.record({
    kind: fc.constant('piece'),
    bytes: fc.uint8Array({ maxLength: 100 }).map(b => Buffer.from(b)),
  }),
) as fc.Arbitrary<NodeMessage>;

test('every message comes back as it was', () => {
  fc.assert(
    fc.property(message, value => {
      const { type, payload } = joined(value);
      // JSON has no -0.
      const expected = value.kind === 'piece' ? value : JSON.parse(JSON.stringify(value));
      expect(decodeNodeMessage(type, payload)).toEqual(expected);
      expect(payload.length).toBeLessThanOrEqual(nodePayloadBytesMax(type) ?? -1);
    }),
  );
});

test('what is cut short, flipped or made up is a problem or a message, and never throws', () => {
  fc.assert(
    fc.property(message, fc.nat(), fc.nat({ max: 7 }), fc.nat(), (value, at, bit, cut) => {
      const { type, payload } = joined(value);
      decodeNodeMessage(type, payload.subarray(0, payload.length === 0 ? 0 : cut % payload.length));
      if (payload.length > 0) payload[at % payload.length]! ^= 1 << bit;
      decodeNodeMessage(type, payload);
    }),
  );
  fc.assert(
    fc.property(fc.nat({ max: 255 }), fc.uint8Array({ maxLength: 200 }), (type, payload) => {
      const decoded = decodeNodeMessage(type, payload);
      if (nodePayloadBytesMax(type) === undefined) expect(decoded.kind).toBe('problem');
      if (isHandshakeType(type)) expect(decoded.kind).toBe('problem');
    }),
    { numRuns: 2_000 },
  );
});

const batchOf = (
  messages: readonly { tenant: number; stream: number; payload: Uint8Array }[],
): Uint8Array => {
  const head = new Uint8Array(24);
  return Buffer.concat(
    messages.flatMap(({ tenant, stream, payload }) => {
      let end = writeVarint(head, 0, tenant);
      end = writeVarint(head, end, stream);
      end = writeVarint(head, end, payload.length);
      return [Buffer.from(head.subarray(0, end)), payload];
    }),
  );
};

const whole = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const streamMessages = fc.array(
  fc.record({ tenant: whole, stream: whole, payload: fc.uint8Array({ maxLength: 300 }) }),
  { minLength: 1, maxLength: 30 },
);

test('a batch gives its messages in their order', () => {
  fc.assert(
    fc.property(streamMessages, messages => {
      const decoded = decodeNodeMessage(batchType, batchOf(messages));
      expect(
        decoded.kind === 'batch' && decoded.messages.map(m => [m.tenantId, m.stream, [...m.payload]]),
      ).toEqual(messages.map(m => [m.tenant, m.stream, [...m.payload]]));
    }),
  );
});

test('a batch that is cut, changed, empty or over its bound is no batch of other streams', () => {
  fc.assert(
    fc.property(streamMessages, fc.nat(), (messages, at) => {
      const payload = batchOf(messages);
      const cut = payload.subarray(0, at % payload.length);
      const decoded = decodeNodeMessage(batchType, cut);
      // A cut between two messages is one that the seal of the frame finds.
      if (decoded.kind === 'batch') expect(decoded.messages.length).toBeLessThan(messages.length);
      else expect(decoded.kind).toBe('problem');
    }),
  );
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
      const decoded = decodeNodeMessage(batchType, bytes);
      if (decoded.kind === 'batch') expect(batchOf(asTuples(decoded))).toEqual(Buffer.from(bytes));
    }),
    { numRuns: 2_000 },
  );
  expect(decodeNodeMessage(batchType, new Uint8Array()).kind).toBe('problem');
  const many = Buffer.alloc(3 * (nodeFrameMessagesMax + 1));
  expect(decodeNodeMessage(batchType, many)).toEqual({
    kind: 'problem',
    what: 'a batch of too many messages',
  });
  expect(decodeNodeMessage(batchType, many.subarray(3)).kind).toBe('batch');
});

const asTuples = (batch: Extract<ReturnType<typeof decodeNodeMessage>, { kind: 'batch' }>) =>
  batch.messages.map(({ tenantId, stream, payload }) => ({ tenant: tenantId, stream, payload }));
