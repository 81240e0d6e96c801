/**
 * The faults of machines, drawn from the seed: crashes (also between two effects of one step, or in the middle of a
 * write), pauses, long absences, lost volumes, disks that stall, fill up, fail or rot, wall clocks that jump. It never does what no
 * protocol survives: a majority of the members keeps its data, and one good copy of everything committed remains.
 */
import { blockFileName, blockIdOf, positionInBlock } from '../../../src/codec/block-header.ts';
import { isGroupSafe } from './atlas.ts';
import type { GroupNode } from './node.ts';
import { logDirectory } from './platter.ts';
import type { SimRandom } from '../../support/sim/random.ts';
import type { Upheaval } from './swarm.ts';
import type { GroupWorld } from './world.ts';

/** Where half of all rot is. */
const tailBytes = 400;

export class MachineFaults {
  readonly #world: GroupWorld;
  readonly #processes: SimRandom;
  readonly #disks: SimRandom;
  readonly #clocks: SimRandom;
  isOver = false;

  constructor(world: GroupWorld, random: SimRandom) {
    this.#world = world;
    this.#processes = random.fork();
    this.#disks = random.fork();
    this.#clocks = random.fork();
  }

  begin(): void {
    const { options } = this.#world;
    const { process, disk, clock, upheaval } = options;
    const nodes = this.#world.nodes.length;
    this.#every(this.#processes, process.crashEveryMs / nodes, () => this.#crash());
    this.#every(this.#processes, process.pauseEveryMs / nodes, () => this.#pause());
    if (upheaval !== null) this.#every(this.#processes, upheaval.awayEveryMs, () => this.#leave(upheaval));
    if (process.hasWipe) this.#every(this.#processes, options.chaosMs / 2, () => this.#wipe());
    if (disk.hasFull || disk.hasFailing || disk.hasStalls)
      this.#every(this.#disks, options.leaseMs * 2, () => this.#hurtDisk());
    if (disk.hasRot) this.#every(this.#disks, options.chaosMs / 3, () => this.#rot());
    if (clock.hasWallJumps) this.#every(this.#clocks, options.leaseMs * 4, () => this.#jump());
  }

  /** No fault from here on. */
  end(): void {
    this.isOver = true;
    for (const node of this.#world.nodes) {
      node.disk.isFull = false;
      node.disk.isFailing = false;
      node.disk.trap = undefined;
      node.disk.stalledUntil = 0;
      node.effectsUntilCrash = 0;
      node.time.resume();
    }
  }

  /** The process of a node ended: it is started again. */
  restart(node: GroupNode): void {
    if (node.isGone) return;
    const { restartMsMax } = this.#world.options.process;
    const isBack = node.awayUntil > this.#world.loop.now;
    const delay = this.isOver
      ? 1
      : Math.max(this.#processes.between(1, restartMsMax), node.awayUntil - this.#world.loop.now);
    this.#world.loop.after(delay, () => {
      if (node.isUp || node.isGone) return;
      // A disk that failed is well again; the page cache is as it was.
      node.disk.isFailing = false;
      node.boot();
      if (this.isOver) return;
      this.#crashSoon(node);
      if (isBack) this.#disturb(node);
    });
  }

  /** Perhaps the process dies in the middle of one of its next writes, or between two of its next effects. */
  #crashSoon(node: GroupNode): void {
    if (!this.#world.options.process.hasPreciseCrashes || !this.#processes.chance(1, 3)) return;
    this.#arm(node);
  }

  #arm(node: GroupNode): void {
    if (this.#processes.chance(1, 2)) {
      const spring = () => {
        if (!this.isOver && node.isUp) this.#kill(node, 'in a write');
      };
      node.disk.trap = { writes: this.#processes.between(1, 12), spring };
    } else node.effectsUntilCrash = this.#processes.between(1, 40);
  }

  /** Ends the process of a node, with or without the power. */
  #kill(node: GroupNode, why: string): void {
    const kind =
      this.#world.options.process.hasPowerLoss && this.#processes.chance(1, 2) ? 'power' : 'process';
    this.#world.note(`${node.id} crash ${kind} ${why}`);
    node.crash(kind);
  }

  crashBetweenEffects(node: GroupNode): void {
    this.#kill(node, 'between effects');
  }

  #crash(): void {
    const up = this.#world.nodes.filter(node => node.isUp);
    if (up.length === 0) return;
    // The leader is where it hurts.
    const leader = this.#world.leader();
    const node = leader !== undefined && this.#processes.chance(1, 3) ? leader : this.#processes.pick(up);
    if (this.#world.options.process.hasPreciseCrashes && this.#processes.chance(1, 2)) this.#arm(node);
    else this.#kill(node, 'at rest');
    // Sometimes everything goes down at once.
    if (this.#processes.chance(1, 12))
      for (const other of this.#world.nodes) if (other.isUp) this.#kill(other, 'with the rest');
  }

  /** A member goes for long; the others stay a majority, if nothing else happens to them. */
  #leave({ awayMsMax }: Upheaval): void {
    const { nodes, loop } = this.#world;
    const away = nodes.filter(({ awayUntil }) => awayUntil > loop.now).length;
    if ((away + 1) * 2 >= this.#world.options.members) return;
    const leader = this.#world.leader();
    const stays = this.#processes.chance(1, 4) ? undefined : leader;
    const up = nodes.filter(node => node.isUp && node !== stays);
    if (up.length === 0) return;
    const node = this.#processes.pick(up);
    node.awayUntil = loop.now + this.#processes.between(1, awayMsMax);
    this.#kill(node, `until ${node.awayUntil}`);
  }

  /** One that was away for long is back: sometimes whoever would tell it what it missed goes at that moment. */
  #disturb(node: GroupNode): void {
    const leader = this.#world.leader();
    if (leader === undefined || leader === node || this.#processes.chance(1, 2)) return;
    this.#world.loop.after(this.#processes.between(0, this.#world.options.leaseMs), () => {
      if (!this.isOver && leader.isUp) this.#kill(leader, 'as another comes back');
    });
  }

  /** The log of a node is about to be cut by a flashback. */
  cutBegins(node: GroupNode): void {
    const { upheaval, leaseMs, renewMs } = this.#world.options;
    if (this.isOver || upheaval?.hasSlowCuts !== true || this.#disks.chance(1, 2)) return;
    const ms = this.#disks.pick([renewMs * 1.5, leaseMs / 2, leaseMs * 0.8]);
    this.#world.note(`${node.id} disk is slow to cut, ${ms}`);
    node.disk.stalledUntil = Math.max(node.disk.stalledUntil, this.#world.loop.now + ms);
  }

  #pause(): void {
    const { leaseMs } = this.#world.options;
    const node = this.#processes.pick(this.#world.nodes);
    if (!node.isUp || node.time.isPaused) return;
    const ms = this.#processes.pick([leaseMs / 4, leaseMs, leaseMs * 3]);
    this.#world.note(`${node.id} pauses for ${ms}`);
    node.time.pauseFor(ms);
  }

  /** A volume is lost with everything on it. Its machine comes back with an empty one, as another node. */
  #wipe(): void {
    const node = this.#processes.pick(this.#world.nodes);
    if (node.isGone || !isGroupSafe(this.#world, node)) return;
    this.#world.note(`${node.id} loses its volume`);
    this.#world.counts.wipes += 1;
    node.isGone = true;
    if (node.isUp) node.crash('process');
    node.disk.wipe();
    this.#world.net.detach(node.id);
    this.#world.addNode(node.priority);
  }

  #hurtDisk(): void {
    const { disk: options, leaseMs } = this.#world.options;
    const node = this.#disks.pick(this.#world.nodes);
    const { disk } = node;
    if (node.isGone) return;
    const what = this.#disks.pick(['full', 'stall', 'stall', 'fail']);
    if (what === 'full' && options.hasFull) {
      disk.isFull = !disk.isFull;
      this.#world.note(`${node.id} disk ${disk.isFull ? 'is full' : 'has room'}`);
    }
    if (what === 'stall' && options.hasStalls) {
      const ms = this.#disks.pick([leaseMs / 8, leaseMs / 2, leaseMs * 1.5, leaseMs * 4]);
      this.#world.note(`${node.id} disk stalls for ${ms}`);
      disk.stalledUntil = Math.max(disk.stalledUntil, this.#world.loop.now + ms);
    }
    // Rot that is mended as the disk fails may be mended in the page cache alone, and comes back with the next loss of power: found and
    // mended then, as any rot, but until then its platter has less than it says.
    if (what === 'fail' && options.hasFailing && node.isUp && !node.isRotten) {
      this.#world.note(`${node.id} disk fails`);
      node.hasFailed = true;
      disk.isFailing = true;
      disk.keepsFailed = this.#disks.chance(3, 4);
    }
  }

  /** One bit of one log file of a node, which dies of it or not: at most one node is damaged at a time. */
  #rot(): void {
    const node = this.#disks.pick(this.#world.nodes);
    if (node.isGone || !isGroupSafe(this.#world, node)) return;
    const files = node.disk.paths().filter(path => path.startsWith(`${logDirectory}/`));
    if (files.length === 0) return;
    // Log that others may not have yet is at its end.
    const isTail = this.#disks.chance(1, 2);
    const path = isTail ? this.#lastBlock(node) : this.#disks.pick(files);
    const bytes = node.disk.cachedBytes(path)?.length ?? 0;
    if (bytes === 0) return;
    const end = isTail ? positionInBlock(node.platter.end().lsn, this.#world.options.blockBytes) : bytes;
    const from = isTail ? Math.max(0, end - tailBytes) : 0;
    const bit = this.#disks.between(from * 8, Math.min(end, bytes) * 8 - 1);
    // There are two copies of what cannot be fetched from others: both on one disk are a volume that is lost.
    if (node.isRotten && path === `${logDirectory}/meta`) return;
    this.#world.note(`${node.id} rot ${path} bit ${bit}`);
    this.#world.counts.rots += 1;
    node.isRotten = true;
    node.disk.flipBit(path, bit);
    // Rot is found when a file is read. One that just starts may have read it whole, while its platter is looked at again: it dies.
    const dies = node.isUp && this.#disks.chance(2, 3);
    if (dies || node.isBooting) this.#kill(node, 'after rot');
  }

  #lastBlock({ platter }: GroupNode): string {
    const { blockBytes } = this.#world.options;
    return `${logDirectory}/${blockFileName(blockIdOf(platter.end().lsn, blockBytes))}`;
  }

  #jump(): void {
    const node = this.#clocks.pick(this.#world.nodes);
    const micros = this.#clocks.pick([3_600_000_000, -3_600_000_000, 5_000_000, -5_000_000, 300_000]);
    node.clockFaults.skewMicros = Math.max(0, node.clockFaults.skewMicros + micros);
    this.#world.note(`${node.id} wall clock jumps by ${micros}`);
  }

  #every(random: SimRandom, ms: number, run: () => void): void {
    if (!(ms >= 1)) return;
    this.#world.loop.after(random.between(1, Math.floor(ms * 2)), () => {
      if (this.isOver) return;
      run();
      this.#every(random, ms, run);
    });
  }
}
