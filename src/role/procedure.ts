/**
 * The language role changes are written in: a procedure is a generator that yields one effect at a time and is resumed
 * with its result, or with its error. It reads like the runbook it is, yet does nothing itself: no await, no clock, no IO.
 * Whoever holds the generator decides when an effect runs, or that the site dies before or after it.
 */
import type { ObError } from '../base/errors.ts';
import type { WallMicros } from '../base/scalars.ts';
import type { RolePorts } from './ports.ts';
import type { EpochStart, RoleRow } from './row.ts';
import type { JournalEntry, StepReport } from './steps.ts';

type PortName = keyof RolePorts;
type Method<P extends PortName> = keyof RolePorts[P] & string;

type EffectOf<P extends PortName> = {
  [M in Method<P>]: RolePorts[P][M] extends (...parameters: infer A) => unknown
    ? { readonly kind: `${P}.${M}`; readonly port: P; readonly method: M; readonly parameters: A }
    : never;
}[Method<P>];

/** One call of a port: `kind` is `<port>.<method>`. */
export type RoleEffect = { [P in PortName]: EffectOf<P> }[PortName];

export type Procedure<T> = Generator<RoleEffect, T, unknown>;

type ResultOf<P extends PortName, M extends Method<P>> = RolePorts[P][M] extends (
  ...parameters: never
) => Promise<infer R>
  ? R
  : never;

type ParametersOf<P extends PortName, M extends Method<P>> = RolePorts[P][M] extends (
  ...parameters: infer A
) => unknown
  ? A
  : never;

/** Yields a call of a port and gives its result; the port's error is thrown here. */
export function* call<P extends PortName, M extends Method<P>>(
  port: P,
  method: M,
  ...parameters: ParametersOf<P, M>
): Procedure<ResultOf<P, M>> {
  const effect = { kind: `${port}.${method}`, port, method, parameters } as unknown as RoleEffect;
  return (yield effect) as ResultOf<P, M>;
}

/** A newer epoch somebody showed us. */
export interface EpochSign {
  readonly epoch: RoleRow['epoch'];
  readonly site: string;
  readonly address: string | null;
  /** `opened`: that site decided to open under it. `claimed`: it is only claimed in an archive chain. */
  readonly certainty: 'opened' | 'claimed';
  /** the epochs of the newer history as far as they were told; empty when not */
  readonly openings: readonly EpochStart[];
  /**
   * `openings` were read from the log this site follows: its own log is a prefix of the newer history. Without openings it
   * says nothing
   */
  readonly inherited: boolean;
}

export interface RoleSettings {
  /** this site's peer address, told to sites that shall follow it; null when it has none */
  readonly address: string | null;
  readonly drainMs: number;
  readonly catchUpMs: number;
  readonly fenceRetryMs: number;
  readonly restartFencing: 'strict' | 'off';
}

/** What a procedure may know besides its arguments. The core owns it; procedures of one site share it. */
export interface RoleContext {
  readonly settings: RoleSettings;
  /** time of the step that resumed this procedure */
  now(): WallMicros;
  /** the newest row this site has seen */
  row(): RoleRow;
  /** set from the moment a newer epoch is seen, before the row says so */
  fencing(): EpochSign | null;
  /** an operator took the responsibility for opening without the restart check */
  openAnyway(): boolean;
  /** whose answer the restart check of a primary still waits for; null when it is done or was not needed */
  unconfirmed(): readonly string[] | null;
  learn(row: RoleRow): void;
  progress(report: StepReport): void;
  /** when the step began: now if it begins, else what was said then */
  stepStart(step: JournalEntry['step'], begins: boolean): WallMicros;
}

/** An error as far as it may be shown and kept: code and text, no cause. */
export const briefError = (error: ObError): string => `${error.code}: ${error.message}`;
