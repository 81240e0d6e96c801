/** Errors of connections between sites: handshake, frames, authentication. */
import type { CatalogueRow } from '../errors.ts';

export const peerErrors = {
  OBS_PEER_ERROR: {
    kind: 'unavailable',
    message: 'the peer answered {code}: {message}',
    hint: 'Upgrade this side: it does not know that error.',
  },
} as const satisfies Record<string, CatalogueRow>;
