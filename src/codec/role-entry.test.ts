import fc from 'fast-check';
import { expect, test } from 'vitest';
import { lsn, roleEpoch, scn } from '../base/scalars.ts';
import { decodeRoleEntry, encodeRoleEntry, type RoleEntry } from './role-entry.ts';

const entry = fc
  .record(
    {
      event: fc.constantFrom<RoleEntry['event']>('opened', 'sealed', 'reopened'),
      epoch: fc.maxSafeNat().map(roleEpoch),
      site: fc.string(),
      operationId: fc.string(),
      target: fc.string(),
      arbiter: fc.constantFrom<'network' | 'archive'>('network', 'archive'),
      cutLsn: fc.maxSafeNat().map(lsn),
      cutScn: fc.maxSafeNat().map(scn),
    },
    { requiredKeys: ['event', 'epoch', 'site', 'operationId'] },
  )
  .map(record => ({ ...record }) as RoleEntry);

test('a role entry comes back whole', () => {
  fc.assert(
    fc.property(entry, value => {
      expect(decodeRoleEntry(encodeRoleEntry(value))).toEqual(value);
    }),
  );
});

test('a malformed role entry is a problem, never an exception', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array(),
        fc.json().map(text => Buffer.from(text)),
      ),
      bytes => {
        expect(decodeRoleEntry(bytes)).toMatchObject({ kind: 'problem' });
      },
    ),
  );
  const foreign = { version: 1, event: 'opened', epoch: -1, site: 's', operationId: '' };
  expect(decodeRoleEntry(Buffer.from(JSON.stringify(foreign)))).toMatchObject({ kind: 'problem' });
  expect(decodeRoleEntry(Buffer.from(JSON.stringify({ ...foreign, epoch: 1, version: 2 })))).toMatchObject({
    kind: 'problem',
  });
});
