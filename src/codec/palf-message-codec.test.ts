import fc from 'fast-check';
import { expect, test } from 'vitest';
import { leaseMsMax } from '../base/limits.ts';
import type { ConfigVersion, LogPosition } from '../base/log-access.ts';
import { lsn, monoMs, nodeId, proposalId, scn } from '../base/scalars.ts';
import type { ConfigRecord } from './config-record.ts';
import { type ClosedGroup, EntryBody, GroupBuilder } from './group-builder.ts';
import type { PalfMessage } from './palf-message.ts';
import { decodePalfMessage, encodePalfMessage } from './palf-message-codec.ts';

const whole = fc.maxSafeNat();
const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const proposal = whole.map(proposalId);
const sentAt = fc.double({ min: 0, max: 1e15, noNaN: true }).map(value => monoMs(value === 0 ? 0 : value));
const position: fc.Arbitrary<LogPosition> = fc.record({
  lsn: whole.map(lsn),
  scn: whole.map(scn),
  checksum: u32,
});
const version: fc.Arbitrary<ConfigVersion> = fc.record({ proposalId: proposal, sequence: whole });
const leaseMs = fc.integer({ min: 1, max: leaseMsMax });
const health = { mendings: u32, impaired: fc.boolean(), checkpoint: whole.map(lsn) };
const standing = fc.record({ version, accepted: proposal, end: whole.map(lsn), priority: u32 });

/** Groups that follow each other, behind a position. */
const log = fc
  .record({ at: fc.nat(1_000_000), bodies: fc.array(fc.uint8Array({ maxLength: 80 }), { maxLength: 4 }) })
  .map(({ at, bodies }) => {
    const prev: LogPosition = { lsn: lsn(at), scn: scn(7), checksum: 99 };
    let end = prev;
    const groups = bodies.map((body): ClosedGroup => {
      const builder = new GroupBuilder(end, 1_000, 100);
      const part = { kind: 'redo', first: true, last: true, scn: scn(end.scn + 1) } as const;
      builder.add(part, new EntryBody([body]), body.length);
      const group = builder.close({ proposalId: proposalId(3), committedEnd: lsn(0) });
      end = group.end;
      return group;
    });
    return { prev, groups };
  });

const cuts = fc
  .array(fc.record({ step: fc.integer({ min: 1, max: 1e12 }), at: position }), { maxLength: 8 })
  .map(list => {
    let end = 0;
    return list.map(({ step, at }) => {
      end += step;
      return { at: { ...at, lsn: lsn(end) }, version: { proposalId: proposalId(end), sequence: 1 } };
    });
  });
const nodes = (prefix: string) =>
  fc.nat(4).map(count => Array.from({ length: count }, (_, index) => nodeId(`${prefix}${index}`)));
const record: fc.Arbitrary<ConfigRecord> = fc.record({
  version,
  members: nodes('m'),
  learners: nodes('l'),
  arbiter: fc.option(fc.constant(nodeId('arbiter'))),
  degraded: fc.constant([]),
  accessMode: fc.constantFrom('APPEND', 'RAW_WRITE', 'PREPARE_FLASHBACK', 'FLASHBACK'),
  modeVersion: whole,
  referenceScn: whole.map(scn),
  sealed: fc.option(position),
  cuts,
  cutsForgotten: version,
});

const message: fc.Arbitrary<PalfMessage> = fc.oneof(
  fc.record({ kind: fc.constant('canvass'), proposal, round: u32, standing, insist: fc.boolean() }),
  fc.record({ kind: fc.constant('support'), proposal, round: u32 }),
  fc.record({
    kind: fc.constant('oppose'),
    proposal,
    round: u32,
    hard: fc.boolean(),
    version,
    isMember: fc.boolean(),
  }),
  fc.record({ kind: fc.constant('prepare'), proposal, sentAt, leaseMs, version, released: proposal }),
  fc.record({
    kind: fc.constant('promise'),
    proposal,
    sentAt,
    accepted: proposal,
    end: position,
    committed: position,
    cutApplied: version,
    ...health,
  }),
  fc.record({ kind: fc.constant('reject'), proposal, promised: proposal }),
  fc.record({ kind: fc.constant('renew'), proposal, sentAt, leaseMs, committed: whole.map(lsn) }),
  fc.record({
    kind: fc.constant('renewed'),
    proposal,
    sentAt,
    priority: u32,
    healthy: fc.boolean(),
    ...health,
  }),
  fc.record({ kind: fc.constant('hand-over'), proposal }),
  fc.record({ kind: fc.constant('resign'), proposal }),
  fc.tuple(proposal, whole, log).map(([number, committed, groups]) => ({
    kind: 'push' as const,
    proposal: number,
    committed: lsn(committed),
    ...groups,
  })),
  fc.record({
    kind: fc.constant('ack'),
    proposal,
    flushed: whole.map(lsn),
    received: whole.map(lsn),
    ...health,
  }),
  fc.record({ kind: fc.constant('mismatch'), proposal, end: position, committed: position, ...health }),
  fc.record({ kind: fc.constant('commit'), proposal, committed: whole.map(lsn) }),
  fc.record({ kind: fc.constant('rebuild'), proposal, base: position }),
  fc.record({ kind: fc.constant('mend'), proposal, mendings: u32, end: whole.map(lsn) }),
  fc.record({ kind: fc.constant('parted'), proposal, at: position, base: position }),
  fc.record({ kind: fc.constant('fetch'), proposal, id: whole, from: position }),
  fc
    .tuple(proposal, whole, log)
    .map(([number, id, groups]) => ({ kind: 'fetched' as const, proposal: number, id, ...groups })),
  fc.record({
    kind: fc.constant('unfetched'),
    proposal,
    id: whole,
    why: fc.constantFrom('mismatch', 'gone', 'failed'),
    base: position,
  }),
  fc.record({ kind: fc.constant('config'), proposal, record, start: position, barrier: whole.map(lsn) }),
  fc.record({
    kind: fc.constant('record'),
    proposal,
    record,
    start: position,
    barrier: whole.map(lsn),
    since: version,
  }),
  fc.record({ kind: fc.constant('config-ack'), proposal, version, ...health }),
);

const bytesOf = (value: PalfMessage): Buffer => Buffer.concat(encodePalfMessage(value));
/** Bytes are equal whatever class of view they are in. */
const plain = (value: PalfMessage | object): unknown =>
  'groups' in value
    ? {
        ...value,
        groups: value.groups.map(group => ({ ...group, bytes: Buffer.from(group.bytes).toString('hex') })),
      }
    : value;

test('every message comes back as it was', () => {
  const kinds = new Set<string>();
  fc.assert(
    fc.property(message, value => {
      kinds.add(value.kind);
      expect(plain(decodePalfMessage(bytesOf(value)))).toEqual(plain(value));
    }),
    { numRuns: 2_000 },
  );
  expect(kinds.size).toBe(23);
});

test('a message that is cut short, or followed by more, is a problem', () => {
  fc.assert(
    fc.property(message, fc.double({ min: 0, max: 0.999, noNaN: true }), (value, share) => {
      const bytes = bytesOf(value);
      const cut = decodePalfMessage(bytes.subarray(0, Math.floor(bytes.length * share)));
      // Log that ends with a whole group is shorter log.
      if (value.kind !== 'push' && value.kind !== 'fetched') expect(cut.kind).toBe('problem');
      expect(decodePalfMessage(Buffer.concat([bytes, Buffer.from([7])])).kind).toBe('problem');
    }),
  );
});

test('foreign bytes are a problem, never an exception', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), bytes => {
      expect(decodePalfMessage(bytes)).toBeTypeOf('object');
    }),
    { numRuns: 2_000 },
  );
  fc.assert(
    fc.property(
      message,
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
      (value, flips) => {
        const bytes = bytesOf(value);
        for (const [at, byte] of flips) bytes[at % bytes.length] = byte;
        expect(decodePalfMessage(bytes)).toBeTypeOf('object');
      },
    ),
    { numRuns: 2_000 },
  );
});

test.each([0, leaseMsMax + 1])('a request for a lease of %i ms is a problem', asked => {
  const bytes = bytesOf({
    kind: 'renew',
    proposal: proposalId(1),
    sentAt: monoMs(0),
    leaseMs: asked,
    committed: lsn(0),
  });
  expect(decodePalfMessage(bytes)).toMatchObject({ kind: 'problem' });
});

test('log whose payload was altered is a problem', () => {
  const group = new GroupBuilder({ lsn: lsn(0), scn: scn(0), checksum: 0 }, 1_000, 100);
  group.add({ kind: 'redo', first: true, last: true, scn: scn(1) }, new EntryBody([Buffer.from('abc')]), 3);
  const closed = group.close({ proposalId: proposalId(1), committedEnd: lsn(0) });
  const bytes = bytesOf({
    kind: 'push',
    proposal: proposalId(1),
    prev: closed.start,
    committed: lsn(0),
    groups: [closed],
  });
  const last = bytes.length - 1;
  bytes[last] = (bytes[last] ?? 0) ^ 1;
  expect(decodePalfMessage(bytes)).toMatchObject({ kind: 'problem' });
});
