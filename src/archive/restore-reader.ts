/**
 * Reads the log back from an archive: for a standby that follows it, and for restores. Every byte has passed the hash
 * in its manifest, its own header, and the chain of checksums from the segment before; what fails is an error, never
 * skipped. Follows the chain by asking for the next manifest; change notices only make it ask sooner.
 *
 * Keeps S1 (only the chain's own history is handed out) and S7 (history cut off by a newer epoch is refused).
 */
import { assert, unreachable } from '../base/assert.ts';
import { isObError, ObError } from '../base/errors.ts';
import { archivePollMs } from '../base/limits.ts';
import type { LogChunk, LogPosition } from '../base/log-access.ts';
import { type Lsn, type RoleEpoch, roleEpoch } from '../base/scalars.ts';
import { samePosition } from '../codec/clog.ts';
import type { SegmentRecord } from '../codec/manifest.ts';
import type { Clock } from '../platform/clock.ts';
import type { ObjectStore } from '../platform/object-store.ts';
import { type ArchivedTenant, findTenant, type WantedTenant } from './archive-format.ts';
import { type ArchiveHead, cutSince, headOf, locate } from './archive-head.ts';
import type { ChainHead } from './chain-core.ts';
import { TenantLayout } from './layout.ts';
import { emptyChain, ManifestChain } from './manifest-chain.ts';
import type { SegmentRun } from './segment-file.ts';
import { SegmentShelf } from './segment-shelf.ts';

export interface ArchiveReaderOptions {
  readonly store: ObjectStore;
  readonly clock: Clock;
  /** which tenant; may be left out when the archive holds one */
  readonly identity?: WantedTenant;
}

interface OpenArchive {
  readonly tenant: ArchivedTenant;
  readonly layout: TenantLayout;
  readonly chain: ManifestChain;
  readonly shelf: SegmentShelf;
}

export class ArchiveReader {
  readonly #store: ObjectStore;
  readonly #clock: Clock;
  readonly #wanted: WantedTenant;
  #archive: OpenArchive | null = null;
  #head: ChainHead = emptyChain;
  /** the newest epoch under which log was handed out */
  #readUnder: RoleEpoch = roleEpoch(0);
  #current: { readonly key: string; readonly run: SegmentRun } | null = null;
  #ahead: { readonly key: string; readonly run: Promise<SegmentRun> } | null = null;

  constructor(options: ArchiveReaderOptions) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#wanted = options.identity ?? {};
  }

  /**
   * What the chain says now. Throws OBS_ARCHIVE_NO_TENANT, OBS_ARCHIVE_FOREIGN, OBS_ARCHIVE_TENANT_AMBIGUOUS,
   * OBS_ARCHIVE_FORMAT_NEWER, OBS_ARCHIVE_CORRUPT, OBS_ARCHIVE_UNAVAILABLE.
   */
  async head(): Promise<ArchiveHead> {
    const { tenant } = await this.#refresh();
    return headOf(tenant, this.#head.state);
  }

  /**
   * Whole groups from `from`, a group boundary; at least one group, as many as `bytesMax` allows. Undefined at the
   * archived end, also when `from` is above it (the other site's archiver is behind). With a position, its checksum
   * must be the archive's. `readUnder` is the newest epoch the caller's log is known to belong to.
   *
   * Throws OBS_ARCHIVE_GAP, OBS_ARCHIVE_DIVERGED, OBS_ARCHIVE_CORRUPT, OBS_ARCHIVE_OBJECT_MISSING and what `head` does.
   */
  async read(
    from: Lsn | LogPosition,
    bytesMax: number,
    readUnder: RoleEpoch = this.#readUnder,
  ): Promise<LogChunk | undefined> {
    assert(bytesMax > 0, 'a read asks for something');
    const at = typeof from === 'number' ? from : from.lsn;
    let chunk = await this.#readKnown(at, bytesMax, readUnder);
    if (chunk === undefined) {
      await this.#refresh();
      chunk = await this.#readKnown(at, bytesMax, readUnder);
    }
    const start = chunk?.start ?? this.#positionAtEnd(at);
    if (typeof from !== 'number' && start !== null && !samePosition(start, from)) throw this.#diverged(at);
    if (chunk !== undefined) this.#readUnder = roleEpoch(Math.max(this.#readUnder, this.#epoch()));
    return chunk;
  }

  /** Resolves true when a manifest newer than the last one seen is there, false after `ms`. */
  async waitForMore(ms: number): Promise<boolean> {
    const giveUpAt = this.#clock.now() + ms;
    const seen = this.#head.state.number;
    const bell = new Bell(this.#clock);
    const { layout } = await this.#open();
    const unwatch = this.#store.watch?.(layout.head, () => {
      bell.ring();
    });
    try {
      for (;;) {
        await this.#refresh();
        if (this.#head.state.number > seen) return true;
        const left = giveUpAt - this.#clock.now();
        if (left <= 0) return false;
        await bell.wait(Math.min(left, archivePollMs));
      }
    } finally {
      unwatch?.();
    }
  }

  async #readKnown(at: Lsn, bytesMax: number, readUnder: RoleEpoch): Promise<LogChunk | undefined> {
    const { shelf } = await this.#open();
    const { state } = this.#head;
    const cut = readUnder === 0 ? null : cutSince(state, readUnder);
    if (cut !== null && at > cut.lsn) throw this.#diverged(cut.lsn);
    const place = locate(state, at);
    switch (place.kind) {
      case 'end':
      case 'ahead':
        return undefined;
      case 'gap':
        throw new ObError('OBS_ARCHIVE_GAP', { dest: this.#store.name, from: at, next: place.next });
      case 'segment': {
        const run = await this.#fetch(shelf, place.segment, place.next);
        if (run === undefined) return undefined;
        const chunk = run.cut(at, bytesMax);
        if (chunk === undefined) throw this.#diverged(at);
        return chunk;
      }
      default:
        return unreachable(place);
    }
  }

  /** The segment's groups; undefined if it was merged away since the chain was read. Fetches the next one ahead. */
  async #fetch(
    shelf: SegmentShelf,
    segment: SegmentRecord,
    next: SegmentRecord | null,
  ): Promise<SegmentRun | undefined> {
    const key = runKey(segment);
    if (this.#current?.key !== key) {
      try {
        const run = this.#ahead?.key === key ? await this.#ahead.run : await shelf.fetch(segment);
        this.#current = { key, run };
      } catch (error) {
        this.#ahead = null;
        const before = this.#head.state.number;
        if (!isObError(error, 'OBS_ARCHIVE_OBJECT_MISSING')) throw error;
        await this.#refresh();
        if (this.#head.state.number === before) throw error;
        return undefined;
      }
    }
    if (next !== null && this.#ahead?.key !== runKey(next)) {
      const run = shelf.fetch(next);
      // whoever reads that far meets the error
      run.catch(() => {});
      this.#ahead = { key: runKey(next), run };
    }
    return this.#current?.run;
  }

  async #open(): Promise<OpenArchive> {
    if (this.#archive !== null) return this.#archive;
    const tenant = await findTenant(this.#store, this.#wanted);
    const layout = new TenantLayout(tenant.incarnation);
    this.#archive = {
      tenant,
      layout,
      chain: new ManifestChain(this.#store, layout, tenant),
      shelf: new SegmentShelf(this.#store, layout, tenant),
    };
    return this.#archive;
  }

  async #refresh(): Promise<OpenArchive> {
    const archive = await this.#open();
    const head = await archive.chain.load(this.#head);
    // a stale answer of the media never takes back what was seen
    if (head.state.number >= this.#head.state.number) this.#head = head;
    return archive;
  }

  #positionAtEnd(at: Lsn): LogPosition | null {
    const { end } = this.#head.state;
    return end !== null && end.lsn === at ? end : null;
  }

  #epoch(): RoleEpoch {
    return this.#head.state.epochs.at(-1)?.epoch ?? roleEpoch(0);
  }

  #diverged(at: Lsn): ObError {
    return new ObError('OBS_ARCHIVE_DIVERGED', { dest: this.#store.name, lsn: at });
  }
}

/** The usable end is part of it: a claim may cut a segment that was read before. */
const runKey = (segment: SegmentRecord): string => `${segment.key}@${segment.end.lsn}`;

/** Waits for a ring or a time. */
class Bell {
  readonly #clock: Clock;
  #wakeUp: (() => void) | null = null;
  #rang = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  ring(): void {
    this.#rang = true;
    this.#wakeUp?.();
  }

  wait(ms: number): Promise<void> {
    if (this.#rang) {
      this.#rang = false;
      return Promise.resolve();
    }
    return new Promise(resolve => {
      const timer = this.#clock.after(ms, () => this.#wakeUp?.());
      this.#wakeUp = () => {
        this.#wakeUp = null;
        this.#rang = false;
        timer.cancel();
        resolve();
      };
    });
  }
}
