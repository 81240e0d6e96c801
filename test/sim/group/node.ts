/**
 * One simulated node: a machine with clocks that may be wrong, a disk, a port of the network, and while it is up a
 * process with a real log stream and the checksum machine that follows its committed log. It may die at any event and
 * come back; what an earlier life of it had under way never completes.
 */
import { isObError, type ObError } from '../../../src/base/errors.ts';
import type { LogChunk, LogPosition } from '../../../src/base/log-access.ts';
import { type Lsn, logStreamId, lsn, type MonoMs, type NodeId, tenantId } from '../../../src/base/scalars.ts';
import { isProblem } from '../../../src/codec/clog.ts';
import { EntryAssembler, type LogEntry } from '../../../src/codec/entry-assembler.ts';
import type { PalfView } from '../../../src/palf/view.ts';
import type { StreamKey } from '../../../src/logstream/member-net.ts';
import type { LogStream } from '../../../src/logstream/log-stream.ts';
import { codeOf, type Disk } from '../../../src/platform/disk.ts';
import type { Clock } from '../../../src/platform/clock.ts';
import { type ClockFaults, driftingClock } from '../../support/sim/clock.ts';
import { SimDisk } from '../../support/sim/disk.ts';
import type { EventLoop, SimTime } from '../../support/sim/event-loop.ts';
import type { SimMemberNet } from '../../support/sim/member-net.ts';
import { ProcessTime } from '../../support/sim/process-time.ts';
import type { SimRandom } from '../../support/sim/random.ts';
import {
  decodeImages,
  imageAt,
  loadImages,
  Machine,
  type MachineImage,
  type MachineImages,
  type MachineSnapshot,
  machineFile,
  saveImages,
} from './machine.ts';
import { logDirectory, logStart, Platter } from './platter.ts';
import { shortLeaseMs, type SwarmOptions } from './swarm.ts';

export const streamKey: StreamKey = { tenantId: tenantId(1002), stream: logStreamId(1001) };

export type OpenLogStream = (typeof LogStream)['open'];

/** What a node tells the world, in the tick it happens. */
export interface NodeWatcher {
  opened(node: GroupNode): void;
  committed(node: GroupNode, end: LogPosition): void;
  applied(node: GroupNode, entry: LogEntry, machine: Machine, serial: number | undefined): void;
  /** its log did not give what the machine needs */
  cannotRead(node: GroupNode, error: unknown): void;
  /** the log it needs is nowhere any more: it wants a copy of `peer`'s machine */
  rebuildWanted(node: GroupNode, peer: NodeId): void;
  /** its log stream ended its process */
  failed(node: GroupNode, error: ObError): void;
  /** its log did not open */
  refusedToOpen(node: GroupNode, error: unknown): void;
  /** what a simulated process must never throw */
  broke(error: unknown): void;
  died(node: GroupNode): void;
}

/** One process of a node. */
export interface Life {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly log: LogStream;
  machine: Machine;
  /** the durable state that the log knows of */
  told: MachineImage | undefined;
  /** undefined until the machine has read from its own position */
  assembler: EntryAssembler | undefined;
  isApplying: boolean;
  /** counts the times the machine was set back */
  restarts: number;
  isCheckpointing: boolean;
  /** a copy of another node's machine is on its way */
  isRebuilding: boolean;
  /** those who wait for the machine to reach an LSN */
  waiters: { readonly lsn: Lsn; readonly run: () => void }[];
}

/** How a node's replica begins: as one of the first members, or with nothing, to be added as a learner. */
export type Birth =
  | { readonly kind: 'members'; readonly members: readonly NodeId[]; readonly arbiter: NodeId | null }
  | { readonly kind: 'learner' };

export class GroupNode {
  readonly id: NodeId;
  readonly disk: SimDisk;
  readonly time: ProcessTime;
  readonly platter: Platter;
  readonly clockFaults: ClockFaults;
  readonly birth: Birth;
  priority: number;
  life: Life | undefined;
  isBooting = false;
  /** its volume is lost: it never comes back under this id */
  isGone = false;
  /** one of its files has a flipped bit that nobody mended yet */
  isRotten = false;
  /** it is not started before */
  awayUntil = 0;
  /** its disk fails writes: the process may end for it */
  hasFailed = false;
  /** monotonic time of the present process; undefined while there is none */
  clock: Clock | undefined;
  /** what the core of the present process shows */
  view: PalfView | undefined;
  /** boundaries of its platter that were seen committed */
  verified = 0;
  isCutting = false;
  /** effects of its core that are carried out before it dies; 0: it is not to die of that */
  effectsUntilCrash = 0;
  readonly #random: SimRandom;
  readonly #net: SimMemberNet;
  readonly #options: SwarmOptions;
  readonly #open: OpenLogStream;
  readonly #watcher: NodeWatcher;
  #incarnation = 0;
  #startedAt = 0;
  #closePort: (() => void) | undefined;
  #decoded: { readonly version: number; readonly images: MachineImages } | undefined;

  constructor(
    parts: {
      readonly id: NodeId;
      readonly birth: Birth;
      readonly priority: number;
      readonly clock: ClockFaults;
      readonly loop: EventLoop;
      readonly random: SimRandom;
      readonly net: SimMemberNet;
      readonly options: SwarmOptions;
      readonly open: OpenLogStream;
    },
    watcher: NodeWatcher,
  ) {
    this.id = parts.id;
    this.birth = parts.birth;
    this.priority = parts.priority;
    this.clockFaults = parts.clock;
    this.#random = parts.random;
    this.#net = parts.net;
    this.#options = parts.options;
    this.#open = parts.open;
    this.#watcher = watcher;
    this.time = new ProcessTime(parts.loop);
    this.disk = new SimDisk(this.time, parts.random.fork());
    this.platter = new Platter(this.disk, parts.options.blockBytes);
  }

  get isUp(): boolean {
    return this.life !== undefined || this.isBooting;
  }

  /** oldest byte of the log on its disk */
  get begin(): Lsn {
    return this.life?.log.state().beginLsn ?? lsn(0);
  }

  /** When its monotonic clock shows `at`, in simulated time. */
  simulatedTimeOf(at: MonoMs): number {
    return this.#startedAt + at / this.clockFaults.rate;
  }

  /** Tells what the present process does from what earlier ones did. */
  get incarnation(): number {
    return this.#incarnation;
  }

  /** Starts the process. */
  boot(): void {
    this.isBooting = true;
    this.time.resume();
    const incarnation = ++this.#incarnation;
    const isCurrent = () => incarnation === this.#incarnation;
    const disk = this.disk.attach();
    const clock = driftingClock(this.#timeOf(isCurrent), this.clockFaults);
    const port = this.#net.attach(this.id, this.time);
    this.clock = clock;
    this.#startedAt = this.time.now;
    this.view = undefined;
    this.isCutting = false;
    this.#closePort = port.close;
    this.platter.restart(this.platter.meta()?.base ?? logStart);
    this.verified = 0;
    const { leaseMs, hasShortLeases, renewMs, blockBytes, buggify, arbitration } = this.#options;
    const isShort = hasShortLeases && this.#random.chance(1, 2);
    const open = async () => {
      const log = await this.#open({
        disk,
        clock,
        directory: logDirectory,
        stream: streamKey.stream,
        incarnation: 'simulated',
        limits: { blockBytes, diskBytesMax: buggify.diskBlocks * blockBytes },
        self: this.id,
        key: streamKey,
        net: port.net,
        initialConfig:
          this.birth.kind === 'members'
            ? { members: this.birth.members, learners: [], arbiter: this.birth.arbiter }
            : { members: [], learners: [this.id] },
        timing: {
          leaseMs: isShort ? shortLeaseMs(this.#options) : leaseMs,
          renewMs,
          canvassMs: leaseMs / 30,
          ...(arbitration === null
            ? {}
            : { arbitrationTimeoutMs: arbitration.timeoutMs, degradationPolicy: arbitration.policy }),
        },
        priority: this.priority,
        onRole: () => {},
        onRebuild: ({ peer }) => {
          if (isCurrent()) this.#watcher.rebuildWanted(this, peer);
        },
        onFatal: error => {
          if (!isCurrent()) return;
          this.#watcher.failed(this, error);
          this.crash('process');
        },
      });
      const images = await loadImages(disk);
      const told = imageAt(images, this.view?.checkpointLsn ?? lsn(0));
      return { told, log };
    };
    open().then(
      ({ told, log }) => {
        if (!isCurrent()) return;
        this.isBooting = false;
        this.life = {
          disk,
          clock,
          log,
          machine: new Machine(told),
          told,
          assembler: undefined,
          isApplying: false,
          restarts: 0,
          isCheckpointing: false,
          isRebuilding: false,
          waiters: [],
        };
        log.onCommitted(end => {
          if (!isCurrent()) return;
          this.#watcher.committed(this, end);
          this.apply();
        });
        this.#watcher.opened(this);
        this.apply();
      },
      (error: unknown) => {
        if (!isCurrent()) return;
        this.isBooting = false;
        this.#watcher.refusedToOpen(this, error);
        this.crash('process');
      },
    );
  }

  /** Time for one process: nothing of it runs once it is dead. */
  #timeOf(isAlive: () => boolean): SimTime {
    const { time } = this;
    return {
      get now() {
        return time.now;
      },
      after: (delayMs, run) =>
        time.after(delayMs, () => {
          if (isAlive()) run();
        }),
    };
  }

  crash(kind: 'process' | 'power'): void {
    this.#incarnation += 1;
    this.isBooting = false;
    this.life = undefined;
    this.clock = undefined;
    this.view = undefined;
    this.effectsUntilCrash = 0;
    this.#closePort?.();
    this.disk.crash(kind);
    this.#watcher.died(this);
  }

  // --- the machine ---

  /** What its database would have if the power failed now. */
  get durableImages(): MachineImages {
    const file = this.disk.durableFile(machineFile);
    if (file === undefined) return [];
    if (this.#decoded?.version !== file.version)
      this.#decoded = { version: file.version, images: decodeImages(file.bytes) };
    return this.#decoded.images;
  }

  /** How far the machine has come in the log, in bytes. */
  get appliedLsn(): Lsn {
    const { life } = this;
    return life?.assembler?.position.lsn ?? life?.machine.lsn ?? lsn(0);
  }

  /** The machine begins again from what is durable: its log is cut below what it has applied. */
  setMachineBack(to: Lsn): void {
    // One that the log was not told of may be of a history that an earlier flashback cut off.
    const known = lsn(Math.min(to, this.view?.checkpointLsn ?? 0));
    this.setMachine(new Machine(imageAt(this.durableImages, known)));
  }

  /** Another machine in its place. */
  setMachine(machine: Machine): void {
    const { life } = this;
    if (life === undefined) return;
    life.machine = machine;
    life.assembler = undefined;
    life.isApplying = false;
    life.restarts += 1;
  }

  /** Runs `run` once the machine has everything that is committed now. */
  whenApplied(life: Life, run: () => void): void {
    const at = life.log.state().end.lsn;
    if (this.appliedLsn >= at) run();
    else life.waiters.push({ lsn: at, run });
  }

  /** Applies committed log until its end, first from the machine's own position, which the log may not have reached. */
  apply(): void {
    const { life } = this;
    if (life === undefined || life.isApplying || life.isRebuilding || this.isCutting) return;
    const from = this.appliedLsn;
    if (from >= life.log.state().end.lsn) return;
    life.isApplying = true;
    const { restarts } = life;
    const isCurrent = () => this.life === life && life.restarts === restarts;
    const { buggify, leaseMs } = this.#options;
    if (!buggify.slowApply || this.#random.chance(1, 2)) return this.#applyFrom(life, from, isCurrent);
    this.time.after(this.#random.between(1, leaseMs / 8), () => {
      if (isCurrent()) this.#applyFrom(life, from, isCurrent);
    });
  }

  #applyFrom(life: Life, from: Lsn, isCurrent: () => boolean): void {
    life.log.read(from, this.#random.between(1, 16_000)).then(
      chunk => {
        if (!isCurrent()) return;
        life.isApplying = false;
        try {
          this.#applyChunk(life, chunk);
        } catch (error) {
          this.#watcher.broke(error);
          return;
        }
        if (isCurrent()) this.apply();
      },
      (error: unknown) => {
        if (!isCurrent()) return;
        life.isApplying = false;
        this.#watcher.cannotRead(this, error);
      },
    );
  }

  #applyChunk(life: Life, chunk: LogChunk): void {
    life.assembler ??= new EntryAssembler(chunk.start, life.machine.lsn);
    const entries = life.assembler.push(chunk.bytes);
    if (isProblem(entries)) throw new Error(`${this.id} cannot read its own log: ${entries.what}`);
    for (const entry of entries) {
      const write = life.machine.apply(entry);
      this.#watcher.applied(this, entry, life.machine, write?.serial);
    }
    const reached = life.assembler.position.lsn;
    const ready = life.waiters.filter(waiter => waiter.lsn <= reached);
    if (ready.length === 0) return;
    life.waiters = life.waiters.filter(waiter => waiter.lsn > reached);
    for (const { run } of ready) run();
  }

  /** Makes the machine durable and tells the log. One at a time. */
  async checkpoint(): Promise<void> {
    const { life } = this;
    if (life === undefined || life.isCheckpointing) return;
    // A database behind what it has stored already is one that was set back.
    const image = life.machine.image();
    const { restarts } = life;
    if (image.lsn > life.log.state().end.lsn) return;
    life.isCheckpointing = true;
    try {
      await saveImages(life.disk, [life.told ?? new Machine().image(), image]);
      if (this.life !== life || life.restarts !== restarts) return;
      await life.log.advanceBase(image.lsn);
      life.told = image;
    } catch (error) {
      // The machine's own file met the fault: it tries again later.
      if (isObError(error) || codeOf(error) === undefined) throw error;
    } finally {
      life.isCheckpointing = false;
    }
  }

  /** A copy for another replica to begin from. */
  async snapshot(): Promise<MachineSnapshot | undefined> {
    const { life } = this;
    if (life === undefined) return undefined;
    const machine = life.machine.image();
    if (machine.lsn > life.log.state().end.lsn) return undefined;
    const { start } = await life.log.read(machine.lsn, 1);
    return { machine, position: start, history: life.log.state().proposalHistory };
  }
}
