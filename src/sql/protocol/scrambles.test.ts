import fc from 'fast-check';
import { expect, test } from 'vitest';
import { authenticationPlugins } from './handshake.ts';
import { doubleHash, scrambleOf, scrambleProves } from './scrambles.ts';

const challenge = fc.uint8Array({ minLength: 20, maxLength: 20 });
const password = fc.string({ minLength: 1, maxLength: 40 });
const plugin = fc.constantFrom(...authenticationPlugins);

test('the right password proves itself, another does not', () => {
  fc.assert(
    fc.property(plugin, challenge, password, password, (used, bytes, right, other) => {
      const stored = doubleHash(used, right);
      expect(scrambleProves(used, bytes, scrambleOf(used, bytes, right), stored)).toBe(true);
      expect(scrambleProves(used, bytes, scrambleOf(used, bytes, other), stored)).toBe(other === right);
    }),
  );
});

test('a scramble for another challenge, of another length, or nothing at all proves nothing', () => {
  fc.assert(
    fc.property(
      plugin,
      challenge,
      challenge,
      fc.uint8Array({ maxLength: 64 }),
      (used, bytes, before, noise) => {
        const stored = doubleHash(used, 'secret');
        const replayed = scrambleProves(used, bytes, scrambleOf(used, before, 'secret'), stored);
        expect(replayed).toBe(Buffer.from(bytes).equals(Buffer.from(before)));
        expect(scrambleProves(used, bytes, noise, stored)).toBe(false);
        expect(scrambleProves(used, bytes, new Uint8Array(), new Uint8Array())).toBe(false);
      },
    ),
  );
});

test('the stored native hash is the one MySQL stores', () => {
  // SELECT PASSWORD('secret') of any MySQL 5.7 or MariaDB.
  expect(doubleHash('mysql_native_password', 'secret').toString('hex').toUpperCase()).toBe(
    '14E65567ABDB5135D0CFD9A70B3032C179A49EE7',
  );
});
