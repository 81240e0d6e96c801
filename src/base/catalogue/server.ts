/** Errors of the server process and its operators' API. */
import type { CatalogueRow } from '../errors.ts';

export const serverErrors = {
  OBS_SERVER_CANNOT_LISTEN: {
    kind: 'invalid',
    message: 'cannot listen for {door} on {address}: {why}',
    hint: 'Choose another address or port in the configuration, or stop what uses it.',
  },
  OBS_SERVER_STARTING: {
    kind: 'unavailable',
    message: 'the server is starting',
    hint: 'Try again in a moment: obstandby status --wait 30s.',
  },
  OBS_SERVER_DIRECTORY_LOCKED: {
    kind: 'invalid',
    message: 'data directory {path} is in use by process {pid}',
    hint: 'One server a directory: stop that process, or give this one its own dataDirectory.',
  },
  OBS_SERVER_DIRECTORY_FOREIGN: {
    kind: 'invalid',
    message: 'data directory {path} is not one of obstandby: {why}',
    hint: 'Point dataDirectory at an empty directory, or at one that obstandby made.',
  },
  OBS_SERVER_DIRECTORY_UNWRITABLE: {
    kind: 'disk',
    message: 'data directory {path} cannot be written: {why}',
    hint: 'Check owner, permissions and mount of the directory.',
  },
  OBS_SERVER_FORMAT_NEWER: {
    kind: 'invalid',
    message: '{path} has format version {found}; this program knows up to {known}',
    hint: 'Run a program at least as new as the one that wrote it.',
  },
  OBS_SERVER_NO_SUCH_TENANT: {
    kind: 'invalid',
    message: "there is no tenant '{tenant}' here",
    hint: 'obstandby status lists the tenants of this server.',
    mysql: { number: 5160, sqlState: 'HY000' },
  },
  OBS_SERVER_TENANT_EXISTS: {
    kind: 'invalid',
    message: "tenant '{tenant}' exists",
    hint: 'Use another name, or IF NOT EXISTS.',
    mysql: { number: 5156, sqlState: 'HY000' },
  },
  OBS_SERVER_TENANT_NAME: {
    kind: 'invalid',
    message: "'{tenant}' is no tenant name",
    hint: 'Letters, digits, "_" and "-", beginning with a letter, at most 63; "sys" is taken.',
  },
  OBS_SERVER_TENANT_NO_ROLE: {
    kind: 'unavailable',
    message: 'tenant {tenant} has no role yet, or none any more: it is being made or dropped',
    hint: 'Try again in a moment; obstandby status shows it when it is there.',
  },
  OBS_SERVER_CLOSING: {
    kind: 'unavailable',
    message: 'this server is being stopped',
    hint: 'Ask another server, or this one when it runs again.',
  },
  OBS_SERVER_TENANT_BUSY: {
    kind: 'unavailable',
    message: "tenant '{tenant}' is being made, opened or removed right now",
    hint: 'Try again in a moment; obstandby status shows it when it is there.',
  },
  OBS_SERVER_TENANT_NOT_OPENED: {
    kind: 'unavailable',
    message: "tenant '{tenant}' did not open: {code}: {why}",
    hint: '{next} Its files are as they were; when they are repaired, obstandby tenant open {tenant} tries again.',
    mysql: { number: 5150, sqlState: 'HY000' },
  },
  OBS_SERVER_TENANT_CLOSED: {
    kind: 'unavailable',
    message: "tenant '{tenant}' is not open at the moment",
    hint: 'Try again later; the operator of this server sees why with obstandby status.',
    mysql: { number: 5150, sqlState: 'HY000' },
  },
  OBS_SERVER_TENANT_HAS_STANDBYS: {
    kind: 'invalid',
    message: "tenant '{tenant}' is primary and has {count} connected standby(s)",
    hint: 'Drop the standbys first, or use FORCE (--force).',
  },
  OBS_SERVER_TENANT_STANDBYS_UNKNOWN: {
    kind: 'unavailable',
    message: "tenant '{tenant}' has no leader that could say whether standbys follow it: {why}",
    hint: 'Nothing was dropped. Where the tenant is lost and is to go all the same, use FORCE (--force).',
  },
  OBS_SERVER_NO_SUCH_FOLLOWER: {
    kind: 'invalid',
    message: "tenant '{tenant}' knows no follower at site {site}",
    hint: 'obstandby status TENANT lists its followers and their sites.',
  },
  OBS_SERVER_FOLLOWERS_FULL: {
    kind: 'unavailable',
    message: 'site {site} may not follow: {count} sites follow the tenant already, or once did',
    hint: 'Run obstandby standby forget at the primary, for sites that will not come back.',
  },
  OBS_SERVER_FOLLOWER_CONNECTED: {
    kind: 'invalid',
    message: "site {site} follows tenant '{tenant}' right now and could be promoted: it is not forgotten",
    hint: 'Only a site that will not come back is forgotten. Drop the standby there, or give it another source, first.',
  },
  OBS_SERVER_PAGE_BYTES: {
    kind: 'invalid',
    message: '{pageBytes} is no page size',
    hint: 'Choose a power of two from 512 to 65536.',
  },
  OBS_SERVER_SECRET_KEY: {
    kind: 'corrupt',
    message: 'a stored secret ({what}) does not open with this site’s key',
    hint: 'Put back the secret.key that belongs to this data directory, or set the source or destination again.',
  },
  OBS_DUMP_UNREADABLE: {
    kind: 'invalid',
    message: 'cannot read {path}: {why}',
    hint: 'Name a clog block, a meta image, an archive segment, a manifest or a checkpoint record.',
  },
  OBS_DUMP_UNKNOWN_FORMAT: {
    kind: 'invalid',
    message: '{path} is in no format that obstandby writes',
    hint: 'Name a clog block, a meta image, an archive segment, a manifest or a checkpoint record.',
  },
  OBS_API_UNAUTHORIZED: {
    kind: 'invalid',
    message: 'the request has no valid token',
    hint: 'Send "Authorization: Bearer <token>" with the content of http.token in the data directory.',
  },
  OBS_API_BAD_REQUEST: {
    kind: 'invalid',
    message: 'the request cannot be served: {what}',
    hint: 'POST a JSON object to /api/v1/<verb>; GET /api/v1 lists the verbs. Nothing was changed.',
  },
  OBS_API_NO_SUCH_VERB: {
    kind: 'invalid',
    message: "the API has no verb '{verb}'",
    hint: 'GET /api/v1 lists the verbs.',
  },
  OBS_API_UNREACHABLE: {
    kind: 'unavailable',
    message: 'no server answers at {url}: {why}',
    hint: 'Start it with obstandby server --config FILE, or name the right --config or --server.',
  },
  OBS_API_OUTCOME_UNKNOWN: {
    kind: 'unknown',
    message: 'the connection was lost while {verb} was running',
    hint: 'It may have gone on without you: run obstandby status, then obstandby resume.',
  },
  OBS_API_ANSWER_TOO_LONG: {
    kind: 'invalid',
    message: 'the server sent a line longer than {bytes} bytes',
    hint: 'That is no obstandby server, or a much newer one: check the address.',
  },
  OBS_API_ARGUMENTS: {
    kind: 'invalid',
    message: 'the arguments of {verb} are wrong: {problems}',
    hint: 'Correct them and send it again; nothing was changed.',
  },
} as const satisfies Record<string, CatalogueRow>;
