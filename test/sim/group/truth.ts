/**
 * What the history of the simulated log stream is: every group boundary that anybody called committed, and every entry
 * that anybody applied, with the state of the machine after it. Flashbacks fork it: a branch is the history up to a
 * cut of its parent, and what came after; each replica says by its configuration on which branch it is.
 */
import type { LogPosition } from '../../../src/base/log-access.ts';
import { type Lsn, lsn, type Scn, scn } from '../../../src/base/scalars.ts';

export interface TrueEntry {
  readonly endLsn: Lsn;
  readonly scn: Scn;
  /** state of the machine after this entry */
  readonly hash: number;
  readonly count: number;
  /** of the write it is, if it is one */
  readonly serial: number | undefined;
}

const logStart: LogPosition = { lsn: lsn(0), scn: scn(0), checksum: 0 };

export class Branch {
  readonly id: string;
  readonly parent: Branch | undefined;
  readonly cut: LogPosition;
  readonly #boundaries = new Map<Lsn, LogPosition>();
  /** where each committed group ends, by where it starts */
  readonly #groups = new Map<Lsn, Lsn>();
  readonly #entries = new Map<Lsn, TrueEntry>();
  /** the furthest that anybody on it called committed */
  end: LogPosition;
  /** counts the forks of a run */
  readonly age: number;

  constructor(id: string, parent: Branch | undefined, cut: LogPosition, age: number) {
    this.id = id;
    this.parent = parent;
    this.cut = cut;
    this.end = cut;
    this.age = age;
    this.#boundaries.set(cut.lsn, cut);
  }

  /** This and what it came of, the youngest first. */
  *#line(): Generator<Branch> {
    yield this;
    if (this.parent !== undefined) yield* this.parent.#line();
  }

  /** The branch that holds what is at an LSN. */
  #holder(at: Lsn): Branch {
    if (this.parent !== undefined && at <= this.cut.lsn) return this.parent.#holder(at);
    return this;
  }

  boundary(at: Lsn): LogPosition | undefined {
    return this.#holder(at).#boundaries.get(at);
  }

  addBoundary(at: LogPosition): void {
    this.#holder(at.lsn).#boundaries.set(at.lsn, at);
  }

  /** Where the committed group that starts here ends; undefined: nobody has shown one. */
  groupEnd(start: Lsn): Lsn | undefined {
    return this.#holder(lsn(start + 1)).#groups.get(start);
  }

  addGroup(start: Lsn, end: Lsn): void {
    this.#holder(lsn(start + 1)).#groups.set(start, end);
  }

  entry(endLsn: Lsn): TrueEntry | undefined {
    return this.#holder(endLsn).#entries.get(endLsn);
  }

  addEntry(entry: TrueEntry): void {
    this.#holder(entry.endLsn).#entries.set(entry.endLsn, entry);
  }

  /** Boundaries of the parent's history that this branch gave up. */
  gaveUp(at: LogPosition): boolean {
    if (this.parent === undefined || at.lsn <= this.cut.lsn) return false;
    // Padding changes neither SCN nor checksum, and both histories may have padded.
    if (at.checksum === this.cut.checksum && at.scn === this.cut.scn) return false;
    const before = this.parent.boundary(at.lsn);
    return before !== undefined && before.checksum === at.checksum && before.scn === at.scn;
  }

  /** Whether this is `other` or came of it. */
  descendsFrom(other: Branch): boolean {
    return [...this.#line()].includes(other);
  }

  /** This and what it came of, without the root. */
  forks(): Branch[] {
    return this.parent === undefined ? [] : [...this.parent.forks(), this];
  }

  /** Where the committed log of `ancestor` ends on this branch: cut by every fork on the way. */
  endOf(ancestor: Branch): LogPosition {
    let { end } = ancestor;
    for (const fork of this.#forksSince(ancestor)) if (fork.cut.lsn < end.lsn) end = fork.cut;
    return end;
  }

  /** The lowest cut on the way here from `ancestor`. */
  cutBelow(ancestor: Branch): number {
    return Math.min(Number.POSITIVE_INFINITY, ...this.#forksSince(ancestor).map(({ cut }) => cut.lsn));
  }

  #forksSince(ancestor: Branch): Branch[] {
    const line = [...this.#line()];
    const at = line.indexOf(ancestor);
    return line.slice(0, at < 0 ? line.length - 1 : at);
  }

  /** Serial numbers of the writes of this history, each as often as it is in it, in order. */
  serials(): number[] {
    const before =
      this.parent === undefined ? [] : this.parent.entriesUpTo(this.cut.lsn).map(({ serial }) => serial);
    return [...before, ...this.#sorted().map(({ serial }) => serial)].filter(serial => serial !== undefined);
  }

  entriesUpTo(to: Lsn): TrueEntry[] {
    const before = this.parent?.entriesUpTo(lsn(Math.min(to, this.cut.lsn))) ?? [];
    return [...before, ...this.#sorted().filter(({ endLsn }) => endLsn <= to)];
  }

  #sorted(): TrueEntry[] {
    return [...this.#entries.values()].sort((a, b) => a.endLsn - b.endLsn);
  }
}

export class Truth {
  readonly root = new Branch('root', undefined, logStart, 0);
  readonly #branches = new Map<string, Branch>();
  /** the newest branch that a majority accepted */
  agreed: Branch = this.root;
  #nextSerial = 1;

  takeSerial(): number {
    return this.#nextSerial++;
  }

  branch(id: string): Branch | undefined {
    return id === 'root' ? this.root : this.#branches.get(id);
  }

  fork(id: string, parent: Branch, cut: LogPosition): Branch {
    const branch = new Branch(id, parent, cut, this.#branches.size + 1);
    this.#branches.set(id, branch);
    return branch;
  }

  /**
   * What a majority flashed back of the log of `branch` lies behind this. It goes with the log of a leader too, where the record
   * that tells of the flashback has not come.
   */
  keptOf(branch: Branch): number {
    return this.agreed.descendsFrom(branch) ? this.agreed.cutBelow(branch) : Number.POSITIVE_INFINITY;
  }

  agree(branch: Branch): void {
    if (branch.descendsFrom(this.agreed)) this.agreed = branch;
  }
}
