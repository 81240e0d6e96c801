import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { LogPosition } from '../base/log-access.ts';
import { logStreamId, lsn, proposalId, roleEpoch, scn, wallMicros } from '../base/scalars.ts';
import {
  decodePeerMessage,
  encodePeerMessage,
  type PeerDescription,
  type PeerMessage,
  peerPayloadBytesMax,
} from './peer-message.ts';

const whole = fc.maxSafeNat();
const position: fc.Arbitrary<LogPosition> = fc.record({
  lsn: whole.map(lsn),
  scn: whole.map(scn),
  checksum: fc.integer({ min: 0, max: 0xffff_ffff }),
});
const id = fc.integer({ min: 1, max: 0xffff_ffff });
const name = fc.string({ minLength: 1, maxLength: 20 });
const base64 = fc.uint8Array({ maxLength: 30 }).map(bytes => Buffer.from(bytes).toString('base64'));
const eras = fc.array(fc.record({ proposalId: whole.map(proposalId), startLsn: whole.map(lsn) }), {
  maxLength: 5,
});
const description: fc.Arbitrary<PeerDescription> = fc.record({
  cluster: name,
  site: name,
  address: fc.option(name),
  tenant: name,
  incarnation: name,
  role: fc.constantFrom('PRIMARY', 'STANDBY', 'RESTORE'),
  switchoverStatus: fc.constantFrom('NORMAL', 'SWITCHING TO STANDBY', 'FLASHBACK'),
  roleEpoch: whole.map(roleEpoch),
  pageBytes: whole,
  blockBytes: whole,
  wall: whole.map(wallMicros),
  log: fc.option(
    fc.record({
      stream: whole.map(logStreamId),
      role: fc.constantFrom('leader', 'follower'),
      proposalId: whole.map(proposalId),
      accessMode: fc.constantFrom('APPEND', 'RAW_WRITE'),
      modeVersion: whole,
      baseLsn: whole.map(lsn),
      beginLsn: whole.map(lsn),
      end: position,
      maxLsn: whole.map(lsn),
      maxScn: whole.map(scn),
      proposalHistory: eras,
    }),
  ),
  sealed: fc.option(
    fc.record({
      lsn: whole.map(lsn),
      scn: whole.map(scn),
      checksum: fc.integer({ min: 0, max: 0xffff_ffff }),
      epoch: whole.map(roleEpoch),
      operationId: name,
    }),
  ),
});

const chunk = fc
  .record({
    start: fc.nat(),
    scns: fc.tuple(whole, whole),
    bytes: fc.uint8Array({ maxLength: 100 }),
    more: fc.nat(),
  })
  .map(({ start, scns, bytes, more }): PeerMessage => {
    const end = { lsn: lsn(start + bytes.length), scn: scn(scns[1]), checksum: 5 };
    return {
      kind: 'chunk',
      chunk: { start: { lsn: lsn(start), scn: scn(scns[0]), checksum: 4 }, end, bytes },
      sourceEnd: { ...end, lsn: lsn(end.lsn + more) },
      wall: wallMicros(7),
    };
  });

const message: fc.Arbitrary<PeerMessage> = fc.oneof(
  chunk,
  fc.record({
    kind: fc.constant('hello'),
    versionMin: fc.integer({ min: 0, max: 255 }),
    versionMax: fc.integer({ min: 0, max: 255 }),
    cluster: name,
    site: name,
    address: fc.option(name),
    localTenant: name,
    tenant: name,
    user: name,
    incarnation: fc.option(name),
    knownEpoch: whole.map(roleEpoch),
    nonce: base64,
  }),
  fc.record({
    kind: fc.constant('challenge'),
    version: fc.integer({ min: 0, max: 255 }),
    nonce: base64,
    salt: base64,
    iterations: whole,
  }),
  fc.record({ kind: fc.constant('proof'), nonce: base64, proof: base64 }),
  fc.record({ kind: fc.constant('welcome'), signature: base64 }),
  fc.record({
    kind: fc.constant('error'),
    id,
    code: name,
    message: fc.string({ maxLength: 50 }),
    details: fc.dictionary(
      fc.string({ maxLength: 10 }).filter(key => key !== '__proto__'),
      fc.oneof(fc.string({ maxLength: 10 }), fc.boolean(), fc.constant(null), fc.nat()),
      { maxKeys: 4, noNullPrototype: true },
    ),
  }),
  fc.record({ kind: fc.constant('describe'), id }),
  fc.record({ kind: fc.constant('described'), id, peer: description }),
  fc.record({
    kind: fc.constant('control'),
    id,
    op: name,
    body: fc.constantFrom(null, { a: [1, 'b'] }, 'text'),
  }),
  fc.record({ kind: fc.constant('reply'), id, body: fc.constantFrom(null, { a: [1, 'b'] }, 3) }),
  fc.record({
    kind: fc.constant('subscribe'),
    id,
    from: position,
    proposalHistory: eras,
    creditBytes: fc.integer({ min: 0, max: 268_435_456 }),
  }),
  fc.record({ kind: fc.constant('subscribed'), id, end: position }),
  fc.record({ kind: fc.constant('snapshot'), id, creditBytes: fc.integer({ min: 0, max: 268_435_456 }) }),
  fc.record({
    kind: fc.constant('snapshot-begin'),
    id,
    start: position,
    proposalHistory: eras,
    pageBytes: whole,
  }),
  fc.record({ kind: fc.constant('snapshot-end'), id, minimumLsn: whole.map(lsn), fileBytes: whole }),
  fc.record({
    kind: fc.constant('snapshot-piece'),
    position: whole,
    bytes: fc.uint8Array({ maxLength: 100 }),
  }),
  fc.record({
    kind: fc.constant('heartbeat'),
    sourceEnd: position,
    wall: whole.map(wallMicros),
    epoch: whole.map(roleEpoch),
  }),
  fc.record({
    kind: fc.constant('ack'),
    flushedLsn: whole.map(lsn),
    flushedScn: whole.map(scn),
    appliedLsn: whole.map(lsn),
    appliedScn: whole.map(scn),
    creditBytes: fc.integer({ min: 0, max: 0xffff_ffff }),
  }),
  fc.record({ kind: fc.constant('credit'), bytes: fc.integer({ min: 0, max: 0xffff_ffff }) }),
) as fc.Arbitrary<PeerMessage>;

test('every message comes out as it went in, within the limit of its type', () => {
  fc.assert(
    fc.property(message, sent => {
      const { type, payload } = encodePeerMessage(sent);
      const bytes = new Uint8Array(Buffer.concat(payload));
      expect(bytes.length).toBeLessThanOrEqual(peerPayloadBytesMax(type) ?? -1);
      expect(decodePeerMessage(type, bytes)).toEqual(sent);
    }),
    { numRuns: 600 },
  );
});

test('payloads cut short or altered give a message or a problem, never an exception', () => {
  fc.assert(
    fc.property(message, fc.nat(), fc.nat(), fc.nat(255), (sent, cut, at, value) => {
      const { type, payload } = encodePeerMessage(sent);
      const bytes = new Uint8Array(Buffer.concat(payload));
      expect(typeof decodePeerMessage(type, bytes.subarray(0, cut % (bytes.length + 1))).kind).toBe('string');
      if (bytes.length > 0) bytes[at % bytes.length] = value;
      expect(typeof decodePeerMessage(type, bytes).kind).toBe('string');
    }),
    { numRuns: 600 },
  );
});

test('any bytes under any type give a message or a problem, never an exception', () => {
  fc.assert(
    fc.property(fc.nat(255), fc.uint8Array({ maxLength: 200 }), (type, bytes) => {
      expect(typeof decodePeerMessage(type, bytes).kind).toBe('string');
    }),
  );
});

test('JSON nested without end is a problem or a body, never an exception', () => {
  const deep = Buffer.from(`{"id":1,"op":"x","body":${'['.repeat(200_000)}${']'.repeat(200_000)}}`);
  expect(typeof decodePeerMessage(12, deep).kind).toBe('string');
});

test('a chunk whose positions and bytes disagree is a problem', () => {
  const { type, payload } = encodePeerMessage({
    kind: 'chunk',
    chunk: {
      start: { lsn: lsn(0), scn: scn(0), checksum: 0 },
      end: { lsn: lsn(10), scn: scn(1), checksum: 1 },
      bytes: new Uint8Array(9),
    },
    sourceEnd: { lsn: lsn(10), scn: scn(1), checksum: 1 },
    wall: wallMicros(0),
  });
  expect(decodePeerMessage(type, Buffer.concat(payload)).kind).toBe('problem');
});
