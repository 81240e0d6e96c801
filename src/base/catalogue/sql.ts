/** Errors of the MySQL front-end: protocol, login, statements. */
import type { CatalogueRow } from '../errors.ts';

export const sqlErrors = {
  OBS_SQL_ACCESS_DENIED: {
    kind: 'invalid',
    message: "Access denied for user '{user}'@'{host}' (using password: {password})",
    hint: 'Check user@tenant and the password.',
    mysql: { number: 1045, sqlState: '28000' },
  },
} as const satisfies Record<string, CatalogueRow>;
