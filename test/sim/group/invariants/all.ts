/**
 * Every invariant of the group simulation; a file each, named by its id. L11 and the V group are what the phases of the
 * world wait for; E3 is that the runs with clocks out of bound keep the L group.
 */
import { a1 } from './a1-the-arbiter-keeps-no-log.ts';
import { a2 } from './a2-degraded-for-good-reason.ts';
import { a3 } from './a3-the-degraded-do-not-win.ts';
import { a4 } from './a4-one-line-of-records.ts';
import { a5 } from './a5-upgraded-with-the-log.ts';
import { a6 } from './a6-locality-stays.ts';
import { a7 } from './a7-no-flapping.ts';
import { a8 } from './a8-degraded-writes-survive.ts';
import { a9 } from './a9-no-leader-island.ts';
import { c1 } from './c1-records-are-ordered.ts';
import { c2 } from './c2-quorums-intersect.ts';
import { c3 } from './c3-one-change-at-a-time.ts';
import { c4 } from './c4-learner-first.ts';
import { c5 } from './c5-promoted-with-the-log.ts';
import { c6 } from './c6-who-stays-has-the-log.ts';
import { e1 } from './e1-one-leader-a-proposal.ts';
import { e10 } from './e10-nothing-outside-the-lease.ts';
import { e11 } from './e11-no-disruption.ts';
import { e2 } from './e2-one-lease.ts';
import { e4 } from './e4-silent-after-restart.ts';
import { e5 } from './e5-promise-is-durable.ts';
import { e6 } from './e6-votes-follow-membership.ts';
import { e8 } from './e8-the-damaged-do-not-lead.ts';
import { e9 } from './e9-no-renewal-on-a-stuck-disk.ts';
import { k1 } from './k1-linearizable.ts';
import { k2 } from './k2-no-write-is-lost.ts';
import { k4 } from './k4-scn-order.ts';
import { l1 } from './l1-committed-equal.ts';
import { l10 } from './l10-corrupt-is-not-absent.ts';
import { l2 } from './l2-log-matching.ts';
import { l3 } from './l3-leaders-are-complete.ts';
import { l4 } from './l4-commit-is-a-flushed-majority.ts';
import { l5 } from './l5-positions-go-forward.ts';
import { l6 } from './l6-log-is-gap-free.ts';
import { l7 } from './l7-nothing-needed-goes.ts';
import { l8 } from './l8-acked-survives.ts';
import { l9 } from './l9-everything-is-bounded.ts';
import { m1 } from './m1-modes-are-kept.ts';
import { m2 } from './m2-modes-are-agreed.ts';
import { m3 } from './m3-flashback-forgets.ts';
import type { MakeInvariant } from './invariant.ts';

// L4 tells the history what is committed before the others are held against it.
export const invariants: readonly MakeInvariant[] = [
  l4,
  e1,
  e2,
  e4,
  e5,
  e6,
  e8,
  e9,
  e10,
  e11,
  l1,
  l2,
  l3,
  l5,
  l6,
  l7,
  l8,
  l9,
  l10,
  c1,
  c2,
  c3,
  c4,
  c5,
  c6,
  m1,
  m2,
  m3,
  a1,
  a2,
  a3,
  a4,
  a5,
  a6,
  a7,
  a8,
  a9,
  k1,
  k2,
  k4,
];
