/**
 * The branded numbers of the project: positions, clocks and ids that must never be mixed up.
 *
 * All are JS numbers (2^53 bytes of log are 9 PB, 2^53 microseconds reach the year 2255); on disk and on the wire
 * they are 64-bit. Constructors assert their range, so a value of the type is always in range.
 */
import { assert } from './assert.ts';

declare const brand: unique symbol;
type Branded<Base, Name extends string> = Base & { readonly [brand]: Name };

/** Byte offset in one log stream's log; the first byte is 0. */
export type Lsn = Branded<number, 'Lsn'>;
/** A tenant's logical clock: microseconds since 1970, strictly increasing per log entry. 0 is before everything. */
export type Scn = Branded<number, 'Scn'>;
/** Paxos ballot of a log stream. 0 is "none yet". */
export type ProposalId = Branded<number, 'ProposalId'>;
/** A server of a cluster. */
export type NodeId = Branded<string, 'NodeId'>;
/** A log stream inside a tenant: 1 is the sys tenant's, user tenants have 1001. */
export type LogStreamId = Branded<number, 'LogStreamId'>;
/** A tenant inside a cluster: 1 is sys, user tenants start at 1002. */
export type TenantId = Branded<number, 'TenantId'>;
/** Counts the role changes of a tenant over all its sites; the higher epoch wins, everywhere. */
export type RoleEpoch = Branded<number, 'RoleEpoch'>;
/** Milliseconds on the monotonic clock of this process. Never compared between processes. */
export type MonoMs = Branded<number, 'MonoMs'>;
/** Microseconds since 1970 on the wall clock. May jump. */
export type WallMicros = Branded<number, 'WallMicros'>;

const whole = (value: number, name: string): number => {
  assert(Number.isSafeInteger(value) && value >= 0, `${name} is a whole number from 0 to 2^53`);
  return value;
};

export const lsn = (value: number): Lsn => whole(value, 'LSN') as Lsn;
export const scn = (value: number): Scn => whole(value, 'SCN') as Scn;
export const proposalId = (value: number): ProposalId => whole(value, 'proposal id') as ProposalId;
export const logStreamId = (value: number): LogStreamId => whole(value, 'log stream id') as LogStreamId;
export const tenantId = (value: number): TenantId => whole(value, 'tenant id') as TenantId;
export const roleEpoch = (value: number): RoleEpoch => whole(value, 'role epoch') as RoleEpoch;
export const wallMicros = (value: number): WallMicros => whole(value, 'wall clock') as WallMicros;
export const monoMs = (value: number): MonoMs => {
  assert(Number.isFinite(value) && value >= 0, 'monotonic time is finite and not negative');
  return value as MonoMs;
};
export const nodeId = (value: string): NodeId => {
  assert(value.length > 0 && value.length <= 64, 'a node id has 1 to 64 characters');
  return value as NodeId;
};

/** OceanBase shows "no bound" as this SCN; ours is the largest safe one. */
export const scnUnlimited = scn(Number.MAX_SAFE_INTEGER);
