/** Control requests and replies between sites: what is sent is what is read, and nothing else is accepted. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isObError } from '../../src/base/errors.ts';
import { lsn, roleEpoch, scn } from '../../src/base/scalars.ts';
import {
  type ControlReply,
  type ControlRequest,
  decodeControlReply,
  decodeControlRequest,
} from '../../src/role/control-ops.ts';

const text = fc.string({ minLength: 1, maxLength: 40 });
const whole = fc.maxSafeNat();
const epoch = whole.map(roleEpoch);
const position = fc.record({ lsn: whole.map(lsn), scn: whole.map(scn), checksum: fc.nat() });
const site = fc.record({ site: text, address: fc.option(text) });
const openings = fc.array(fc.record({ epoch, cut: position }), { maxLength: 5 });
const suffix = fc.record({ transactions: fc.nat(), end: position });
const seal = fc.record({
  operationId: text,
  epoch,
  site: text,
  position,
  arbiter: fc.constantFrom('network' as const, 'archive' as const),
  archiveName: fc.option(text),
  target: fc.option(site),
});

const request: fc.Arbitrary<ControlRequest> = fc.oneof(
  fc.record({ op: fc.constant('describe' as const) }),
  fc.record({
    op: fc.constant('seal' as const),
    operationId: text,
    epoch,
    target: site,
    archiveName: fc.option(text),
  }),
  fc.record({ op: fc.constant('grant' as const), operationId: text, target: site }),
  fc.record({ op: fc.constant('cancel' as const), operationId: text, epoch }),
  fc.record({ op: fc.constant('unseal' as const), operationId: text, site: text }),
  fc.record({
    op: fc.constant('follow' as const),
    operationId: text,
    epoch,
    site: text,
    address: text,
    openings,
  }),
  fc.record({
    op: fc.constant('fence-notice' as const),
    epoch,
    oldEpoch: epoch,
    site: text,
    address: fc.option(text),
    openings,
  }),
  fc.record({ op: fc.constant('report-suffix' as const), epoch, ownEpoch: epoch, site: text, suffix }),
);

const reply: fc.Arbitrary<ControlReply> = fc.oneof(
  fc.record({
    kind: fc.constant('description' as const),
    description: fc.record({
      incarnation: text,
      site: text,
      role: fc.constantFrom('PRIMARY' as const, 'STANDBY' as const),
      switchoverStatus: fc.constantFrom('NORMAL' as const, 'SWITCHING TO PRIMARY' as const),
      epoch,
      end: position,
      sealed: fc.option(seal),
      openings,
      opened: fc.option(fc.record({ epoch })),
      fencedBy: fc.option(fc.record({ epoch })),
    }),
  }),
  fc.record({ kind: fc.constant('sealed' as const), seal }),
  fc.record({ kind: fc.constant('writable' as const), epoch }),
  fc.record({ kind: fc.constant('fenced' as const), ownEpoch: epoch, suffix: fc.option(suffix) }),
  fc.constantFrom({ kind: 'cancelled' as const }, { kind: 'following' as const }, { kind: 'noted' as const }),
);

const wire = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

test('requests and replies survive the wire', () => {
  fc.assert(
    fc.property(request, value => {
      expect(decodeControlRequest(wire(value))).toEqual(value);
    }),
  );
  fc.assert(
    fc.property(reply, value => {
      expect(decodeControlReply(wire(value))).toEqual(value);
    }),
  );
});

test('a request with a field missing, added or of another type is refused by name, never half read', () => {
  fc.assert(
    fc.property(request, fc.nat(), fc.jsonValue(), (value, pick, foreign) => {
      const names = Object.keys(value);
      const name = names[pick % names.length] ?? 'op';
      const missing = Object.fromEntries(Object.entries(value).filter(([key]) => key !== name));
      for (const bad of [missing, { ...value, extra: 1 }, { ...value, [name]: [foreign] }]) {
        if (JSON.stringify(bad) === JSON.stringify(value)) continue;
        try {
          // A list of nothing is a valid list; anything else has to be refused.
          const read = decodeControlRequest(wire(bad));
          expect(JSON.stringify(read)).toBe(JSON.stringify(bad));
          expect(name).toBe('openings');
        } catch (error) {
          if (!isObError(error)) throw error;
          expect(error.code).toBe('OBS_ROLE_REQUEST_INVALID');
        }
      }
    }),
  );
});

test('any foreign value is refused with an error of the catalogue', () => {
  fc.assert(
    fc.property(fc.jsonValue(), value => {
      for (const read of [decodeControlRequest, decodeControlReply]) {
        try {
          read(value);
        } catch (error) {
          expect(isObError(error, 'OBS_ROLE_REQUEST_INVALID')).toBe(true);
          continue;
        }
        throw new Error('a foreign value was taken');
      }
    }),
  );
});

test('numbers that are no positions are refused before they can break an assertion', () => {
  for (const bad of [-1, 1.5, 2 ** 60, '7', null]) {
    const value = { op: 'cancel', operationId: 'x', epoch: bad };
    expect(() => decodeControlRequest(value)).toThrow(/epoch/);
  }
});
