/**
 * What an error of the MySQL protocol says about who leads: a server that does not lead a tenant refuses its writes and strong
 * reads, does nothing, and names the address where the leader serves clients.
 */

/** "No leader here": the statement certainly did nothing. */
const notLeader = 4038;
/** "Read only": a standby, or a primary that takes no writes now; the statement certainly did nothing. */
const readOnly = 4688;

interface SqlError {
  readonly errno?: number;
  readonly message?: string;
}

/** True when the server certainly did nothing because somebody else has to be asked. */
export function isElsewhere(error: unknown): boolean {
  const { errno } = error as SqlError;
  return errno === notLeader || errno === readOnly;
}

/** The port at which the leader serves clients, if the error names one. */
export function leaderPortOf(error: unknown): number | undefined {
  const { errno, message } = error as SqlError;
  if (errno !== notLeader) return undefined;
  const port = /serves clients at \S+:(\d{1,5})(?!\S*\d)/.exec(message ?? '')?.[1];
  return port === undefined ? undefined : Number(port);
}
