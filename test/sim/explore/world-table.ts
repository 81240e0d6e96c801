/**
 * The worlds that were found, in the order in which they were found: whole numbers, side by side in flat memory, so that many
 * millions fit. A world is found again by all of its numbers, never by a hash of them alone.
 */
import { assert, must } from '../../../src/base/assert.ts';

const chunkWorlds = 1 << 17;

export class WorldTable {
  /** numbers of a world */
  readonly #width: number;
  readonly #chunks: Int32Array[] = [];
  readonly #parents: Int32Array[] = [];
  /** places of worlds + 1, by their hash; 0: free */
  #index = new Int32Array(1 << 16);
  #size = 0;

  constructor(width: number) {
    this.#width = width;
  }

  get size(): number {
    return this.#size;
  }

  read(at: number, into: Int32Array): void {
    const chunk = must(this.#chunks[Math.floor(at / chunkWorlds)], 'chunk');
    const from = (at % chunkWorlds) * this.#width;
    for (let each = 0; each < this.#width; each++) into[each] = chunk[from + each] ?? 0;
  }

  parent(at: number): number {
    return this.#parents[Math.floor(at / chunkWorlds)]?.[at % chunkWorlds] ?? -1;
  }

  /** Its place, which is the last one if it is new. */
  add(world: Int32Array, parent: number): number {
    assert(world.length === this.#width, 'all worlds have as many numbers');
    if (this.#size * 2 > this.#index.length) this.#grow();
    const slot = this.#slot(world);
    const known = this.#index[slot] ?? 0;
    if (known !== 0) return known - 1;
    const at = this.#size;
    if (at % chunkWorlds === 0) {
      this.#chunks.push(new Int32Array(chunkWorlds * this.#width));
      this.#parents.push(new Int32Array(chunkWorlds));
    }
    must(this.#chunks.at(-1), 'chunk').set(world, (at % chunkWorlds) * this.#width);
    must(this.#parents.at(-1), 'chunk')[at % chunkWorlds] = parent;
    this.#index[slot] = at + 1;
    this.#size += 1;
    return at;
  }

  #slot(world: Int32Array): number {
    const mask = this.#index.length - 1;
    const width = this.#width;
    for (let slot = hashOf(world) & mask; ; slot = (slot + 1) & mask) {
      const at = (this.#index[slot] ?? 0) - 1;
      if (at < 0) return slot;
      const chunk = must(this.#chunks[Math.floor(at / chunkWorlds)], 'chunk');
      const from = (at % chunkWorlds) * width;
      let each = 0;
      while (each < width && chunk[from + each] === world[each]) each += 1;
      if (each === width) return slot;
    }
  }

  #grow(): void {
    this.#index = new Int32Array(this.#index.length * 2);
    const mask = this.#index.length - 1;
    const world = new Int32Array(this.#width);
    for (let at = 0; at < this.#size; at++) {
      this.read(at, world);
      let slot = hashOf(world) & mask;
      while (this.#index[slot] !== 0) slot = (slot + 1) & mask;
      this.#index[slot] = at + 1;
    }
  }
}

function hashOf(world: Int32Array): number {
  let hash = 0x811c9dc5;
  for (const number of world) {
    hash = Math.imul(hash ^ number, 0x9e3779b1);
    hash ^= hash >>> 15;
  }
  hash = Math.imul(hash ^ (hash >>> 13), 0x85ebca6b);
  return (hash ^ (hash >>> 16)) >>> 0;
}
