/** The faults of a run, drawn from its seed: which there are, how often, and what they may lead to. */
import type { SimRandom } from '../support/sim/random.ts';
import { logDirectory, type LogSite } from './log-site.ts';
import type { LogWorld } from './log-world.ts';

export class Faults {
  readonly #random: SimRandom;
  readonly #crashEveryMs: number;
  readonly #hasPowerLoss: boolean;
  readonly #hasFullDisk: boolean;
  readonly #hasFailingDisk: boolean;
  readonly #hasStalls: boolean;
  readonly #hasRot: boolean;
  readonly #hasCuts: boolean;
  readonly #hasQuickCrashes: boolean;
  readonly #damaged = new Set<LogSite>();
  readonly #failing = new Set<LogSite>();
  #isOver = false;
  /** the sites do not reach each other */
  isCut = false;

  constructor(random: SimRandom) {
    this.#random = random;
    this.#crashEveryMs = random.pick([20, 60, 200, 10_000]);
    this.#hasPowerLoss = random.chance(2, 3);
    this.#hasFullDisk = random.chance(1, 4);
    this.#hasFailingDisk = random.chance(1, 4);
    this.#hasStalls = random.chance(1, 3);
    this.#hasRot = random.chance(1, 3);
    this.#hasCuts = random.chance(1, 2);
    this.#hasQuickCrashes = random.chance(1, 2);
  }

  begin(world: LogWorld): void {
    for (const site of world.sites) {
      site.disk.latency = this.#random.pick([
        [0.01, 0.05],
        [0.05, 0.5],
        [0.2, 4],
      ]);
      this.#crashes(world, site);
    }
    this.#others(world);
  }

  /** No fault from here on; what is down comes back. */
  end(world: LogWorld): void {
    this.#isOver = true;
    this.isCut = false;
    for (const site of world.sites) {
      site.disk.isFull = false;
      site.disk.isFailing = false;
      site.disk.trap = undefined;
      site.disk.stalledUntil = 0;
    }
  }

  /** A process that died is started again. */
  restart(world: LogWorld, site: LogSite): void {
    world.loop.after(this.#random.between(1, 40), () => {
      if (site.life !== undefined || site.isBooting || world.roles.isBeingRebuilt(site)) return;
      // A disk that failed is well again; the page cache is as it was.
      site.disk.isFailing = false;
      site.boot();
      this.crashSoon(world, site);
    });
  }

  /** Perhaps the process dies in the middle of one of the next writes: of a start, a cut, a change of mode. */
  crashSoon(world: LogWorld, site: LogSite): void {
    if (!this.#hasQuickCrashes || this.#isOver || !this.#random.chance(1, 3)) return;
    const spring = () => {
      if (!this.#isOver && (site.life !== undefined || site.isBooting) && !world.roles.isBeingRebuilt(site))
        this.crash(world, site);
    };
    site.disk.trap = { writes: this.#random.between(1, 6), spring };
  }

  /** Whether damage to a site's files was done by this simulation. */
  mayBeDamaged(site: LogSite): boolean {
    return this.#damaged.has(site);
  }

  mayFail(site: LogSite): boolean {
    return this.#failing.has(site);
  }

  wasRebuilt(site: LogSite): void {
    this.#damaged.delete(site);
  }

  crash(world: LogWorld, site: LogSite): void {
    const kind = this.#hasPowerLoss && this.#random.chance(1, 2) ? 'power' : 'process';
    world.note(`${site.name} crash ${kind}`);
    site.crash(kind);
  }

  #crashes(world: LogWorld, site: LogSite): void {
    world.loop.after(this.#random.between(1, this.#crashEveryMs * 2), () => {
      if (this.#isOver) return;
      this.#crashes(world, site);
      if (site.life === undefined && !site.isBooting) return;
      if (world.roles.isBeingRebuilt(site)) return;
      this.crash(world, site);
      if (
        this.#hasRot &&
        this.#damaged.size === 0 &&
        world.roles.isQuiet &&
        site === world.standby &&
        this.#random.chance(1, 2)
      )
        this.#rot(world, site);
    });
  }

  #others(world: LogWorld): void {
    world.loop.after(this.#random.between(5, 60), () => {
      if (this.#isOver) return;
      this.#others(world);
      const site = this.#random.pick(world.sites);
      const { disk } = site;
      if (this.#hasFullDisk) disk.isFull = this.#random.chance(1, 2);
      if (this.#hasStalls && this.#random.chance(1, 3))
        disk.stalledUntil = world.loop.now + this.#random.between(5, 80);
      if (this.#hasFailingDisk && this.#random.chance(1, 6) && (site.life !== undefined || site.isBooting)) {
        this.#failing.add(site);
        disk.isFailing = true;
        disk.keepsFailed = this.#random.chance(3, 4);
      }
      if (this.#hasCuts) this.isCut = this.#random.chance(1, 3);
    });
  }

  /** One bit of one log file of a site that is down. */
  #rot(world: LogWorld, site: LogSite): void {
    const files = site.disk.paths().filter(path => path.startsWith(logDirectory));
    if (files.length === 0) return;
    const path = this.#random.pick(files);
    const bits = (site.disk.cachedBytes(path)?.length ?? 0) * 8;
    if (bits === 0) return;
    const bit = this.#random.between(0, bits - 1);
    site.disk.flipBit(path, bit);
    this.#damaged.add(site);
    world.note(`${site.name} rot ${path} ${bit}`);
  }
}

export const chaos = (random: SimRandom): Faults => new Faults(random);
