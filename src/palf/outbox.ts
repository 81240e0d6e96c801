/** The effects of the step under way, in order, and the ids of IO and reads. */
import type { NodeId } from '../base/scalars.ts';
import type { PalfMessage } from '../codec/palf-message.ts';
import type { PalfEffect, PalfOutcome, PalfRefusal, PalfSend, PalfTrace } from './effects.ts';
import type { Token } from './inputs.ts';

/**
 * Adds a message that leaves later, in place of an earlier one of its kind to the same node: a later answer says all that an earlier
 * one does, and what waits for a disk that hangs stays bounded.
 */
export function owe(sends: PalfSend[], send: PalfSend): void {
  const at = sends.findIndex(({ to, message }) => to === send.to && message.kind === send.message.kind);
  if (at >= 0) sends.splice(at, 1);
  sends.push(send);
}

export class Outbox {
  #effects: PalfEffect[] = [];
  #lastId = 0;

  get isEmpty(): boolean {
    return this.#effects.length === 0;
  }

  nextId(): number {
    this.#lastId += 1;
    return this.#lastId;
  }

  push(effect: PalfEffect): void {
    this.#effects.push(effect);
  }

  /** Only what promises nothing that is not durable already. */
  send(to: NodeId, message: PalfMessage): void {
    this.#effects.push({ kind: 'send', to, message });
  }

  reply(token: Token, outcome: PalfOutcome): void {
    this.#effects.push({ kind: 'reply', token, outcome });
  }

  refuse(token: Token, refusal: PalfRefusal): void {
    this.reply(token, { kind: 'refused', refusal });
  }

  trace(trace: PalfTrace): void {
    this.#effects.push({ kind: 'trace', trace });
  }

  take(): readonly PalfEffect[] {
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }
}
