/**
 * One simulated site: a process with a disk, a real log stream and the checksum machine that follows its log. It may
 * die at any event and come back; what an earlier life of it had under way never completes.
 */
import { must } from '../../src/base/assert.ts';
import { isObError, type ObError } from '../../src/base/errors.ts';
import type { LogChunk, LogPosition } from '../../src/base/log-access.ts';
import { logStreamId } from '../../src/base/scalars.ts';
import { isProblem } from '../../src/codec/clog.ts';
import { EntryAssembler, type LogEntry } from '../../src/codec/entry-assembler.ts';
import type { LogStream } from '../../src/logstream/log-stream.ts';
import { codeOf, type Disk } from '../../src/platform/disk.ts';
import { simClock } from '../support/sim/clock.ts';
import { SimDisk } from '../support/sim/disk.ts';
import type { EventLoop } from '../support/sim/event-loop.ts';
import type { SimRandom } from '../support/sim/random.ts';
import {
  decodeMachine,
  emptyMachine,
  loadMachine,
  type MachineState,
  machineFile,
  type Snapshot,
  saveMachine,
} from './checksum-machine.ts';

export const logDirectory = 'log';
export const blockBytes = 16_384;

export type OpenLogStream = (typeof LogStream)['open'];

/** What a site tells the world, in the tick it happens. */
export interface SiteWatcher {
  opened(site: LogSite): void;
  committed(site: LogSite, end: LogPosition): void;
  /** the machine is about to apply these; `from` is the state before */
  applying(site: LogSite, from: MachineState, entries: readonly LogEntry[]): MachineState;
  /** its log stream ended its process */
  failed(site: LogSite, error: ObError): void;
  /** what a simulated process must never throw */
  broke(error: unknown): void;
  refusedToOpen(site: LogSite, error: ObError): void;
  /** its disk did not let it open */
  failedToOpen(site: LogSite, error: unknown): void;
  died(site: LogSite): void;
}

/** One process of a site. */
export interface Life {
  readonly disk: Disk;
  readonly log: LogStream;
  machine: MachineState;
  /** undefined until the machine has read from its own position */
  assembler: EntryAssembler | undefined;
  isApplying: boolean;
  /** tells a read that began before the machine was set back */
  restarts: number;
  checkpointing: Promise<void> | undefined;
  /** the machine stands still (its log is about to be cut) */
  isPaused: boolean;
}

export class LogSite {
  readonly name: string;
  readonly disk: SimDisk;
  readonly #loop: EventLoop;
  readonly #random: SimRandom;
  readonly #open: OpenLogStream;
  readonly #watcher: SiteWatcher;
  life: Life | undefined;
  isBooting = false;
  /** a snapshot is being written that the site begins with */
  isBeginning = false;
  #firstMode: 'APPEND' | 'RAW_WRITE' = 'RAW_WRITE';
  #incarnation = 0;
  #decoded: { readonly bytes: Uint8Array; readonly state: MachineState } | undefined;

  constructor(name: string, loop: EventLoop, random: SimRandom, open: OpenLogStream, watcher: SiteWatcher) {
    this.name = name;
    this.#loop = loop;
    this.#random = random.fork();
    this.disk = new SimDisk(loop, random.fork());
    this.#open = open;
    this.#watcher = watcher;
  }

  /** What its database would be if the power failed now. */
  get durableMachine(): MachineState {
    const bytes = this.disk.durableBytes(machineFile);
    if (bytes === undefined) return emptyMachine;
    if (this.#decoded?.bytes !== bytes) this.#decoded = { bytes, state: decodeMachine(bytes) };
    return this.#decoded.state;
  }

  /** Starts the process; a new site begins as `initial` says. */
  boot(initial?: Snapshot, accessMode: 'APPEND' | 'RAW_WRITE' = this.#firstMode): void {
    this.isBooting = true;
    this.isBeginning = initial !== undefined;
    this.#firstMode = accessMode;
    const incarnation = ++this.#incarnation;
    const disk = this.disk.attach();
    const open = async () => {
      if (initial !== undefined) await saveMachine(disk, initial.machine);
      const machine = await loadMachine(disk);
      const log = await this.#open({
        disk,
        clock: simClock(this.#loop, this.#random.between(-50_000, 50_000)),
        directory: logDirectory,
        stream: logStreamId(1001),
        incarnation: 'simulated',
        limits: { blockBytes, diskBytesMax: 8 * blockBytes },
        ...(initial === undefined
          ? {}
          : {
              initialPosition: initial.position,
              initialCheckpointLsn: initial.machine.lsn,
              initialHistory: initial.history,
            }),
        initialAccessMode: accessMode,
        onFatal: error => {
          if (incarnation !== this.#incarnation) return;
          this.#watcher.failed(this, error);
          this.crash('process');
        },
      });
      // A crash may have come between a checkpoint and telling the log of it.
      if (machine.lsn <= log.state().end.lsn) await log.advanceBase(machine.lsn);
      return { machine, log };
    };
    open().then(
      ({ machine, log }) => {
        if (incarnation !== this.#incarnation) return;
        this.isBooting = false;
        this.isBeginning = false;
        this.#firstMode = 'RAW_WRITE';
        this.life = {
          disk,
          log,
          machine,
          assembler: undefined,
          isApplying: false,
          restarts: 0,
          checkpointing: undefined,
          isPaused: false,
        };
        log.onCommitted(end => {
          this.#watcher.committed(this, end);
          this.apply();
        });
        this.#watcher.opened(this);
        this.restartMachine(machine);
      },
      (error: unknown) => {
        if (incarnation !== this.#incarnation) return;
        this.isBooting = false;
        const isDisk = isObError(error) ? error.kind === 'disk' : codeOf(error) !== undefined;
        if (isDisk) this.#watcher.failedToOpen(this, error);
        else if (isObError(error) && error.kind !== 'bug') this.#watcher.refusedToOpen(this, error);
        else this.#watcher.broke(error);
      },
    );
  }

  crash(kind: 'process' | 'power'): void {
    this.#incarnation += 1;
    this.isBooting = false;
    this.life = undefined;
    this.disk.crash(kind);
    this.#watcher.died(this);
  }

  /** The machine goes on from a state it has on disk. */
  restartMachine(machine: MachineState): void {
    const life = must(this.life, 'life');
    life.machine = machine;
    life.isPaused = false;
    life.isApplying = false;
    life.assembler = undefined;
    life.restarts += 1;
    this.apply();
  }

  apply(): void {
    const { life } = this;
    if (life === undefined || life.isApplying || life.isPaused) return;
    this.#follow(life);
  }

  /** Applies committed log until the end, first from the machine's own position, which a new site's log may not have reached. */
  #follow(life: Life): void {
    const { log, assembler } = life;
    const from = assembler?.position.lsn ?? life.machine.lsn;
    if (from >= log.state().end.lsn) return;
    life.isApplying = true;
    const { restarts } = life;
    const isCurrent = () => this.life === life && !life.isPaused && life.restarts === restarts;
    log.read(from, this.#random.between(1, 8_000)).then(
      chunk => {
        if (!isCurrent()) return;
        life.isApplying = false;
        life.assembler = assembler ?? new EntryAssembler(chunk.start, life.machine.lsn);
        try {
          this.#applyChunk(life, life.assembler, chunk);
        } catch (error) {
          this.#watcher.broke(error);
        }
        if (this.life === life) this.apply();
      },
      (error: unknown) => {
        if (!isCurrent()) return;
        if (isObError(error, 'OBS_LOG_CORRUPT')) this.#watcher.refusedToOpen(this, error);
        else this.#watcher.broke(error);
      },
    );
  }

  #applyChunk(life: Life, assembler: EntryAssembler, chunk: LogChunk): void {
    const entries = assembler.push(chunk.bytes);
    if (isProblem(entries)) throw new Error(`${this.name} cannot read its own log: ${entries.what}`);
    life.machine = this.#watcher.applying(this, life.machine, entries);
  }

  /** Makes the machine durable and tells the log. One at a time. */
  async checkpoint(): Promise<void> {
    const { life } = this;
    if (life === undefined || life.isPaused || life.checkpointing !== undefined) return;
    const { machine } = life;
    const run = async () => {
      await saveMachine(life.disk, machine);
      await life.log.advanceBase(machine.lsn);
    };
    life.checkpointing = run();
    try {
      await life.checkpointing;
    } catch (error) {
      // The machine's own file met the fault: it tries again later.
      if (isObError(error) || codeOf(error) === undefined) throw error;
    } finally {
      life.checkpointing = undefined;
    }
  }

  /** The machine stands still, and nothing of it is under way. */
  async quiesce(): Promise<void> {
    const life = must(this.life, 'life');
    life.isPaused = true;
    await life.checkpointing?.catch(() => {});
  }

  /** A copy for a new site to begin from. */
  async snapshot(): Promise<Snapshot | undefined> {
    const life = this.life;
    const machine = this.durableMachine;
    if (life === undefined) return undefined;
    // A new site's own log may not have reached its machine yet.
    if (machine.lsn > life.log.state().end.lsn) return undefined;
    const { start } = await life.log.read(machine.lsn, 1);
    return { machine, position: start, history: life.log.state().proposalHistory };
  }
}
