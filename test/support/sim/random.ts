/**
 * The randomness of simulations: xoshiro128**, 32-bit integers only, so that a seed means the same everywhere. Each
 * concern draws from a fork of its own: one more draw in one does not shift the others.
 */
import { must } from '../../../src/base/assert.ts';
import type { Random } from '../../../src/platform/random.ts';

const rotate = (value: number, bits: number): number => (value << bits) | (value >>> (32 - bits));

export class SimRandom implements Random {
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  constructor(seed: number) {
    // splitmix32 spreads a small seed over the whole state.
    let word = seed >>> 0;
    const draw = (): number => {
      word = (word + 0x9e37_79b9) >>> 0;
      let mixed = Math.imul(word ^ (word >>> 16), 0x21f0_aaad);
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a_2d97);
      return mixed ^ (mixed >>> 15);
    };
    this.#a = draw();
    this.#b = draw();
    this.#c = draw();
    this.#d = draw();
  }

  /** uniform in [0, 2^32) */
  next(): number {
    const result = Math.imul(rotate(Math.imul(this.#b, 5), 7), 9) >>> 0;
    const before = this.#b;
    this.#c ^= this.#a;
    this.#d ^= before;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= before << 9;
    this.#d = rotate(this.#d, 11);
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
