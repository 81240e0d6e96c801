/**
 * Replicas that need log which is nowhere any more get a copy of another node's machine in place of their own: what a
 * tenant's snapshot is to a real node. A crash anywhere in it starts it over.
 */
import { isObError } from '../../../src/base/errors.ts';
import type { NodeId } from '../../../src/base/scalars.ts';
import { codeOf } from '../../../src/platform/disk.ts';
import type { SimRandom } from '../../support/sim/random.ts';
import { Machine, type MachineSnapshot, saveImages } from './machine.ts';
import type { GroupNode, Life } from './node.ts';
import type { GroupWorld } from './world.ts';

export class Rebuilds {
  readonly #world: GroupWorld;
  readonly #random: SimRandom;
  readonly #peers = new Map<Life, NodeId>();
  readonly #underWay = new Set<Life>();
  /** those whose logs are no log any more until the copy is in place */
  readonly #replaced = new Set<Life>();
  /** those who wait for a copy of this node's machine, by that node */
  readonly #asked = new Map<GroupNode, Set<() => void>>();

  constructor(world: GroupWorld, random: SimRandom) {
    this.#world = world;
    this.#random = random;
  }

  /** A node's log stream says that it needs a copy of another's, of a leader mostly: nobody else is asked, as in a real node. */
  begin(node: GroupNode, peer: NodeId): void {
    const { life } = node;
    if (life === undefined) return;
    this.#peers.set(life, peer);
    if (this.#underWay.has(life)) return;
    this.#underWay.add(life);
    life.isRebuilding = true;
    this.#world.note(`${node.id} is rebuilt from ${peer}`);
    this.#run(node, life, this.#world.node(peer)).then(
      isDone => {
        if (node.life !== life) return;
        if (isDone) this.#finished(node, life);
        else this.#giveUp(node, life);
      },
      (error: unknown) => {
        if (node.life !== life) return;
        // A full disk gets room again.
        const isExpected = isObError(error) ? error.kind !== 'bug' : codeOf(error) !== undefined;
        if (isExpected) this.#giveUp(node, life);
        else this.#world.broke(error);
      },
    );
  }

  /** What its process was asked for is never answered: who asked hears that nobody is there any more. */
  died(source: GroupNode): void {
    const asked = this.#asked.get(source);
    this.#asked.delete(source);
    for (const hear of asked ?? []) hear();
  }

  /** What was begun is finished, with whom the log named last. Else the log asks again, naming who leads by then. */
  #giveUp(node: GroupNode, life: Life): void {
    this.#world.loop.after(this.#random.between(5, 50), () => {
      if (node.life !== life) return;
      this.#underWay.delete(life);
      const peer = this.#peers.get(life);
      if (this.#replaced.has(life) && peer !== undefined) return this.begin(node, peer);
      life.isRebuilding = false;
      node.apply();
    });
  }

  #finished(node: GroupNode, life: Life): void {
    this.#underWay.delete(life);
    this.#replaced.delete(life);
    life.isRebuilding = false;
    this.#world.counts.rebuilds += 1;
    this.#world.note(`${node.id} was rebuilt, its machine is at ${life.machine.lsn}`);
    node.apply();
  }

  async #run(node: GroupNode, life: Life, source: GroupNode): Promise<boolean> {
    if (source.life?.isRebuilding !== false || this.#world.net.isCut(source.id, node.id)) return false;
    const branch = this.#world.branchOf(source);
    const snapshot = await this.#snapshotOf(source);
    if (snapshot === undefined) return false;
    await new Promise<void>(resolve => this.#world.loop.after(this.#random.between(1, 30), resolve));
    if (node.life !== life) return false;
    await life.log.beginRebuild();
    this.#replaced.add(life);
    node.platter.forget();
    node.setMachine(new Machine(snapshot.machine));
    await saveImages(life.disk, [snapshot.machine]);
    await life.log.finishRebuild({
      base: snapshot.position,
      checkpointLsn: snapshot.machine.lsn,
      history: snapshot.history,
    });
    life.told = snapshot.machine;
    node.platter.restart(snapshot.position);
    this.#world.setBranch(node, branch);
    return true;
  }

  /** Undefined: it has none to give, or its process died before it did. */
  async #snapshotOf(source: GroupNode): Promise<MachineSnapshot | undefined> {
    const { promise: gone, resolve } = Promise.withResolvers<undefined>();
    const asked = this.#asked.get(source) ?? new Set();
    this.#asked.set(source, asked);
    const hear = () => resolve(undefined);
    asked.add(hear);
    try {
      return await Promise.race([source.snapshot(), gone]);
    } finally {
      asked.delete(hear);
    }
  }
}
