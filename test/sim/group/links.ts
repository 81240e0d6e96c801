/**
 * Faults of the links between nodes: partitions by size, of one node, one-way (deaf or dumb), bridges (two sides that
 * share one node), clogged links, swizzles (links stopped one by one, then let go in another order), and holes (a node gets
 * none but small messages).
 */
import type { NodeId } from '../../../src/base/scalars.ts';
import type { SimTime } from '../../support/sim/event-loop.ts';
import type { SimMemberNet } from '../../support/sim/member-net.ts';
import type { SimRandom } from '../../support/sim/random.ts';
import type { SwarmOptions, Upheaval } from './swarm.ts';

/** Votes and leases pass; groups and records do not. */
const holeBytes = 100;

type PartitionKind = 'halves' | 'isolate' | 'deaf' | 'dumb' | 'bridge';

export class LinkFaults {
  readonly #net: SimMemberNet;
  readonly #time: SimTime;
  readonly #random: SimRandom;
  readonly #options: SwarmOptions['links'];
  readonly #upheaval: Upheaval | null;
  readonly #nodes: () => readonly NodeId[];
  readonly #note: (text: string) => void;
  #isOver = false;
  partitions = 0;

  constructor(parts: {
    net: SimMemberNet;
    time: SimTime;
    random: SimRandom;
    options: SwarmOptions['links'];
    upheaval: Upheaval | null;
    nodes: () => readonly NodeId[];
    note: (text: string) => void;
  }) {
    this.#net = parts.net;
    this.#time = parts.time;
    this.#random = parts.random;
    this.#options = parts.options;
    this.#upheaval = parts.upheaval;
    this.#nodes = parts.nodes;
    this.#note = parts.note;
  }

  begin(): void {
    const { partitionEveryMs, clogEveryMs, hasSwizzle, partitionMsMax } = this.#options;
    this.#every(partitionEveryMs, () => this.#partition(this.#random.between(1, partitionMsMax)));
    this.#every(clogEveryMs, () => this.#clog(this.#random.between(1, partitionMsMax)));
    const { holeEveryMs, holeMsMax } = this.#upheaval ?? { holeEveryMs: 0, holeMsMax: 0 };
    this.#every(holeEveryMs, () => this.#hole(this.#random.between(1, holeMsMax)));
    if (hasSwizzle) this.#every(partitionMsMax * 3, () => this.#swizzle(partitionMsMax));
  }

  end(): void {
    this.#isOver = true;
    this.#net.heal();
  }

  #every(ms: number, run: () => void): void {
    if (ms === 0) return;
    this.#time.after(this.#random.between(1, ms * 2), () => {
      if (this.#isOver) return;
      run();
      this.#every(ms, run);
    });
  }

  #partition(ms: number): void {
    const nodes = this.#shuffled();
    const [one, ...rest] = nodes;
    if (one === undefined || rest.length === 0) return;
    const kind = this.#random.pick<PartitionKind>(['halves', 'halves', 'isolate', 'deaf', 'dumb', 'bridge']);
    const cuts: (readonly [NodeId, NodeId])[] = [];
    const apart = (left: readonly NodeId[], right: readonly NodeId[]) => {
      for (const a of left) for (const b of right) cuts.push([a, b], [b, a]);
    };
    switch (kind) {
      case 'halves': {
        const size = this.#random.between(1, nodes.length - 1);
        apart(nodes.slice(0, size), nodes.slice(size));
        break;
      }
      case 'isolate':
        apart([one], rest);
        break;
      case 'deaf':
        for (const other of rest) cuts.push([other, one]);
        break;
      case 'dumb':
        for (const other of rest) cuts.push([one, other]);
        break;
      case 'bridge': {
        const middle = rest.length >> 1;
        apart(rest.slice(0, middle), rest.slice(middle));
        break;
      }
    }
    this.partitions += 1;
    this.#note(`partition ${kind} of ${nodes.join(' ')} for ${ms}`);
    for (const [from, to] of cuts) this.#net.cut(from, to);
    this.#time.after(ms, () => {
      if (this.#isOver) return;
      for (const [from, to] of cuts) this.#net.mend(from, to);
      this.#note(`partition ${kind} ends`);
    });
  }

  #clog(ms: number): void {
    const [from, to] = this.#shuffled();
    if (from === undefined || to === undefined) return;
    this.#note(`clog ${from} > ${to} for ${ms}`);
    this.#net.clog(from, to, ms);
  }

  /** One node hears that its leader is there, and misses what it says. */
  #hole(ms: number): void {
    const [to, ...rest] = this.#shuffled();
    if (to === undefined) return;
    this.#note(`${to} gets none but small messages for ${ms}`);
    for (const from of rest) this.#net.narrow(from, to, holeBytes);
    this.#time.after(ms, () => {
      for (const from of rest) this.#net.widen(from, to);
    });
  }

  /** Links stop one by one and go on in another order. */
  #swizzle(ms: number): void {
    const nodes = this.#shuffled();
    const links = nodes.flatMap(from => nodes.filter(to => to !== from).map(to => [from, to] as const));
    this.#note('swizzle');
    for (const [from, to] of links) {
      if (this.#random.chance(1, 2)) continue;
      const stopsIn = this.#random.between(0, ms);
      const goesIn = ms + this.#random.between(0, ms);
      this.#time.after(stopsIn, () => {
        if (!this.#isOver) this.#net.clog(from, to, goesIn - stopsIn);
      });
    }
  }

  #shuffled(): NodeId[] {
    const nodes = [...this.#nodes()];
    for (let index = nodes.length - 1; index > 0; index--) {
      const other = this.#random.between(0, index);
      [nodes[index], nodes[other]] = [nodes[other] as NodeId, nodes[index] as NodeId];
    }
    return nodes;
  }
}
