/**
 * Values that servers of a cluster hand to each other sealed, since credentials may be among them: as JSON, under the key that
 * the servers share, as text that a request can carry. `context` must be the same at both ends; what the values are is checked
 * by whoever opens them.
 */
import type { SecretBox } from './secret-box.ts';

/** `asText` stands in for what JSON has not. */
export const sealJson = (
  box: SecretBox,
  context: string,
  value: unknown,
  asText?: (key: string, value: unknown) => unknown,
): string => Buffer.from(box.seal(JSON.stringify(value, asText), context)).toString('base64');

/** Throws OBS_SERVER_SECRET_KEY. */
export const openJson = (
  box: SecretBox,
  context: string,
  sealed: string,
  asValue?: (key: string, value: unknown) => unknown,
): unknown => JSON.parse(box.open(Buffer.from(sealed, 'base64'), context), asValue);
