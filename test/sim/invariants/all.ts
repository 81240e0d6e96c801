/** Every invariant of the log simulation; a file each, named by its id. */
import type { MakeInvariant } from './invariant.ts';
import { l1 } from './l1-committed-equal.ts';
import { l2 } from './l2-cut-to-common-history.ts';
import { l4 } from './l4-commit-is-flushed.ts';
import { l5 } from './l5-positions-go-forward.ts';
import { l6 } from './l6-log-is-gap-free.ts';
import { l7 } from './l7-nothing-needed-goes.ts';
import { l8 } from './l8-acked-survives.ts';
import { m1 } from './m1-modes-are-kept.ts';
import { m2 } from './m2-mode-version-advances.ts';
import { m3 } from './m3-flashback-forgets.ts';
import { s1 } from './s1-standby-is-prefix.ts';
import { s2 } from './s2-whole-prefixes.ts';
import { s3 } from './s3-each-once.ts';

export const invariants: readonly MakeInvariant[] = [l1, l2, l4, l5, l6, l7, l8, m1, m2, m3, s1, s2, s3];
