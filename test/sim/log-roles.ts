/**
 * Role changes of the simulated tenant, as the role manager does them on the log: switchover (seal, catch up, open), failover
 * (cut, open), the return of an old primary (cut to the common history, follow), rebuilds from a snapshot. Each is a
 * list of steps looked at again and again, so that a crash in the middle is gone on from.
 */
import { must } from '../../src/base/assert.ts';
import { isObError } from '../../src/base/errors.ts';
import type { AccessMode, LogPosition } from '../../src/base/log-access.ts';
import { lsn, type Scn, scn } from '../../src/base/scalars.ts';
import type { SimRandom } from '../support/sim/random.ts';
import type { Life, LogSite } from './log-site.ts';
import type { LogWorld } from './log-world.ts';

type Change =
  | { kind: 'none' }
  | { kind: 'switchover'; step: 'seal' | 'catch-up' | 'open' }
  | { kind: 'failover'; step: 'cut' | 'open'; target: Scn | undefined };

const tickMs = 2;

export class RoleScript {
  readonly #world: LogWorld;
  readonly #random: SimRandom;
  readonly #changeEveryMs: number;
  #change: Change = { kind: 'none' };
  /** old primaries that must be cut to the common history before they follow */
  readonly #rejoining = new Map<LogSite, LogPosition>();
  readonly #rebuilding = new Set<LogSite>();
  /** a step is under way on this life */
  #busy: Life | undefined;

  constructor(world: LogWorld, random: SimRandom) {
    this.#world = world;
    this.#random = random;
    this.#changeEveryMs = random.pick([30, 100, 400, 100_000]);
    this.#schedule();
    this.#tick();
  }

  /** Its log is not known to be part of the history. */
  isDetached(site: LogSite): boolean {
    return this.#rejoining.has(site) || this.#rebuilding.has(site);
  }

  isBeingRebuilt(site: LogSite): boolean {
    return this.#rebuilding.has(site);
  }

  /** Its log is about to be cut, or was cut by a step that a crash interrupted. */
  isCutting(site: LogSite): boolean {
    return (
      this.isDetached(site) ||
      (this.#change.kind === 'failover' && this.#change.step === 'cut' && site === this.#world.standby)
    );
  }

  get isQuiet(): boolean {
    return this.#change.kind === 'none' && this.#rejoining.size === 0 && this.#rebuilding.size === 0;
  }

  takesEntries(site: LogSite): boolean {
    return this.#change.kind === 'none' && !this.isDetached(site);
  }

  describe(): string {
    return `change ${JSON.stringify(this.#change)}, rejoining ${[...this.#rejoining.keys()].map(site => site.name).join()}, rebuilding ${this.#rebuilding.size}`;
  }

  #schedule(): void {
    this.#world.loop.after(this.#random.between(5, this.#changeEveryMs * 2), () => {
      if (this.#world.isHealing) return;
      this.#schedule();
      if (!this.isQuiet || this.#world.sites.some(site => this.#world.faults.mayBeDamaged(site))) return;
      if (this.#random.chance(1, 2)) this.#begin({ kind: 'switchover', step: 'seal' });
      else if (this.#world.standby.life !== undefined) this.#failover();
    });
  }

  #begin(change: Change): void {
    this.#change = change;
    this.#world.note(`role ${JSON.stringify(change)}`);
  }

  #failover(): void {
    const { primary, loop } = this.#world;
    const { life } = this.#world.standby;
    if (life?.log.state().accessMode !== 'RAW_WRITE' || life.machine.lsn > life.log.state().end.lsn) return;
    this.#begin({ kind: 'failover', step: 'cut', target: undefined });
    // The old primary is lost, or is alive and does not know; from here on it is no part of the history.
    this.#rejoining.set(primary, { lsn: lsn(0), scn: scn(0), checksum: 0 });
    if (primary.life !== undefined) {
      primary.life.isPaused = true;
      if (this.#random.chance(2, 3)) loop.after(0, () => this.#world.faults.crash(this.#world, primary));
    }
  }

  #tick(): void {
    this.#world.loop.after(tickMs, () => {
      this.#tick();
      if (this.#busy !== undefined && this.#world.sites.some(site => site.life === this.#busy)) return;
      this.#busy = undefined;
      const { life, step } = this.#next() ?? {};
      if (life === undefined || step === undefined) return;
      this.#busy = life;
      void this.#world.attempt(step()).then(() => {
        if (this.#busy === life) this.#busy = undefined;
      });
    });
  }

  /** What is to be done next, and on which process. */
  #next(): { life: Life; step: () => Promise<unknown> } | undefined {
    const { primary, standby } = this.#world;
    const change = this.#change;
    if (change.kind === 'switchover') {
      const site = change.step === 'seal' ? primary : standby;
      const { life } = site;
      if (life !== undefined && !this.isDetached(site))
        return { life, step: () => this.#switchover(change, life) };
    }
    if (change.kind === 'failover' && standby.life !== undefined && !this.isDetached(standby)) {
      const { life } = standby;
      return { life, step: () => this.#cutAndOpen(change, life) };
    }
    for (const [site, cut] of this.#rejoining) {
      const { life } = site;
      if (
        life !== undefined &&
        change.kind === 'none' &&
        cut.lsn >= 0 &&
        site === standby &&
        !this.#rebuilding.has(site)
      )
        return { life, step: () => this.#rejoin(site, life, cut) };
    }
    for (const site of this.#rebuilding) {
      const { life } = primary;
      if (
        site !== primary &&
        life !== undefined &&
        change.kind !== 'failover' &&
        !site.isBooting &&
        site.life === undefined
      )
        return { life, step: () => this.#rebuild(site) };
    }
    return undefined;
  }

  async #switchover(change: Extract<Change, { kind: 'switchover' }>, life: Life): Promise<void> {
    const { primary } = this.#world;
    if (change.step === 'seal') {
      if (life.log.state().accessMode === 'APPEND') await this.#mode(life, 'RAW_WRITE');
      if (life.log.state().accessMode === 'RAW_WRITE') this.#begin({ kind: 'switchover', step: 'catch-up' });
      return;
    }
    const sealed = primary.life?.log.sealed;
    if (change.step === 'catch-up') {
      if (sealed === undefined || sealed === null) return;
      // Orders that the crash before the seal took away are not part of what was sealed.
      this.#world.facts.cuts.push(...this.#world.truth.cut(sealed.lsn));
      if (life.log.state().end.lsn === sealed.lsn) this.#begin({ kind: 'switchover', step: 'open' });
      return;
    }
    if (life.log.state().accessMode === 'RAW_WRITE') await this.#mode(life, 'APPEND');
    if (life.log.state().accessMode !== 'APPEND') return;
    this.#swap();
    this.#world.counts.switchovers += 1;
  }

  async #cutAndOpen(change: Extract<Change, { kind: 'failover' }>, life: Life): Promise<void> {
    const { standby, truth } = this.#world;
    const { accessMode, end } = life.log.state();
    if (change.step === 'cut') {
      if (accessMode === 'RAW_WRITE') return await this.#mode(life, 'PREPARE_FLASHBACK');
      if (accessMode === 'PREPARE_FLASHBACK') return await this.#mode(life, 'FLASHBACK');
      await standby.quiesce();
      const lowest = standby.durableMachine;
      change.target ??= this.#random.chance(1, 3) ? between(this.#random, lowest.scn, end.scn) : end.scn;
      const target = change.target;
      await this.#probeBelowBase(standby, life);
      this.#world.faults.crashSoon(this.#world, standby);
      const kept = await life.log.flashback(target).catch((error: unknown) => {
        // The checkpoint lies inside the group that the target would cut.
        if (isObError(error, 'OBS_LOG_FLASHBACK_REFUSED')) change.target = end.scn;
        throw error;
      });
      this.#world.facts.flashbacks.push({ site: standby, kept, target });
      this.#world.forgetPlatter(standby);
      for (const entry of truth.cut(kept.lsn)) if (entry.isAcked) truth.lostAcked += 1;
      standby.restartMachine(standby.durableMachine);
      this.#begin({ kind: 'failover', step: 'open', target: change.target });
      return;
    }
    // A crash after the cut: the log is where the cut left it, and nothing was added since.
    truth.cut(end.lsn);
    if (accessMode !== 'APPEND') await this.#mode(life, 'APPEND');
    if (life.log.state().accessMode !== 'APPEND') return;
    const cut = life.log.state().end;
    const old = this.#world.primary;
    this.#rejoining.set(old, cut);
    this.#swap();
    this.#world.counts.failovers += 1;
  }

  /** A cut below what the database holds must be refused (L7). */
  async #probeBelowBase(site: LogSite, life: Life): Promise<void> {
    const { checkpointLsn, baseLsn } = {
      checkpointLsn: site.durableMachine.lsn,
      baseLsn: life.log.state().baseLsn,
    };
    if (baseLsn === 0) return;
    const target = scn(1);
    const kept = await life.log.flashback(target).catch((error: unknown) => {
      if (!isObError(error, 'OBS_LOG_FLASHBACK_REFUSED')) throw error;
    });
    if (kept !== undefined) this.#world.facts.flashbacks.push({ site, kept, target, below: checkpointLsn });
  }

  async #rejoin(site: LogSite, life: Life, cut: LogPosition): Promise<void> {
    await site.quiesce();
    const { accessMode } = life.log.state();
    if (accessMode === 'APPEND') return await this.#mode(life, 'RAW_WRITE');
    const { end } = life.log.state();
    if (end.lsn > cut.lsn || accessMode === 'FLASHBACK' || accessMode === 'PREPARE_FLASHBACK') {
      if (accessMode !== 'FLASHBACK') return await this.#mode(life, 'FLASHBACK');
      this.#world.faults.crashSoon(this.#world, site);
      try {
        await life.log.flashback(cut.scn);
      } catch (error) {
        if (!isObError(error, 'OBS_LOG_FLASHBACK_REFUSED')) throw error;
        return this.rebuild(site);
      }
      await this.#mode(life, 'RAW_WRITE');
    }
    const kept = life.log.state().end;
    this.#world.facts.flashbacks.push({ site, kept, target: cut.scn, mustBe: cut });
    this.#rejoining.delete(site);
    this.#world.forgetPlatter(site);
    site.restartMachine(site.durableMachine);
    this.#world.note(`${site.name} rejoined at ${kept.lsn}`);
  }

  /** The site is emptied; a snapshot of the primary will fill it. */
  rebuild(site: LogSite): void {
    if (site === this.#world.primary) return this.#world.broke(new Error('the primary cannot be rebuilt'));
    this.#rebuilding.add(site);
    if (this.#change.kind === 'switchover' && this.#change.step === 'open') this.#change.step = 'catch-up';
    this.#rejoining.delete(site);
    if (site.life !== undefined) site.crash('process');
    site.isBeginning = false;
    site.disk.wipe();
    this.#world.faults.wasRebuilt(site);
    this.#world.forgetPlatter(site);
    this.#world.note(`${site.name} is rebuilt`);
  }

  async #rebuild(site: LogSite): Promise<void> {
    const snapshot = await this.#world.primary.snapshot();
    if (snapshot === undefined || !this.#rebuilding.has(site) || site.isBooting) return;
    site.disk.wipe();
    this.#rebuilding.delete(site);
    this.#world.counts.rebuilds += 1;
    site.boot(snapshot, 'RAW_WRITE');
  }

  async #mode(life: Life, to: AccessMode): Promise<void> {
    const { modeVersion, end } = life.log.state();
    if (this.#random.chance(1, 4))
      this.#world.faults.crashSoon(
        this.#world,
        must(
          this.#world.sites.find(site => site.life === life),
          'site',
        ),
      );
    await life.log.changeMode({ to, expectedModeVersion: modeVersion, referenceScn: end.scn });
    this.#world.note(`mode ${to}`);
  }

  #swap(): void {
    const world = this.#world;
    [world.primary, world.standby] = [world.standby, world.primary];
    this.#begin({ kind: 'none' });
    must(world.primary.life, 'life of the new primary');
  }
}

/** A whole number of [from, to], which may be further apart than 32 bits. */
const between = (random: SimRandom, from: number, to: number): Scn =>
  scn(from + Math.floor(((to - from) * random.between(0, 1_000)) / 1_000));
