/** Errors of connections between sites: handshake, frames, authentication. */
import type { CatalogueRow } from '../errors.ts';

export const peerErrors = {
  OBS_PEER_ERROR: {
    kind: 'unavailable',
    message: 'the peer answered {code}: {message}',
    hint: 'Upgrade this side: it does not know that error.',
  },
  OBS_PEER_UNREACHABLE: {
    kind: 'unavailable',
    message: 'no connection to {address}: {why}',
    hint: 'Check that the server runs there, its peer port, and the network between the sites.',
  },
  OBS_PEER_CLOSED: {
    kind: 'unavailable',
    message: 'the connection with {address} ended: {why}',
    hint: 'It is made again by itself; if it keeps ending, look at the log of the other side.',
  },
  OBS_PEER_TIMEOUT: {
    kind: 'unavailable',
    message: '{address} did not answer {what} within {timeoutMs} ms',
    hint: 'Check the load of that server and the network between the sites.',
  },
  OBS_PEER_PROTOCOL: {
    kind: 'corrupt',
    message: '{address} sent something that is not the peer protocol: {what}',
    hint: 'Check that the address is the peer port of an obstandby server and that nothing in between alters bytes.',
  },
  OBS_PEER_VERSION: {
    kind: 'invalid',
    message: 'the peer speaks protocol versions {theirs}, this side {ours}',
    hint: 'Upgrade the older side.',
  },
  OBS_PEER_ACCESS_DENIED: {
    kind: 'invalid',
    message: 'access denied for user {user} of tenant {tenant} at {address}',
    hint: 'Check USER and PASSWORD of the log restore source against the users of the source tenant.',
    mysql: { number: 1045, sqlState: '28000' },
  },
  OBS_PEER_NO_SUCH_TENANT: {
    kind: 'invalid',
    message: 'there is no tenant {tenant} at {address}',
    hint: 'Check the name after @ in USER; if the tenant was dropped, this standby has no source any more.',
  },
  OBS_PEER_NOT_READY: {
    kind: 'unavailable',
    message: 'tenant {tenant} is not open there yet: {why}',
    hint: 'Wait until it is created or recovered.',
  },
  OBS_PEER_NOT_LEADER: {
    kind: 'not-leader',
    message: '{address} does not lead tenant {tenant}; its leader is at {leader}',
    hint: 'Connect to the leader. Name all nodes of that cluster in SERVICE, so that the next leader is found too.',
  },
  OBS_PEER_INCARNATION: {
    kind: 'diverged',
    message: 'tenant {tenant} there has incarnation {theirs}, expected {ours}',
    hint: 'It is another tenant of the same name: correct the log restore source.',
  },
  OBS_PEER_BUSY: {
    kind: 'unavailable',
    message: 'the server refuses: {what} is over its limit of {limit}',
    hint: 'Try again later, or close connections that are not needed.',
  },
  OBS_PEER_BAD_REQUEST: {
    kind: 'invalid',
    message: 'the request is not valid: {what}',
    hint: 'Upgrade both sides to the same version.',
  },
  OBS_PEER_FAILED: {
    kind: 'unavailable',
    message: 'the peer could not do it: {why}',
    hint: 'Look at the log of the other side.',
  },
  OBS_PEER_NOT_PRIVILEGED: {
    kind: 'invalid',
    message: "user {user} of tenant {tenant} may replicate, but not ask for '{op}'",
    hint: 'Grant SUPER to the user of LOG_RESTORE_SOURCE, or run the two halves of the switchover on the two sites.',
    mysql: { number: 1227, sqlState: '42000' },
  },
} as const satisfies Record<string, CatalogueRow>;
