/**
 * The locality task against a simulated cluster: servers die, leaders move, orders are lost, doubled in time or land late, the root service
 * itself changes hands at any moment, and operators change their minds. One seed decides a run.
 */
import { expect, test } from 'vitest';
import { configLearnersMax, configMembersMax } from '../../base/limits.ts';
import { nodeId, monoMs, type NodeId } from '../../base/scalars.ts';
import { parseLocality, type Locality, localityText } from './locality.ts';
import {
  type ConfigChange,
  decideLocality,
  type LocalityAction,
  LocalityCore,
  type LocalityEffect,
  type LocalityInput,
  type LocalitySight,
  type LocalityTask,
  type ReplicaRow,
} from './locality-core.ts';

const zones = ['z1', 'z1', 'z2', 'z2', 'z3', 'z3', 'z4', 'z4'];
const localities = [
  'F@z1, F@z2, F@z3',
  'F@z1',
  'F@z2, R@z1, R@z3',
  'F@z1, F@z2, F@z3, R@z4',
  'F{2}@z1, F{2}@z2, F@z3',
  'F@z4, R{2}@z2',
  'F,R@z1, F,R@z2, F@z4',
  'F@z1, F@z2',
  'F@z3, F@z4, R@z1',
  'F{2}@z1, F{2}@z2',
];

/** mulberry32 */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

interface SimNode {
  readonly node: NodeId;
  readonly zone: string;
  alive: boolean;
  leaving: boolean;
  stopped: boolean;
  replica: { readonly id: number; log: number } | null;
  /** the newest look of a root service at the stream through this node */
  fence: number;
}

const catchUpLag = 5;

class SimCluster {
  readonly nodes: SimNode[];
  readonly draw: () => number;
  members: NodeId[] = [];
  learners: NodeId[] = [];
  /** taken away by a task that changes voters, and never set again by it */
  arbiter: NodeId | null = null;
  degraded: NodeId[] = [];
  version = 1;
  leader: NodeId | null;
  end = 100;
  /** the durable rows of the root service */
  task: LocalityTask;
  rows: ReplicaRow[] = [];
  nextReplica = 1;
  done = false;
  fences = 0;
  readonly broken: string[] = [];
  /** orders that are under way to somebody who will get them late */
  late: (() => void)[] = [];

  constructor(draw: () => number, start: Locality, target: Locality) {
    this.draw = draw;
    this.nodes = zones.map((zone, index) => ({
      node: nodeId(`n${index + 1}`),
      zone,
      alive: true,
      leaving: false,
      stopped: false,
      replica: null,
      fence: 0,
    }));
    for (const { type, count, zone } of start) {
      const free = this.nodes.filter(node => node.zone === zone && node.replica === null).slice(0, count);
      for (const node of free) {
        const row = { node: node.node, type, replicaId: this.nextReplica++, dropping: false };
        this.rows.push(row);
        node.replica = { id: row.replicaId, log: this.end };
        (type === 'F' ? this.members : this.learners).push(node.node);
      }
    }
    this.leader = this.members[0] ?? null;
    const isArbitrated = [2, 4].includes(this.members.length) && draw() < 0.7;
    if (isArbitrated) this.arbiter = nodeId('arbiter');
    this.task = { revision: 1, target, replicas: null };
  }

  at(node: NodeId): SimNode {
    const found = this.nodes.find(each => each.node === node);
    if (found === undefined) throw new Error(`no node ${node}`);
    return found;
  }

  inConfig(node: NodeId): boolean {
    return [...this.members, ...this.learners, ...this.degraded].includes(node);
  }

  /** Life goes on: log, catch-up, elections. */
  live(): void {
    this.end += Math.floor(this.draw() * 4);
    for (const node of this.nodes) {
      if (!node.alive || node.replica === null || !this.inConfig(node.node)) continue;
      if (node.node === this.leader) node.replica.log = this.end;
      else node.replica.log += Math.floor((this.end - node.replica.log) * this.draw());
    }
    this.#arbitrate();
    const living = this.members.filter(node => this.at(node).alive && this.at(node).replica !== null);
    const hasMajority = living.length > Math.floor(this.members.length / 2);
    if (!hasMajority || (this.leader !== null && !living.includes(this.leader))) this.leader = null;
    if (this.leader === null && hasMajority && this.draw() < 0.5) {
      // The one with most log wins, as an election would have it.
      const [best] = [...living].sort(
        (one, other) => (this.at(other).replica?.log ?? 0) - (this.at(one).replica?.log ?? 0),
      );
      this.leader = best ?? null;
      this.version += 1;
    }
  }

  /** As a leader with an arbiter does it: half of its replicas are dead and go, those that are back and have the log return. */
  #arbitrate(): void {
    if (this.arbiter === null || this.leader === null || this.draw() < 0.7) return;
    const dead = this.members.filter(node => !this.at(node).alive);
    const back = this.degraded.find(node => {
      const { alive, replica } = this.at(node);
      return alive && replica !== null && this.end - replica.log <= catchUpLag;
    });
    const full = this.members.length + this.degraded.length;
    if (back !== undefined) {
      this.degraded = this.degraded.filter(node => node !== back);
      this.members.push(back);
    } else if (
      dead.length > 0 &&
      this.members.length - dead.length === full / 2 &&
      !dead.includes(this.leader)
    ) {
      this.degraded.push(...dead);
      this.members = this.members.filter(node => !dead.includes(node));
    } else return;
    this.version += 1;
  }

  sight(fence: number): LocalitySight {
    const { leader } = this;
    if (leader !== null) this.at(leader).fence = Math.max(this.at(leader).fence, fence);
    return {
      servers: this.nodes.map(({ node, zone, alive, leaving, stopped }) => ({
        node,
        zone,
        alive,
        takes: alive && !stopped && !leaving,
        keeps: !leaving,
        load: this.rows.filter(row => row.node === node).length,
        priority: stopped ? 9 : 0,
      })),
      stream:
        leader === null
          ? null
          : {
              leader,
              version: String(this.version),
              members: [...this.members],
              learners: [...this.learners],
              degraded: [...this.degraded],
              arbiter: this.arbiter,
              caughtUp: new Set(
                this.nodes
                  .filter(({ replica }) => replica !== null && this.end - replica.log <= catchUpLag)
                  .map(({ node }) => node),
              ),
            },
      rows: [...this.rows],
      present: new Map(
        this.nodes.flatMap(({ node, alive, replica }) =>
          alive && replica !== null ? [[node, replica.id]] : [],
        ),
      ),
    };
  }

  /** Carries an order out where it lands. `fence`: of the look it was decided upon. True when it was done. */
  perform(action: LocalityAction, leader: NodeId | null, fence: number): boolean {
    switch (action.kind) {
      case 'create':
        return this.#create(action.node, action.replicaId);
      case 'drop':
        return this.#drop(action.node, action.replicaId);
      case 'change':
        if (leader === null || leader !== this.leader || this.at(leader).fence > fence) return false;
        return action.version === String(this.version) && this.#change(action.change);
      case 'transfer': {
        const to = this.at(action.to);
        if (leader !== this.leader || !to.alive || !this.members.includes(action.to)) return false;
        this.leader = action.to;
        this.version += 1;
        return true;
      }
      case 'assign': {
        if (action.revision !== this.task.revision) return false;
        const replicas = action.choices.map(({ node, type, replicaId }) => ({
          node,
          type,
          replicaId: replicaId ?? this.nextReplica++,
        }));
        this.task = { ...this.task, revision: this.task.revision + 1, replicas };
        for (const replica of replicas) {
          this.rows = this.rows.filter(({ replicaId }) => replicaId !== replica.replicaId);
          this.rows.push({ ...replica, dropping: false });
        }
        return true;
      }
      case 'finish':
        if (action.revision !== this.task.revision) return false;
        this.rows = this.rows.filter(row =>
          this.task.replicas?.some(({ replicaId }) => replicaId === row.replicaId),
        );
        this.done = true;
        return true;
    }
  }

  #create(node: NodeId, id: number): boolean {
    const at = this.at(node);
    if (!at.alive || (at.replica !== null && at.replica.id > id)) return false;
    if (at.replica?.id === id) return true;
    if (this.inConfig(node) && at.replica !== null)
      this.broken.push(`replica ${at.replica.id} of ${node} made anew`);
    at.replica = { id, log: 0 };
    return true;
  }

  #drop(node: NodeId, id: number): boolean {
    const at = this.at(node);
    if (!at.alive) return false;
    if (at.replica?.id !== id) return true;
    if (this.inConfig(node)) this.broken.push(`files of ${node} dropped while the configuration names it`);
    at.replica = null;
    return true;
  }

  #change(change: ConfigChange): boolean {
    if (change.kind === 'replace') return this.#replace(change.old, change.new);
    const { kind, node } = change;
    if (kind === 'set-arbiter' || kind === 'remove-arbiter') {
      if (kind === 'set-arbiter' || this.arbiter !== node || this.degraded.length > 0) return false;
      this.arbiter = null;
      this.version += 1;
      return true;
    }
    // An arbiter keeps the full replicas as they are.
    const isOfVoters = kind === 'promote' || (kind !== 'add-learner' && !this.learners.includes(node));
    if (this.arbiter !== null && isOfVoters) {
      this.broken.push(`${kind} of ${node} under an arbiter`);
      return false;
    }
    const at = this.at(node);
    const without = (nodes: NodeId[]): NodeId[] => nodes.filter(other => other !== node);
    switch (kind) {
      case 'add-learner':
        if (this.inConfig(node)) return false;
        this.learners.push(node);
        break;
      case 'promote':
        if (!this.learners.includes(node) || at.replica === null || this.end - at.replica.log > catchUpLag)
          return false;
        this.learners = without(this.learners);
        this.members.push(node);
        break;
      case 'demote':
      case 'remove':
        if (!this.inConfig(node) || node === this.leader) return false;
        if (this.members.includes(node)) {
          this.members = without(this.members);
          if (kind === 'demote') this.learners.push(node);
        } else this.learners = without(this.learners);
        break;
    }
    if (this.members.length > configMembersMax || this.learners.length > configLearnersMax)
      this.broken.push('the configuration overflows');
    if (this.members.length === 0) this.broken.push('nobody votes any more');
    this.version += 1;
    return true;
  }

  #replace(old: NodeId, fresh: NodeId): boolean {
    if (!this.degraded.includes(old) || !this.learners.includes(fresh)) return false;
    this.degraded = [...this.degraded.filter(node => node !== old), fresh];
    this.learners = this.learners.filter(node => node !== fresh);
    this.version += 1;
    return true;
  }
}

/** A root service: one core, driven until it is replaced by the next leader's. */
class SimRoot {
  readonly #cluster: SimCluster;
  readonly #core = new LocalityCore();
  readonly #inputs: LocalityInput[] = [];
  readonly faults: boolean;
  #fence = 0;
  #wakeAt = Number.POSITIVE_INFINITY;

  constructor(cluster: SimCluster, faults: boolean) {
    this.#cluster = cluster;
    this.faults = faults;
    this.#inputs.push({ kind: 'look' });
  }

  get finished(): boolean {
    return this.#core.finished;
  }

  look(): void {
    this.#inputs.push({ kind: 'look' });
  }

  step(now: number): void {
    if (now >= this.#wakeAt) {
      this.#wakeAt = Number.POSITIVE_INFINITY;
      this.#inputs.push({ kind: 'wake' });
    }
    const input = this.#inputs.shift();
    if (input !== undefined) for (const effect of this.#core.step(input, monoMs(now))) this.#carryOut(effect);
  }

  #carryOut(effect: LocalityEffect): void {
    const cluster = this.#cluster;
    switch (effect.kind) {
      case 'observe':
        this.#fence = ++cluster.fences;
        this.#inputs.push({ kind: 'sight', task: cluster.task, sight: cluster.sight(this.#fence) });
        return;
      case 'wakeAt':
        this.#wakeAt = effect.at;
        return;
      case 'progress':
        return;
      case 'act': {
        const { action } = effect;
        const [fence, leader] = [this.#fence, cluster.leader];
        const run = (): boolean => cluster.perform(action, leader, fence);
        // The removal of a replica is noted before anything of it goes.
        if (action.kind === 'drop')
          cluster.rows = cluster.rows.map(row =>
            row.replicaId === action.replicaId ? { ...row, dropping: true } : row,
          );
        const isStored = action.kind === 'assign' || action.kind === 'finish';
        const fate = this.faults ? cluster.draw() : 1;
        let ok = false;
        if (fate < 0.1) ok = false;
        else if (fate < 0.2) void run();
        else if (fate < 0.35 && !isStored) cluster.late.push(() => void run());
        else ok = run();
        this.#inputs.push({ kind: 'done', ok, detail: 'simulated' });
        return;
      }
    }
  }
}

/** Runs a seed; returns what is wrong with it. */
function runSeed(seed: number): string[] {
  const draw = random(seed);
  const pick = (texts: readonly string[]): Locality =>
    parseLocality(texts[Math.floor(draw() * texts.length)] ?? '');
  const start = pick(localities);
  const cluster = new SimCluster(draw, start, pick(localities));
  let root = new SimRoot(cluster, true);
  let now = 0;
  const turn = (): void => {
    now += 50;
    cluster.live();
    root.step(now);
  };

  for (let step = 0; step < 400 && !cluster.done; step += 1) {
    const chance = draw();
    const node = cluster.nodes[Math.floor(draw() * cluster.nodes.length)];
    if (chance < 0.03 && node !== undefined) node.alive = !node.alive;
    else if (chance < 0.05) root = new SimRoot(cluster, true);
    else if (chance < 0.06 && node !== undefined) node.stopped = !node.stopped;
    else if (chance < 0.065) {
      const revision = cluster.task.revision + 1;
      cluster.task = { revision, target: draw() < 0.5 ? start : pick(localities), replicas: null };
      root.look();
    } else if (chance < 0.1) cluster.late.splice(Math.floor(draw() * cluster.late.length), 1)[0]?.();
    turn();
  }
  // Healed: everybody is back, what was late has come, orders are carried out.
  for (const node of cluster.nodes) [node.alive, node.stopped] = [true, false];
  for (const order of cluster.late.splice(0)) order();
  const wasDone = cluster.done;
  root = new SimRoot(cluster, false);
  for (let step = 0; step < 2_000 && !root.finished; step += 1) turn();

  const problems = [...cluster.broken];
  if (!root.finished) problems.push('the task does not end');
  else if (!wasDone || cluster.done) {
    const placed = (nodes: readonly NodeId[], type: 'F' | 'R'): Locality => {
      const counts = new Map<string, number>();
      for (const each of nodes)
        counts.set(cluster.at(each).zone, (counts.get(cluster.at(each).zone) ?? 0) + 1);
      return [...counts].map(([zone, count]) => ({ type, count, zone }));
    };
    const full = [...cluster.members, ...cluster.degraded];
    const reached = [...placed(full, 'F'), ...placed(cluster.learners, 'R')];
    const shown = (locality: Locality): string[] => locality.map(item => localityText([item])).sort();
    if (shown(reached).join() !== shown(cluster.task.target).join())
      problems.push(`reached ${localityText(reached)} instead of ${localityText(cluster.task.target)}`);
    for (const { node, replica } of cluster.nodes)
      if ((replica !== null) !== cluster.inConfig(node) && cluster.rows.some(row => row.node === node))
        problems.push(`${node} has files and a place in the configuration, or neither`);
  }
  return problems.map(problem => `seed ${seed}: ${problem}`);
}

test('whatever happens on the way, every locality is reached and no replica is lost', () => {
  const problems: string[] = [];
  for (let seed = 1; seed <= 500; seed += 1) problems.push(...runSeed(seed));
  expect(problems).toEqual([]);
});

const seen = (differences: Partial<NonNullable<LocalitySight['stream']>> = {}): LocalitySight => {
  const nodes = ['n1', 'n2', 'n3', 'n4'].map(nodeId);
  return {
    servers: nodes.map((node, index) => ({
      node,
      zone: `z${index + 1}`,
      alive: true,
      takes: true,
      keeps: true,
      load: 1,
      priority: index,
    })),
    stream: {
      leader: nodeId('n1'),
      version: '1',
      members: nodes.slice(0, 3),
      learners: [],
      degraded: [],
      arbiter: null,
      caughtUp: new Set(nodes),
      ...differences,
    },
    rows: nodes
      .slice(0, 3)
      .map((node, index) => ({ node, type: 'F', replicaId: index + 1, dropping: false })),
    present: new Map(nodes.slice(0, 3).map((node, index) => [node, index + 1])),
  };
};
const full = (...names: string[]): LocalityTask['replicas'] =>
  names.map(name => ({ node: nodeId(name), type: 'F', replicaId: Number(name.slice(1)) }));
const target = parseLocality('F@z1');

test('a voter is not taken away while those that stay have no living majority', () => {
  const sight = seen();
  const dead = new Set([nodeId('n2')]);
  const servers = sight.servers.map(server => ({ ...server, alive: !dead.has(server.node) }));
  // Of n1 n2 n3 with n2 dead: first the dead one goes, then the living.
  expect(decideLocality({ revision: 1, target, replicas: full('n1') }, { ...sight, servers })).toMatchObject({
    kind: 'change',
    change: { kind: 'remove', node: 'n2' },
  });
  // n2 is to stay and does not answer: without n3 it could not be voted any more.
  const stays = decideLocality({ revision: 1, target, replicas: full('n1', 'n2') }, { ...sight, servers });
  expect(stays).toEqual({ kind: 'wait', why: 'too few of the voters that stay answer' });
});

test('a replacement votes before the replaced one goes', () => {
  const task: LocalityTask = { revision: 1, target, replicas: full('n1', 'n2', 'n4') };
  expect(decideLocality(task, seen())).toMatchObject({ kind: 'create', node: 'n4' });
  const made = { ...seen(), present: new Map([...seen().present, [nodeId('n4'), 4] as const]) };
  expect(decideLocality(task, made)).toMatchObject({ change: { kind: 'add-learner', node: 'n4' } });
  const learns = { ...made, stream: seen({ learners: [nodeId('n4')], caughtUp: new Set() }).stream };
  expect(decideLocality(task, learns)).toMatchObject({ kind: 'wait' });
  const ready = { ...made, stream: seen({ learners: [nodeId('n4')] }).stream };
  expect(decideLocality(task, ready)).toMatchObject({ change: { kind: 'promote', node: 'n4' } });
});

test('a leader that is not to stay moves first, to the best place', () => {
  const replicas = full('n2', 'n3');
  const decided = decideLocality({ revision: 1, target: parseLocality('F@z2, F@z3'), replicas }, seen());
  expect(decided).toEqual({ kind: 'transfer', to: 'n2' });
});

test('under an arbiter the voters are changed only when it is gone, and learners at any time', () => {
  const arbiter = nodeId('arbiter');
  const two = [nodeId('n1'), nodeId('n2')];
  const place = { revision: 1, target, replicas: full('n1', 'n3') };
  const sight = seen({ members: two, learners: [nodeId('n3')], arbiter });
  expect(decideLocality(place, sight)).toEqual({
    kind: 'change',
    change: { kind: 'remove-arbiter', node: arbiter },
    version: '1',
  });
  const stays = { revision: 1, target, replicas: full('n1', 'n2') };
  expect(decideLocality(stays, seen({ members: two, learners: [nodeId('n4')], arbiter }))).toMatchObject({
    change: { kind: 'remove', node: 'n4' },
  });
});

test('a degraded replica counts as a full one; lost for good, a learner takes its seat', () => {
  const arbiter = nodeId('arbiter');
  const stream = { members: [nodeId('n1')], degraded: [nodeId('n2')], learners: [], arbiter };
  const whole = seen(stream);
  // Nothing is to be done for the locality that it has, and no files go.
  const stays = { revision: 1, target, replicas: full('n1', 'n2') };
  expect(decideLocality(stays, { ...whole, rows: whole.rows.slice(0, 2) })).toMatchObject({ kind: 'finish' });
  const moves = { revision: 1, target, replicas: full('n1', 'n3') };
  const ready = seen({ ...stream, learners: [nodeId('n3')] });
  expect(decideLocality(moves, ready)).toMatchObject({
    kind: 'change',
    change: { kind: 'replace', old: 'n2', new: 'n3' },
  });
  const behind = seen({ ...stream, learners: [nodeId('n3')], caughtUp: new Set([nodeId('n1')]) });
  expect(decideLocality(moves, behind)).toMatchObject({ kind: 'wait' });
  // The leader's own seat is not given away while it is the only one that counts.
  const other = { revision: 1, target, replicas: full('n2', 'n3') };
  expect(decideLocality(other, ready)).toMatchObject({ kind: 'wait' });
});
