/** Callers that wait for an archiver: to have log archived, or to seal the archive's exact end. Pure, bounded. */
import { assert } from '../base/assert.ts';
import { archiverWaitersMax } from '../base/limits.ts';
import type { LogPosition } from '../base/log-access.ts';
import { type Lsn, lsn, type RoleEpoch } from '../base/scalars.ts';
import { samePosition } from '../codec/clog.ts';
import type { SealRecord } from '../codec/manifest.ts';
import type { Outcome } from './archiver-language.ts';

export type Waiter =
  | { readonly kind: 'flush'; readonly token: number; readonly to: Lsn }
  | { readonly kind: 'seal'; readonly token: number; readonly record: SealRecord };

export interface Answer {
  readonly token: number;
  readonly outcome: Outcome;
}

export class Waiters {
  #waiting: readonly Waiter[] = [];

  add(waiter: Waiter): void {
    assert(this.#waiting.length < archiverWaitersMax, 'callers of an archiver are bounded');
    this.#waiting = [...this.#waiting, waiter];
  }

  forget(token: number): void {
    this.#waiting = this.#waiting.filter(waiter => waiter.token !== token);
  }

  /** Somebody waits for log above `archived`. */
  isPressing(archived: number): boolean {
    return this.#waiting.some(waiter => (waiter.kind === 'flush' ? waiter.to : waiter.record.lsn) > archived);
  }

  flushedTo(archived: number): readonly Answer[] {
    return this.#settle(waiter =>
      waiter.kind === 'flush' && waiter.to <= archived ? { kind: 'ok' } : undefined,
    );
  }

  /** Seals that cannot be written any more: the archive went beyond them, or they are of another epoch or history. */
  refuseSeals(end: LogPosition | null, epoch: RoleEpoch): readonly Answer[] {
    return this.#settle(waiter => {
      if (waiter.kind !== 'seal') return undefined;
      const { record } = waiter;
      const isBehind = end !== null && end.lsn >= record.lsn && !samePosition(end, record);
      return isBehind || record.epoch !== epoch ? { kind: 'diverged', lsn: end?.lsn ?? lsn(0) } : undefined;
    });
  }

  /** The seal whose end is archived, if somebody waits for one. */
  sealAt(archived: number): SealRecord | null {
    for (const waiter of this.#waiting)
      if (waiter.kind === 'seal' && waiter.record.lsn === archived) return waiter.record;
    return null;
  }

  /** The archive is sealed: whoever asked for that, or for log below it, has it. */
  sealed(by: SealRecord): readonly Answer[] {
    return this.#settle(waiter => {
      const has =
        waiter.kind === 'seal'
          ? waiter.record.switchoverId === by.switchoverId && samePosition(waiter.record, by)
          : waiter.to <= by.lsn;
      return has ? { kind: 'ok' } : { kind: 'sealed', by };
    });
  }

  refuseAll(outcome: Outcome): readonly Answer[] {
    return this.#settle(() => outcome);
  }

  #settle(outcomeOf: (waiter: Waiter) => Outcome | undefined): readonly Answer[] {
    const answers: Answer[] = [];
    const left: Waiter[] = [];
    for (const waiter of this.#waiting) {
      const outcome = outcomeOf(waiter);
      if (outcome === undefined) left.push(waiter);
      else answers.push({ token: waiter.token, outcome });
    }
    this.#waiting = left;
    return answers;
  }
}
