/**
 * The simulated twin of an object store: one shared medium, and a connection per process with its own faults. Answers
 * come after virtual time; a write may fail before or after it took effect, take effect after its writer gave up, or
 * stop a process right there.
 */
import { ObError } from '../../../src/base/errors.ts';
import { sameBytes } from '../../../src/archive/object-key.ts';
import type { ObjectStore } from '../../../src/platform/object-store.ts';
import type { VirtualTime } from './virtual-time.ts';

/** Draws in [0, 1). */
export type Draw = () => number;

/** Small integer generator (xorshift32), so that one seed decides everything. */
export function drawsOf(seed: number): Draw {
  let state = (Math.imul(seed, 2_654_435_761) ^ 0x9e37_79b9) | 1;
  return () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 4_294_967_296;
  };
}

export interface StoreFaults {
  /** share of requests that fail without effect */
  readonly refused: number;
  /** share of writes that take effect and whose answer is lost */
  readonly answerLost: number;
  /** share of writes that take effect long after their writer was told that nobody knows */
  readonly late: number;
  readonly latencyMsMax: number;
}

export const noFaults: StoreFaults = { refused: 0, answerLost: 0, late: 0, latencyMsMax: 2 };

export class SimulatedMedium {
  readonly objects = new Map<string, Uint8Array>();
  /** keys in the order in which they were first written */
  readonly history: string[] = [];

  putIfAbsent(key: string, bytes: Uint8Array): 'created' | 'exists' {
    const there = this.objects.get(key);
    if (there !== undefined) return sameBytes(there, bytes) ? 'created' : 'exists';
    this.put(key, bytes);
    return 'created';
  }

  put(key: string, bytes: Uint8Array): void {
    if (!this.objects.has(key)) this.history.push(key);
    this.objects.set(key, bytes.slice());
  }
}

export type WriteFate = 'normal' | 'diesBefore' | 'diesAfter';

export class SimulatedStore implements ObjectStore {
  readonly name: string;
  readonly #medium: SimulatedMedium;
  readonly #time: VirtualTime;
  readonly #draw: Draw;
  faults: StoreFaults;
  /** decides the fate of the process at its n-th request */
  fateOf: (request: number) => WriteFate = () => 'normal';
  requests = 0;
  #isDead = false;

  constructor(
    medium: SimulatedMedium,
    time: VirtualTime,
    options: { name: string; draw: Draw; faults: StoreFaults },
  ) {
    this.#medium = medium;
    this.#time = time;
    this.name = options.name;
    this.#draw = options.draw;
    this.faults = options.faults;
  }

  get isDead(): boolean {
    return this.#isDead;
  }

  /** The process behind this connection is gone: nothing it asked for is answered any more. */
  die(): void {
    this.#isDead = true;
  }

  get(key: string): Promise<Uint8Array | undefined> {
    return this.#request(() => this.#medium.objects.get(key)?.slice());
  }

  getRange(key: string, start: number, length: number): Promise<Uint8Array | undefined> {
    return this.#request(() => this.#medium.objects.get(key)?.slice(start, start + length));
  }

  putIfAbsent(key: string, bytes: Uint8Array): Promise<'created' | 'exists'> {
    return this.#write(key, () => this.#medium.putIfAbsent(key, bytes));
  }

  put(key: string, bytes: Uint8Array): Promise<void> {
    return this.#write(key, () => {
      this.#medium.put(key, bytes);
    });
  }

  delete(key: string): Promise<void> {
    return this.#write(key, () => {
      this.#medium.objects.delete(key);
    });
  }

  list(prefix: string, options: { after?: string; max?: number } = {}): Promise<string[]> {
    const after = options.after ?? '';
    return this.#request(() =>
      [...this.#medium.objects.keys()]
        .filter(key => key.startsWith(prefix) && key > after)
        .sort()
        .slice(0, options.max ?? 1_000),
    );
  }

  close(): Promise<void> {
    return Promise.resolve();
  }

  async #request<T>(read: () => T): Promise<T> {
    await this.#travel(() => {});
    if (this.#draw() < this.faults.refused) throw this.#unavailable();
    return read();
  }

  async #write<T>(key: string, effect: () => T): Promise<T> {
    const unknown = () =>
      new ObError('OBS_ARCHIVE_OUTCOME_UNKNOWN', { dest: this.name, key, why: 'the answer was lost' });
    await this.#travel(effect);
    const chance = this.#draw();
    const { refused, answerLost, late } = this.faults;
    if (chance < refused) throw this.#unavailable();
    if (chance < refused + late) {
      this.#time.after(this.#draw() * 30_000, () => {
        effect();
      });
      throw unknown();
    }
    const result = effect();
    if (chance < refused + late + answerLost) throw unknown();
    return result;
  }

  /** The way there; a process may die on it, before or after the effect. */
  async #travel(effect: () => unknown): Promise<void> {
    this.requests += 1;
    const fate = this.fateOf(this.requests);
    if (fate === 'diesAfter') effect();
    if (fate !== 'normal') this.die();
    await this.#time.pause(this.#draw() * this.faults.latencyMsMax);
    if (this.#isDead) await new Promise(() => {});
  }

  #unavailable(): ObError {
    return new ObError('OBS_ARCHIVE_UNAVAILABLE', { dest: this.name, why: 'simulated fault' });
  }
}
