/** Those who wait for a core's answer, each by a token of its own; every one of them gets exactly one. */
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

  /** Calls `send` with a new token; resolves with the core's answer to it. */
  ask(send: (token: Token) => void): Promise<PalfOutcome> {
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

  /** The core answers nothing any more. */
  rejectAll(error: Error): void {
    for (const caller of this.#callers.values()) caller.reject(error);
    this.#callers.clear();
  }
}
