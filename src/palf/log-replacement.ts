/**
 * A follower's log is given up for a copy of another replica's (rebuild): first that it is being replaced becomes durable, then
 * the driver removes and copies, then the log begins where the copy does.
 *
 * Must never: let the replica vote on what it does not have any more: unless the copy reaches as far as all it ever had, it
 * stays impaired until a leader has made it whole.
 */
import { assert } from '../base/assert.ts';
import type { Lsn } from '../base/scalars.ts';
import type { PalfInput, Token } from './inputs.ts';
import type { Receiver } from './receiver.ts';
import type { Replica } from './replica.ts';

export class LogReplacement {
  readonly #replica: Replica;
  readonly #receiver: Receiver;
  #beginning: Token | undefined;
  /** end of the log that is being replaced; undefined: it was damaged, or a restart came between */
  #replacedEnd: Lsn | undefined;

  constructor(replica: Replica, receiver: Receiver) {
    this.#replica = replica;
    this.#receiver = receiver;
  }

  get isBeginning(): boolean {
    return this.#beginning !== undefined;
  }

  /** The replica follows by now. Answered when nothing of the old log can come back. */
  begin(token: Token): void {
    assert(this.#beginning === undefined, 'one replacement begins at a time');
    const { meta, log, cutter } = this.#replica;
    this.#beginning = token;
    cutter.cancelWaiting();
    log.dropUnsubmitted();
    if (meta.wanted.impaired === null) this.#replacedEnd = log.tail.lsn;
    if (meta.wanted.impaired !== 'rebuilding')
      meta.change({ impaired: 'rebuilding', mendings: meta.wanted.mendings + 1 });
  }

  /** A write of log that is being replaced found no room: the disk has none of it, and nobody was told of it. */
  giveUpWrite(ioId: number): void {
    const { meta, log } = this.#replica;
    assert(meta.durable.impaired === 'rebuilding', 'only log that is being replaced is given up');
    log.giveUpFlush(ioId);
    this.#receiver.cutTo(log.tail.lsn);
  }

  finish(input: Extract<PalfInput, { kind: 'finishRebuild' }>): void {
    const { meta, out, log, isLogQuiet } = this.#replica;
    const { token, base, checkpointLsn, history } = input;
    if (meta.durable.impaired !== 'rebuilding' || !isLogQuiet || this.isBeginning)
      return out.refuse(token, { why: 'busy' });
    assert(base.lsn <= checkpointLsn, 'the base is not behind the checkpoint');
    log.restart(base, history);
    this.#receiver.restart();
    // A copy is committed log: if it reaches as far as all this replica ever had, what was acknowledged here and chosen is
    // in it. Else it votes again when a leader has made it whole.
    const isWhole = this.#replacedEnd !== undefined && base.lsn >= this.#replacedEnd;
    this.#replacedEnd = undefined;
    meta.change({ base, checkpointLsn, impaired: isWhole ? null : 'damaged' });
    meta.thenReply(token, { kind: 'rebuild-finished', base });
  }

  /** At the end of each step. */
  advance(): void {
    const { meta, out, isLogQuiet } = this.#replica;
    if (this.#beginning === undefined || !isLogQuiet || meta.durable.impaired !== 'rebuilding') return;
    out.reply(this.#beginning, { kind: 'rebuild-begun' });
    this.#beginning = undefined;
  }
}
