/**
 * The world of the role simulation: sites, a network between them, one archive chain, clients that write wherever a write
 * is taken. It carries out one effect at a time, chosen by a schedule, and can stop a site before or after any of them.
 */
import { must } from '../../../src/base/assert.ts';
import { ObError } from '../../../src/base/errors.ts';
import { lsn, roleEpoch, scn, type WallMicros, wallMicros } from '../../../src/base/scalars.ts';
import type { CommandResult, RoleCommand } from '../../../src/role/commands.ts';
import {
  type ControlReply,
  decodeControlReply,
  decodeControlRequest,
} from '../../../src/role/control-ops.ts';
import type { Outcome, RoleOutput } from '../../../src/role/core.ts';
import type { EpochClaim } from '../../../src/role/ports.ts';
import type { EpochSign, RoleEffect } from '../../../src/role/procedure.ts';
import { newPrimaryRow, newStandbyRow, type SealRecord, supersedes } from '../../../src/role/row.ts';
import { ModelSite, type ModelEntry, type PendingEffect } from './site.ts';

const chainName = 'file:///archive';

export interface Acknowledged {
  readonly id: number;
  readonly site: string;
  readonly epoch: number;
}

/** A known bug put back: may carry out an effect wrongly. Undefined: this effect is carried out as it should be. */
export type Mutant = (
  site: ModelSite,
  effect: RoleEffect,
  world: World,
) => { readonly outcome: Outcome<unknown> } | undefined;

export interface WorldOptions {
  readonly sites: number;
  readonly transport: 'network' | 'archive' | 'both';
  /** 0 ≤ x < 1; without it the oldest effect is always next */
  readonly random?: () => number;
  readonly mutant?: Mutant;
  readonly check?: (world: World) => void;
}

interface Call {
  readonly caller: ModelSite;
  readonly generation: number;
  readonly pending: PendingEffect;
}

const emptyLog = { lsn: lsn(0), scn: scn(0), checksum: 0 };
const sleepTriesMax = 6;
const wouldWait = Symbol('would wait');

export class World {
  readonly sites: ModelSite[] = [];
  readonly options: WorldOptions;
  readonly acknowledged: Acknowledged[] = [];
  readonly replies = new Map<number, Outcome<CommandResult | ControlReply>>();
  readonly chain: { readonly claims: EpochClaim[]; seal: SealRecord | null; log: ModelEntry[]; up: boolean } =
    {
      claims: [],
      seal: null,
      log: [],
      up: true,
    };
  /** pairs `a>b` that do not hear each other */
  readonly cut = new Set<string>();
  /** effects carried out so far, per site */
  readonly performed = new Map<string, number>();
  /** a failover was decided in this run: two primaries that can not see each other are then possible */
  failedOver = false;
  /** when, and under which epoch, the last failover was decided */
  failover: { readonly time: number; readonly epoch: number; readonly claimed: boolean } | null = null;
  /** events in which clients still write by themselves */
  writeBudget = 0;
  now: WallMicros = wallMicros(1_000_000);
  loseReply: (() => boolean) | null = null;
  /** stops a site before or after its n-th effect */
  crashPlan: { readonly site: string; readonly at: number; readonly when: 'before' | 'after' } | null = null;
  /** the effect at which the plan stopped a site */
  crashedAt: string | null = null;
  #nextWrite = 1;
  #nextOperation = 1;
  #nextToken = 1;
  readonly #calls = new Map<string, Call>();

  constructor(options: WorldOptions) {
    this.options = options;
    const archived = options.transport !== 'network';
    for (let index = 0; index < options.sites; index += 1) {
      const name = String.fromCharCode(65 + index);
      const identity = { tenant: 'shop', incarnation: 'inc-1', site: name };
      const site = new ModelSite({
        row:
          index === 0
            ? newPrimaryRow(identity, this.now)
            : newStandbyRow(identity, roleEpoch(1), [{ epoch: roleEpoch(1), cut: emptyLog }]),
        settings: {
          address: `${name}:2882`,
          drainMs: 10,
          catchUpMs: 10,
          fenceRetryMs: 10,
          restartFencing: 'strict',
        },
        mode: index === 0 ? 'APPEND' : 'RAW_WRITE',
        restoreSource: index === 0 ? null : options.transport === 'archive' ? 'archive' : 'A:2882',
      });
      site.archiveName = archived ? chainName : null;
      this.sites.push(site);
      this.chain.claims.splice(0, 1, { epoch: roleEpoch(1), site: 'A', operationId: null });
    }
    if (options.transport !== 'archive') {
      for (const site of this.sites.slice(1)) this.site('A').followers.add(site.address);
    }
    for (const site of this.sites) this.start(site.name);
    this.settle();
  }

  site(name: string): ModelSite {
    return must(
      this.sites.find(site => site.name === name),
      `site ${name}`,
    );
  }

  at(address: string): ModelSite | undefined {
    return this.sites.find(site => site.address === address);
  }

  primaries(): ModelSite[] {
    return this.sites.filter(site => site.writable);
  }

  start(name: string): void {
    const site = this.site(name);
    if (!site.up) this.#take(site, site.start(this.now));
  }

  crash(name: string): void {
    const site = this.site(name);
    site.crash();
    for (const [key, call] of this.#calls) {
      if (key.startsWith(`${name}/`)) {
        this.#calls.delete(key);
        this.#answer(call, { kind: 'failed', error: unavailable() });
      }
    }
    this.options.check?.(this);
  }

  /** Gives a command; its reply is in `replies` under the token. */
  command(name: string, command: RoleCommand): number {
    const token = this.#nextToken++;
    const site = this.site(name);
    if (site.up) this.#take(site, site.step({ kind: 'command', token, command }, this.now));
    return token;
  }

  epochSeen(site: ModelSite, sign: EpochSign): void {
    if (site.up) this.#take(site, site.step({ kind: 'epoch-seen', sign }, this.now));
  }

  /** Runs until only sleepers are left, or `eventsMax` events have passed. Returns whether it came to rest. */
  settle(eventsMax = 4_000): boolean {
    for (let event = 0; event < eventsMax; event += 1) if (!this.event()) return true;
    return false;
  }

  /** One event: clients, shipping, then one effect. False when nothing moves any more. */
  event(): boolean {
    this.now = wallMicros(this.now + 1_000);
    if (this.writeBudget > 0 && (this.options.random?.() ?? 0) < 0.5) this.write();
    let moved = false;
    for (const site of this.sites) {
      moved = this.#archive(site) || moved;
      moved = this.#pull(site) || moved;
    }
    const choices = this.sites.flatMap(site => this.#eligible(site).map(pending => ({ site, pending })));
    if (choices.length === 0) return moved || this.#wakeSleeper();
    const index = Math.floor((this.options.random?.() ?? 0) * choices.length);
    const { site, pending } = must(choices[index], 'chosen effect');
    this.#perform(site, pending);
    this.options.check?.(this);
    return true;
  }

  newOperationId(): string {
    return `op-${this.#nextOperation++}`;
  }

  /** Every site that takes writes gets one, and acknowledges it. */
  write(): void {
    this.writeBudget -= 1;
    for (const site of this.primaries()) {
      const id = this.#nextWrite++;
      site.append({ kind: 'write', id, scn: Math.max(this.now, site.end.scn + 1) });
      this.acknowledged.push({ id, site: site.name, epoch: site.row.epoch });
    }
  }

  connected(from: ModelSite, to: ModelSite): boolean {
    return from.up && to.up && !this.cut.has(`${from.name}>${to.name}`);
  }

  #take(site: ModelSite, outputs: readonly RoleOutput[]): void {
    for (const output of outputs) {
      switch (output.kind) {
        case 'effect':
          site.pending.push({ effectId: output.effectId, effect: output.effect, waiting: false, tries: 0 });
          break;
        case 'reply': {
          const key = `${site.name}/${output.token}`;
          const call = this.#calls.get(key);
          if (call === undefined) {
            this.replies.set(output.token, output.outcome);
            break;
          }
          this.#calls.delete(key);
          const lost = this.loseReply?.() === true || !this.connected(site, call.caller);
          this.#answer(call, lost ? { kind: 'failed', error: unavailable() } : overTheWire(output.outcome));
          break;
        }
        case 'progress':
        case 'changed':
          break;
      }
    }
  }

  #answer(call: Call, outcome: Outcome<unknown>): void {
    const { caller, generation, pending } = call;
    if (caller.generation !== generation || !caller.pending.includes(pending)) return;
    this.#finish(caller, pending, outcome);
  }

  #finish(site: ModelSite, pending: PendingEffect, outcome: Outcome<unknown>): void {
    site.pending = site.pending.filter(each => each !== pending);
    this.#take(site, site.step({ kind: 'done', effectId: pending.effectId, outcome }, this.now));
  }

  /** Mutating calls of a site's local tenant run in order, everything else in any order. */
  #eligible(site: ModelSite): PendingEffect[] {
    const looking = ['local.observe', 'local.refuseWrites', 'local.caughtUpTo', 'local.countSuffix'];
    let queueTaken = false;
    return site.pending.filter(pending => {
      const { kind } = pending.effect;
      if (pending.waiting || kind === 'timer.sleep') return false;
      if (!kind.startsWith('local.') || looking.includes(kind)) return true;
      if (queueTaken) return false;
      queueTaken = true;
      return true;
    });
  }

  /** Retries that never end by themselves (a restart check, a notice) are woken a few times, then left asleep. */
  #wakeSleeper(): boolean {
    for (const site of this.sites) {
      const sleeper = site.pending.find(({ effect }) => effect.kind === 'timer.sleep');
      if (sleeper === undefined || (this.#sleeps.get(site) ?? 0) >= sleepTriesMax) continue;
      this.#sleeps.set(site, (this.#sleeps.get(site) ?? 0) + 1);
      this.#finish(site, sleeper, { kind: 'ok', value: undefined });
      return true;
    }
    return false;
  }
  readonly #sleeps = new Map<ModelSite, number>();

  /** Sleepers get their tries again: something changed that they may be waiting for. */
  wake(): void {
    this.#sleeps.clear();
  }

  #perform(site: ModelSite, pending: PendingEffect): void {
    const count = (this.performed.get(site.name) ?? 0) + 1;
    const plan = this.crashPlan;
    const due = plan !== null && plan.site === site.name && plan.at === count;
    if (!pending.waiting) this.performed.set(site.name, count);
    if (due && plan.when === 'before') {
      this.#planned(site, pending);
      return;
    }
    const outcome = this.#carryOut(site, pending);
    if (due) {
      this.#planned(site, pending);
      return;
    }
    if (outcome !== wouldWait) this.#finish(site, pending, outcome);
  }

  #planned(site: ModelSite, pending: PendingEffect): void {
    this.crashedAt = `${site.row.step ?? '-'} ${pending.effect.kind}`;
    this.crashPlan = null;
    this.crash(site.name);
  }

  #carryOut(site: ModelSite, pending: PendingEffect): Outcome<unknown> | typeof wouldWait {
    const mutated = this.options.mutant?.(site, pending.effect, this);
    if (mutated !== undefined) return mutated.outcome;
    try {
      const value = this.#invoke(site, pending);
      return value === wouldWait ? wouldWait : { kind: 'ok', value };
    } catch (error) {
      if (!(error instanceof ObError)) throw error;
      return { kind: 'failed', error };
    }
  }

  #invoke(site: ModelSite, pending: PendingEffect): unknown {
    const { effect } = pending;
    switch (effect.kind) {
      case 'store.load':
        return site.row;
      case 'store.compareAndSet': {
        const [expected, next, journal] = effect.parameters;
        if (site.row.revision !== expected.revision) return { stored: false, row: site.row };
        // What is stored has gone through JSON, as it does in the sys tenant.
        site.row = JSON.parse(JSON.stringify(next)) as typeof next;
        this.#noteFailover(site);
        for (const entry of journal) site.journal.set(`${entry.operationId}/${entry.step}`, entry);
        return { stored: true, row: site.row };
      }
      case 'store.writeJournal':
        for (const entry of effect.parameters[0])
          site.journal.set(`${entry.operationId}/${entry.step}`, entry);
        return undefined;
      case 'store.readJournal':
        return [...site.journal.values()].filter(entry => entry.operationId === effect.parameters[0]);

      case 'local.observe':
        return site.observe();
      case 'local.refuseWrites':
      case 'local.drainWrites':
        site.refused = true;
        return undefined;
      case 'local.appendRoleEntry':
        return site.appendRoleEntry(effect.parameters[0], this.now);
      case 'local.changeMode':
        site.changeMode(effect.parameters[0]);
        return undefined;
      case 'local.flashback':
        return site.flashback(effect.parameters[0]);
      case 'local.promote':
        site.engineOpen = true;
        site.refused = false;
        return undefined;
      case 'local.demote':
        site.engineOpen = false;
        return undefined;
      case 'local.stopPulling':
        site.pulling = false;
        return undefined;
      case 'local.startPulling':
        site.pulling = site.restoreSource !== null;
        return undefined;
      case 'local.follow':
        site.restoreSource = effect.parameters[0];
        site.pulling = true;
        return undefined;
      case 'local.caughtUpTo': {
        const [end] = effect.parameters;
        if (site.log.length >= end) return undefined;
        pending.tries += 1;
        if (pending.tries > 20) throw new ObError('OBS_ROLE_NOT_SYNCED', { at: site.end.lsn, end });
        return wouldWait;
      }
      case 'local.countSuffix':
        return site.countSuffix(effect.parameters[0]);

      case 'peers.sourceAddresses':
        return site.restoreSource === null || site.restoreSource === 'archive' ? [] : [site.restoreSource];
      case 'peers.followerAddresses':
        return [...site.followers];
      case 'peers.control': {
        const [address, request] = effect.parameters;
        const target = this.at(address);
        if (target === undefined || !this.connected(site, target)) throw unavailable();
        const token = this.#nextToken++;
        pending.waiting = true;
        this.#calls.set(`${target.name}/${token}`, { caller: site, generation: site.generation, pending });
        const decoded = decodeControlRequest(JSON.parse(JSON.stringify(request)));
        this.#take(target, target.step({ kind: 'control', token, request: decoded }, this.now));
        return wouldWait;
      }

      case 'archive.configured':
        return site.archiveName;
      case 'archive.head':
        this.#media();
        return { ...this.head(), openings: [] };
      case 'archive.claim': {
        this.#media();
        const [claim] = effect.parameters;
        const head = this.head();
        if (JSON.stringify(head) === JSON.stringify(claim)) return { kind: 'claimed' };
        if (claim.epoch <= head.epoch) return { kind: 'lost', to: head };
        this.chain.claims.push(claim);
        return { kind: 'claimed' };
      }
      case 'archive.seal': {
        this.#media();
        const [record] = effect.parameters;
        if (this.chain.seal?.operationId === record.operationId) return undefined;
        if (this.head().epoch > record.epoch) {
          throw new ObError('OBS_ARCHIVE_FENCED', { dest: chainName, epoch: this.head().epoch });
        }
        this.chain.log = [...site.log];
        this.chain.seal = JSON.parse(JSON.stringify(record)) as SealRecord;
        return undefined;
      }
      case 'archive.sealed':
        this.#media();
        return this.chain.seal !== null && this.chain.seal.epoch >= this.head().epoch - 1
          ? this.chain.seal
          : null;

      case 'timer.sleep':
        return undefined;
    }
  }

  #noteFailover(site: ModelSite): void {
    const { opening, epoch } = site.row;
    if (opening?.kind !== 'activate' || this.failover?.epoch === epoch) return;
    this.failedOver = true;
    const claimed = site.archiveName !== null && this.head().epoch === epoch;
    this.failover = { time: this.now, epoch, claimed };
  }

  head(): EpochClaim {
    return must(this.chain.claims[this.chain.claims.length - 1], 'head of the chain');
  }

  #media(): void {
    if (!this.chain.up) throw new ObError('OBS_ARCHIVE_UNAVAILABLE', { dest: chainName });
  }

  /** The primary's archiver: ships what is committed, and learns that it is fenced. */
  #archive(site: ModelSite): boolean {
    if (!site.writable || site.archiveName === null || !this.chain.up) return false;
    const head = this.head();
    if (supersedes(head, site.row)) {
      this.epochSeen(site, { ...head, address: null, certainty: 'claimed', openings: [], inherited: false });
      return false;
    }
    if (this.chain.log.length === site.log.length && head.epoch === site.row.epoch) return false;
    if (head.epoch < site.row.epoch) {
      this.chain.claims.push({
        epoch: site.row.epoch,
        site: site.name,
        operationId: site.row.opening?.operationId ?? null,
      });
    }
    this.chain.log = [...site.log];
    return true;
  }

  /** The puller: takes all that the source has, if it continues this log. */
  #pull(site: ModelSite): boolean {
    if (!site.up || !site.pulling || site.mode !== 'RAW_WRITE' || site.restoreSource === null) return false;
    if (site.restoreSource === 'archive') return this.chain.up && this.#copy(site, this.chain.log);
    const source = this.at(site.restoreSource);
    if (source === undefined || source === site || !this.connected(site, source)) return false;
    source.followers.add(site.address);
    if (source.row.epoch < site.row.epoch) {
      const sign = { epoch: site.row.epoch, site: site.name, address: site.address };
      this.epochSeen(source, { ...sign, certainty: 'opened', openings: site.row.openings, inherited: false });
      return false;
    }
    if (source.row.epoch > site.row.epoch) {
      // All that the login to a source tells is its epoch.
      const sign = { epoch: source.row.epoch, site: '', address: null };
      this.epochSeen(site, { ...sign, certainty: 'opened', openings: [], inherited: false });
    }
    if (site.row.fenced !== null) return false;
    site.contact = { end: { lsn: source.end.lsn, scn: source.end.scn }, time: this.now };
    return this.#copy(site, source.log);
  }

  #copy(site: ModelSite, from: readonly ModelEntry[]): boolean {
    if (from.length <= site.log.length) return false;
    for (let at = 0; at < site.log.length; at += 1) if (site.log[at] !== from[at]) return false;
    // Shipping is slow in a random run, so that a standby is usually behind.
    const { random } = this.options;
    if (random !== undefined && random() < 0.7) return true;
    const taken = random === undefined ? from.length : 3;
    for (const entry of from.slice(site.log.length, site.log.length + taken)) {
      if (entry.scn > site.row.recoveryUntilScn) return true;
      const cut = site.end;
      site.append(entry);
      if (site.restoreSource === 'archive' && entry.kind === 'role' && entry.entry.event !== 'sealed') {
        const { epoch, site: opener } = entry.entry;
        this.epochSeen(site, {
          epoch,
          site: opener,
          address: null,
          certainty: 'opened',
          openings: [{ epoch, cut }],
          inherited: true,
        });
      }
    }
    return true;
  }
}

const unavailable = (): ObError => new ObError('OBS_PEER_ERROR', { code: 'TIMEOUT', message: 'no answer' });

const overTheWire = (outcome: Outcome<CommandResult | ControlReply>): Outcome<unknown> =>
  outcome.kind === 'failed'
    ? outcome
    : { kind: 'ok', value: decodeControlReply(JSON.parse(JSON.stringify(outcome.value))) };
