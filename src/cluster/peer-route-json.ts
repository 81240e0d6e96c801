/** A peer route as JSON, keys in base64: what the sys tenant stores, sealed. */
import { z } from 'zod';
import type { PeerRoute } from './peer-link.ts';

const bytes = z.base64().transform(text => new Uint8Array(Buffer.from(text, 'base64')));

const schema = z.object({
  addresses: z.array(z.object({ host: z.string(), port: z.int() })),
  tenant: z.string(),
  credential: z.discriminatedUnion('kind', [
    z.object({ kind: z.literal('password'), user: z.string(), password: z.string() }),
    z.object({
      kind: z.literal('keys'),
      user: z.string(),
      salt: bytes,
      iterations: z.int(),
      clientKey: bytes,
      serverKey: bytes,
    }),
  ]),
});

export function routeToJson(route: PeerRoute): object {
  const { credential } = route;
  if (credential.kind === 'password') return route;
  const text = (value: Uint8Array): string => Buffer.from(value).toString('base64');
  return {
    ...route,
    credential: {
      ...credential,
      salt: text(credential.salt),
      clientKey: text(credential.clientKey),
      serverKey: text(credential.serverKey),
    },
  };
}

export const routeFromJson = (value: unknown): PeerRoute => schema.parse(value);
