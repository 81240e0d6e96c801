/** Errors of the tenant engine: SQL on SQLite, capture, apply, checkpoint. */
import type { CatalogueRow } from '../errors.ts';

export const tenantErrors = {
  OBS_TENANT_READ_ONLY: {
    kind: 'not-leader',
    message: 'tenant {tenant} is a standby: it takes no writes',
    hint: 'Send writes to the primary; obstandby status names it.',
    mysql: { number: 4688, sqlState: 'HY000' },
  },
} as const satisfies Record<string, CatalogueRow>;
