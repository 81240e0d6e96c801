/** What a refusal of the core, or of the disk, says to the caller: one row of the catalogue each. */
import { unreachable } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import { configLearnersMax, configMembersMax, entryBodyBytesMax } from '../base/limits.ts';
import type { ConfigVersion } from '../base/log-access.ts';
import type { LogStreamId, Lsn, Scn } from '../base/scalars.ts';
import type { PalfRefusal } from '../palf/effects.ts';

/** What the refused call asked for. */
export interface RefusedCall {
  readonly bytes?: number;
  readonly lsn?: Lsn;
  readonly scn?: Scn;
  readonly expectedModeVersion?: number;
  readonly expectedVersion?: ConfigVersion;
}

export interface RefusalContext extends RefusedCall {
  readonly stream: LogStreamId;
  readonly blockBytes: number;
  readonly pendingBytes: number;
}

export function refusalError(refusal: PalfRefusal, context: RefusalContext): ObError {
  const { stream } = context;
  const notAppendable = (why: string) => new ObError('OBS_LOG_NOT_APPENDABLE', { stream, why });
  const configRefused = (why: string) => new ObError('OBS_LOG_CONFIG_REFUSED', { stream, why });
  switch (refusal.why) {
    case 'not-leader': {
      // `node` is for those who go there by themselves.
      const node = refusal.leader;
      return new ObError('OBS_LOG_NOT_LEADER', { stream, leader: node ?? 'not known', node });
    }
    case 'no-lease':
      return new ObError('OBS_LOG_LEASE_LOST', { stream });
    case 'transferring':
      return new ObError('OBS_LOG_TRANSFERRING', { stream });
    case 'access-mode':
      return notAppendable(`its access mode is ${refusal.accessMode}`);
    case 'mode-changing':
      return notAppendable('its access mode is being changed');
    case 'closed':
      return notAppendable('it is closed');
    case 'impaired':
      return new ObError('OBS_LOG_IMPAIRED', { stream });
    case 'mode-version':
      return new ObError('OBS_LOG_MODE_CONFLICT', {
        stream,
        actual: refusal.actual,
        expected: context.expectedModeVersion,
      });
    case 'mode-transition':
      return new ObError('OBS_LOG_MODE_TRANSITION', { stream, from: refusal.from, to: refusal.to });
    case 'window-full':
      return new ObError('OBS_LOG_WINDOW_FULL', { stream, bytes: context.pendingBytes });
    case 'entry-too-large':
      return new ObError('OBS_LOG_ENTRY_TOO_LARGE', { bytes: context.bytes, limit: entryBodyBytesMax });
    case 'not-at-end':
      return new ObError('OBS_LOG_POSITION_INVALID', { lsn: context.lsn, stream, end: refusal.end.lsn });
    case 'diverged':
      return new ObError('OBS_STANDBY_DIVERGED', { source: 'the source', lsn: refusal.at });
    case 'block-boundary':
      return new ObError('OBS_LOG_BLOCK_MISMATCH', {
        lsn: refusal.at,
        stream,
        blockBytes: context.blockBytes,
      });
    case 'below-base':
      return new ObError('OBS_LOG_FLASHBACK_REFUSED', { stream, scn: context.scn, base: refusal.base });
    case 'behind-checkpoint':
      return new ObError('OBS_LOG_INCOMPLETE', {
        stream,
        end: refusal.end,
        checkpoint: refusal.checkpointLsn,
      });
    case 'config-version':
      return new ObError('OBS_LOG_CONFIG_CONFLICT', {
        stream,
        actual: versionText(refusal.actual),
        expected: context.expectedVersion === undefined ? '?' : versionText(context.expectedVersion),
      });
    case 'unknown-node':
      return configRefused(`node ${refusal.node} does not take part in the way that this needs`);
    case 'already':
      return configRefused(`node ${refusal.node} is that already`);
    case 'is-leader':
      return configRefused(`node ${refusal.node} leads: hand over to another member first`);
    case 'too-many':
      return configRefused(`it has at most ${configMembersMax} F and ${configLearnersMax} R replicas`);
    case 'arbitrated':
      return configRefused(
        'it has an arbiter: remove that first, and set it again when the F replicas are as wanted',
      );
    case 'replica-count':
      return configRefused(`an arbiter serves 2 or 4 F replicas, and it has ${refusal.count}`);
    case 'degraded':
      return configRefused(
        `nodes ${refusal.nodes.join(', ')} are degraded: wait until they are upgraded again`,
      );
    case 'not-member':
      return configRefused(`node ${refusal.node} has no F replica`);
    case 'last-member':
      return new ObError('OBS_LOG_LAST_MEMBER', { stream });
    case 'not-caught-up':
      return new ObError('OBS_LOG_NOT_CAUGHT_UP', {
        stream,
        node: refusal.node,
        end: refusal.end,
        needed: refusal.needed,
      });
    case 'no-quorum':
      return new ObError('OBS_LOG_NO_QUORUM', { stream });
    case 'busy':
      return new ObError('OBS_LOG_BUSY', { stream });
    default:
      return unreachable(refusal);
  }
}

const versionText = ({ proposalId, sequence }: ConfigVersion): string => `${proposalId}.${sequence}`;

export const diskError = (stream: LogStreamId, what: string, cause: unknown): ObError =>
  cause instanceof ObError
    ? cause
    : new ObError(
        'OBS_LOG_DISK_FAILED',
        { stream, what, why: cause instanceof Error ? cause.message : String(cause) },
        cause,
      );
