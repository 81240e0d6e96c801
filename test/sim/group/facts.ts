/** What happened in one event of the simulation: what invariants are held against. */
import type { AccessMode, LogPosition } from '../../../src/base/log-access.ts';
import type { Lsn, NodeId, Scn } from '../../../src/base/scalars.ts';
import type { LogEntry } from '../../../src/codec/entry-assembler.ts';
import type { PalfMessage } from '../../../src/codec/palf-message.ts';
import type { ArbiterNode, ArbiterStep } from './arbiter-node.ts';
import type { CoreStep } from './core-tap.ts';
import type { PalfView } from '../../../src/palf/view.ts';
import type { GroupNode } from './node.ts';
import type { SeenGroup } from './platter.ts';
import type { Branch } from './truth.ts';

export interface NodeStep extends CoreStep {
  readonly node: GroupNode;
  /** a flashback is cutting the log */
  readonly cuts: boolean;
}

export interface Facts {
  /** steps of cores, in order */
  readonly steps: NodeStep[];
  /** steps and messages of arbiters */
  readonly arbiterSteps: ArbiterStep[];
  readonly arbiterSends: {
    readonly arbiter: ArbiterNode;
    readonly to: NodeId;
    readonly message: PalfMessage;
  }[];
  /** messages that left a node */
  readonly sends: { readonly node: GroupNode; readonly to: NodeId; readonly message: PalfMessage }[];
  /** nodes found damage in their logs, and asked others for what belongs there */
  readonly damages: { readonly node: GroupNode; readonly at: LogPosition }[];
  /** nodes said that the log is committed up to `end` */
  readonly commits: {
    readonly node: GroupNode;
    readonly end: LogPosition;
    /** it decided so itself */
    readonly leads: boolean;
    readonly view: PalfView;
  }[];
  /** committed group boundaries seen for the first time in a node's life, as its platter has them */
  readonly boundaries: {
    readonly node: GroupNode;
    readonly boundary: LogPosition;
    /** the one before, if that is there */
    readonly start: LogPosition | undefined;
    readonly branch: Branch;
  }[];
  readonly truncations: {
    readonly node: GroupNode;
    readonly to: LogPosition;
    readonly isFlashback: boolean;
    /** the furthest of what is cut off that was committed */
    readonly committed: LogPosition | undefined;
  }[];
  /** groups seen for the first time on a node's platter */
  readonly groups: { readonly node: GroupNode; readonly group: SeenGroup }[];
  readonly applied: {
    readonly node: GroupNode;
    readonly entry: LogEntry;
    readonly serial: number | undefined;
    readonly hash: number;
    readonly count: number;
  }[];
  /** entries that a node took, before anything of them is durable */
  readonly taken: {
    readonly node: GroupNode;
    readonly accessMode: AccessMode;
    readonly how: 'entry' | 'raw';
    readonly endLsn?: Lsn;
  }[];
  /** clients were told that their write is done */
  readonly acks: { readonly node: GroupNode; readonly serial: number; readonly endLsn: Lsn }[];
  /** strong reads answered */
  readonly reads: { readonly node: GroupNode; readonly key: string; readonly value: number | null }[];
  readonly flashbacks: { readonly node: GroupNode; readonly to: Scn; readonly kept: LogPosition }[];
  readonly opened: GroupNode[];
}

export const noFacts = (): Facts => ({
  steps: [],
  arbiterSteps: [],
  arbiterSends: [],
  sends: [],
  damages: [],
  commits: [],
  boundaries: [],
  truncations: [],
  groups: [],
  applied: [],
  taken: [],
  acks: [],
  reads: [],
  flashbacks: [],
  opened: [],
});

export const isNothing = (facts: Facts): boolean =>
  facts.steps.length === 0 &&
  facts.sends.length === 0 &&
  facts.damages.length === 0 &&
  facts.arbiterSteps.length === 0 &&
  facts.arbiterSends.length === 0 &&
  facts.groups.length === 0 &&
  facts.applied.length === 0 &&
  facts.taken.length === 0 &&
  facts.acks.length === 0 &&
  facts.reads.length === 0 &&
  facts.flashbacks.length === 0 &&
  facts.opened.length === 0;
