/**
 * The consensus core of one log stream's replica: `step(input, now) → effects`. Pure: no await, clock, randomness or IO;
 * never throws for what a disk or a peer does, only for broken invariants.
 *
 * A replica follows (`elector`: whom it gives its word, when it stands itself; `receiver`, `record-acceptor`: how its log and
 * record become the leader's), or stands (`candidacy`), or leads (`leadership`, with `leader-requests` and `hand-over` for what
 * is asked of it). Here is who hears what, and what happens at the end of each step. Three numbers order everything: the
 * promised proposal (nothing of a lower one is taken), the accepted proposal with the end of the log (whose log is the most
 * recent), and the version of the record (who takes part, which mode, what was cut).
 *
 * With one member all of this is still what runs: its promise, its record and its word are one durable image, its own flush is
 * the majority, its lease never ends, and it keeps no timer.
 *
 * Must never: say "durable" other than through the write that makes it so, or after it (L8); use a proposal that is not
 * durable (E5); count anything of a term that is over.
 */
import { assert, unreachable } from '../base/assert.ts';
import { lsn, type MonoMs, monoMs, type NodeId, type ProposalId } from '../base/scalars.ts';
import type { PalfMessage, PalfMessageOf } from '../codec/palf-message.ts';
import { Arbitration } from './arbitration.ts';
import { Candidacy } from './candidacy.ts';
import type { PalfEffect, PalfRefusal } from './effects.ts';
import { Elector } from './elector.ts';
import { HandOver } from './hand-over.ts';
import type { PalfInput, Token } from './inputs.ts';
import { LeaderRequests } from './leader-requests.ts';
import { type ElectedLeader, Leadership, type Opening } from './leadership.ts';
import { LogReplacement } from './log-replacement.ts';
import { LogSource } from './log-source.ts';
import { Outbox } from './outbox.ts';
import { Receiver } from './receiver.ts';
import { RecordAcceptor } from './record-acceptor.ts';
import { type Boot, Replica } from './replica.ts';
import { checkSettings, type PalfSettings, palfSettingsDefault } from './settings.ts';
import { type PalfStage, type PalfView, palfView } from './view.ts';

/** What a booted replica consists of. */
interface Parts {
  readonly replica: Replica;
  readonly elector: Elector;
  readonly receiver: Receiver;
  readonly acceptor: RecordAcceptor;
  readonly source: LogSource;
  readonly replacement: LogReplacement;
  readonly arbitration: Arbitration;
}

/** A leader's. */
interface Term {
  readonly leadership: Leadership;
  readonly requests: LeaderRequests;
  readonly handOver: HandOver;
}

type Asked<K extends PalfInput['kind']> = Extract<PalfInput, { kind: K }>;

export class PalfCore {
  readonly #settings: PalfSettings;
  readonly #out = new Outbox();
  #parts: Parts | undefined;
  #candidacy: Candidacy | undefined;
  #term: Term | undefined;
  /** what was told to the outside */
  #isLeader = false;
  /** lease of the term before, while its leader opens another proposal: its voters keep their word to the same node */
  #heldUntil: MonoMs = monoMs(0);
  #closing: Token | undefined;
  #isClosed = false;
  /** in this step: what waits for the disk goes on */
  #hasIoEnded = false;
  /** the end of a turn came */
  #isFlushDue = false;
  /** in this step: a leader with an arbiter looks who counts */
  #isArbitrationDue = false;
  /** the wake-up that was asked for and did not come yet */
  #armedAt: MonoMs | undefined;
  /** one at the end of this turn was asked for: a timer, though it is due, may be late */
  #isTurnArmed = false;

  constructor(settings: PalfSettings = palfSettingsDefault) {
    checkSettings(settings);
    this.#settings = settings;
  }

  /** The only entry. Effects are to be carried out in order. */
  step(input: PalfInput, now: MonoMs): readonly PalfEffect[] {
    assert(this.#out.isEmpty, 'step does not recurse');
    if (input.kind === 'boot') this.#boot(input, now);
    else {
      const parts = this.#booted;
      parts.replica.now = now;
      this.#dispatch(parts, input);
    }
    this.#endStep(this.#booted);
    return this.#out.take();
  }

  get #booted(): Parts {
    assert(this.#parts !== undefined, 'a core boots first');
    return this.#parts;
  }

  #boot(boot: Boot, now: MonoMs): void {
    assert(this.#parts === undefined, 'a core boots once');
    const replica = new Replica(boot, this.#settings, this.#out, now);
    const elector = new Elector(replica, {
      isFollowing: () => this.#isFollowing,
      holdsLease: () => this.#term?.leadership.holdsLease === true,
      stepDown: why => this.#stepDown(why),
      prepare: released => this.#prepare(released, undefined),
    });
    const receiver = new Receiver(replica);
    const acceptor = new RecordAcceptor(replica, receiver);
    const replacement = new LogReplacement(replica, receiver);
    this.#parts = {
      replica,
      elector,
      receiver,
      acceptor,
      source: new LogSource(replica),
      replacement,
      arbitration: new Arbitration(replica),
    };
    if (replica.isSoleVoter && replica.meta.wanted.impaired === null)
      this.#prepare(0 as ProposalId, undefined);
  }

  // --- who hears what ---

  #dispatch(parts: Parts, input: Exclude<PalfInput, { kind: 'boot' }>): void {
    const { replica, source } = parts;
    switch (input.kind) {
      case 'wake':
        return this.#onWake(parts);
      case 'ioDone':
        return this.#onIoDone(parts, input);
      case 'message':
        if (this.#isClosed || input.from === replica.self) return;
        parts.arbitration.heard(input.from, input.message);
        return this.#onMessage(parts, input.from, input.message);
      case 'verdict':
      case 'root-service':
      case 'set-arbitration':
        parts.arbitration.onNews(input);
        checkSettings(replica.settings);
        this.#isArbitrationDue = true;
        return;
      case 'logRead':
        if (this.#term?.leadership.onLogRead(input.readId, input.result) !== true)
          source.onLogRead(input.readId, input.result);
        return;
      case 'propose':
        return this.#ask(input.token, { why: 'mode-changing' }, ({ requests }) => requests.propose(input));
      case 'rawWrite':
        return this.#ask(input.token, { why: 'mode-changing' }, ({ requests }) => requests.rawWrite(input));
      case 'changeMode':
        return this.#ask(input.token, { why: 'busy' }, ({ requests }) => requests.changeMode(input));
      case 'flashback':
        return this.#ask(input.token, { why: 'busy' }, ({ requests }) => requests.flashback(input));
      case 'changeConfig':
        return this.#ask(input.token, { why: 'busy' }, ({ requests }) => requests.changeConfig(input));
      case 'transfer':
        return this.#ask(input.token, { why: 'busy' }, ({ requests, handOver }) =>
          requests.isBusy
            ? this.#out.refuse(input.token, { why: 'busy' })
            : handOver.request(input.target, input.token),
        );
      case 'setPriority':
        replica.settings = { ...replica.settings, priority: input.priority };
        checkSettings(replica.settings);
        return;
      case 'advanceBase':
        return this.#onAdvanceBase(parts, input);
      case 'beginRebuild':
        return this.#onBeginRebuild(parts, input.token);
      case 'finishRebuild':
        return this.#onFinishRebuild(parts, input);
      case 'close':
        return this.#onClose(parts, input.token);
      default:
        unreachable(input);
    }
  }

  /** Something only a leader does. `opening`: what it says while it opens another proposal. */
  #ask(token: Token, opening: PalfRefusal, take: (term: Term) => void): void {
    const { replica } = this.#booted;
    if (this.#isClosed || this.#closing !== undefined) return this.#out.refuse(token, { why: 'closed' });
    if (this.#term?.leadership.isLeading === true) return take(this.#term);
    this.#out.refuse(token, this.#isLeader ? opening : { why: 'not-leader', leader: replica.leader });
  }

  #onMessage(parts: Parts, from: NodeId, message: PalfMessage): void {
    const { elector, receiver, acceptor, source } = parts;
    const leadership = this.#term?.leadership;
    switch (message.kind) {
      case 'canvass':
        return elector.onCanvass(from, message);
      case 'support':
        return elector.onSupport(from, message);
      case 'oppose':
        return elector.onOppose(from, message);
      case 'prepare':
        return elector.onPrepare(from, message);
      case 'promise':
        this.#candidacy?.onPromise(from, message);
        return leadership?.onPromise(from, message);
      case 'reject':
        return this.#onReject(parts, from, message);
      case 'renewed': {
        this.#candidacy?.onRenewed(from, message);
        const peer = leadership?.onRenewed(from, message);
        if (peer !== undefined && leadership?.isLeading === true) this.#term?.handOver.onAnswer(peer);
        return;
      }
      case 'hand-over':
        return elector.onHandOver(from, message);
      case 'resign':
        return elector.onResign(from, message);
      case 'ack':
        return leadership?.onAck(from, message);
      case 'mismatch':
        return leadership?.onMismatch(from, message);
      case 'config-ack':
        return leadership?.onConfigAck(from, message);
      case 'fetch':
        return source.onFetch(from, message);
      case 'fetched':
        return this.#candidacy?.onFetched(from, message);
      case 'unfetched':
        return this.#candidacy?.onUnfetched(from, message);
      case 'renew':
        if (!this.#follow(parts, from, message.proposal)) return;
        elector.onRenew(from, message);
        receiver.commit(message.committed);
        return receiver.onQuiet(from);
      case 'push':
        if (this.#follow(parts, from, message.proposal)) receiver.onPush(from, message);
        return;
      case 'commit':
        if (this.#follow(parts, from, message.proposal)) receiver.commit(message.committed);
        return;
      case 'config':
        if (this.#follow(parts, from, message.proposal)) acceptor.onConfig(from, message);
        return;
      case 'record':
        if (!this.#isFollowing || !acceptor.mayTakeRecord(from, message)) return;
        elector.follows(message.record.version.proposalId);
        return acceptor.takeRecord(message);
      case 'rebuild':
        if (this.#follow(parts, from, message.proposal)) receiver.onRebuild(from, message);
        return;
      case 'parted':
        if (this.#follow(parts, from, message.proposal)) receiver.onParted(from, message);
        return;
      case 'mend':
        if (this.#follow(parts, from, message.proposal)) receiver.onMend(message);
        return;
      default:
        return unreachable(message);
    }
  }

  /** A leader speaks: whether it is one for this replica. A higher proposal than the promised one is promised now. */
  #follow({ replica, elector, receiver }: Parts, from: NodeId, proposal: ProposalId): boolean {
    const { promised } = replica.meta.wanted;
    if (proposal < promised) {
      replica.out.send(from, { kind: 'reject', proposal, promised });
      return false;
    }
    if (proposal > promised) {
      this.#stepDown('another leads');
      elector.follows(proposal);
    }
    // Nobody else leads in a proposal that this replica took for itself.
    if (!this.#isFollowing) return false;
    replica.leader = from;
    receiver.follow(from, proposal);
    return true;
  }

  #onReject({ replica, elector }: Parts, from: NodeId, message: PalfMessageOf<'reject'>): void {
    replica.hearOf(message.promised);
    this.#candidacy?.onReject(from, message);
    const leadership = this.#term?.leadership;
    if (leadership === undefined || message.proposal !== leadership.proposal) return;
    if (message.promised <= leadership.proposal) return;
    this.#stepDown('a higher proposal was promised');
    elector.standStill(replica.settings.canvassMs);
  }

  // --- parts it plays ---

  get #isFollowing(): boolean {
    return this.#candidacy === undefined && this.#term === undefined;
  }

  #prepare(released: ProposalId, opening: Opening | undefined): void {
    const { replica, elector, receiver } = this.#booted;
    receiver.restart();
    if (replica.isSoleVoter) return this.#leadAlone(opening);
    this.#candidacy = new Candidacy(
      replica,
      {
        lead: elected => this.#lead(elected),
        giveUp: (why, retryMs) => this.#giveUp(why, retryMs),
      },
      { released, opening },
    );
    elector.votedForSelf(this.#candidacy.proposal);
  }

  /** The only voter needs nobody's promise: its own is durable together with its first record. */
  #leadAlone(opening: Opening | undefined): void {
    const { replica, elector } = this.#booted;
    if (!replica.log.isFlushed) return elector.standStill(replica.settings.canvassMs);
    const proposal = replica.nextProposal();
    replica.raise(proposal);
    elector.votedForSelf(proposal);
    this.#lead({ proposal, opening, promises: new Map(), grantedAt: new Map() });
  }

  #lead(elected: ElectedLeader): void {
    const { replica } = this.#booted;
    this.#candidacy = undefined;
    const leadership = new Leadership(
      replica,
      {
        giveUp: (why, retryMs) => this.#giveUp(why, retryMs),
        leads: () => {
          this.#isLeader = true;
        },
      },
      elected,
    );
    const handOver: HandOver = new HandOver(replica, leadership, {
      handOver: target => this.#handOver(target),
      get isBusy() {
        return requests.isBusy;
      },
    });
    const requests = new LeaderRequests(replica, leadership, {
      open: opening => this.#open(opening),
      get isHandingOver() {
        return handOver.isUnderWay;
      },
    });
    this.#term = { leadership, handOver, requests };
    leadership.begin();
  }

  /** Another proposal of a leader that stays one. */
  #open(opening: Opening): void {
    this.#heldUntil = this.#leaseUntil;
    this.#term?.leadership.end();
    this.#term = undefined;
    this.#prepare(0 as ProposalId, opening);
  }

  #handOver(target: NodeId): void {
    const { replica, elector } = this.#booted;
    const leadership = this.#term?.leadership;
    assert(leadership !== undefined, 'a leader hands over');
    this.#stepDown('handed over');
    replica.out.send(target, { kind: 'hand-over', proposal: leadership.proposal });
    elector.standStill(replica.settings.leaseMs);
  }

  #giveUp(why: string, retryMs: number): void {
    this.#candidacy?.resign();
    this.#term?.leadership.resign();
    this.#stepDown(why);
    this.#booted.elector.standStill(retryMs);
  }

  /** Back to following. What was ordered and not handed to the disk is forgotten, what was taken is abandoned. */
  #stepDown(why: string): void {
    if (this.#isFollowing) return;
    const { replica, elector } = this.#booted;
    const { out, log } = replica;
    const opening = this.#candidacy?.opening ?? this.#term?.leadership.opening;
    const proposal = this.#candidacy?.proposal ?? this.#term?.leadership.proposal;
    assert(proposal !== undefined, 'who steps down has a proposal');
    const term = this.#term;
    this.#candidacy?.end();
    term?.leadership.end();
    this.#candidacy = undefined;
    this.#term = undefined;
    replica.lease.release(replica.self, proposal);
    elector.freed();
    log.dropUnsubmitted();
    replica.leader = null;
    out.trace({ event: 'step-down', proposalId: proposal, why });
    if (this.#isLeader) {
      this.#isLeader = false;
      out.push({
        kind: 'roleChanged',
        role: 'follower',
        proposalId: proposal,
        startLsn: log.committed.lsn,
        leader: null,
      });
    }
    term?.requests.abandon();
    term?.handOver.abandon();
    if (opening !== undefined) out.reply(opening.token, { kind: 'abandoned' });
  }

  // --- writes ---

  #onWake({ elector }: Parts): void {
    this.#armedAt = undefined;
    // The end of a turn, in which entries may have been taken, is no time to let go.
    this.#isArbitrationDue = !this.#isTurnArmed;
    this.#isTurnArmed = false;
    this.#isFlushDue = true;
    elector.tick();
    this.#candidacy?.tick();
    this.#term?.leadership.tick();
  }

  #onIoDone({ replica, receiver, replacement }: Parts, { ioId, outcome }: Asked<'ioDone'>): void {
    const { meta, cutter, log } = replica;
    if (outcome === 'given-up') replacement.giveUpWrite(ioId);
    else if (meta.finish(ioId)) {
      cutter.metaDurable(replica.now);
      this.#term?.leadership.recordDurable();
    } else if (log.finishFlush(ioId)) cutter.advance();
    else assert(cutter.truncated(ioId), 'completions name IO that is under way');
    if (this.#isFollowing) receiver.flushed();
    this.#hasIoEnded = true;
  }

  /** One write at a time, none before the promise it is made under is durable, none while the log is cut. */
  #startFlush({ replica, receiver }: Parts): void {
    const { log, cutter, meta } = replica;
    if (log.isFlushing || log.isFlushed || cutter.isBusy || !replica.isPromiseDurable) return;
    const leadership = this.#term?.leadership;
    const owner = {
      proposalId: leadership?.proposal ?? meta.wanted.promised,
      committedEnd: log.committed.lsn,
    };
    log.startFlush(owner, replica.now, end => (this.#isFollowing ? receiver.promise(end) : []));
    leadership?.pump();
  }

  // --- base, rebuild, close ---

  #onAdvanceBase({ replica }: Parts, { token, base, checkpointLsn }: Asked<'advanceBase'>): void {
    const { meta, log, cutter, out } = replica;
    if (this.#isClosed) return out.refuse(token, { why: 'closed' });
    // A flashback that was taken goes back to what the databases held then.
    const opening = this.#candidacy?.opening ?? this.#term?.leadership.opening;
    const isCutting = cutter.isBusy || (opening !== undefined && opening.cut !== null);
    if (isCutting || meta.isFull || meta.wanted.impaired === 'rebuilding')
      return out.refuse(token, { why: 'busy' });
    // A cut may have come after the driver found this position.
    if (checkpointLsn > log.committed.lsn)
      return out.refuse(token, { why: 'not-at-end', end: log.committed });
    assert(base.lsn <= checkpointLsn, 'the base is not behind the checkpoint');
    // What a database is about to hold may be told first, with the base as it is; the base follows when it does.
    const wanted = meta.wanted;
    if (checkpointLsn <= wanted.checkpointLsn && base.lsn <= wanted.base.lsn)
      return out.reply(token, { kind: 'base-advanced', base: wanted.base });
    const furthest = base.lsn > wanted.base.lsn ? base : wanted.base;
    meta.change({ base: furthest, checkpointLsn: lsn(Math.max(checkpointLsn, wanted.checkpointLsn)) });
    meta.thenReply(token, { kind: 'base-advanced', base: furthest });
  }

  #onBeginRebuild({ replica, replacement }: Parts, token: Token): void {
    if (this.#isClosed || this.#closing !== undefined) return this.#out.refuse(token, { why: 'closed' });
    if (replacement.isBeginning) return this.#out.refuse(token, { why: 'busy' });
    if (this.#isLeader || replica.isSoleVoter)
      return this.#out.refuse(token, { why: 'is-leader', node: replica.self });
    this.#giveUp('its log is replaced', 0);
    replacement.begin(token);
  }

  #onFinishRebuild({ replacement }: Parts, input: Asked<'finishRebuild'>): void {
    if (this.#isClosed || this.#closing !== undefined)
      return this.#out.refuse(input.token, { why: 'closed' });
    replacement.finish(input);
  }

  #onClose({ replica }: Parts, token: Token): void {
    if (this.#isClosed || this.#closing !== undefined) return this.#out.refuse(token, { why: 'closed' });
    this.#closing = token;
    replica.isClosing = true;
  }

  /** The exact end goes into the meta image: a log that ends earlier at the next start has lost bytes. */
  #advanceClose({ replica }: Parts): void {
    if (this.#closing === undefined) return;
    const { leadership, requests } = this.#term ?? {};
    if (replica.isSoleVoter) {
      if (this.#isLeader && (leadership?.isLeading !== true || requests?.isBusy === true)) return;
    } else {
      const mayFinish = leadership?.isLeading === true && leadership.holdsLease;
      if (mayFinish && !leadership.isDrained) return;
      if (!this.#isFollowing) this.#giveUp('it closes', 0);
    }
    if (!replica.isLogQuiet) return;
    const token = this.#closing;
    this.#closing = undefined;
    this.#isClosed = true;
    replica.meta.renew();
    replica.meta.thenReply(token, { kind: 'closed', end: replica.log.committed });
  }

  // --- arbitration ---

  #arbitrate({ replica, arbitration }: Parts): void {
    arbitration.observe();
    const term = this.#term;
    const isDue = this.#isArbitrationDue && term !== undefined && !term.handOver.isUnderWay;
    this.#isArbitrationDue = false;
    if (!isDue || this.#closing !== undefined) return;
    const step = arbitration.decide(term.leadership);
    if (step === undefined) return;
    if (step.kind === 'let-go') {
      replica.isMuted = true;
      return this.#giveUp('the root service cannot be reached', replica.settings.leaseMs);
    }
    const { what, node } = step;
    this.#out.trace({ event: what, proposalId: term.leadership.proposal, node });
    term.leadership.propose(Arbitration.apply(step, term.leadership.agreed), () => {});
  }

  // --- the end of a step ---

  #endStep(parts: Parts): void {
    const { replica, elector } = parts;
    replica.eraseDamaged();
    this.#candidacy?.advance();
    this.#term?.leadership.advance();
    this.#term?.requests.advance();
    this.#term?.handOver.advance();
    this.#arbitrate(parts);
    if (this.#isFlushDue) replica.isFlushAsked = false;
    if (this.#isFlushDue || this.#hasIoEnded) this.#startFlush(parts);
    this.#isFlushDue = false;
    this.#hasIoEnded = false;
    parts.replacement.advance();
    this.#advanceClose(parts);
    elector.settle();
    replica.meta.issue(replica.log, replica.now);
    this.#askWake(parts);
  }

  /** Asks for the next wake-up, unless one comes no later: an early one finds nothing to do. */
  #askWake({ replica, elector }: Parts): void {
    if (this.#isClosed || this.#isTurnArmed) return;
    if (replica.isFlushAsked) {
      this.#isTurnArmed = true;
      this.#out.push({ kind: 'wakeAt', at: replica.now });
      return;
    }
    const times = [
      elector.wakeAt,
      this.#candidacy?.wakeAt,
      this.#term?.leadership.wakeAt,
      this.#term?.handOver.wakeAt,
    ].filter(at => at !== undefined);
    if (times.length === 0) return;
    const at = monoMs(Math.min(...times));
    if (this.#armedAt !== undefined && this.#armedAt <= at) return;
    this.#armedAt = at;
    this.#out.push({ kind: 'wakeAt', at });
  }

  // --- what is seen ---

  get #leaseUntil(): MonoMs {
    if (!this.#isLeader) return monoMs(0);
    const leadership = this.#term?.leadership;
    if (leadership?.isLeading === true) return leadership.leaseUntil;
    return monoMs(Math.max(this.#heldUntil, leadership?.leaseUntil ?? 0));
  }

  view(): PalfView {
    const { replica, elector } = this.#booted;
    return palfView(replica, {
      leadership: this.#term?.leadership,
      isLeader: this.#isLeader,
      isModeChanging: this.#term?.requests.isModeChanging === true,
      leaseUntil: this.#leaseUntil,
      stage: this.#stage(elector),
    });
  }

  #stage(elector: Elector): PalfStage {
    if (this.#candidacy !== undefined) return this.#candidacy.stage;
    if (this.#term !== undefined) return this.#term.leadership.stage;
    return elector.isCanvassing ? 'canvassing' : 'follower';
  }
}
