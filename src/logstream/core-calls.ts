/**
 * Those who wait for a core's answer, each by a token of its own; every one of them gets exactly one.
 *
 * Must never: leave anybody waiting for a core that answers nothing any more.
 */
import { must } from '../base/assert.ts';
import type { PalfOutcome, PalfReply } from '../palf/effects.ts';
import type { Token } from '../palf/inputs.ts';

interface Caller {
  readonly resolve: (outcome: PalfOutcome) => void;
  readonly reject: (error: Error) => void;
}

export class CoreCalls {
  readonly #callers = new Map<Token, Caller>();
  #nextToken = 1;
  /** why the core answers nothing any more */
  #end: Error | undefined;

  /** Calls `send` with a new token; resolves with the core's answer to it. */
  ask(send: (token: Token) => void): Promise<PalfOutcome> {
    if (this.#end !== undefined) return Promise.reject(this.#end);
    const token = this.#nextToken++;
    return new Promise((resolve, reject) => {
      this.#callers.set(token, { resolve, reject });
      send(token);
    });
  }

  settle({ token, outcome }: PalfReply): void {
    const caller = must(this.#callers.get(token), 'caller of a reply');
    this.#callers.delete(token);
    caller.resolve(outcome);
  }

  /** The core answers nothing any more: not those who wait, nor those who ask from here on. */
  rejectAll(error: Error): void {
    this.#end = error;
    for (const caller of this.#callers.values()) caller.reject(error);
    this.#callers.clear();
  }
}
