/**
 * Times and preferences of a replica, and what they add up to: the longest a log stream may be without a leader after the
 * last one died, while a majority answers. A configuration whose sum misses the promise is refused at the start.
 */
import { assert } from '../base/assert.ts';
import { type MonoMs, monoMs } from '../base/scalars.ts';
import type { DegradationPolicy } from './inputs.ts';

/** The times are the same on all replicas of a log stream. */
export interface PalfSettings {
  /** how long a promise to a leader is kept */
  readonly leaseMs: number;
  /** how often a leader asks for a longer one */
  readonly renewMs: number;
  /** step of the pauses between attempts to be elected */
  readonly canvassMs: number;
  /** position in the primary zone list; lower leads rather */
  readonly priority: number;
  /** with an arbiter: how long a member is waited for before it is degraded */
  readonly arbitrationTimeoutMs: number;
  readonly degradationPolicy: DegradationPolicy;
}

export const palfSettingsDefault: PalfSettings = {
  leaseMs: 1_200,
  renewMs: 300,
  canvassMs: 40,
  priority: 0,
  arbitrationTimeoutMs: 5_000,
  degradationPolicy: 'LS_POLICY',
};

/** A new leader is promised within this time of the old one's death. */
export const takeoverMsMax = 8_000;

/** The shortest time that a member may be waited for before it is degraded, and the default. */
export const arbitrationTimeoutMsMin = 3_000;

/** Rounds after which a candidate no longer minds that others think themselves fitter. */
export const modestRounds = 3;
/** Rounds of a candidate that its supporters wait for it: one more than it needs to insist, and one that may be lost. */
export const awaitedRounds = modestRounds + 2;
/** Every clock may run so much slower or faster than true time without two leases ever overlapping. */
export const clockDrift = 0.01;
/** What a leader whose clock is as slow as it may be counts on, of a lease that a voter whose clock is as fast as it may be keeps. */
export const surelyKept = (leaseMs: number): number => (leaseMs * (1 - clockDrift)) / (1 + clockDrift);

/** Parts of `renewMs` that renewals are made at the ends of. */
const renewalParts = 6;

/**
 * When a leader that renews at `now` renews next: at a time that leaders of other log streams here choose as well, so that what they
 * send, and what is answered, goes by few packets.
 */
export function renewalAt(now: MonoMs, { renewMs }: PalfSettings): MonoMs {
  const partMs = renewMs / renewalParts;
  return monoMs(Math.floor((now + renewMs) / partMs) * partMs);
}

type Timing = Pick<PalfSettings, 'leaseMs' | 'canvassMs'>;

/** Pause between two rounds of a candidate, which grows with its place in the member list so that two part. */
export const roundMs = (settings: Timing, rank: number): number => settings.canvassMs * (4 + rank);

/** How long a verdict on a node counts. */
export const verdictMs = (settings: PalfSettings): number => settings.arbitrationTimeoutMs / 2;

/** The old lease runs out, rounds until one may insist, one lost vote, and a log brought up to date in one more lease. */
function takeoverMs(settings: Timing): number {
  const canvass = (modestRounds + 1) * roundMs(settings, 2);
  return settings.leaseMs + canvass + settings.leaseMs + settings.leaseMs;
}

/**
 * A leader dies with the only other replica, or the only others, that a majority needs: by the time that its silence is long
 * enough another leads, or is about to; then a verdict comes, at most two renewals after the one before, and two rounds to the arbiter
 * (4F replicas are degraded one by one) end it. A longer timeout than the default one is an operator's choice.
 */
export function degradedTakeoverMs(settings: PalfSettings): number {
  const timeoutMs = Math.min(settings.arbitrationTimeoutMs, palfSettingsDefault.arbitrationTimeoutMs);
  return Math.max(takeoverMs(settings), timeoutMs) + 4 * settings.renewMs;
}

export function checkSettings(settings: PalfSettings): void {
  const { leaseMs, renewMs, canvassMs, priority, arbitrationTimeoutMs } = settings;
  assert(renewMs > 0 && leaseMs >= 3 * renewMs, 'a lease outlives two lost renewals');
  assert(canvassMs > 0, 'candidates pause');
  assert(Number.isSafeInteger(priority) && priority >= 0, 'a priority is a whole number');
  assert(arbitrationTimeoutMs > leaseMs, 'a lease runs out before a member is degraded');
  assert(degradedTakeoverMs(settings) < takeoverMsMax, 'a new leader is there in time');
}
