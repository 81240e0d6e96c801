/** Bodies of requests between servers: foreign until their shape was checked. */
import { z } from 'zod';
import { ObError } from '../../base/errors.ts';
import { nodeId, tenantId } from '../../base/scalars.ts';

export const nodeShape = z
  .string()
  .min(1)
  .max(64)
  .transform(value => nodeId(value));

export const tenantShape = z
  .int()
  .min(1)
  .transform(value => tenantId(value));

/** host:port */
export const addressShape = z.string().min(3).max(255);

/** Throws OBS_NODE_BAD_REQUEST. */
export function parseBody<Shape extends z.ZodType>(shape: Shape, body: unknown): z.output<Shape> {
  const parsed = shape.safeParse(body);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const what = `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'another shape'}`;
  throw new ObError('OBS_NODE_BAD_REQUEST', { what });
}
