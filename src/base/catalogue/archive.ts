/** Errors of the archive: destinations, manifests, segments, base backups. */
import type { CatalogueRow } from '../errors.ts';

export const archiveErrors = {
  OBS_ARCHIVE_FENCED: {
    kind: 'fenced',
    message: 'archive {dest} belongs to role epoch {epoch} of another site',
    hint: 'This site is no longer the primary: run obstandby status, then make it a standby.',
  },
} as const satisfies Record<string, CatalogueRow>;
