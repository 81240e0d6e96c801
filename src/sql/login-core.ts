/**
 * Decides a login: which proof to ask for, and whether it is enough. Pure. A wrong name, a wrong password, a locked
 * user and an unknown tenant cost the same work and get the same answer.
 */
import { type AuthenticationPlugin, authenticationPlugins } from './protocol/handshake.ts';
import { scrambleProves } from './protocol/scrambles.ts';
import type { StoredUser } from './users.ts';

/** What the server asked for last. */
export interface Challenge {
  readonly plugin: AuthenticationPlugin;
  readonly bytes: Uint8Array;
}

/**
 * The plugin to switch to, or undefined if the client's scramble answers the challenge as it stands. A client whose
 * own default we know is asked again in its way; any other is asked for the plugin that was offered.
 */
export function pluginToSwitchTo(
  offered: AuthenticationPlugin,
  clientPlugin: string | null,
): AuthenticationPlugin | undefined {
  if (clientPlugin === null || clientPlugin === offered) return undefined;
  return authenticationPlugins.find(plugin => plugin === clientPlugin) ?? offered;
}

/** No password has this hash: unknown users are checked against it, so that they take as long as known ones. */
const decoyHash = new Uint8Array(32).fill(0x5a);

interface LoginProof {
  readonly challenge: Challenge;
  readonly scramble: Uint8Array;
  /** the client's socket comes from this machine */
  readonly loopback: boolean;
}

export function loginAllowed(user: StoredUser | undefined, proof: LoginProof): boolean {
  const { plugin, bytes } = proof.challenge;
  const native = plugin === 'mysql_native_password';
  const hash = user === undefined ? undefined : native ? user.nativeHash : user.sha2Hash;
  const withoutPassword = hash !== undefined && hash.length === 0;
  const compared = hash === undefined || withoutPassword ? decoyHash.subarray(0, native ? 20 : 32) : hash;
  const proven = scrambleProves(plugin, bytes, proof.scramble, compared);
  if (user === undefined || user.locked) return false;
  // A user without a password is only let in from this machine.
  return withoutPassword ? proof.loopback && isEmptyScramble(proof.scramble) : proven;
}

/** caching_sha2_password sends a single NUL for an empty password. */
export const isEmptyScramble = (scramble: Uint8Array): boolean =>
  scramble.length === 0 || (scramble.length === 1 && scramble[0] === 0);
