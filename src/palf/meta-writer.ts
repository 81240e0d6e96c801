/**
 * The meta image of a replica: what is durable, what is wanted, and the one write in flight between them. Changes of one
 * step, and those made while a write is in flight, go into the next image together.
 *
 * A promise is made with `then`: it leaves when everything wanted at that moment is durable, never before (E5, L8). While the disk hangs
 * each node is owed one message of a kind, the newest.
 */
import { assert, must } from '../base/assert.ts';
import { metaRepliesMax } from '../base/limits.ts';
import type { LogPosition, ProposalEra } from '../base/log-access.ts';
import { type Lsn, lsn, type MonoMs, type NodeId, type ProposalId } from '../base/scalars.ts';
import { compareVersions } from '../codec/config-record.ts';
import type { MetaImage } from '../codec/meta-image.ts';
import type { PalfMessage } from '../codec/palf-message.ts';
import type { PalfOutcome, PalfReply, PalfSend } from './effects.ts';
import type { Token } from './inputs.ts';
import { type Outbox, owe } from './outbox.ts';
import { cutHistory } from './proposal-history.ts';

type MetaChange = Partial<Omit<MetaImage, 'stream' | 'incarnation' | 'blockBytes' | 'self' | 'history'>>;

interface Promises {
  readonly sends: PalfSend[];
  readonly replies: PalfReply[];
}

const noPromises = (): Promises => ({ sends: [], replies: [] });

/** What an image says of the log: taken at the moment it is written. */
interface LogFacts {
  readonly history: readonly ProposalEra[];
  readonly flushed: LogPosition;
}

export class MetaWriter {
  readonly #out: Outbox;
  #durable: MetaImage;
  #wanted: MetaImage;
  #hasChanged = false;
  /** leave with the next image */
  #next = noPromises();
  /** made while a write was in flight that already held what they rest on */
  #behind = noPromises();
  #inFlight: { readonly ioId: number; readonly image: MetaImage; readonly startedAt: MonoMs } | undefined;

  constructor(image: MetaImage, out: Outbox) {
    this.#durable = image;
    this.#wanted = image;
    this.#out = out;
  }

  /** What counts. */
  get durable(): MetaImage {
    return this.#durable;
  }

  /** The durable image with all changes that are on their way. */
  get wanted(): MetaImage {
    return this.#wanted;
  }

  /** Since when a write has been in flight. */
  get writingSince(): MonoMs | undefined {
    return this.#inFlight?.startedAt;
  }

  /** Callers that wait are bounded. */
  get isFull(): boolean {
    return this.#next.replies.length + this.#behind.replies.length >= metaRepliesMax;
  }

  /** The longest lease that is durable whatever becomes of the write in flight, which may note a shorter one. */
  get sureLeaseMs(): number {
    return Math.min(this.#durable.leaseMs, this.#inFlight?.image.leaseMs ?? this.#durable.leaseMs);
  }

  change(change: MetaChange): void {
    this.#wanted = { ...this.#wanted, ...change };
    this.#hasChanged = true;
  }

  /** Asks for an image even if nothing changed but the log. */
  renew(): void {
    this.#hasChanged = true;
  }

  thenSend(to: NodeId, message: PalfMessage): void {
    if (this.#hasChanged) owe(this.#next.sends, { to, message });
    else if (this.#inFlight !== undefined) owe(this.#behind.sends, { to, message });
    else this.#out.send(to, message);
  }

  thenReply(token: Token, outcome: PalfOutcome): void {
    if (this.#hasChanged) this.#next.replies.push({ token, outcome });
    else if (this.#inFlight !== undefined) this.#behind.replies.push({ token, outcome });
    else this.#out.reply(token, outcome);
  }

  /** A higher proposal is promised: what was to be said under lower ones is not said any more. */
  dropSendsBelow(proposal: ProposalId): void {
    const keep = ({ message }: PalfSend): boolean => message.proposal >= proposal;
    this.#next = { ...this.#next, sends: this.#next.sends.filter(keep) };
    this.#behind = { ...this.#behind, sends: this.#behind.sends.filter(keep) };
  }

  /** At the end of each step: starts the next write if one is due. */
  issue(log: LogFacts, now: MonoMs): void {
    if (this.#inFlight !== undefined || !this.#hasChanged) return;
    const { truncateTo } = this.#wanted;
    const end: Lsn = lsn(Math.min(log.flushed.lsn, truncateTo?.lsn ?? log.flushed.lsn));
    const image: MetaImage = { ...this.#wanted, history: cutHistory(log.history, end), durableEnd: end };
    this.#hasChanged = false;
    this.#inFlight = { ioId: this.#out.nextId(), image, startedAt: now };
    const { sends, replies } = this.#next;
    this.#next = noPromises();
    this.#out.push({
      kind: 'persistMeta',
      ioId: this.#inFlight.ioId,
      image,
      thenSend: sends,
      thenReply: replies,
    });
  }

  /** Whether this completes the write in flight; then its image counts. */
  finish(ioId: number): boolean {
    if (ioId !== this.#inFlight?.ioId) return false;
    const { image } = must(this.#inFlight, 'meta in flight');
    const before = this.#durable;
    assert(image.promised >= before.promised, 'promised proposals never decrease');
    assert(image.accepted >= before.accepted, 'accepted proposals never decrease');
    assert(compareVersions(image.config.version, before.config.version) >= 0, 'records never get older');
    assert(compareVersions(image.cutApplied, before.cutApplied) >= 0, 'cuts are never forgotten');
    this.#inFlight = undefined;
    this.#durable = image;
    for (const { to, message } of this.#behind.sends) this.#out.send(to, message);
    for (const { token, outcome } of this.#behind.replies) this.#out.reply(token, outcome);
    this.#behind = noPromises();
    return true;
  }
}
