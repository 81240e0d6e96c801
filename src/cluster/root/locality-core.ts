/**
 * Brings the replicas of a log stream to where a locality wants them: `step(input, now) → effects`. Pure, and without a memory that matters: each
 * action is decided anew from the task's durable row and from what the stream and the servers say, so whoever leads the root service next goes on.
 *
 * Order: servers are chosen and stored; replicas are made as learners; those that have caught up are promoted, one at a time; what is too many is
 * demoted or removed; its files go last. A rollback is the same task with the old locality.
 *
 * Must never: make a replica anew on a node that the configuration names, take away a voter that leaves no living majority, take a replica away
 * before its replacement votes unless three voters stay, drop the files of a replica that the configuration still names. For that a sight must be
 * a fence: once it was taken, no order from before it changes the configuration any more.
 */
import { unreachable } from '../../base/assert.ts';
import { isObError } from '../../base/errors.ts';
import { localityCatchUpPollMs, localityRetryMs } from '../../base/limits.ts';
import { type MonoMs, monoMs, type NodeId } from '../../base/scalars.ts';
import type { Locality } from './locality.ts';
import { type Assignment, type PlacementServer, placeReplicas } from './placement.ts';

/** A replica by name: each that is ever made has an id of its own, so that an order that comes late hits no other. */
export interface TaskReplica extends Assignment {
  readonly replicaId: number;
}

/** A chosen server; `replicaId` null: a replica of its own is to be made there. */
export interface Choice extends Assignment {
  readonly replicaId: number | null;
}

/** What is stored of a replica. `dropping`: its files may be gone; it is never used again. */
export interface ReplicaRow extends TaskReplica {
  readonly dropping: boolean;
}

export interface LocalityTask {
  /** counts the changes of what is stored; a change that was decided upon an older one is refused */
  readonly revision: number;
  readonly target: Locality;
  /** null until servers are chosen; durable before anything is done to them */
  readonly replicas: readonly TaskReplica[] | null;
}

export interface StreamSight {
  readonly leader: NodeId;
  /** of the configuration: every change names the one it was decided upon */
  readonly version: string;
  readonly members: readonly NodeId[];
  readonly learners: readonly NodeId[];
  /** full replicas whose log does not count now: they are part of the configuration, and of what a locality counts */
  readonly degraded: readonly NodeId[];
  /** its full replicas cannot be changed while it is there */
  readonly arbiter: NodeId | null;
  /** whose log is close enough to the leader's to vote */
  readonly caughtUp: ReadonlySet<NodeId>;
}

export interface SeenServer extends PlacementServer {
  readonly alive: boolean;
  /** the zone's place in PRIMARY_ZONE; a stopped server comes after all others */
  readonly priority: number;
}

export interface LocalitySight {
  readonly servers: readonly SeenServer[];
  /** as its leader says; null while none is known */
  readonly stream: StreamSight | null;
  /** every replica the tenant has a row for, whatever its task */
  readonly rows: readonly ReplicaRow[];
  /** the ids of the replicas that living servers have on disk */
  readonly present: ReadonlyMap<NodeId, number>;
}

export type ConfigChange =
  | {
      readonly kind: 'add-learner' | 'promote' | 'demote' | 'remove' | 'set-arbiter' | 'remove-arbiter';
      readonly node: NodeId;
    }
  /** the learner `new` takes the seat of a degraded `old`, in one step */
  | { readonly kind: 'replace'; readonly old: NodeId; readonly new: NodeId };

export type LocalityAction =
  | { readonly kind: 'assign'; readonly revision: number; readonly choices: readonly Choice[] }
  | { readonly kind: 'create'; readonly node: NodeId; readonly replicaId: number }
  | { readonly kind: 'change'; readonly change: ConfigChange; readonly version: string }
  | { readonly kind: 'transfer'; readonly to: NodeId }
  /** noted durably before the files go */
  | { readonly kind: 'drop'; readonly node: NodeId; readonly replicaId: number }
  | { readonly kind: 'finish'; readonly revision: number };

/** What to do next; `wait` tells an operator for what. */
export type LocalityDecision = LocalityAction | { readonly kind: 'wait'; readonly why: string };

export type LocalityInput =
  /** the beginning, and a changed target: look now */
  | { readonly kind: 'look' }
  /** the task as it is stored now, and the world */
  | { readonly kind: 'sight'; readonly task: LocalityTask; readonly sight: LocalitySight }
  /** `ok` false: refused, failed, or not known: the next sight tells what became of it */
  | { readonly kind: 'done'; readonly ok: boolean; readonly detail: string }
  | { readonly kind: 'wake' };

export type LocalityEffect =
  /** to be answered with a sight */
  | { readonly kind: 'observe' }
  /** to be answered with `done` */
  | { readonly kind: 'act'; readonly action: LocalityAction }
  | { readonly kind: 'progress'; readonly detail: string }
  | { readonly kind: 'wakeAt'; readonly at: MonoMs };

export class LocalityCore {
  #state: 'idle' | 'observing' | 'acting' | 'waiting' | 'finished' = 'idle';
  #acting: LocalityAction | null = null;
  #told = '';

  get finished(): boolean {
    return this.#state === 'finished';
  }

  step(input: LocalityInput, now: MonoMs): readonly LocalityEffect[] {
    if (this.#state === 'finished') return [];
    switch (input.kind) {
      case 'look':
        // What is being done now is looked at again when it is over.
        return this.#state === 'idle' || this.#state === 'waiting' ? this.#observe() : [];
      case 'wake':
        return this.#state === 'waiting' ? this.#observe() : [];
      case 'sight':
        return this.#state === 'observing' ? this.#decide(input.task, input.sight, now) : [];
      case 'done':
        return this.#state === 'acting' ? this.#onDone(input, now) : [];
      default:
        return unreachable(input);
    }
  }

  #observe(): readonly LocalityEffect[] {
    this.#state = 'observing';
    return [{ kind: 'observe' }];
  }

  #decide(task: LocalityTask, sight: LocalitySight, now: MonoMs): readonly LocalityEffect[] {
    const decision = decideLocality(task, sight);
    if (decision.kind === 'wait') return this.#wait(decision.why, localityCatchUpPollMs, now);
    this.#state = 'acting';
    this.#acting = decision;
    return [...this.#tell(actionText(decision)), { kind: 'act', action: decision }];
  }

  #onDone({ ok, detail }: { ok: boolean; detail: string }, now: MonoMs): readonly LocalityEffect[] {
    const action = this.#acting;
    this.#acting = null;
    if (ok && action?.kind === 'finish') {
      this.#state = 'finished';
      return [];
    }
    if (ok || action === null) return this.#observe();
    return this.#wait(`${actionText(action)}: ${detail}`, localityRetryMs, now);
  }

  #wait(why: string, ms: number, now: MonoMs): readonly LocalityEffect[] {
    this.#state = 'waiting';
    return [...this.#tell(why), { kind: 'wakeAt', at: monoMs(now + ms) }];
  }

  #tell(detail: string): readonly LocalityEffect[] {
    if (detail === this.#told) return [];
    this.#told = detail;
    return [{ kind: 'progress', detail }];
  }
}

/** The next action towards the task's locality. */
export function decideLocality(task: LocalityTask, sight: LocalitySight): LocalityDecision {
  const { stream } = sight;
  if (stream === null) return { kind: 'wait', why: 'the log stream has no leader now' };
  const wished = chooseServers(task, sight, stream);
  if (wished !== null) return wished;
  const replicas = task.replicas ?? [];
  return (
    addMissing(replicas, sight, stream) ??
    changeVoters(replicas, sight, stream) ??
    removeLearners(replicas, stream) ??
    dropFiles(replicas, sight, stream) ?? { kind: 'finish', revision: task.revision }
  );
}

/** Chooses servers, at first and whenever one of the chosen cannot be had any more. Null: those of the task stand. */
function chooseServers(
  { target, replicas, revision }: LocalityTask,
  { servers, rows }: LocalitySight,
  stream: StreamSight,
): LocalityDecision | null {
  const full = fullOf(stream);
  const inConfig = new Set([...full, ...stream.learners]);
  const serverOf = (node: NodeId): SeenServer | undefined => servers.find(server => server.node === node);
  const isUsable = ({ node }: Assignment): boolean => {
    const server = serverOf(node);
    return server !== undefined && server.keeps && (inConfig.has(node) || server.takes);
  };
  if (replicas?.every(isUsable) === true) return null;
  const chosenBefore = new Map((replicas ?? []).filter(isUsable).map(({ node, type }) => [node, type]));
  const current: Assignment[] = [...inConfig].map(node => ({
    node,
    type: chosenBefore.get(node) ?? (full.includes(node) ? 'F' : 'R'),
  }));
  for (const [node, type] of chosenBefore) if (!inConfig.has(node)) current.push({ node, type });
  try {
    const choices = placeReplicas(target, servers, current).map(chosen => ({
      ...chosen,
      replicaId: usableRow(chosen.node, rows)?.replicaId ?? null,
    }));
    return { kind: 'assign', revision, choices };
  } catch (error) {
    if (!isObError(error, 'OBS_LOCALITY_TOO_FEW_SERVERS')) throw error;
    return { kind: 'wait', why: error.message };
  }
}

/** The replica a server has or is to have; none once its removal began. */
const usableRow = (node: NodeId, rows: readonly ReplicaRow[]): ReplicaRow | undefined =>
  rows.findLast(row => row.node === node && !row.dropping);

function addMissing(
  replicas: readonly TaskReplica[],
  { servers, present }: LocalitySight,
  stream: StreamSight,
): LocalityDecision | null {
  const { learners, version } = stream;
  const members = fullOf(stream);
  const isAlive = (node: NodeId): boolean => servers.some(server => server.node === node && server.alive);
  for (const { node, replicaId } of replicas) {
    if (members.includes(node) || !isAlive(node)) continue;
    const isLearner = learners.includes(node);
    const isThere = present.get(node) === replicaId;
    if (isLearner && !isThere) return { kind: 'change', change: { kind: 'remove', node }, version };
    if (!isThere) return { kind: 'create', node, replicaId };
    if (!isLearner) return { kind: 'change', change: { kind: 'add-learner', node }, version };
  }
  return null;
}

/** Promotes and takes away voters, one at a time, so that a living majority always stays. */
function changeVoters(
  replicas: readonly TaskReplica[],
  { servers }: LocalitySight,
  stream: StreamSight,
): LocalityDecision | null {
  const { members, learners, caughtUp, version, leader } = stream;
  const wanted = replicas.filter(({ type }) => type === 'F').map(({ node }) => node);
  const full = fullOf(stream);
  const missing = wanted.filter(node => !full.includes(node));
  const extra = full.filter(node => !wanted.includes(node));
  if (missing.length === 0 && extra.length === 0) return null;
  if (stream.degraded.length > 0) return replaceDegraded(missing, extra, stream);
  // The replicas of a stream with an arbiter stay as they are: it goes first, and comes back when the task is over.
  if (stream.arbiter !== null)
    return { kind: 'change', change: { kind: 'remove-arbiter', node: stream.arbiter }, version };
  const isAlive = (node: NodeId): boolean => servers.some(server => server.node === node && server.alive);
  const hasMajority = (voters: readonly NodeId[]): boolean =>
    voters.filter(isAlive).length > Math.floor(voters.length / 2);

  const spare = missing.length === 0 || (members.length > wanted.length && members.length > 3);
  if (extra.length > 0 && spare) {
    // Dead ones first: they cost a majority and give nothing.
    const leaving = [...extra].sort((one, other) => Number(isAlive(one)) - Number(isAlive(other)));
    const next = leaving.find(node => node !== leader && hasMajority(without(members, node)));
    if (next !== undefined) {
      const kind = replicas.some(({ node }) => node === next) ? 'demote' : 'remove';
      return { kind: 'change', change: { kind, node: next }, version };
    }
    if (extra.includes(leader)) return moveLeader(wanted, servers, stream);
    return { kind: 'wait', why: 'too few of the voters that stay answer' };
  }
  const ready = missing.find(
    node => learners.includes(node) && caughtUp.has(node) && hasMajority([...members, node]),
  );
  if (ready !== undefined) return { kind: 'change', change: { kind: 'promote', node: ready }, version };
  const [waited] = missing;
  if (waited === undefined) return null;
  return {
    kind: 'wait',
    why: isAlive(waited)
      ? `the replica on node ${waited} catches up with the leader`
      : `node ${waited} does not answer`,
  };
}

/** A degraded replica can be lost for good: a learner that has caught up takes its seat. Nothing else is changed meanwhile. */
function replaceDegraded(
  missing: readonly NodeId[],
  extra: readonly NodeId[],
  { degraded, learners, caughtUp, version }: StreamSight,
): LocalityDecision {
  const old = extra.find(node => degraded.includes(node));
  const fresh = missing.find(node => learners.includes(node) && caughtUp.has(node));
  if (old !== undefined && fresh !== undefined)
    return { kind: 'change', change: { kind: 'replace', old, new: fresh }, version };
  const why =
    old === undefined
      ? `the replica on node ${degraded.join(', ')} is degraded: it has to come back first`
      : `the replica on node ${missing.join(', ')} that takes the place of a degraded one catches up`;
  return { kind: 'wait', why };
}

function moveLeader(
  wanted: readonly NodeId[],
  servers: readonly SeenServer[],
  { members, caughtUp }: StreamSight,
): LocalityDecision {
  const [best] = servers
    .filter(
      ({ node, alive }) => alive && wanted.includes(node) && members.includes(node) && caughtUp.has(node),
    )
    .sort((one, other) => one.priority - other.priority || (one.node < other.node ? -1 : 1));
  return best === undefined
    ? { kind: 'wait', why: 'no voter that stays has caught up with the leader, which has to move' }
    : { kind: 'transfer', to: best.node };
}

function removeLearners(
  replicas: readonly TaskReplica[],
  { learners, version }: StreamSight,
): LocalityDecision | null {
  const waited = replicas.find(({ node, type }) => type === 'R' && !learners.includes(node));
  if (waited !== undefined) return { kind: 'wait', why: `node ${waited.node} does not answer` };
  const extra = learners.find(node => replicas.every(replica => replica.node !== node));
  return extra === undefined ? null : { kind: 'change', change: { kind: 'remove', node: extra }, version };
}

/** Of servers that answer; those of the others go when they are back. */
function dropFiles(
  replicas: readonly TaskReplica[],
  { rows, present, servers }: LocalitySight,
  stream: StreamSight,
): LocalityDecision | null {
  const { learners } = stream;
  const members = fullOf(stream);
  for (const { node, replicaId } of rows) {
    if (replicas.some(replica => replica.replicaId === replicaId)) continue;
    if (members.includes(node) || learners.includes(node)) continue;
    const isThere = servers.some(server => server.node === node && server.alive);
    if (isThere && present.get(node) === replicaId) return { kind: 'drop', node, replicaId };
  }
  return null;
}

/** The full replicas that a locality counts. */
const fullOf = ({ members, degraded }: Pick<StreamSight, 'members' | 'degraded'>): readonly NodeId[] => [
  ...members,
  ...degraded,
];

const without = (nodes: readonly NodeId[], node: NodeId): readonly NodeId[] =>
  nodes.filter(other => other !== node);

/** What an operator reads beside the task. */
function actionText(action: LocalityAction): string {
  switch (action.kind) {
    case 'assign':
      return 'choosing servers';
    case 'create':
      return `making a replica on node ${action.node}`;
    case 'change':
      return changeText(action.change);
    case 'transfer':
      return `moving the leader to node ${action.to}`;
    case 'drop':
      return `removing the files of the replica on node ${action.node}`;
    case 'finish':
      return 'storing the new locality';
    default:
      return unreachable(action);
  }
}

const changeText = (change: ConfigChange): string =>
  change.kind === 'replace'
    ? `putting node ${change.new} in the place of the degraded one on node ${change.old}`
    : `${changeTexts[change.kind]} on node ${change.node}`;

const changeTexts: Readonly<Record<Exclude<ConfigChange['kind'], 'replace'>, string>> = {
  'add-learner': 'adding a learner',
  promote: 'promoting the learner',
  demote: 'demoting the voter',
  remove: 'removing the replica',
  'set-arbiter': 'setting the arbiter',
  'remove-arbiter': 'removing the arbiter',
};
