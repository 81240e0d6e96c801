/**
 * What a server shows of its tenants to peers of other sites: the ports that the composition root fills, and who a peer
 * is once it has logged in.
 */
import type { LogReader, LogTailReader } from '../../base/log-access.ts';
import type { Lsn, RoleEpoch, Scn, WallMicros } from '../../base/scalars.ts';
import type { PeerDescription } from '../../codec/peer-message.ts';
import type { ScramVerifier } from '../../codec/scram.ts';
import type { PeerCredential } from './handshake.ts';

/** A peer that has proven its user's password. */
export interface PeerIdentity {
  readonly cluster: string;
  readonly site: string;
  /** where its own peer port is reached, as host:port, or null */
  readonly address: string | null;
  /** its own name for the tenant */
  readonly localTenant: string;
  readonly tenant: string;
  readonly user: string;
  readonly knownEpoch: RoleEpoch;
  readonly remoteAddress: string;
}

/** A hot copy of the database file; the tenant engine's snapshot has this shape. */
export interface SnapshotSource {
  readonly startLsn: Lsn;
  readonly startScn: Scn;
  readonly startChecksum: number;
  readonly pageBytes: number;
  next(): Promise<{ readonly position: number; readonly bytes: Uint8Array } | undefined>;
  finish(): { readonly minimumLsn: Lsn; readonly fileBytes: number };
  close(): Promise<void>;
}

type PeerTenantState = Pick<
  PeerDescription,
  'role' | 'switchoverStatus' | 'roleEpoch' | 'pageBytes' | 'blockBytes' | 'sealed'
>;

export interface PeerTenant {
  readonly name: string;
  /** the same on every site of this tenant, for ever */
  readonly incarnation: string;
  /** null while the tenant is being created or recovered */
  readonly log: (LogReader & LogTailReader) | null;
  state(): PeerTenantState;
  openSnapshot(): Promise<SnapshotSource>;
  /** A request of the role manager at the peer's site. `body` is unchecked JSON; so is the answer. */
  control(op: string, body: unknown, peer: PeerIdentity): Promise<unknown>;
  /** The peer knows of a role epoch above this tenant's: another site has been opened. */
  epochSeen(epoch: RoleEpoch, peer: PeerIdentity): void;
  /**
   * The peer logged in; with the keys this site can log in there (the users are the same, the database is physical). Rejects
   * when it may not follow: nobody would ask it whether it was promoted.
   */
  peerSeen(peer: PeerIdentity, credential: Extract<PeerCredential, { kind: 'keys' }>): Promise<void>;
}

export interface PeerDirectory {
  /** Throws OBS_PEER_NOT_READY for a tenant that is here and not open. */
  find(tenant: string): PeerTenant | undefined;
  /**
   * The verifier of a user that may replicate, or undefined for one that is missing, locked or may not. `loopback` says
   * that the peer is on this machine (users with an empty password are for such only).
   */
  verifier(tenant: string, user: string, loopback: boolean): Promise<ScramVerifier | undefined>;
}

/** A standby that pulls, or lately pulled, from a tenant here. */
export interface FollowerView {
  readonly site: string;
  readonly localTenant: string;
  readonly address: string | null;
  readonly user: string;
  readonly connected: boolean;
  /** durable at the follower */
  readonly ackedLsn: Lsn;
  readonly ackedScn: Scn;
  /** visible to the follower's readers */
  readonly appliedLsn: Lsn;
  readonly appliedScn: Scn;
  /** when it last said so, on this site's wall clock */
  readonly ackedTime: WallMicros | null;
}
