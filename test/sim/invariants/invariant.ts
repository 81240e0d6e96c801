/** What an invariant of the log simulation is, and the facts of one event that it is held against. */
import type { AccessMode, LogPosition } from '../../../src/base/log-access.ts';
import type { Lsn, Scn } from '../../../src/base/scalars.ts';
import type { LogEntry } from '../../../src/codec/entry-assembler.ts';
import type { MachineState } from '../checksum-machine.ts';
import type { LogSite } from '../log-site.ts';
import type { LogWorld } from '../log-world.ts';
import type { TrueEntry } from '../truth.ts';

/** What happened in one event. */
export interface Facts {
  /** clients were told that these are committed */
  readonly acks: { readonly site: LogSite; readonly entry: TrueEntry }[];
  /** sites said that their log is committed up to `end`; `missing`: what the platter lacks of it */
  readonly commits: { readonly site: LogSite; readonly end: LogPosition; readonly missing?: string }[];
  /** group boundaries seen on a site's platter */
  readonly boundaries: { readonly site: LogSite; readonly at: LogPosition }[];
  /** entries tried where the access mode forbids them */
  readonly probes: { readonly site: LogSite; readonly accessMode: AccessMode; readonly isTaken: boolean }[];
  /** entries that a crash of the primary took out of the history */
  readonly cuts: TrueEntry[];
  readonly opened: LogSite[];
  readonly applied: {
    readonly site: LogSite;
    readonly entry: LogEntry;
    readonly before: MachineState;
    readonly after: MachineState;
    /** what the history has at this place */
    readonly expected: TrueEntry | undefined;
  }[];
  readonly flashbacks: {
    readonly site: LogSite;
    readonly kept: LogPosition;
    readonly target: Scn;
    /** it should have been refused: the database holds everything below this */
    readonly below?: Lsn;
    /** where the other site's history was cut */
    readonly mustBe?: LogPosition;
  }[];
}

export const noFacts = (): Facts => ({
  acks: [],
  commits: [],
  boundaries: [],
  probes: [],
  cuts: [],
  opened: [],
  applied: [],
  flashbacks: [],
});

export interface Invariant {
  /** looks at what the last event did; throws a `Violation` */
  readonly afterEvent?: () => void;
  /** looks at the end of a run */
  readonly atEnd?: () => void;
}

/** Made anew for each run, so that it may remember. */
export type MakeInvariant = (world: LogWorld) => Invariant;

/** A broken invariant, by its id. */
class Violation extends Error {
  override readonly name = 'Violation';
  readonly id: string;

  constructor(id: string, what: string) {
    super(`${id}: ${what}`);
    this.id = id;
  }
}

/** Throws unless `condition` holds. */
export function hold(id: string, condition: boolean, what: () => string): asserts condition {
  if (!condition) throw new Violation(id, what());
}
