/**
 * The simulated tenant's database on one replica: registers, and a hash over all entries in order. Its position is
 * stored with its data in one durable file, together with the state before until the log knows of the new one: a flashback
 * may come between.
 */
import { crc32 } from 'node:zlib';
import type { LogPosition, ProposalEra } from '../../../src/base/log-access.ts';
import { type Lsn, lsn, type Scn, scn } from '../../../src/base/scalars.ts';
import type { LogEntry } from '../../../src/codec/entry-assembler.ts';
import type { Disk } from '../../../src/platform/disk.ts';

export const machineFile = 'machine';

export interface MachineImage {
  readonly lsn: Lsn;
  readonly scn: Scn;
  readonly hash: number;
  /** entries applied */
  readonly count: number;
  readonly registers: readonly (readonly [string, number])[];
}

/** A copy for another replica to begin from: a machine, and the group boundary its log goes on from. */
export interface MachineSnapshot {
  readonly machine: MachineImage;
  readonly position: LogPosition;
  readonly history: readonly ProposalEra[];
}

/** What a write says: its serial number is the value. */
export interface Write {
  readonly serial: number;
  readonly key: string;
}

/** A body nobody else has: the write, then bytes that are never 0. */
export function encodeWrite({ serial, key }: Write, size: number): Uint8Array {
  const head = Buffer.from(`${serial}=${key};`);
  const body = new Uint8Array(Math.max(size, head.length));
  for (let index = head.length; index < body.length; index++)
    body[index] = 1 + ((serial * 31 + index * 7) % 255);
  body.set(head);
  return body;
}

function decodeWrite(body: Uint8Array): Write | undefined {
  const end = body.indexOf(59);
  const middle = body.indexOf(61);
  if (end < 0 || middle < 0) return undefined;
  const text = Buffer.from(body.buffer, body.byteOffset, end).toString('latin1');
  return { serial: Number(text.slice(0, middle)), key: text.slice(middle + 1) };
}

export class Machine {
  lsn: Lsn = lsn(0);
  scn: Scn = scn(0);
  hash = 0;
  count = 0;
  readonly #registers = new Map<string, number>();

  constructor(image?: MachineImage) {
    if (image === undefined) return;
    this.lsn = image.lsn;
    this.scn = image.scn;
    this.hash = image.hash;
    this.count = image.count;
    this.#registers = new Map(image.registers);
  }

  /** The last write of a register, null if there was none. */
  read(key: string): number | null {
    return this.#registers.get(key) ?? null;
  }

  apply(entry: LogEntry): Write | undefined {
    this.lsn = entry.endLsn;
    this.scn = entry.scn;
    this.hash = crc32(entry.body, (this.hash ^ (entry.scn % 4_294_967_296)) >>> 0);
    this.count += 1;
    if (entry.kind !== 'redo') return undefined;
    const write = decodeWrite(entry.body);
    if (write !== undefined) this.#registers.set(write.key, write.serial);
    return write;
  }

  image(): MachineImage {
    const { lsn: at, scn: time, hash, count } = this;
    return { lsn: at, scn: time, hash, count, registers: [...this.#registers] };
  }
}

/** The durable states of a machine, oldest first: the one that its log knows of, and perhaps a later one. */
export type MachineImages = readonly MachineImage[];

export async function loadImages(disk: Disk): Promise<MachineImages> {
  const bytes = await disk.readFile(machineFile);
  return bytes === undefined ? [] : decodeImages(bytes);
}

export const saveImages = (disk: Disk, images: MachineImages): Promise<void> =>
  disk.replaceFile(machineFile, Buffer.from(JSON.stringify(images)));

export function decodeImages(bytes: Uint8Array): MachineImages {
  const raw = JSON.parse(Buffer.from(bytes).toString()) as MachineImages;
  return raw.map(image => ({ ...image, lsn: lsn(image.lsn), scn: scn(image.scn) }));
}

/** The newest state that does not go beyond `at`; else the oldest there is. */
export const imageAt = (images: MachineImages, at: Lsn): MachineImage | undefined =>
  images.findLast(image => image.lsn <= at) ?? images[0];
