/** The randomness port: nonces, salts, jitter. */
import { randomBytes, randomUUID } from 'node:crypto';

export interface Random {
  bytes(count: number): Uint8Array;
  uuid(): string;
  /** uniform in [0, 1) */
  fraction(): number;
}

export const nodeRandom: Random = {
  bytes: count => randomBytes(count),
  uuid: () => randomUUID(),
  fraction: () => Math.random(),
};
