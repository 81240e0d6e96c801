/**
 * Clients: they write registers at whoever says it leads, and at others, read them back, and remember what they were
 * told and when: what linearizability is judged by (K1, K2).
 */
import { must } from '../../../src/base/assert.ts';
import { isObError } from '../../../src/base/errors.ts';
import type { Lsn } from '../../../src/base/scalars.ts';
import type { SimRandom } from '../../support/sim/random.ts';
import { encodeWrite } from './machine.ts';
import type { GroupNode, Life } from './node.ts';
import type { GroupWorld } from './world.ts';

/** A call of a client. Times count calls and answers, so that no two are the same. */
export interface ClientCall {
  readonly kind: 'read' | 'write';
  readonly key: string;
  /** of a write; of a read once it is answered */
  value: number | null;
  readonly calledAt: number;
  /** Infinity while there is no answer */
  returnedAt: number;
  /** end of a write in the log of the node that took it */
  readonly endLsn: Lsn | undefined;
  /** the flashbacks that had happened when it was called: what they cut off is lost for good reason */
  readonly age: number;
}

export class Load {
  readonly calls: ClientCall[] = [];
  /** writes that were refused: nothing of them may be seen */
  readonly refused = new Set<number>();
  readonly #world: GroupWorld;
  readonly #random: SimRandom;
  #tick = 0;
  #isOver = false;
  /** counts flashbacks */
  age = 0;

  constructor(world: GroupWorld, random: SimRandom) {
    this.#world = world;
    this.#random = random;
  }

  begin(): void {
    this.#turns();
    this.#checkpoints();
  }

  /** No more calls; databases are still made durable. */
  end(): void {
    this.#isOver = true;
  }

  #turns(): void {
    const { pauseMsMax, burstMax } = this.#world.options.load;
    this.#world.loop.after(this.#random.between(0, pauseMsMax * 10) / 10, () => {
      if (this.#isOver) return;
      this.#turns();
      const node = this.#target();
      if (node?.life === undefined || node.time.isPaused) return;
      if (this.#random.chance(1, 4)) this.#read(node, node.life);
      const burst = this.#random.chance(1, 4) ? this.#random.between(1, burstMax) : 1;
      for (let count = 0; count < burst && node.life !== undefined; count++) this.#write(node, node.life);
    });
  }

  /** Mostly one that says it leads, sometimes anybody. */
  #target(): GroupNode | undefined {
    const { nodes } = this.#world;
    if (this.#random.chance(1, 20)) return this.#random.pick(nodes);
    const leaders = nodes.filter(({ life }) => life?.log.state().role === 'leader');
    return leaders.length === 0 ? undefined : this.#random.pick(leaders);
  }

  #key(): string {
    return `k${this.#random.between(1, this.#world.options.load.keys)}.${this.age}`;
  }

  #write(node: GroupNode, life: Life): void {
    const { truth, facts, options } = this.#world;
    const { accessMode } = life.log.state();
    const serial = truth.takeSerial();
    const key = this.#key();
    const size = this.#random.chance(1, 40)
      ? this.#random.between(5_000, 20_000)
      : this.#random.between(8, options.load.bodyBytesMax);
    const body = encodeWrite({ serial, key }, size);
    const half = body.length >> 1;
    const calledAt = this.#tick++;
    try {
      const { endLsn } = life.log.append({
        kind: 'redo',
        body: [body.subarray(0, half), body.subarray(half)],
      });
      // The process may have died of it.
      facts.taken.push({ node, accessMode, how: 'entry', endLsn });
      const call: ClientCall = {
        kind: 'write',
        key,
        value: serial,
        calledAt,
        returnedAt: Number.POSITIVE_INFINITY,
        endLsn,
        age: this.age,
      };
      this.calls.push(call);
      if (node.life !== life) return;
      life.log.committed(endLsn).then(
        () => {
          if (node.life !== life) return;
          call.returnedAt = this.#tick++;
          this.#world.counts.commits += 1;
          this.#world.facts.acks.push({ node, serial, endLsn });
        },
        (error: unknown) => {
          if (!isObError(error, 'OBS_LOG_OUTCOME_UNKNOWN')) this.#world.broke(error);
        },
      );
    } catch (error) {
      this.refused.add(serial);
      if (!isObError(error) || error.kind === 'bug') this.#world.broke(error);
    }
  }

  /** What the machine of a leader says, once it has what is committed now, if it leads until then and holds the lease. */
  #read(node: GroupNode, life: Life): void {
    const key = this.#key();
    const { age } = this;
    const calledAt = this.#tick++;
    const { role, proposalId } = life.log.state();
    // Nobody else's committed end is what a reader must see, whoever leads by then.
    if (role !== 'leader') return;
    node.whenApplied(life, () => {
      if (node.life !== life || life.log.state().proposalId !== proposalId || !life.log.holdsLease()) return;
      // What it waited for was cut off meanwhile, and other log has come as far: it reads of another history than it asked.
      if (this.age !== age) return;
      const value = life.machine.read(key);
      this.#world.counts.reads += 1;
      this.#world.facts.reads.push({ node, key, value });
      this.calls.push({
        kind: 'read',
        key,
        value,
        calledAt,
        returnedAt: this.#tick++,
        endLsn: undefined,
        age,
      });
    });
  }

  #checkpoints(): void {
    const { checkpointEveryMs } = this.#world.options.load;
    this.#world.loop.after(this.#random.between(1, checkpointEveryMs), () => {
      this.#checkpoints();
      const node = must(this.#random.pick(this.#world.nodes), 'node');
      if (node.time.isPaused || node.life?.isRebuilding === true) return;
      node.checkpoint().catch((error: unknown) => {
        if (!isObError(error) || error.kind === 'bug') this.#world.broke(error);
      });
    });
  }
}
