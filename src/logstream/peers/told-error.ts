/**
 * Errors as they cross the wire: code, text and plain details. Another node's failed disk and its bugs are its own: here
 * they are only a node that cannot do it.
 */
import { isObError, ObError, reviveError } from '../../base/errors.ts';
import type { NodeId } from '../../base/scalars.ts';
import type { ToldError } from '../../codec/node-message.ts';

const textMax = 2_048;

/** What the other node is told. `self` is the node on which it happened. */
export function toldError(error: unknown, self: NodeId): ToldError {
  const told = isObError(error)
    ? error
    : new ObError('OBS_NODE_FAILED', {
        node: self,
        why: error instanceof Error ? error.message : 'unknown failure',
      });
  const details: Record<string, string | number | boolean | null> = {};
  for (const [key, value] of Object.entries(told.details)) {
    if (value !== undefined) details[key] = typeof value === 'string' ? value.slice(0, textMax) : value;
  }
  return { code: told.code, message: told.message.slice(0, textMax), details };
}

/** The error that another node told of. */
export function errorOfNode(told: ToldError, node: NodeId): ObError {
  const error = reviveError(told);
  if (error.kind !== 'disk' && error.kind !== 'bug') return error;
  return new ObError('OBS_NODE_FAILED', { node, why: `${told.code}: ${told.message}` });
}
