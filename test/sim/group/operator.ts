/**
 * Somebody at the keyboard, at bad times: members added as learners, promoted, demoted, removed, replaced; leadership
 * moved; priorities changed; access modes and flashbacks. When the faults stop it puts the group in order: volumes that
 * were lost are removed from the member list, and the log takes entries again.
 */
import { isObError } from '../../../src/base/errors.ts';
import { arbitratedReplicas } from '../../../src/base/limits.ts';
import type { LogState } from '../../../src/base/log-access.ts';
import type { NodeId } from '../../../src/base/scalars.ts';
import { replicasOf } from '../../../src/codec/config-record.ts';
import type { ConfigChange } from '../../../src/palf/inputs.ts';
import { votersOf } from '../../../src/palf/quorum.ts';
import { SimRandom } from '../../support/sim/random.ts';
import { isListSafe } from './atlas.ts';
import type { GroupNode, Life } from './node.ts';
import type { GroupWorld } from './world.ts';

/** Voters after each step of a change. */
function listsAfter({ config }: LogState, change: ConfigChange): readonly NodeId[][] {
  const { members } = config;
  const voters = [...votersOf(config)];
  switch (change.kind) {
    case 'add-learner':
      return [voters];
    case 'set-arbiter':
      return [[...members, change.node]];
    case 'remove-arbiter':
      return [[...members]];
    case 'promote':
      return [[...voters, change.node]];
    case 'demote':
    case 'remove':
      return [voters.filter(id => id !== change.node)];
    case 'replace':
      if (config.degraded.includes(change.old)) return [voters];
      return [[...voters, change.new], [...voters, change.new].filter(id => id !== change.old)];
  }
}

export class Operator {
  readonly #world: GroupWorld;
  readonly #random: SimRandom;
  /** draws of its own: runs in which nothing absurd is asked for are what they are */
  readonly #absurd: SimRandom;
  #isOver = false;
  /** an operation whose answer has not come */
  #isBusy = false;
  #busySince = 0;

  constructor(world: GroupWorld, random: SimRandom) {
    this.#world = world;
    this.#random = random;
    this.#absurd = new SimRandom(world.seed ^ 0x5eed);
  }

  begin(): void {
    const { operator, leaseMs } = this.#world.options;
    this.#every(operator.configEveryMs, () => this.#changeConfig());
    this.#every(operator.transferEveryMs, () => this.#transfer());
    this.#every(operator.priorityEveryMs, () => this.#changePriority());
    if (this.#absurd.chance(1, 4)) this.#every(leaseMs * 4, () => this.#askAbsurd(), this.#absurd);
  }

  /** From here on it only puts things in order. */
  end(): void {
    this.#isOver = true;
    this.#tidy();
  }

  #every(ms: number, run: () => void, random = this.#random): void {
    if (ms === 0) return;
    this.#world.loop.after(random.between(1, ms * 2), () => {
      if (this.#isOver) return;
      run();
      this.#every(ms, run, random);
    });
  }

  #changeConfig(): void {
    const leader = this.#random.chance(1, 10) ? this.#anybody() : this.#world.leader();
    if (leader?.life === undefined || leader.time.isPaused) return;
    const change = this.#draw(leader.life.log.state());
    if (change !== undefined) void this.#ask(leader, leader.life, change);
  }

  #draw(state: LogState): ConfigChange | undefined {
    const { members, learners, degraded, arbiter } = state.config;
    const others = this.#world.nodes
      .filter(({ id, isGone }) => !isGone && !replicasOf(state.config).includes(id))
      .map(({ id }) => id);
    const choices: ConfigChange[] = [];
    for (const node of others) choices.push({ kind: 'add-learner', node });
    for (const node of learners) choices.push({ kind: 'promote', node }, { kind: 'promote', node });
    for (const node of members) choices.push({ kind: 'demote', node }, { kind: 'remove', node });
    for (const node of learners) choices.push({ kind: 'remove', node });
    for (const node of learners) for (const old of members) choices.push({ kind: 'replace', old, new: node });
    for (const node of learners)
      for (const old of degraded) choices.push({ kind: 'replace', old, new: node });
    if (arbiter !== null && this.#random.chance(1, 3))
      choices.push({ kind: 'remove-arbiter', node: arbiter });
    const other = this.#world.arbitration.present;
    if (other !== undefined && arbiter === null)
      for (let count = 0; count < 6; count++) choices.push({ kind: 'set-arbiter', node: other.id });
    const safe = choices.filter(change =>
      listsAfter(state, change).every(list => list.length > 0 && isListSafe(this.#world, list)),
    );
    return safe.length === 0 ? undefined : this.#random.pick(safe);
  }

  /** What must be refused: a replica without any log is to vote at once. */
  #askAbsurd(): void {
    const leader = this.#world.leader();
    if (leader?.life === undefined || leader.time.isPaused) return;
    const state = leader.life.log.state();
    const strangers = this.#world.nodes.filter(
      ({ id, isGone }) => !isGone && !replicasOf(state.config).includes(id),
    );
    if (strangers.length === 0) return;
    const change: ConfigChange = { kind: 'promote', node: this.#absurd.pick(strangers).id };
    if (listsAfter(state, change).every(list => isListSafe(this.#world, list)))
      void this.#ask(leader, leader.life, change);
  }

  async #ask(node: GroupNode, life: Life, change: ConfigChange): Promise<void> {
    const { version } = life.log.state().config;
    const named = 'node' in change ? change.node : `${change.old} by ${change.new}`;
    this.#world.note(`${node.id} is asked to ${change.kind} ${named}`);
    try {
      await life.log.changeConfig(change, version);
      this.#world.counts.configChanges += 1;
      this.#world.note(`${node.id} did ${change.kind} ${named}`);
    } catch (error) {
      this.#refused(node, error);
    }
  }

  #transfer(): void {
    const leader = this.#random.chance(1, 10) ? this.#anybody() : this.#world.leader();
    if (leader?.life === undefined || leader.time.isPaused) return;
    const target = this.#random.pick(this.#world.nodes).id;
    this.#world.note(`${leader.id} is asked to hand over to ${target}`);
    leader.life.log.transfer(target).then(
      () => {
        this.#world.counts.transfers += 1;
      },
      (error: unknown) => this.#refused(leader, error),
    );
  }

  #changePriority(): void {
    const node = this.#random.pick(this.#world.nodes);
    node.priority = this.#random.between(1, 3);
    this.#world.note(`${node.id} has priority ${node.priority}`);
    node.life?.log.setPriority(node.priority);
  }

  #anybody(): GroupNode {
    return this.#random.pick(this.#world.nodes);
  }

  #refused(node: GroupNode, error: unknown): void {
    if (isObError(error) && error.kind !== 'bug') this.#world.note(`${node.id} refused: ${error.code}`);
    else this.#world.broke(error);
  }

  /** Again and again until nothing is left to do. */
  #tidy(): void {
    const { leaseMs } = this.#world.options;
    this.#world.loop.after(leaseMs / 4, () => this.#tidy());
    const leader = this.#world.leader();
    if (leader?.life === undefined || leader.time.isPaused) return;
    if (this.#isBusy && this.#world.loop.now - this.#busySince < leaseMs * 4) return;
    const change = this.#nextToTidy(leader.life.log.state());
    if (change === undefined) return;
    this.#isBusy = true;
    this.#busySince = this.#world.loop.now;
    void this.#ask(leader, leader.life, change).finally(() => {
      this.#isBusy = false;
    });
  }

  #nextToTidy({ config }: LogState): ConfigChange | undefined {
    const isGone = (id: NodeId) => this.#isGone(id);
    const { arbiter, members, degraded, learners } = config;
    const present = this.#world.arbitration.present;
    if (arbiter === null) {
      const gone = replicasOf(config).find(isGone);
      if (gone !== undefined) return { kind: 'remove', node: gone };
      const isWanted = present !== undefined && arbitratedReplicas.includes(members.length);
      return isWanted ? { kind: 'set-arbiter', node: present.id } : undefined;
    }
    const goneLearner = learners.find(isGone);
    if (goneLearner !== undefined) return { kind: 'remove', node: goneLearner };
    // One that was degraded and is lost gives its place to another.
    const old = degraded.find(isGone);
    if (old !== undefined) {
      const [learner] = learners;
      if (learner !== undefined) return { kind: 'replace', old, new: learner };
      const spare = this.#world.nodes.find(node => !node.isGone && !replicasOf(config).includes(node.id));
      return spare === undefined ? undefined : { kind: 'add-learner', node: spare.id };
    }
    // One of four that is lost is never degraded; a lost arbiter is replaced. Two are, and without their arbiter the others would be too few.
    const isLoneLoss = members.length === 4 && members.filter(isGone).length === 1;
    if (degraded.length === 0 && (isGone(arbiter) || isLoneLoss))
      return { kind: 'remove-arbiter', node: arbiter };
    return undefined;
  }

  #isGone(id: NodeId): boolean {
    return this.#world.arbitration.find(id)?.isGone ?? this.#world.node(id).isGone;
  }

  /** Whether everything is in order. */
  get isTidy(): boolean {
    const state = this.#world.leader()?.life?.log.state();
    if (state === undefined || this.#nextToTidy(state) !== undefined) return false;
    return !votersOf(state.config).some(id => this.#isGone(id));
  }
}
