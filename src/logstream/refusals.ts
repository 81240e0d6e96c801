/** What a refusal of the core says to the caller: one row of the catalogue each. */
import { unreachable } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import { entryBodyBytesMax } from '../base/limits.ts';
import type { LogStreamId, Lsn, Scn } from '../base/scalars.ts';
import type { PalfRefusal } from '../palf/effects.ts';

/** What the refused call asked for. */
export interface RefusedCall {
  readonly bytes?: number;
  readonly lsn?: Lsn;
  readonly scn?: Scn;
  readonly expectedModeVersion?: number;
}

export interface RefusalContext extends RefusedCall {
  readonly stream: LogStreamId;
  readonly blockBytes: number;
  readonly pendingBytes: number;
}

export function refusalError(refusal: PalfRefusal, context: RefusalContext): ObError {
  const { stream } = context;
  const notAppendable = (why: string) => new ObError('OBS_LOG_NOT_APPENDABLE', { stream, why });
  switch (refusal.why) {
    case 'not-leader':
      return notAppendable('it has no leader here');
    case 'access-mode':
      return notAppendable(`its access mode is ${refusal.accessMode}`);
    case 'mode-changing':
      return notAppendable('its access mode is being changed');
    case 'closed':
      return notAppendable('it is closed');
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
    case 'busy':
    case 'single-member':
      return new ObError('OBS_LOG_BUSY', { stream });
    default:
      return unreachable(refusal);
  }
}
