/**
 * What a run is like, all of it drawn from its seed: how many members, which timing, which faults exist and how strong
 * they are. Every run turns a random part of them on.
 */
import type { DegradationPolicy } from '../../../src/palf/inputs.ts';
import type { NetFaults } from '../../support/sim/member-net.ts';
import type { SimRandom } from '../../support/sim/random.ts';

/** A run with an arbiter. */
interface ArbitrationOptions {
  readonly timeoutMs: number;
  readonly policy: DegradationPolicy;
  /** the first record has it; else an operator sets it */
  readonly isBorn: boolean;
  /** mean time between two rounds of probes */
  readonly probeEveryMs: number;
  /** of a thousand probes those that cannot tell, and those that say dead of the living */
  readonly unknown: number;
  readonly wrong: number;
  readonly arbiterCrashEveryMs: number;
  readonly hasWipe: boolean;
  readonly stopEveryMs: number;
  readonly rootCutEveryMs: number;
}

export interface SwarmOptions {
  readonly arbitration: ArbitrationOptions | null;
  /** members, learners and spare nodes at the beginning */
  readonly members: number;
  readonly learners: number;
  readonly spares: number;
  /** zone priority of each node; lower is better */
  readonly priorities: readonly number[];
  readonly leaseMs: number;
  /** some processes are configured with a shorter one */
  readonly hasShortLeases: boolean;
  readonly renewMs: number;
  readonly blockBytes: number;
  /** simulated milliseconds of faults */
  readonly chaosMs: number;
  /** of quiet after the group became whole again (V6) */
  readonly quietMs: number;
  readonly net: NetFaults;
  readonly disk: {
    readonly latencyMs: readonly [number, number];
    readonly hasFull: boolean;
    readonly hasFailing: boolean;
    readonly hasStalls: boolean;
    readonly hasRot: boolean;
  };
  readonly process: {
    /** mean time between crashes of a node; 0: none */
    readonly crashEveryMs: number;
    readonly hasPowerLoss: boolean;
    /** in the middle of a write, or between two effects of one step */
    readonly hasPreciseCrashes: boolean;
    readonly restartMsMax: number;
    readonly pauseEveryMs: number;
    readonly hasWipe: boolean;
  };
  readonly clock: {
    /** parts per million that a clock may be off; a lease allows for 10 000 */
    readonly driftPpm: number;
    /** the drift is beyond what a lease allows for: leases prove nothing in such a run (E3) */
    readonly isOutOfBound: boolean;
    readonly hasWallJumps: boolean;
  };
  readonly links: {
    /** mean time between partitions; 0: none */
    readonly partitionEveryMs: number;
    readonly partitionMsMax: number;
    readonly clogEveryMs: number;
    readonly hasSwizzle: boolean;
  };
  readonly operator: {
    readonly configEveryMs: number;
    readonly transferEveryMs: number;
    readonly priorityEveryMs: number;
    /** access modes and flashbacks */
    readonly modeEveryMs: number;
  };
  readonly load: {
    readonly pauseMsMax: number;
    readonly bodyBytesMax: number;
    readonly burstMax: number;
    readonly keys: number;
    readonly checkpointEveryMs: number;
  };
  /** a log whose roles change often, at the worst of times; null in most runs */
  readonly upheaval: Upheaval | null;
  readonly buggify: {
    /** blocks of log a disk may hold */
    readonly diskBlocks: number;
    /** machines that lag behind their logs */
    readonly slowApply: boolean;
  };
}

/** What makes changes of roles and members hard: somebody does not hear of them, or hears of them late. */
export interface Upheaval {
  /** mean time between the departures of members that are away for long, and come back when it suits nobody */
  readonly awayEveryMs: number;
  readonly awayMsMax: number;
  /** mean time in which a node begins to get none but small messages: votes and leases, but no log; 0: never */
  readonly holeEveryMs: number;
  readonly holeMsMax: number;
  /** disks that take long when a flashback cuts their log */
  readonly hasSlowCuts: boolean;
}

/** What is configured instead of a lease where it is another: the shortest that outlives two lost renewals. */
export const shortLeaseMs = ({ leaseMs }: SwarmOptions): number => leaseMs * 0.75;

/** Above this mean time between faults of one kind, relative to the lease, there are none. */
const never = 0;

export function drawSwarm(random: SimRandom): SwarmOptions {
  const common = drawCommon(random);
  const options = random.chance(1, 5) ? inUpheaval(common, random) : common;
  return { ...options, hasShortLeases: random.chance(1, 5) };
}

function inUpheaval(options: SwarmOptions, random: SimRandom): SwarmOptions {
  const { leaseMs, operator, load, process } = options;
  return {
    ...options,
    members: random.pick([3, 3, 4, 5, 5]),
    chaosMs: leaseMs * 40,
    operator: {
      ...operator,
      modeEveryMs: leaseMs * random.pick([0.5, 1, 2, 6]),
      configEveryMs: random.chance(1, 2) ? leaseMs * random.pick([1, 3]) : operator.configEveryMs,
    },
    // A flashback goes no further back than the databases of a quorum.
    load: { ...load, checkpointEveryMs: leaseMs * random.pick([10, 40]) },
    process: { ...process, crashEveryMs: random.chance(1, 2) ? never : process.crashEveryMs },
    upheaval: {
      awayEveryMs: leaseMs * random.pick([3, 6]),
      awayMsMax: leaseMs * random.pick([8, 16]),
      holeEveryMs: random.chance(2, 3) ? leaseMs * random.pick([3, 6]) : never,
      holeMsMax: leaseMs * random.pick([3, 12]),
      hasSlowCuts: random.chance(1, 2),
    },
  };
}

function drawCommon(random: SimRandom): SwarmOptions {
  const members = random.pick([3, 3, 3, 3, 3, 3, 5, 5, 4, 2, 1]);
  const learners = random.pick([0, 0, 0, 1]);
  const spares = random.pick([0, 1, 1, 2]);
  const leaseMs = random.pick([200, 400, 1_200]);
  const often = (leases: number) => random.between(leases, leases * 3) * leaseMs;
  const some = (one: number, outOf: number, leases: number) =>
    random.chance(one, outOf) ? often(leases) : never;
  const chaosMs = leaseMs * random.pick([10, 15, 30]);
  const calm = random.chance(1, 12);
  const delayMsMean = random.pick([0.3, 1, 5, 20]) * (leaseMs / 1_200);
  return {
    arbitration: null,
    members,
    learners,
    spares,
    priorities: Array.from({ length: members + learners + spares }, () =>
      random.chance(1, 2) ? 1 : random.between(1, 3),
    ),
    leaseMs,
    hasShortLeases: false,
    renewMs: leaseMs / 4,
    blockBytes: random.pick([16_384, 16_384, 65_536]),
    chaosMs,
    quietMs: leaseMs * random.pick([10, 10, 10, 50]),
    net: {
      lost: random.chance(1, 2) ? 0 : random.pick([5, 50, 150, 300]),
      doubled: random.chance(1, 2) ? 0 : random.pick([20, 200, 500]),
      doubledLate: random.pick([0, 100, 500]),
      slow: random.chance(2, 3) ? 0 : random.pick([2, 20]),
      slowMsMax: leaseMs * 8,
      lateMsMax: leaseMs * 50,
      flipped: random.chance(2, 3) ? 0 : random.pick([5, 50]),
      delayMsMin: random.pick([0.05, 0.2, 1]),
      delayMsMean,
      isOrdered: random.chance(2, 3),
    },
    disk: {
      latencyMs: random.pick([
        [0.02, 0.1],
        [0.05, 0.5],
        [0.2, 4],
      ] as const),
      hasFull: random.chance(1, 5),
      hasFailing: random.chance(1, 4),
      hasStalls: random.chance(1, 3),
      hasRot: random.chance(1, 4),
    },
    process: {
      crashEveryMs: calm ? never : some(3, 4, 5),
      hasPowerLoss: random.chance(2, 3),
      hasPreciseCrashes: random.chance(1, 2),
      restartMsMax: random.pick([leaseMs / 4, leaseMs * 2, leaseMs * 6]),
      pauseEveryMs: some(1, 4, 8),
      hasWipe: random.chance(1, 4),
    },
    clock: {
      driftPpm: random.pick([0, 200, 200, 10_000]),
      isOutOfBound: random.chance(1, 12),
      hasWallJumps: random.chance(1, 4),
    },
    links: {
      partitionEveryMs: calm ? never : some(1, 2, 4),
      partitionMsMax: leaseMs * random.pick([1, 4, 10]),
      clogEveryMs: some(1, 4, 3),
      hasSwizzle: random.chance(1, 6),
    },
    operator: {
      configEveryMs: some(1, 2, 3),
      transferEveryMs: some(1, 3, 3),
      priorityEveryMs: some(1, 6, 6),
      modeEveryMs: some(1, 5, 4),
    },
    load: {
      // calls in a run: twice the divisor, times the bursts
      pauseMsMax: Math.ceil(chaosMs / random.pick([40, 80, 160])),
      bodyBytesMax: random.pick([40, 400, 3_000]),
      burstMax: random.pick([1, 4, 16]),
      keys: random.pick([1, 3, 8]),
      checkpointEveryMs: random.pick([2, 10]) * leaseMs,
    },
    upheaval: null,
    buggify: {
      diskBlocks: random.pick([4, 4, 16]),
      slowApply: random.chance(1, 6),
    },
  };
}

/**
 * Two or four replicas and an arbiter. Time is long enough for silences that are, and faults are rarer, so that replicas are degraded and
 * come back more than once.
 */
export function drawArbitration(random: SimRandom): SwarmOptions {
  const base = drawSwarm(random.fork());
  const { leaseMs } = base;
  const members = random.pick([2, 2, 2, 4, 4]);
  const learners = random.pick([0, 0, 1]);
  const spares = random.pick([0, 1, 1, 2]);
  const chaosMs = leaseMs * random.pick([25, 40, 60]);
  const often = (leases: number) => random.between(leases, leases * 3) * leaseMs;
  const some = (one: number, outOf: number, leases: number) =>
    random.chance(one, outOf) ? often(leases) : never;
  return {
    ...base,
    arbitration: {
      timeoutMs: leaseMs * random.pick([2, 2, 3]),
      policy: random.chance(1, 4) ? 'CLUSTER_POLICY' : 'LS_POLICY',
      isBorn: random.chance(3, 4),
      probeEveryMs: (leaseMs * random.pick([1, 3])) / 10,
      unknown: random.pick([0, 0, 20, 200]),
      wrong: random.pick([0, 0, 0, 30]),
      arbiterCrashEveryMs: some(1, 2, 6),
      hasWipe: random.chance(1, 6),
      stopEveryMs: some(1, 4, 6),
      rootCutEveryMs: some(2, 3, 4),
    },
    members,
    learners,
    spares,
    priorities: Array.from({ length: members + learners + spares }, () =>
      random.chance(1, 2) ? 1 : random.between(1, 3),
    ),
    chaosMs,
    net: { ...base.net, lost: random.pick([0, 0, 0, 5, 50]) },
    process: {
      ...base.process,
      crashEveryMs: some(3, 4, 10),
      restartMsMax: leaseMs * random.pick([2, 10, 16]),
    },
    links: {
      ...base.links,
      partitionEveryMs: some(3, 4, 6),
      partitionMsMax: leaseMs * random.pick([6, 10, 16]),
    },
    operator: {
      ...base.operator,
      configEveryMs: some(1, 2, 4),
      transferEveryMs: some(1, 3, 6),
      modeEveryMs: some(1, 4, 6),
    },
    load: { ...base.load, pauseMsMax: Math.ceil(chaosMs / random.pick([40, 80, 160])) },
  };
}
