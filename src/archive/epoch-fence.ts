/**
 * The archive as the judge between primaries: whoever creates the next manifest with a claim of a higher role epoch owns
 * the archive, and the archiver of the older epoch can write nothing after it (R4, W5). Needs no clock and no LIST.
 */
import { ObError } from '../base/errors.ts';
import { manifestRaceMax } from '../base/limits.ts';
import type { LogPosition } from '../base/log-access.ts';
import type { RoleEpoch } from '../base/scalars.ts';
import type { ClaimRecord, SealRecord } from '../codec/manifest.ts';
import type { Clock } from '../platform/clock.ts';
import type { ObjectStore } from '../platform/object-store.ts';
import type { Random } from '../platform/random.ts';
import { type ArchivedTenant, ensureFormat } from './archive-format.ts';
import { type ArchiveHead, headOf } from './archive-head.ts';
import { headEpochOf, ownerOf } from './chain-core.ts';
import { TenantLayout } from './layout.ts';
import { ManifestChain } from './manifest-chain.ts';

export interface EpochFenceOptions {
  readonly store: ObjectStore;
  readonly tenant: ArchivedTenant;
  readonly siteId: string;
  readonly clock: Clock;
  readonly random: Random;
}

export type ClaimOutcome =
  | { readonly kind: 'claimed' }
  /** somebody else's claim of this epoch or a higher one is there */
  | { readonly kind: 'lost'; readonly to: ClaimRecord };

export class EpochFence {
  readonly #options: EpochFenceOptions;
  readonly #chain: ManifestChain;
  readonly #nonce: string;

  constructor(options: EpochFenceOptions) {
    this.#options = options;
    this.#nonce = options.random.uuid();
    this.#chain = new ManifestChain(
      options.store,
      new TenantLayout(options.tenant.incarnation),
      options.tenant,
    );
  }

  /** What the chain says now. */
  async head(): Promise<ArchiveHead> {
    return headOf(this.#options.tenant, (await this.#chain.load()).state);
  }

  /** The highest epoch that claimed the archive; 0 when none did. */
  async headEpoch(): Promise<RoleEpoch> {
    return headEpochOf((await this.#chain.load()).state);
  }

  /** The exact end the current epoch left by a switchover, or null. */
  async sealed(): Promise<SealRecord | null> {
    return (await this.head()).sealed;
  }

  /**
   * Makes the archive `epoch`'s. The same claim again (same epoch, site and operation) is `claimed`. `cut` is the
   * end of the log that the new primary takes over; what the archive has above it is nobody's past.
   * Throws OBS_ARCHIVE_OUTCOME_UNKNOWN (call again: it reads back), OBS_ARCHIVE_UNAVAILABLE, OBS_ARCHIVE_DIVERGED (the
   * cut is not on the archived history).
   */
  async claimEpoch(claim: {
    readonly epoch: RoleEpoch;
    readonly operationId: string;
    readonly cut?: LogPosition | null;
    /** the site that shall own the epoch, if it is not this one: a sealed primary grants, a standby hands back */
    readonly siteId?: string;
  }): Promise<ClaimOutcome> {
    const { store, tenant, clock } = this.#options;
    const siteId = claim.siteId ?? this.#options.siteId;
    await ensureFormat(store, tenant);
    let head = await this.#chain.load();
    for (let attempt = 0; attempt < manifestRaceMax; attempt += 1) {
      const { state } = head;
      const owner = ownerOf(state);
      const mine = state.epochs.find(({ epoch }) => epoch === claim.epoch);
      if (owner !== null && owner.epoch >= claim.epoch) {
        const same = mine?.siteId === siteId && mine.operationId === claim.operationId;
        return same && owner === mine ? { kind: 'claimed' } : { kind: 'lost', to: claimOf(owner) };
      }
      const cut = claim.cut ?? null;
      const { epoch, operationId } = claim;
      const next = await this.#chain.append(head, {
        epoch,
        siteId,
        nonce: this.#nonce,
        wall: clock.wall(),
        records: [{ kind: 'claim', epoch, siteId, operationId, cut }],
      });
      if (next !== 'lost') {
        await this.#chain.hint(next.state.number);
        return { kind: 'claimed' };
      }
      head = await this.#chain.load(head);
    }
    throw new ObError('OBS_ARCHIVE_UNAVAILABLE', {
      dest: store.name,
      why: `lost ${manifestRaceMax} races for the next manifest`,
    });
  }
}

const claimOf = ({ epoch, siteId, operationId, cut }: ClaimRecord): ClaimRecord => ({
  epoch,
  siteId,
  operationId,
  cut,
});
