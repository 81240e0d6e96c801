/** How often what happened in a run: a simulation in which nothing happens proves nothing. */
interface GroupCounts {
  commits: number;
  reads: number;
  elections: number;
  crashes: number;
  configChanges: number;
  transfers: number;
  modeChanges: number;
  flashbacks: number;
  rebuilds: number;
  wipes: number;
  rots: number;
  degrades: number;
  degradedCommits: number;
  upgrades: number;
  arbiterCrashes: number;
  /** runs that ended without a leader, as they had to: `Arbitration.isStranded` */
  stranded: number;
}

export interface GroupResult extends Readonly<GroupCounts> {
  readonly seed: number;
  /** of everything that happened: equal seeds give equal hashes */
  readonly hash: number;
  readonly events: number;
  readonly partitions: number;
}

export const noCounts = (): GroupCounts => ({
  commits: 0,
  reads: 0,
  elections: 0,
  crashes: 0,
  configChanges: 0,
  transfers: 0,
  modeChanges: 0,
  flashbacks: 0,
  rebuilds: 0,
  wipes: 0,
  rots: 0,
  degrades: 0,
  degradedCommits: 0,
  upgrades: 0,
  arbiterCrashes: 0,
  stranded: 0,
});
