/**
 * One replica of a tenant in this server: its log stream, and its engine, which follows the log it has while another node
 * leads. While the log leads here, a leadership (of whatever kind the tenant needs) is begun for the term, and ended with it.
 *
 * Everything that changes what the replica is — leadership gained or lost, a rebuild, an engine that has to be opened anew —
 * runs in one line, one step at a time, and towards what the log says by then: terms that came and went are passed over.
 * What must hold at once is done at once: an engine whose term ended appends nothing more. Decides no roles.
 */
import { isObError, isSurvivable, ObError } from '../base/errors.ts';
import {
  admitPollMs,
  admitWaitMs,
  leadRetryHopelessMs,
  leadRetryMs,
  rebuildRetryMs,
} from '../base/limits.ts';
import { type LogStreamId, lsn, type Lsn, type NodeId } from '../base/scalars.ts';
import type { LogStream } from '../logstream/log-stream.ts';
import type { RebuildNeed, RoleChange } from '../logstream/log-stream-options.ts';
import { FollowerApply } from '../standby/follower-apply.ts';
import type { TenantEngine } from '../tenant/engine.ts';
import { openTenantEngine } from '../tenant/sqlite-engine.ts';
import { type Guidance, LeaderGuide, type Moment } from './leader-guide.ts';
import { LeaderTerm } from './leader-term.ts';
import { openReplicaLog, type ReplicaBirth, type ReplicaIdentity } from './replica-log.ts';
import { rebuildFrom } from './replica-copy.ts';
import type { ReplicaHost } from './unit-host.ts';
import { tenantPaths } from './tenant-paths.ts';

/** What exists while a replica leads. */
export interface Leadership {
  /** The engine is about to be opened for writes, or just was: it is worth waiting for. */
  readonly isOpening: boolean;
  /** how old log must be before a follower shows it */
  readonly delayMs: number;
  /** The tenant takes writes here. */
  readonly serves: boolean;
  /** The term is over, or the replica closes. The engine is demoted after it. */
  close(): Promise<void>;
}

export interface ReplicaOptions {
  readonly host: ReplicaHost;
  readonly tenant: ReplicaIdentity;
  readonly stream: LogStreamId;
  readonly birth?: ReplicaBirth;
  /** How old log must be to be shown, while the replica follows; default: what its leader says, and nothing before that. */
  readonly delayMs?: number;
  /** Begins what a leader does besides its log. Awaits through the term, so that it ends with it. */
  readonly lead: (replica: TenantReplica, term: LeaderTerm) => Promise<Leadership>;
}

interface Led {
  readonly term: LeaderTerm;
  readonly leadership: Leadership;
}

export class TenantReplica {
  readonly tenant: ReplicaIdentity;
  readonly apply: FollowerApply;
  readonly #options: ReplicaOptions;
  #log: LogStream | null = null;
  #engine: TenantEngine | null = null;
  /** the log leads here */
  #term: LeaderTerm | null = null;
  #led: Led | null = null;
  #need: RebuildNeed | null = null;
  /** the engine cannot open before the log has come so far */
  #engineFrom: Lsn | null = null;
  #problem: ObError | null = null;
  #heard: Moment | null = null;
  #guide: LeaderGuide | null = null;
  /** what the engine has applied behind this is not in the log any more */
  #cut: Lsn | null = null;
  /** what the engine was given next could not be applied */
  #damage: { readonly isCorrupt: boolean } | null = null;
  #changes: Promise<void> = Promise.resolve();
  #isChanging = false;
  /** something happened since the running change looked */
  #isDirty = false;
  #closed = false;
  readonly #closing = Promise.withResolvers<void>();

  private constructor(options: ReplicaOptions) {
    const { host, tenant } = options;
    this.#options = options;
    this.tenant = tenant;
    this.apply = new FollowerApply({
      log: {
        state: () => this.log.state(),
        read: (from, bytesMax) => this.log.read(from, bytesMax),
        readRecent: (from, bytesMax) => this.log.readRecent(from, bytesMax),
        onCommitted: listener => this.log.onCommitted(listener),
        hold: (name, from) => this.log.hold(name, from),
      },
      apply: async chunk => this.engine.apply(chunk),
      applied: () => {
        const { appliedLsn, readableScn } = this.engine.state();
        return { lsn: appliedLsn, scn: readableScn };
      },
      delayMs: options.delayMs ?? (host.cluster === null ? 0 : Number.POSITIVE_INFINITY),
      clock: host.clock,
      logger: host.logger.child({ tenant: tenant.name }),
      onFailed: error => this.#applyFailed(error),
      onFatal: host.onFatal,
    });
  }

  /**
   * Recovers the log and the engine. A log that leads already (its only member is here) is led when this resolves. Throws
   * what the log, the engine and `lead` throw.
   */
  static async open(options: ReplicaOptions): Promise<TenantReplica> {
    const replica = new TenantReplica(options);
    replica.#isChanging = true;
    try {
      const log = await openReplicaLog(options.host, options.tenant, options.stream, {
        ...(options.birth === undefined ? {} : { birth: options.birth }),
        onRole: change => replica.#roleChanged(change),
        onRebuild: need => replica.#rebuildWanted(need),
        onCutBack: to => replica.#cutBack(to.lsn),
      });
      replica.#log = log;
      log.onCommitted(() => replica.#committed());
      // Where there are others, whatever fails here can be mended by them, or be tried again.
      const { host, tenant } = options;
      if (host.cluster !== null) {
        const { links } = host.cluster;
        replica.#guide = new LeaderGuide({
          host,
          links,
          tenant,
          log,
          onTold: (told, asked) => replica.#told(told, asked),
        });
      } else {
        await replica.#openEngine();
        if (replica.#term !== null) await replica.#stepUp(replica.#term);
      }
      replica.#isChanging = false;
      replica.#change();
      return replica;
    } catch (error) {
      await replica.close();
      throw error;
    }
  }

  get log(): LogStream {
    if (this.#log === null) throw this.#notOpen('opening its log');
    return this.#log;
  }

  /** Throws OBS_TENANT_NOT_OPEN while it is rebuilt. */
  get engine(): TenantEngine {
    if (this.#engine === null) throw this.#notOpen('being brought up to date');
    return this.#engine;
  }

  get hasEngine(): boolean {
    return this.#engine !== null;
  }

  /** What there is besides the log while it leads here; null elsewhere, and while that is being begun or ended. */
  get leadership(): Leadership | null {
    return this.#led === null || this.#led.term.over ? null : this.#led.leadership;
  }

  /** The log leads here. */
  get leads(): boolean {
    return this.#term !== null;
  }

  /** Why it does not do what it should, or null. */
  get problem(): ObError | null {
    return this.#problem;
  }

  /** The last time another node told that the tenant takes writes there. */
  get heardLeader(): Moment | null {
    return this.#heard;
  }

  /** What followers are told. Throws OBS_TENANT_NOT_LEADER. */
  guidance(): Guidance {
    const { leadership } = this;
    if (leadership === null) throw this.notLeading();
    const { delayMs, serves } = leadership;
    return { keptFrom: this.log.kept().from, delayMs, serves };
  }

  /** What clients are told who need the leader. */
  notLeading(): ObError {
    const { name } = this.tenant;
    const { accessMode, leader } = this.log.state();
    // Led here, its role does not let it serve as the primary it may be.
    if (accessMode !== 'APPEND' || this.#term !== null)
      return new ObError('OBS_TENANT_READ_ONLY', { tenant: name });
    const at = leader === null ? null : (this.#options.host.cluster?.doorsOf(leader)?.sql ?? null);
    return new ObError('OBS_TENANT_NOT_LEADER', {
      tenant: name,
      leader: at ?? 'an address that is not known yet',
      node: leader,
    });
  }

  /**
   * A strong statement may run here: undefined at once, or resolves when the engine has opened. Rejects with who leads, or
   * after a bounded wait.
   */
  admit(): Promise<void> | undefined {
    return this.#engine?.leads === true ? undefined : this.#admitLater();
  }

  async #admitLater(): Promise<void> {
    const { clock } = this.#options.host;
    const deadline = clock.now() + admitWaitMs;
    for (;;) {
      const { engine } = this;
      if (engine.leads) return;
      const { accessMode, end } = this.log.state();
      if (accessMode !== 'APPEND') return;
      if (this.#term === null) throw this.notLeading();
      // A primary that must not serve writes yet has all that was ever acknowledged.
      const isOpening = this.#problem === null && (this.#led?.leadership.isOpening ?? true);
      if (!isOpening && engine.state().appliedLsn >= end.lsn) return;
      if (clock.now() >= deadline) throw this.#problem ?? this.#notOpen('being opened');
      await new Promise<void>(resolve => clock.after(admitPollMs, resolve));
    }
  }

  /** The engine leads from here on, on everything the log has. Throws OBS_ROLE_STOPPED when the term is over. */
  async promote(term: LeaderTerm): Promise<void> {
    term.mustLast();
    const { engine } = this;
    await this.apply.stop();
    try {
      term.mustLast();
      if (this.#cut !== null) throw this.#notOpen('being opened anew');
      await engine.promote();
      // What could not be applied was cut away.
      this.#damage = null;
    } catch (error) {
      this.#startApply();
      throw error;
    }
  }

  /** The engine follows from here on. */
  async demote(): Promise<void> {
    const { engine } = this;
    if (engine.state().mode === 'leader') await engine.demote();
    this.#startApply();
  }

  /** Resolves when the replica is what its log says it is, as far as it can be now. */
  settled(): Promise<void> {
    return this.#changes;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#closing.resolve();
    this.#guide?.close();
    this.#term?.end();
    await this.#changes;
    await this.#led?.leadership.close();
    this.#led = null;
    await this.#closeEngine();
    await this.#log?.close();
  }

  // --- what the log tells ---

  #roleChanged({ role }: RoleChange): void {
    if (role === 'leader') {
      // Comes again when the leader opens another proposal: the term goes on.
      if (this.#term !== null) return;
      this.#term = new LeaderTerm(this.tenant.name);
    } else {
      if (this.#term === null) return;
      this.#term.end();
      this.#term = null;
      this.#engine?.leadershipEnded();
    }
    this.#change();
  }

  #rebuildWanted(need: RebuildNeed): void {
    this.#need = need;
    this.#change();
  }

  /** What the engine was given is partly no more: it begins again from its file, which has less. */
  #cutBack(to: Lsn): void {
    if (this.#engine === null || this.apply.reached <= to) return;
    this.#cut = this.#cut === null || to < this.#cut ? to : this.#cut;
    void this.apply.stop();
    this.#change();
  }

  #told({ delayMs, serves }: Guidance, asked: Moment): void {
    if (serves) this.#heard = asked;
    // While it leads, it knows better.
    if (this.#term === null) this.apply.setDelay(delayMs);
  }

  #committed(): void {
    if (this.#engine === null && this.#need === null) this.#change();
  }

  #applyFailed(error: unknown): void {
    this.#damage = { isCorrupt: isObError(error) && error.kind === 'corrupt' };
    if (isObError(error)) this.#problem = error;
    this.#change();
  }

  // --- one change at a time ---

  #change(): void {
    this.#isDirty = true;
    if (this.#isChanging || this.#closed) return;
    this.#isChanging = true;
    this.#changes = this.#settle().catch(this.#options.host.onFatal);
  }

  async #settle(): Promise<void> {
    try {
      while (this.#isDirty && !this.#closed) {
        this.#isDirty = false;
        let again = true;
        while (again && !this.#closed) again = await this.#settleOnce();
      }
    } finally {
      this.#isChanging = false;
    }
  }

  /** One step towards what the log says; false when nothing is left to do. */
  async #settleOnce(): Promise<boolean> {
    const term = this.#term;
    if (this.#led !== null && this.#led.term !== term) {
      await this.#stepDown(this.#led);
      return true;
    }
    if (this.#need !== null && term === null) {
      await this.#rebuild(this.#need);
      return true;
    }
    if (this.#cut !== null && this.#engine !== null) {
      await this.#closeEngine();
      return true;
    }
    if (this.#engine === null) {
      if (!this.#mayOpenEngine()) return false;
      await this.#tryOpenEngine();
      return true;
    }
    // First: where nobody else can lead, an operator decides what to do with the damage.
    if (term !== null && this.#led === null) {
      await this.#tryStepUp(term);
      return true;
    }
    if (this.#damage !== null) {
      await this.#mend(this.#damage);
      return true;
    }
    return false;
  }

  async #stepDown(led: Led): Promise<void> {
    led.term.end();
    await led.leadership.close();
    this.#led = null;
    // One that was closed meanwhile opens as a follower.
    if (this.#engine !== null) await this.demote();
    this.#options.host.logger.info({ tenant: this.tenant.name }, 'this replica follows');
  }

  async #stepUp(term: LeaderTerm): Promise<void> {
    try {
      const leadership = await this.#options.lead(this, term);
      this.#led = { term, leadership };
    } catch (error) {
      if (this.engine.state().mode === 'leader') await this.demote();
      throw error;
    }
    this.#problem = null;
    if (term.over) return;
    this.#options.host.logger.info({ tenant: this.tenant.name }, 'this replica leads');
  }

  /** Tried again while the term lasts: the sys tenant may have no leader at this moment. */
  async #tryStepUp(term: LeaderTerm): Promise<void> {
    try {
      await this.#stepUp(term);
    } catch (error) {
      if (!isSurvivable(error)) throw error;
      if (term.over) return;
      const isPassing = ['unavailable', 'not-leader', 'unknown'].includes(error.kind);
      this.#problem = error;
      const { logger } = this.#options.host;
      const { name: tenant } = this.tenant;
      if (isPassing) logger.info({ tenant, code: error.code }, 'this replica leads, and cannot serve yet');
      else logger.error({ tenant, ...error.toJSON() }, 'this replica leads, and cannot serve');
      if (error.kind === 'corrupt' && this.#options.host.cluster !== null) await this.#handOver();
      await this.#pause(isPassing ? leadRetryMs : leadRetryHopelessMs, term);
    }
  }

  // --- the engine ---

  #mayOpenEngine(): boolean {
    const { isImpaired, end } = this.log.state();
    return !isImpaired && (this.#engineFrom === null || end.lsn >= this.#engineFrom);
  }

  #startApply(): void {
    if (this.#cut === null) this.apply.start();
  }

  async #closeEngine(): Promise<void> {
    await this.apply.stop();
    await this.#engine?.close();
    this.#engine = null;
    this.#damage = null;
  }

  /** Opens the engine if the log allows it now; else `#change` does it when it does. */
  async #openEngine(): Promise<void> {
    if (!this.#mayOpenEngine()) return;
    const { host, tenant } = this.#options;
    const { log } = this;
    try {
      this.#engine = await openTenantEngine({
        pool: host.pool,
        directory: tenantPaths(host.dataDirectory, tenant.id).directory,
        tenant: tenant.name,
        incarnation: tenant.incarnation,
        log,
        mode: 'follower',
        ...(this.apply.delayMs > 0 ? { replayTo: log.kept().checkpointLsn } : {}),
        pageBytes: tenant.pageBytes,
        limits: host.settings.engine,
        clock: host.clock,
        logger: host.logger,
        onFatal: host.onFatal,
        notLeading: () => this.notLeading(),
        onCheckpoint: position => {
          if (this.#cut !== null) return;
          log.advanceBase(position.lsn).catch((error: unknown) => {
            // A stream that is closing does not recycle any more.
            if (!isSurvivable(error)) host.onFatal(error);
          });
        },
      });
    } catch (error) {
      // The log is there, but not all of it is known to be committed yet: the others will tell.
      if (!isObError(error, 'OBS_TENANT_LOG_SHORT') || !this.#isBehind(error)) throw error;
      this.#engineFrom = lsn(Number(error.details['checkpoint']));
      return;
    }
    this.#engineFrom = null;
    await this.#mustBeBelowCut();
    this.apply.start();
  }

  /** A checkpoint may have come between the cut and the engine's end. */
  async #mustBeBelowCut(): Promise<void> {
    const cut = this.#cut;
    const { checkpointLsn } = this.engine.state();
    if (cut === null || checkpointLsn <= cut) {
      this.#cut = null;
      return;
    }
    await this.#closeEngine();
    throw new ObError('OBS_TENANT_LOG_SHORT', {
      tenant: this.tenant.name,
      end: cut,
      checkpoint: checkpointLsn,
    });
  }

  #isBehind(error: ObError): boolean {
    const checkpoint = Number(error.details['checkpoint']);
    if (this.#options.host.cluster === null || (this.#cut !== null && checkpoint > this.#cut)) return false;
    return checkpoint <= this.log.state().maxLsn;
  }

  async #tryOpenEngine(): Promise<void> {
    try {
      await this.#openEngine();
      this.#problem = null;
    } catch (error) {
      if (!isSurvivable(error)) throw error;
      const { host } = this.#options;
      if (this.#problem?.code !== error.code)
        host.logger.error(
          { tenant: this.tenant.name, ...error.toJSON() },
          'the engine of a replica does not open',
        );
      this.#problem = error;
      const isMendable = host.cluster !== null && error.kind === 'corrupt';
      if (!isMendable) {
        await this.#pause(leadRetryHopelessMs, null);
        return;
      }
      await this.#turnToOthers();
    }
  }

  /** It is opened anew from its file, or, where others are, what this replica has is taken from one of them. */
  async #mend({ isCorrupt }: { readonly isCorrupt: boolean }): Promise<void> {
    if (!isCorrupt) {
      await this.#pause(leadRetryHopelessMs, this.#term);
      await this.#closeEngine();
    } else if (this.#options.host.cluster !== null) await this.#turnToOthers();
    // Alone, it shows what it has: a prefix of the history.
    else this.#damage = null;
  }

  /** What this replica has is damaged; others have it whole, and one of them has to lead. */
  async #turnToOthers(): Promise<void> {
    if (this.#term !== null) await this.#handOver();
    const { leader, end } = this.log.state();
    if (this.#term === null && leader !== null && leader !== this.#options.host.self)
      this.#need = { peer: leader, base: end };
    else await this.#pause(leadRetryMs, null);
  }

  async #handOver(): Promise<void> {
    const { self } = this.#options.host;
    for (const member of this.log.state().config.members) {
      if (member === self || this.#term === null) continue;
      try {
        await this.log.transfer(member);
        return;
      } catch (error) {
        if (!isSurvivable(error)) throw error;
      }
    }
  }

  /** Its own log or database is of no use any more: takes over a copy of another replica's. */
  async #rebuild(need: RebuildNeed): Promise<void> {
    const { host } = this.#options;
    const { name } = this.tenant;
    try {
      await this.#closeEngine();
      await rebuildFrom(host, this.tenant, this.log, need);
      this.#need = null;
      this.#cut = null;
      this.#engineFrom = null;
      host.logger.info({ tenant: name, from: need.peer }, 'this replica was rebuilt');
    } catch (error) {
      if (!isSurvivable(error)) throw error;
      // Begun, it is finished, with whoever has a copy: where nobody leads the log does not ask again, and this replica may be the
      // one whose vote is missing. Else the log asks again when it has to, naming who leads by then.
      if (!this.log.isBeingRebuilt) this.#need = null;
      else if (this.#need === need) this.#need = { ...need, peer: this.#otherSource(need.peer) };
      this.#problem = error;
      host.logger.warn({ tenant: name, from: need.peer, ...error.toJSON() }, 'the rebuild is tried again');
      const hasNoRoom = error.code === 'OBS_REPLICA_COPY_NO_ROOM';
      await this.#pause(hasNoRoom ? leadRetryHopelessMs : rebuildRetryMs, null);
    }
  }

  /** Who leads, as far as this replica heard, unless that one was asked in vain; else the member behind it. */
  #otherSource(asked: NodeId): NodeId {
    const { self } = this.#options.host;
    const { leader, config } = this.log.state();
    if (leader !== null && leader !== self && leader !== asked) return leader;
    const others = config.members.filter(member => member !== self);
    return others[(others.indexOf(asked) + 1) % others.length] ?? asked;
  }

  /** Ends early with the term, or with the replica. */
  async #pause(ms: number, term: LeaderTerm | null): Promise<void> {
    const { clock } = this.#options.host;
    const passed = new Promise<void>(resolve => clock.after(ms, resolve));
    const wait = Promise.race([passed, this.#closing.promise]);
    await (term === null ? wait : term.race(wait).catch(() => undefined));
  }

  #notOpen(state: string): ObError {
    return new ObError('OBS_TENANT_NOT_OPEN', { tenant: this.tenant.name, state });
  }
}
