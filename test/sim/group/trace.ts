/**
 * What happened in a run: a rolling hash of everything always, readable lines when somebody reads them.
 */
import type { NodeId } from '../../../src/base/scalars.ts';
import { chain } from '../../../src/codec/checksum.ts';
import type { PalfMessage } from '../../../src/codec/palf-message.ts';
import type { SimTime } from '../../support/sim/event-loop.ts';
import type { CoreStep } from './core-tap.ts';

/** Shortens what is not worth reading. */
const readable = (key: string, value: unknown): unknown => {
  if (value instanceof Uint8Array) return `${value.length} bytes`;
  if (key === 'groups' && Array.isArray(value)) {
    const groups = value as { end: { lsn: number } }[];
    return `${groups.length} to ${groups.at(-1)?.end.lsn ?? '-'}`;
  }
  if (key === 'checksum' && typeof value === 'number') return value.toString(16);
  if (key === 'history' || key === 'tail') return undefined;
  return value;
};

const text = (value: unknown): string => JSON.stringify(value, readable);

export class Trace {
  readonly #time: SimTime;
  readonly #write: ((line: string) => void) | undefined;
  #hash = 0;

  constructor(time: SimTime, write?: (line: string) => void) {
    this.#time = time;
    this.#write = write;
  }

  get hash(): number {
    return this.#hash;
  }

  note(what: string): void {
    this.#hash = chain(this.#hash, Buffer.from(`${this.#time.now}|${what}`));
    this.line(() => what);
  }

  /** A line for readers alone; made only if there is one. */
  line(make: () => string): void {
    this.#write?.(`${this.#time.now.toFixed(3).padStart(11)}  ${make()}`);
  }

  step({ self, input, effects, view }: CoreStep): void {
    this.#hash = chain(
      this.#hash,
      Buffer.from(
        `${this.#time.now}|${self}|${input.kind}|${effects.length}|${view.maxLsn}|${view.committed.lsn}`,
      ),
    );
    if (this.#write === undefined) return;
    if (input.kind === 'wake' && effects.every(({ kind }) => kind === 'wakeAt')) return;
    const from = input.kind === 'message' ? input.from : undefined;
    const told =
      input.kind === 'message' ? text(input.message) : input.kind === 'boot' ? 'boot' : text(input);
    this.line(() => `${self} <- ${from === undefined ? '' : `${from} `}${told}`);
    for (const effect of effects) {
      if (effect.kind === 'wakeAt' || effect.kind === 'send') continue;
      if (effect.kind === 'persistMeta') {
        const { promised, accepted, config, cutApplied, impaired, truncateTo } = effect.image;
        const image = { promised, accepted, config, cutApplied, impaired, truncateTo };
        this.line(() => `${self}      persist ${text(image)} then ${text(effect.thenSend)}`);
      } else this.line(() => `${self}      ${text(effect)}`);
    }
  }

  sent(from: NodeId, to: NodeId, message: PalfMessage): void {
    if (this.#write !== undefined) this.line(() => `${from} -> ${to} ${text(message)}`);
  }
}
