/**
 * The chain on the media: finds its head, reads it, appends to it. Whoever creates manifest n+1 decides what follows n;
 * that exclusive creation is the epoch fence. The head is found by asking for numbers, never by LIST: a hint tells where
 * to begin, and may be old or missing.
 *
 * Keeps R3, R4. A chain that does not fold or whose hashes do not link is OBS_ARCHIVE_CORRUPT.
 */
import { assert, must } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import { manifestWalkMax, manifestWalkMin } from '../base/limits.ts';
import type { RoleEpoch, WallMicros } from '../base/scalars.ts';
import {
  decodeManifest,
  encodeManifest,
  type Manifest,
  type ManifestRecord,
  noHash,
} from '../codec/manifest.ts';
import type { ObjectStore } from '../platform/object-store.ts';
import { applyManifest, type ChainHead, emptyArchive } from './chain-core.ts';
import type { TenantLayout } from './layout.ts';
import { type ArchivedLog, sha256 } from './segment-file.ts';

export const emptyChain: ChainHead = { state: emptyArchive, hash: noHash, fullAt: 0 };

/** Who writes a manifest, and what it says. */
export interface ManifestDraft {
  readonly epoch: RoleEpoch;
  readonly siteId: string;
  readonly nonce: string;
  readonly wall: WallMicros;
  readonly records: readonly ManifestRecord[];
}

export interface ManifestLink {
  readonly manifest: Manifest;
  readonly hash: string;
}

const parallelReads = 8;

export class ManifestChain {
  readonly #store: ObjectStore;
  readonly #layout: TenantLayout;
  readonly #log: ArchivedLog;

  constructor(store: ObjectStore, layout: TenantLayout, log: ArchivedLog) {
    this.#store = store;
    this.#layout = layout;
    this.#log = log;
  }

  /** The newest manifest. `known` is a head seen before: then usually one request tells that nothing is newer. */
  async load(known: ChainHead | null = null): Promise<ChainHead> {
    if (known !== null && known.state.number > 0) {
      const followed = await this.#follow(known);
      if (followed !== undefined) return followed;
    }
    const newest = await this.#findNewest();
    if (newest === 0) return emptyChain;
    const { manifest } = must(await this.read(newest), 'the newest manifest');
    return this.#fold(manifest.fullAt, newest);
  }

  /** One manifest, checked by itself; undefined if there is none of that number. */
  async read(number: number): Promise<ManifestLink | undefined> {
    const key = this.#layout.manifest(number);
    const bytes = await this.#store.get(key);
    if (bytes === undefined) return undefined;
    const dest = this.#store.name;
    const decoded = decodeManifest(bytes);
    if (decoded.kind === 'newer')
      throw new ObError('OBS_ARCHIVE_FORMAT_NEWER', { dest, key, version: decoded.version });
    if (decoded.kind === 'problem') throw this.#corrupt(number, decoded.why);
    const { manifest } = decoded;
    if (manifest.number !== number) throw this.#corrupt(number, `it says it is number ${manifest.number}`);
    if (manifest.incarnation !== this.#log.incarnation || manifest.stream !== this.#log.stream) {
      throw new ObError('OBS_ARCHIVE_FOREIGN', {
        dest,
        found: `a manifest of tenant incarnation ${manifest.incarnation}`,
        wanted: `tenant incarnation ${this.#log.incarnation}`,
      });
    }
    return { manifest, hash: sha256(bytes) };
  }

  /**
   * Creates the manifest after `head`. Returns the new head, or `lost` when another manifest of that number was there
   * first. Throws OBS_ARCHIVE_DIVERGED (a claim's cut is not on the archived history), OBS_ARCHIVE_OUTCOME_UNKNOWN or OBS_ARCHIVE_UNAVAILABLE; then only a fresh `load` tells.
   */
  async append(head: ChainHead, draft: ManifestDraft): Promise<ChainHead | 'lost'> {
    const number = head.state.number + 1;
    const link: Omit<Manifest, 'fullAt' | 'state'> = {
      number,
      previousHash: head.hash,
      incarnation: this.#log.incarnation,
      stream: this.#log.stream,
      ...draft,
    };
    const step = applyManifest(head.state, { ...link, fullAt: number, state: null });
    if (step.kind === 'broken') {
      const [first] = draft.records;
      assert(first?.kind === 'claim' && first.cut !== null, `an own manifest follows the chain: ${step.why}`);
      // the caller's history never was the archived one
      throw new ObError('OBS_ARCHIVE_DIVERGED', { dest: this.#store.name, lsn: first.cut.lsn });
    }
    const { state } = step;
    const walk = Math.min(manifestWalkMax, Math.max(manifestWalkMin, state.segments.length >>> 3));
    const isFull = head.fullAt === 0 || number - head.fullAt >= walk;
    const fullAt = isFull ? number : head.fullAt;
    const bytes = encodeManifest({ ...link, fullAt, state: isFull ? state : null });
    if ((await this.#store.putIfAbsent(this.#layout.manifest(number), bytes)) === 'exists') return 'lost';
    return { state, hash: sha256(bytes), fullAt };
  }

  /** Tells readers where to begin. Losing or overtaking each other is harmless. */
  async hint(number: number): Promise<void> {
    await this.#store.put(this.#layout.head, new TextEncoder().encode(`${number}\n`));
  }

  async #follow(known: ChainHead): Promise<ChainHead | undefined> {
    let head = known;
    for (let walked = 0; walked < manifestWalkMax; walked += 1) {
      const link = await this.read(head.state.number + 1);
      if (link === undefined) return head;
      head = this.#link(head, link);
    }
    return undefined;
  }

  #link(head: ChainHead, { manifest, hash }: ManifestLink): ChainHead {
    if (manifest.previousHash !== head.hash)
      throw this.#corrupt(manifest.number, 'it does not follow the manifest before it');
    const step = applyManifest(head.state, manifest);
    if (step.kind === 'broken') throw this.#corrupt(manifest.number, step.why);
    return { state: step.state, hash, fullAt: manifest.fullAt };
  }

  async #fold(fullAt: number, newest: number): Promise<ChainHead> {
    const base = must(await this.#required(fullAt), 'a full state');
    if (base.manifest.state === null || base.manifest.state.number !== fullAt)
      throw this.#corrupt(fullAt, 'it has no full state');
    let head: ChainHead = { state: base.manifest.state, hash: base.hash, fullAt };
    for (let number = fullAt + 1; number <= newest; number += parallelReads) {
      const count = Math.min(parallelReads, newest - number + 1);
      const links = await Promise.all(
        Array.from({ length: count }, (_, index) => this.#required(number + index)),
      );
      for (const link of links) head = this.#link(head, link);
    }
    return head;
  }

  async #required(number: number): Promise<ManifestLink> {
    const link = await this.read(number);
    if (link !== undefined) return link;
    throw new ObError('OBS_ARCHIVE_OBJECT_MISSING', {
      dest: this.#store.name,
      key: this.#layout.manifest(number),
    });
  }

  /** The largest number that exists: numbers are dense, so steps double from the hint and then halve. */
  async #findNewest(): Promise<number> {
    let low = await this.#readHint();
    if (low > 0 && !(await this.#exists(low))) low = 0;
    let step = 1;
    while (await this.#exists(low + step)) {
      low += step;
      step *= 2;
      assert(Number.isSafeInteger(low + step), 'manifest numbers are bounded');
    }
    let high = low + step;
    while (high - low > 1) {
      const middle = low + Math.floor((high - low) / 2);
      if (await this.#exists(middle)) low = middle;
      else high = middle;
    }
    return low;
  }

  async #readHint(): Promise<number> {
    const bytes = await this.#store.get(this.#layout.head);
    const text = bytes === undefined ? '' : new TextDecoder().decode(bytes.subarray(0, 32)).trim();
    return /^[1-9][0-9]{0,14}$/.test(text) ? Number(text) : 0;
  }

  async #exists(number: number): Promise<boolean> {
    return (await this.#store.getRange(this.#layout.manifest(number), 0, 1)) !== undefined;
  }

  #corrupt(number: number, why: string): ObError {
    return new ObError('OBS_ARCHIVE_CORRUPT', {
      dest: this.#store.name,
      key: this.#layout.manifest(number),
      why,
    });
  }
}
