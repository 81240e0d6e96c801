/**
 * The randomness of simulations: xoshiro128**, 32-bit integers only, so that a seed means the same everywhere. Each
 * concern draws from a fork of its own: one more draw in one does not shift the others.
 */
import { must } from '../../../src/base/assert.ts';
import type { Random } from '../../../src/platform/random.ts';

const rotate = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits));

export class SimRandom implements Random {
  readonly #state: Uint32Array;

  constructor(seed: number) {
    // splitmix32 spreads a small seed over the whole state.
    let word = seed >>> 0;
    this.#state = Uint32Array.from({ length: 4 }, () => {
      word = (word + 0x9e37_79b9) >>> 0;
      let mixed = Math.imul(word ^ (word >>> 16), 0x21f0_aaad);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97);
      return (mixed ^ (mixed >>> 15)) >>> 0;
    });
  }

  /** uniform in [0, 2^32) */
  next(): number {
    const state = this.#state;
    const [s0, s1, s2, s3] = [0, 1, 2, 3].map(index => must(state[index], 'state word')) as [
      number,
      number,
      number,
      number,
    ];
    const result = Math.imul(rotate(Math.imul(s1, 5), 7), 9) >>> 0;
    const t2 = s2 ^ s0;
    const t3 = s3 ^ s1;
    state[1] = s1 ^ t2;
    state[0] = s0 ^ t3;
    state[2] = t2 ^ (s1 << 9);
    state[3] = rotate(t3, 11);
    return result;
  }

  /** uniform in [from, to] */
  between(from: number, to: number): number {
    return from + (this.next() % (to - from + 1));
  }

  /** true in `count` of `outOf` cases */
  chance(count: number, outOf: number): boolean {
    return this.next() % outOf < count;
  }

  pick<T>(values: readonly T[]): T {
    return must(values[this.next() % values.length], 'value to pick');
  }

  fork(): SimRandom {
    return new SimRandom(this.next());
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.next() & 255);
  }

  uuid(): string {
    return `${this.next().toString(16).padStart(8, '0')}-sim`;
  }

  fraction(): number {
    return this.next() / 4_294_967_296;
  }
}
