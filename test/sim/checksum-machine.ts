/**
 * The simulated tenant's database: a hash over all entries in order. It stores its position with its data, in one
 * durable file, and replays the log from there after a start.
 */
import type { LogPosition, ProposalEra } from '../../src/base/log-access.ts';
import { type Lsn, lsn, type Scn, scn } from '../../src/base/scalars.ts';
import type { Disk } from '../../src/platform/disk.ts';

export interface MachineState {
  readonly lsn: Lsn;
  readonly scn: Scn;
  readonly hash: number;
  /** entries applied */
  readonly count: number;
}

export const emptyMachine: MachineState = { lsn: lsn(0), scn: scn(0), hash: 0, count: 0 };
export const machineFile = 'machine';

export async function loadMachine(disk: Disk): Promise<MachineState> {
  const bytes = await disk.readFile(machineFile);
  return bytes === undefined ? emptyMachine : decodeMachine(bytes);
}

export const saveMachine = (disk: Disk, state: MachineState): Promise<void> =>
  disk.replaceFile(machineFile, Buffer.from(JSON.stringify(state)));

export function decodeMachine(bytes: Uint8Array): MachineState {
  const raw = JSON.parse(Buffer.from(bytes).toString()) as MachineState;
  return { lsn: lsn(raw.lsn), scn: scn(raw.scn), hash: raw.hash, count: raw.count };
}

/** Where a copy of the tenant begins: a machine, and the group boundary its log goes on from. */
export interface Snapshot {
  readonly machine: MachineState;
  readonly position: LogPosition;
  readonly history: readonly ProposalEra[];
}
