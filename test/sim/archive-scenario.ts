/**
 * Pieces of archive simulations: a tenant's log, archivers that live and die on a shared simulated medium, and the
 * audit that says whether the archive is what the log was.
 */
import { Archiver, type ArchiverOptions } from '../../src/archive/archiver.ts';
import { ArchiveReader } from '../../src/archive/restore-reader.ts';
import { type ArchiveAudit, verifyArchive } from '../../src/archive/verify.ts';
import { must } from '../../src/base/assert.ts';
import type { LogPosition } from '../../src/base/log-access.ts';
import { logStreamId, lsn, roleEpoch } from '../../src/base/scalars.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import type { Random } from '../../src/platform/random.ts';
import type { MemoryClog } from '../support/memory-clog.ts';
import {
  type Draw,
  drawsOf,
  noFaults,
  SimulatedMedium,
  SimulatedStore,
} from '../support/sim/object-store.ts';
import { VirtualTime } from '../support/sim/virtual-time.ts';

export const tenant = { name: 't', incarnation: 'c0ffee', stream: logStreamId(1001) };

export class ArchiveWorld {
  readonly time = new VirtualTime();
  readonly medium = new SimulatedMedium();
  readonly draw: Draw;
  readonly random: Random;
  fatal: Error | null = null;
  fenced = 0;

  constructor(seed: number) {
    this.draw = drawsOf(seed);
    let uuids = 0;
    this.random = {
      bytes: count => new Uint8Array(count).map(() => Math.floor(this.draw() * 256)),
      uuid: () => `nonce-${uuids++}`,
      fraction: this.draw,
    };
  }

  store(name: string): SimulatedStore {
    return new SimulatedStore(this.medium, this.time, { name, draw: this.draw, faults: noFaults });
  }

  archiver(log: MemoryClog, store: SimulatedStore, options: Partial<ArchiverOptions> = {}): Archiver {
    return new Archiver({
      log,
      store,
      tenant,
      epoch: roleEpoch(1),
      siteId: 'north',
      operationId: 'bootstrap',
      openedAt: null,
      binding: 'Mandatory',
      pieceSwitchIntervalMs: 86_400_000,
      lagTargetMs: 100,
      clock: this.time,
      random: this.random,
      logger: silentLogger,
      onFenced: () => {
        this.fenced += 1;
      },
      onFatal: error => {
        this.fatal ??= error;
      },
      ...options,
    });
  }

  /** Some groups, committed. */
  write(log: MemoryClog, groups: number): LogPosition {
    for (let n = 0; n < groups; n += 1) {
      const bytes = this.random.bytes(1 + Math.floor(this.draw() * 120));
      log.append(this.draw() < 0.8 ? 'redo' : 'keep-alive', bytes, this.time.wall());
    }
    return log.commit();
  }

  reader(): ArchiveReader {
    return new ArchiveReader({
      store: this.store('reader'),
      clock: this.time,
      identity: { incarnation: tenant.incarnation },
    });
  }

  audit(): Promise<ArchiveAudit> {
    return this.time.until(verifyArchive(this.store('auditor'), tenant));
  }

  /** All that can be read, from the oldest byte of the last unbroken stretch. */
  async readAll(chunkBytes = 300): Promise<{ readonly from: number; readonly bytes: Uint8Array }> {
    const reader = this.reader();
    const { begin } = await this.time.until(reader.head());
    const from = begin?.lsn ?? lsn(0);
    const parts: Uint8Array[] = [];
    let at: LogPosition | null = begin;
    while (at !== null) {
      const chunk = await this.time.until(reader.read(at, chunkBytes));
      if (chunk === undefined) break;
      parts.push(chunk.bytes);
      at = chunk.end;
    }
    return { from, bytes: new Uint8Array(Buffer.concat(parts)) };
  }
}

/** What is wrong with an archive that should hold `log` to its committed end; empty when nothing is. */
export async function differences(world: ArchiveWorld, log: MemoryClog): Promise<string[]> {
  const wrong: string[] = [];
  if (world.fatal !== null) wrong.push(`fatal: ${world.fatal.stack}`);
  const audit = await world.audit();
  wrong.push(...audit.problems);
  const { from, bytes } = await world.readAll();
  const expected = log.bytes().subarray(from);
  if (Buffer.compare(bytes, expected) !== 0)
    wrong.push(`${bytes.length} archived bytes from ${from} differ from ${expected.length} of the log`);
  return wrong;
}

/** R5: the hold of a log never passes what a fresh reader finds. */
export async function holdIsCovered(world: ArchiveWorld, log: MemoryClog): Promise<boolean> {
  const held = Math.max(0, ...log.heldFrom());
  if (held === 0) return true;
  const { end } = await world.time.until(world.reader().head());
  return must(end, 'an archived end').lsn >= held;
}
