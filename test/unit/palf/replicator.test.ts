/** A leader's log on its way to another replica, and what is said meanwhile. */
import { expect, test } from 'vitest';
import { lsn } from '../../../src/base/scalars.ts';
import type { PalfMessage } from '../../../src/codec/palf-message.ts';
import { PalfRig, type RigNode } from '../../support/palf-rig.ts';

test('log that was read for a replica, and that it got meanwhile, does not part the two', () => {
  const rig = new PalfRig(1, ['a', 'b']).bootAll();
  const leader = rig.elect();
  const [other] = rig.followers(leader) as [RigNode];
  const begin = rig.commit(leader);
  const end = rig.commit(leader);
  rig.settle(leader);
  let parted = 0;
  rig.isCut = (_from, _to, { kind }) => {
    if (kind === 'parted') parted += 1;
    return false;
  };
  const health = { mendings: 0, impaired: false, checkpoint: lsn(0) };
  const { proposalId: proposal } = leader.view;
  const say = (message: PalfMessage) => rig.feed(leader, { kind: 'message', from: other.id, message });
  // Where its log ends, said while what was pushed before is on its way to it.
  say({ kind: 'mismatch', proposal, end: begin, committed: begin, ...health });
  say({ kind: 'ack', proposal, flushed: lsn(0), received: end.lsn, ...health });
  rig.run(1_000);
  expect(parted).toBe(0);
  expect(other.rebuilds).toEqual([]);
  rig.commit(leader);
  rig.settle(leader);
});
