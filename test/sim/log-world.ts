/**
 * A tenant on two simulated sites: a primary that takes entries, a standby that pulls its log and writes it raw, and a seed that
 * decides everything: the load, which faults there are and when, switchovers and failovers. After the chaos comes a
 * phase without faults in which both must become equal. Invariants are looked at after every event.
 */
import { must } from '../../src/base/assert.ts';
import { isObError, type ObError } from '../../src/base/errors.ts';
import type { EntryKind, LogPosition } from '../../src/base/log-access.ts';
import { type Lsn, lsn } from '../../src/base/scalars.ts';
import { decodeGroup } from '../../src/codec/clog.ts';
import type { LogEntry } from '../../src/codec/entry-assembler.ts';
import { blockFileName, blockIdOf, positionInBlock } from '../../src/codec/block-header.ts';
import { EventLoop } from '../support/sim/event-loop.ts';
import { outsidePromises } from '../support/sim/settle.ts';
import { SimRandom } from '../support/sim/random.ts';
import type { MachineState } from './checksum-machine.ts';
import { invariants } from './invariants/all.ts';
import { type Facts, type Invariant, noFacts } from './invariants/invariant.ts';
import {
  blockBytes,
  type Life,
  logDirectory,
  LogSite,
  type OpenLogStream,
  type SiteWatcher,
} from './log-site.ts';
import { chaos, type Faults } from './log-faults.ts';
import { RoleScript } from './log-roles.ts';
import { machineHash, Truth } from './truth.ts';
import { chain } from '../../src/codec/checksum.ts';

/** Simulated milliseconds of chaos, and at most of healing. */
const chaosMs = 500;
const healMs = 8_000;
/** A pull without an answer for this long is tried again. */
const pullTimeoutMs = 60;
/** A run with more events than this goes in circles (V7). */
const stepsMax = 400_000;

export interface RunResult {
  readonly seed: number;
  readonly steps: number;
  /** of everything that happened: equal seeds give equal hashes */
  readonly hash: number;
  readonly acked: number;
  readonly switchovers: number;
  readonly failovers: number;
  readonly crashes: number;
  readonly rebuilds: number;
  readonly corruptions: number;
}

export class LogWorld implements SiteWatcher {
  readonly loop = new EventLoop();
  readonly random: SimRandom;
  readonly truth = new Truth();
  readonly sites: readonly [LogSite, LogSite];
  readonly faults: Faults;
  readonly roles: RoleScript;
  readonly counts = { acked: 0, switchovers: 0, failovers: 0, crashes: 0, rebuilds: 0, corruptions: 0 };
  primary: LogSite;
  standby: LogSite;
  isHealing = false;
  /** what happened since the invariants were looked at last */
  facts: Facts = noFacts();
  #hash = 0;
  #broken: unknown;
  #pullId = 0;
  #pullBusyUntil = 0;
  /** groups of each site that were seen durable, by the end of the last one */
  readonly #verified = new Map<LogSite, LogPosition>();
  readonly #invariants: readonly Invariant[];

  constructor(seed: number, open: OpenLogStream) {
    this.random = new SimRandom(seed);
    this.faults = chaos(this.random.fork());
    const random = this.random.fork();
    this.sites = [
      new LogSite('a', this.loop, random.fork(), open, this),
      new LogSite('b', this.loop, random.fork(), open, this),
    ];
    [this.primary, this.standby] = this.sites;
    this.roles = new RoleScript(this, this.random.fork());
    this.#invariants = invariants.map(make => make(this));
  }

  run(seed: number): Promise<RunResult> {
    return outsidePromises(() => this.#run(seed));
  }

  #run(seed: number): RunResult {
    this.primary.boot(undefined, 'APPEND');
    this.standby.boot(undefined, 'RAW_WRITE');
    this.#load(this.random.fork());
    this.#pull(this.random.fork());
    this.#checkpoints(this.random.fork());
    this.faults.begin(this);
    this.#until(() => this.loop.now >= chaosMs);
    this.isHealing = true;
    this.faults.end(this);
    this.#until(() => this.#isConverged() || this.loop.now >= chaosMs + healMs);
    for (const invariant of this.#invariants) invariant.atEnd?.();
    if (!this.#isConverged()) throw new Error(`the sites did not become equal: ${this.#describe()}`);
    return { seed, steps: this.loop.steps, hash: this.#hash, ...this.counts };
  }

  note(text: string): void {
    this.#hash = chain(this.#hash, Buffer.from(`${this.loop.now}|${text}`));
    if (process.env['OBSTANDBY_SIM_TRACE'] === '1') console.log(this.loop.now.toFixed(2), text);
  }

  // --- what sites tell ---

  opened(site: LogSite): void {
    const { log } = must(site.life, 'life');
    const { end } = log.state();
    this.note(`${site.name} opened at ${end.lsn}`);
    this.facts.opened.push(site);
    this.#verify(site, end);
    if (site !== this.primary || this.roles.isDetached(site)) return;
    // What its log did not keep never was; invariant L8 looks at what this takes away.
    this.facts.cuts.push(...this.truth.cut(end.lsn));
  }

  committed(site: LogSite, end: LogPosition): void {
    this.facts.commits.push({ site, end });
    this.note(`${site.name} committed ${end.lsn} ${end.checksum}`);
    this.#verify(site, end);
  }

  applying(site: LogSite, from: MachineState, entries: readonly LogEntry[]): MachineState {
    let state = from;
    for (const entry of entries) {
      const after = {
        lsn: entry.endLsn,
        scn: entry.scn,
        hash: machineHash(state.hash, entry.kind, entry.scn, entry.body),
        count: state.count + 1,
      };
      if (!this.roles.isDetached(site))
        this.facts.applied.push({
          site,
          entry,
          before: state,
          after,
          expected: this.truth.entries[state.count],
        });
      state = after;
    }
    return state;
  }

  refusedToOpen(site: LogSite, error: ObError): void {
    this.note(`${site.name} refused: ${error.code}`);
    if (!this.faults.mayBeDamaged(site)) return this.broke(error);
    this.counts.corruptions += 1;
    this.roles.rebuild(site);
  }

  failedToOpen(site: LogSite, error: unknown): void {
    this.note(`${site.name} could not open: ${String(error)}`);
    if (this.isHealing && !this.faults.mayFail(site)) this.broke(error);
    site.crash('process');
  }

  failed(site: LogSite, error: ObError): void {
    this.note(`${site.name} failed: ${error.code}`);
    if (error.kind === 'bug') this.broke(error.cause);
    else if (error.kind !== 'disk' || !this.faults.mayFail(site)) this.broke(error);
  }

  died(site: LogSite): void {
    this.counts.crashes += 1;
    this.note(`${site.name} died`);
    this.#verified.delete(site);
    if (site.isBeginning) this.roles.rebuild(site);
    else this.faults.restart(this, site);
  }

  broke(error: unknown): void {
    this.#broken ??= error;
  }

  /** Runs an operation of a site's present life; errors the simulation expects are answered with undefined. */
  async attempt<T>(operation: Promise<T>): Promise<T | undefined> {
    try {
      return await operation;
    } catch (error) {
      if (isObError(error) && error.kind !== 'bug' && error.kind !== 'corrupt')
        this.note(`refused ${error.code}`);
      else this.broke(error);
      return undefined;
    }
  }

  // --- load ---

  #load(random: SimRandom): void {
    const bodyBytesMax = random.pick([40, 400, 3_000]);
    const pauseMaxMs = random.pick([1, 4, 10]);
    const turn = () => {
      if (!this.isHealing) this.loop.after(random.between(0, pauseMaxMs * 10) / 10, turn);
      const { life } = this.primary;
      if (life === undefined || !this.roles.takesEntries(this.primary)) return;
      const burst = random.chance(1, 4) ? random.between(2, 16) : 1;
      for (let count = 0; count < burst; count++) this.#append(life, random, bodyBytesMax);
    };
    turn();
  }

  #append(life: Life, random: SimRandom, bodyBytesMax: number): void {
    const kind: EntryKind = random.chance(1, 10) ? 'keep-alive' : 'redo';
    const size = random.chance(1, 60) ? random.between(10_000, 30_000) : random.between(8, bodyBytesMax);
    const body = kind === 'keep-alive' ? new Uint8Array(0) : filled(this.truth.nextSerial, size);
    const half = body.length >> 1;
    try {
      const { endLsn, scn: entryScn } = life.log.append({
        kind,
        body: [body.subarray(0, half), body.subarray(half)],
      });
      const entry = this.truth.ordered(kind, endLsn, entryScn, body);
      const site = this.primary;
      life.log.committed(endLsn).then(
        () => {
          if (site.life !== life) return;
          entry.isAcked = true;
          this.counts.acked += 1;
          this.facts.acks.push({ site, entry });
        },
        (error: unknown) => {
          if (!isObError(error, 'OBS_LOG_OUTCOME_UNKNOWN')) this.broke(error);
        },
      );
    } catch (error) {
      if (!isObError(error) || error.kind === 'bug') this.broke(error);
    }
  }

  // --- the standby's pull ---

  #pull(random: SimRandom): void {
    this.loop.after(random.between(5, 40) / 10, () => this.#pull(random));
    const [from, to] = [this.primary.life, this.standby.life];
    if (from === undefined || to === undefined || this.sites.some(site => this.roles.isDetached(site)))
      return;
    this.#probe(random);
    if (to.log.state().accessMode !== 'RAW_WRITE' || this.faults.isCut) return;
    const source = this.primary;
    const target = this.standby;
    // One at a time; one that a crash left without an answer is given up.
    if (this.loop.now < this.#pullBusyUntil) return;
    this.#pullBusyUntil = this.loop.now + pullTimeoutMs;
    const id = ++this.#pullId;
    const tail = to.log.state().maxLsn;
    const isCurrent = () => source.life === from && target.life === to && id === this.#pullId;
    from.log.read(tail, random.between(1, 20_000)).then(
      chunk => {
        if (id === this.#pullId) this.#pullBusyUntil = 0;
        if (chunk.bytes.length === 0) return;
        this.loop.after(random.between(1, 10) / 10, () => {
          if (!isCurrent() || target !== this.standby) return;
          to.log.rawWrite(chunk).catch((error: unknown) => {
            if (isObError(error, 'OBS_STANDBY_DIVERGED') || isObError(error, 'OBS_LOG_CORRUPT'))
              this.broke(error);
            else if (!isObError(error) || error.kind === 'bug') this.broke(error);
          });
        });
      },
      (error: unknown) => {
        if (id === this.#pullId) this.#pullBusyUntil = 0;
        if (!isCurrent()) return;
        if (isObError(error, 'OBS_LOG_RECYCLED')) this.roles.rebuild(target);
        else if (isObError(error, 'OBS_LOG_CORRUPT')) this.refusedToOpen(source, error);
        else if (!isObError(error, 'OBS_LOG_BUSY')) this.broke(error);
      },
    );
  }

  /** What the wrong mode must refuse (M1). */
  #probe(random: SimRandom): void {
    const site = random.pick(this.sites);
    const { life } = site;
    if (life === undefined || !random.chance(1, 20)) return;
    const { accessMode } = life.log.state();
    if (accessMode === 'APPEND') return;
    let isTaken = true;
    try {
      life.log.append({ kind: 'redo', body: [Uint8Array.of(1, 2, 3)] });
    } catch (error) {
      if (!isObError(error) || error.kind === 'bug') this.broke(error);
      isTaken = false;
    }
    this.facts.probes.push({ site, accessMode, isTaken });
  }

  #checkpoints(random: SimRandom): void {
    this.loop.after(random.between(5, 60), () => this.#checkpoints(random));
    for (const site of this.sites) {
      if (this.roles.isDetached(site) || random.chance(1, 3)) continue;
      void this.attempt(site.checkpoint());
    }
  }

  // --- durability as the platter shows it ---

  /** Everything up to `end` must be on the platter, group by group; notes the boundaries. */
  #verify(site: LogSite, end: LogPosition): void {
    const life = site.life;
    const known = this.#verified.get(site);
    const begin = life?.log.state();
    let position = known ?? (begin === undefined ? undefined : this.#startOf(site, begin.end));
    if (position === undefined || position.lsn > end.lsn) {
      this.#verified.set(site, end);
      return;
    }
    while (position.lsn < end.lsn) {
      const path = `${logDirectory}/${blockFileName(blockIdOf(position.lsn, blockBytes))}`;
      const bytes = site.disk.durableBytes(path) ?? new Uint8Array(0);
      const group = decodeGroup(bytes, positionInBlock(position.lsn, blockBytes), position);
      if (group.kind === 'problem') {
        this.facts.commits.push({ site, end, missing: `${group.what} at LSN ${group.lsn}` });
        break;
      }
      position = group.end;
      this.facts.boundaries.push({ site, at: position });
    }
    this.#verified.set(site, position);
  }

  /** Where the check of a site's platter begins after a start: a boundary the history knows, else its end. */
  #startOf(site: LogSite, end: LogPosition): LogPosition {
    if (this.roles.isDetached(site)) return end;
    let best: LogPosition | undefined;
    const oldest = site.life?.log.state().beginLsn ?? end.lsn;
    for (const boundary of this.truth.boundaries.values())
      if (
        boundary.lsn >= oldest &&
        boundary.lsn <= end.lsn &&
        (best === undefined || boundary.lsn > best.lsn)
      )
        best = boundary;
    return best ?? end;
  }

  /** Whether the log up to an entry of a site would be there after a loss of power. */
  isOnPlatter(site: LogSite, endLsn: Lsn): boolean {
    const verified = this.#verified.get(site);
    return verified !== undefined && verified.lsn >= endLsn;
  }

  forgetPlatter(site: LogSite): void {
    this.#verified.delete(site);
  }

  // --- running ---

  #until(isDone: () => boolean): void {
    while (!isDone()) {
      if (!this.loop.turn()) throw new Error('the simulation ran out of events');
      for (const invariant of this.#invariants) invariant.afterEvent?.();
      this.facts = noFacts();
      if (this.#broken !== undefined) throw this.#broken;
      if (this.loop.steps > stepsMax) throw new Error(`V7: ${stepsMax} events without an end`);
    }
  }

  #isConverged(): boolean {
    const [a, b] = [this.primary.life, this.standby.life];
    if (a === undefined || b === undefined || !this.roles.isQuiet) return false;
    const [end, other] = [a.log.state(), b.log.state()];
    const last = this.truth.entries.at(-1);
    return (
      end.accessMode === 'APPEND' &&
      end.maxLsn === end.end.lsn &&
      other.end.lsn === end.end.lsn &&
      a.machine.count === this.truth.entries.length &&
      b.machine.count === a.machine.count &&
      a.machine.lsn === (last?.endLsn ?? lsn(0))
    );
  }

  #describe(): string {
    const of = (site: LogSite) => {
      const { life } = site;
      if (life === undefined) return `${site.name} is down`;
      const { end, maxLsn, accessMode } = life.log.state();
      return `${site.name} ${accessMode} ${end.lsn}/${maxLsn} machine ${life.machine.count}`;
    };
    return `${of(this.primary)}; ${of(this.standby)}; history ${this.truth.entries.length}; ${this.roles.describe()}`;
  }
}

/** A body nobody else has: its serial number, then bytes that are never 0. */
function filled(serial: number, size: number): Uint8Array {
  const body = new Uint8Array(size);
  for (let index = 0; index < size; index++) body[index] = 1 + ((serial * 31 + index * 7) % 255);
  body.set(Buffer.from(`#${serial}#`).subarray(0, size));
  return body;
}
