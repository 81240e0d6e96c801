/** Errors of the role manager: switchover, failover, fencing. */
import type { CatalogueRow } from '../errors.ts';

export const roleErrors = {
  OBS_ROLE_EPOCH_STALE: {
    kind: 'fenced',
    message: 'role epoch {mine} of tenant {tenant} was superseded by {newer} of site {site}',
    hint: 'Another site is primary now; connect there. obstandby status TENANT says how this site becomes its standby.',
  },
  OBS_ROLE_FENCE_PENDING: {
    kind: 'unavailable',
    message:
      'tenant {tenant} takes no writes yet: nobody has confirmed that no newer primary exists ({waiting})',
    hint: 'Start the named sites or the archive. A site that will not come back: obstandby standby forget TENANT --site SITE. If you are sure that nobody was promoted: obstandby tenant open TENANT.',
  },
  OBS_ROLE_SEALED: {
    kind: 'unavailable',
    message: 'tenant {tenant} takes no writes: role change {operation} stopped at step {step}',
    hint: 'Run the same command again, obstandby resume, or obstandby rollback.',
  },
  OBS_ROLE_OPERATION_RUNNING: {
    kind: 'unavailable',
    message: 'role change {operation} of tenant {tenant} is running',
    hint: 'Wait for it; obstandby status shows its steps.',
  },
  OBS_ROLE_OPERATION_UNFINISHED: {
    kind: 'invalid',
    message: 'switchover status not match, {status}: role change {operation} stopped at step {step}',
    hint: 'Finish it first: obstandby resume, or obstandby rollback.',
  },
  OBS_ROLE_OPERATION_CANCELLED: {
    kind: 'fenced',
    message: 'role change {operation} was cancelled on site {site}',
    hint: 'Run obstandby rollback on both sites, then start a new switchover.',
  },
  OBS_ROLE_ROW_CHANGED: {
    kind: 'unavailable',
    message: 'the role of tenant {tenant} was changed by somebody else: {role}, {status}',
    hint: 'Look at obstandby status, then run the command again if it still applies.',
  },
  OBS_ROLE_NOT_PRIMARY: {
    kind: 'invalid',
    message: 'tenant {tenant} is {role} here, not PRIMARY, switchover to standby is not allowed',
    hint: 'Run it on the site of the primary; obstandby status names it.',
  },
  OBS_ROLE_NOT_STANDBY: {
    kind: 'invalid',
    message: 'tenant {tenant} is {role} here, not STANDBY',
    hint: 'Run it on the site of the standby; obstandby status names it.',
  },
  OBS_ROLE_FENCED: {
    kind: 'fenced',
    message: 'tenant {tenant} was primary of epoch {mine} and is fenced by epoch {newer} of site {site}',
    hint: 'obstandby status TENANT says how this site becomes a standby of the new primary; then it can be given a role.',
  },
  OBS_ROLE_NO_SOURCE: {
    kind: 'invalid',
    message: 'tenant {tenant} has no log restore source to run the switchover with',
    hint: 'Set LOG_RESTORE_SOURCE to the primary, or run the two halves on the two sites.',
  },
  OBS_ROLE_SOURCE_IS_PRIMARY: {
    kind: 'invalid',
    message: 'log restore source is primary, switchover to primary is not allowed',
    hint: 'Run SWITCHOVER TO STANDBY on the primary first, or obstandby switchover, which does both.',
  },
  OBS_ROLE_SOURCE_NOT_NORMAL: {
    kind: 'unavailable',
    message: 'log restore source is not in normal switchover status, {status}',
    hint: 'Finish the role change there first: obstandby resume on that site.',
  },
  OBS_ROLE_SOURCE_NOT_SEALED: {
    kind: 'invalid',
    message:
      'no sealed end of tenant {tenant} is known: neither its source nor its archive has one of this epoch',
    hint: 'Run SWITCHOVER TO STANDBY on the primary first; after losing the primary use ACTIVATE STANDBY.',
  },
  OBS_ROLE_SOURCE_IS_STANDBY: {
    kind: 'invalid',
    message: 'log restore source {site} is a standby of epoch {epoch}, switchover is not allowed',
    hint: 'Set LOG_RESTORE_SOURCE to the primary itself.',
  },
  OBS_ROLE_OTHER_TENANT: {
    kind: 'diverged',
    message: 'the tenant at {address} is another one: incarnation {theirs}, not {mine}',
    hint: 'Correct the LOG_RESTORE_SOURCE of this tenant.',
  },
  OBS_ROLE_RECOVERY_BOUNDED: {
    kind: 'invalid',
    message: 'recovery_until_scn of tenant {tenant} is {until}: the standby would stop before the sealed end',
    hint: 'Run RECOVER STANDBY UNTIL UNLIMITED first.',
  },
  OBS_ROLE_RECOVERY_PASSED: {
    kind: 'invalid',
    message: 'tenant {tenant} is at SCN {sync} already, it can not recover until {until}',
    hint: 'Name a later SCN, or CANCEL to stop where it is.',
  },
  OBS_ROLE_NOT_SYNCED: {
    kind: 'unavailable',
    message: 'not sync to latest: the standby is at LSN {at} of {end}',
    hint: 'Run the command again when it has caught up; obstandby status shows the lag and its reason.',
    mysql: { number: 4179, sqlState: 'HY000' },
  },
  OBS_ROLE_SEAL_MISMATCH: {
    kind: 'diverged',
    message: 'the log of this standby does not end where the primary was sealed: LSN {at}, sealed LSN {end}',
    hint: 'Run obstandby rollback, then rebuild this standby.',
  },
  OBS_ROLE_NOT_GRANTED: {
    kind: 'fenced',
    message: 'the right to continue after role change {operation} belongs to site {site}',
    hint: 'Resume the switchover on that site, or roll it back there.',
  },
  OBS_ROLE_CLAIM_LOST: {
    kind: 'fenced',
    message: 'epoch {epoch} of tenant {tenant} belongs to site {site} in the archive',
    hint: 'Resume or roll back on that site, or make this one its standby.',
  },
  OBS_ROLE_ROLLBACK_REFUSED: {
    kind: 'invalid',
    message: 'role change {operation} can not be rolled back: {why}',
    hint: 'Run obstandby resume on both sites to finish it.',
  },
  OBS_ROLE_ROLLBACK_UNSAFE: {
    kind: 'unavailable',
    message: 'role change {operation} is not rolled back: site {site} may open, and did not answer',
    hint: 'Start that site and run rollback again, or finish the switchover there.',
  },
  OBS_ROLE_NOTHING_TO_DO: {
    kind: 'invalid',
    message: 'tenant {tenant} has no unfinished role change',
    hint: 'See obstandby status.',
  },
  OBS_ROLE_PRIMARY_ALIVE: {
    kind: 'invalid',
    message: 'the source at {address} answers: site {site}, {role}, epoch {epoch}',
    hint: 'Use obstandby switchover, which loses nothing. To promote in spite of it, add --force.',
  },
  OBS_ROLE_LAG_EXCEEDED: {
    kind: 'invalid',
    message: 'up to {lagMs} ms of the primary may be missing here; the bound is {maxLagMs} ms',
    hint: 'Raise --max-lag, or add --force to promote what is there.',
  },
  OBS_ROLE_APPLY_STOPPED: {
    kind: 'invalid',
    message:
      'this standby has the log of its primary up to LSN {end}, and could apply it only up to LSN {applied}: {why}',
    hint: 'What is not applied would be cut away. Rebuild this standby or restart its server, or add --force to promote what is applied.',
  },
  OBS_ROLE_LAG_UNKNOWN: {
    kind: 'invalid',
    message: 'it is not known how far the primary got: this standby never heard its end',
    hint: 'Add --force to promote what is there.',
  },
  OBS_ROLE_INCOMPLETE: {
    kind: 'unavailable',
    message: 'the role change is done, but step {step} is not: {why}',
    hint: 'Run obstandby resume when the other site answers.',
  },
  OBS_ROLE_REQUEST_INVALID: {
    kind: 'invalid',
    message: 'a role {where} of another site is not valid: {what}',
    hint: 'Both sites must run compatible versions of obstandby.',
  },
  OBS_ROLE_ANSWER_UNEXPECTED: {
    kind: 'unavailable',
    message: 'site {address} answered {got} where {wanted} was due',
    hint: 'Both sites must run compatible versions of obstandby.',
  },
  OBS_ROLE_STOPPED: {
    kind: 'unavailable',
    message: 'this site stopped before the role change of tenant {tenant} was finished',
    hint: 'Start the site again and run obstandby resume.',
  },
  OBS_ROLE_BUSY: {
    kind: 'unavailable',
    message: 'too many role requests of tenant {tenant} at once',
    hint: 'Try again in a moment.',
  },
} as const satisfies Record<string, CatalogueRow>;
