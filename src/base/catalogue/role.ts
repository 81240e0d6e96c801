/** Errors of the role manager: switchover, failover, fencing. */
import type { CatalogueRow } from '../errors.ts';

export const roleErrors = {
  OBS_ROLE_EPOCH_STALE: {
    kind: 'fenced',
    message: 'role epoch {mine} of tenant {tenant} was superseded by {newer}',
    hint: 'Another site is primary now. Make this one its standby.',
  },
} as const satisfies Record<string, CatalogueRow>;
