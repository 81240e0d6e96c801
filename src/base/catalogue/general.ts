/** Errors of everybody: broken invariants, and what a process meets before it knows who it is. */
import type { CatalogueRow } from '../errors.ts';

export const generalErrors = {
  OBS_BUG: {
    kind: 'bug',
    message: 'broken invariant: {what}',
    hint: 'Keep the log of this process and report it.',
  },
} as const satisfies Record<string, CatalogueRow>;
