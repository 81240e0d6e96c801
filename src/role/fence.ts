/**
 * Fencing: what a site does when it learns of an epoch above its own, what it must find out before it serves after a
 * restart, and how a new primary reaches the old one.
 *
 * Never: lets a superseded primary take one more write (W6), nor clears the mark before its log is known to be a prefix
 * of the newer history.
 */
import { isObError, ObError } from '../base/errors.ts';
import { roleProbesMax } from '../base/limits.ts';
import type { LogPosition } from '../base/log-access.ts';
import { call, type EpochSign, type Procedure, type RoleContext } from './procedure.ts';
import {
  type FencedRecord,
  forkPoint,
  holdsWrites,
  learnedOpenings,
  type LogSuffix,
  type LossCertificate,
  type RoleRow,
  supersedes,
  withCancelled,
  withOpening,
} from './row.ts';
import { describePeer, describeSource } from './seal-search.ts';
import { change, load, rowChanged } from './transition.ts';

/** The site wrote the history of its epoch, so that its log may hold what a newer primary never had. */
const wroteHistory = (row: RoleRow): boolean =>
  row.fenced === null &&
  (holdsWrites(row) ||
    row.sealed !== null ||
    row.operation?.kind === 'to-standby' ||
    row.operation?.kind === 'reopen');

/** Whether a sign obliges this site to stop at once. Asked before anything is loaded or awaited. */
export const mustStop = (row: RoleRow, sign: EpochSign): boolean =>
  supersedes(sign, row) && (holdsWrites(row) || (wroteHistory(row) && sign.certainty === 'opened'));

/** Takes note of a newer epoch. A primary stops; a standby remembers the epoch. Resolves with the row after it. */
export function* heedEpoch(context: RoleContext, seen: EpochSign): Procedure<RoleRow> {
  if (holdsWrites(context.row())) {
    yield* call('local', 'refuseWrites', `epoch ${seen.epoch} of site ${seen.site}`);
  }
  // Asked for first: what this log held before anything of the newer epoch can have come.
  const { end } = yield* call('local', 'observe');
  const row = yield* load(context);
  if (!supersedes(seen, row) && row.fenced === null) {
    return seen.inherited && !holdsWrites(row) ? yield* followEpoch(context, seen, end) : row;
  }
  const sign = yield* completeSign(context, seen);
  if (row.fenced !== null) return yield* completeFence(context, sign);
  if (holdsWrites(row)) return yield* fence(context, sign);
  if (sign.certainty === 'claimed') return row;
  if (!wroteHistory(row)) return yield* followEpoch(context, sign, end);
  return yield* settleSealed(context, sign);
}

/** Asks the newer primary where its history left ours, when the sign did not say. */
function* completeSign(context: RoleContext, sign: EpochSign): Procedure<EpochSign> {
  if (sign.openings.length > 0) return sign;
  try {
    if (sign.address === null) {
      const { found } = yield* describeSource(context);
      if (found === null || found.description.epoch < sign.epoch) return sign;
      const { address, description } = found;
      return { ...sign, site: description.site, address, openings: description.openings };
    }
    const { openings, epoch } = yield* describePeer(context, sign.address);
    return epoch < sign.epoch ? sign : { ...sign, openings };
  } catch (error) {
    if (isObError(error)) return sign;
    throw error;
  }
}

function* fence(context: RoleContext, sign: EpochSign): Procedure<RoleRow> {
  yield* change(
    context,
    row => {
      if (row.fenced === null && !supersedes(sign, row)) throw rowChanged(row);
    },
    row => ({
      ...row,
      role: 'STANDBY',
      switchoverStatus: 'NORMAL',
      epoch: sign.epoch,
      operation: null,
      step: null,
      sealed: null,
      cancelled: row.operation === null ? row.cancelled : withCancelled(row, row.operation.id),
      fenced: row.fenced ?? fencedRecord(context, row, sign),
    }),
  );
  return yield* completeFence(context, sign);
}

const fencedRecord = (context: RoleContext, row: RoleRow, sign: EpochSign): FencedRecord => ({
  ownEpoch: row.opening?.epoch ?? row.epoch,
  by: { epoch: sign.epoch, site: sign.site, address: sign.address },
  cut: forkPoint(sign.openings, row.opening?.epoch ?? row.epoch),
  suffix: null,
  time: context.now(),
});

/** The rest of fencing; run again at every start of a fenced site, and whenever more is learned about the cut. */
export function* completeFence(context: RoleContext, sign: EpochSign | null): Procedure<RoleRow> {
  let row = context.row();
  if (row.fenced === null) return row;
  yield* call('local', 'demote');
  const before = yield* call('local', 'observe');
  yield* call('local', 'changeMode', 'RAW_WRITE', before.end.scn);
  const cut = row.fenced.cut ?? (sign === null ? null : forkPoint(sign.openings, row.fenced.ownEpoch));
  if (cut === null || row.fenced.suffix !== null) return row;
  const { end } = yield* call('local', 'observe');
  const suffix: LogSuffix =
    end.lsn <= cut.lsn ? { transactions: 0, end } : yield* call('local', 'countSuffix', cut);
  // The first newer epoch starts at the cut: what is before it is common history.
  const prefix = end.lsn < cut.lsn || (end.lsn === cut.lsn && end.checksum === cut.checksum);
  const newPrimary = sign?.address ?? row.fenced.by.address;
  if (prefix && newPrimary !== null) yield* call('local', 'follow', newPrimary);
  row = yield* change(
    context,
    each => {
      if (each.fenced === null) throw rowChanged(each);
    },
    each =>
      each.fenced === null
        ? each
        : {
            ...each,
            epoch: sign !== null && sign.epoch > each.epoch ? sign.epoch : each.epoch,
            // A log that ends at or before the cut holds nothing that the new primary lacks: an ordinary standby.
            openings:
              sign === null ? each.openings : learnedOpenings(each.openings, sign.openings, sign.epoch),
            fenced: prefix ? null : { ...each.fenced, cut, suffix },
          },
  );
  yield* reportSuffix(context, row, suffix, sign);
  return row;
}

/** Tells the new primary, so that its certificate becomes exact; it asks by itself too, so a failure may pass. */
function* reportSuffix(
  context: RoleContext,
  row: RoleRow,
  suffix: LogSuffix,
  sign: EpochSign | null,
): Procedure<void> {
  const by = row.fenced?.by ?? sign;
  const address = by?.address ?? null;
  if (by === null || address === null) return;
  try {
    yield* call('peers', 'control', address, {
      op: 'report-suffix',
      epoch: by.epoch,
      ownEpoch: row.fenced?.ownEpoch ?? row.opening?.epoch ?? row.epoch,
      site: row.site,
      suffix,
    });
  } catch (error) {
    if (!isObError(error)) throw error;
  }
}

/** A standby remembers the newest epoch; a promotion that was under way on the older history is void. */
function* followEpoch(context: RoleContext, sign: EpochSign, end: LogPosition): Procedure<RoleRow> {
  return yield* change(
    context,
    row => {
      if (holdsWrites(row)) throw rowChanged(row);
    },
    row => {
      if (row.epoch >= sign.epoch) {
        return { ...row, openings: sign.openings.reduce(withOpening, row.openings) };
      }
      const { operation } = row;
      const cut = forkPoint(sign.openings, row.epoch);
      // A log that is past that point may have forked there (the pull finds out): then nothing of the list is its own.
      const ahead = !sign.inherited && (cut === null || end.lsn > cut.lsn);
      const openings = ahead ? [] : learnedOpenings(row.openings, sign.openings, sign.epoch);
      const seen = { ...row, openings, epoch: sign.epoch };
      if (operation === null || operation.kind === 'undo' || operation.kind === 'undo-activate') return seen;
      const cancelled = withCancelled(row, operation.id);
      if (operation.kind === 'activate') {
        return { ...seen, cancelled, operation: { ...operation, kind: 'undo-activate' }, step: 'V1' };
      }
      return { ...seen, cancelled, switchoverStatus: 'NORMAL', operation: null, step: null };
    },
  );
}

/** A sealed primary whose successor opened: its seal has been used, or somebody failed over past it. */
function* settleSealed(context: RoleContext, sign: EpochSign): Procedure<RoleRow> {
  const { sealed, opening, epoch } = context.row();
  const cut = forkPoint(sign.openings, sealed?.epoch ?? opening?.epoch ?? epoch);
  const continued =
    (sign.inherited && sign.openings.length > 0) ||
    (cut !== null &&
      sealed !== null &&
      cut.lsn === sealed.position.lsn &&
      cut.checksum === sealed.position.checksum);
  if (continued) return yield* releaseSeal(context, sign);
  if (cut === null) return context.row();
  return yield* fence(context, sign);
}

/** The new primary continues exactly where this site was sealed: an ordinary standby from now on. */
export function* releaseSeal(context: RoleContext, sign: EpochSign): Procedure<RoleRow> {
  return yield* change(
    context,
    row => {
      if (holdsWrites(row)) throw rowChanged(row);
    },
    row => ({
      ...row,
      role: 'STANDBY',
      switchoverStatus: 'NORMAL',
      epoch: sign.epoch > row.epoch ? sign.epoch : row.epoch,
      openings: learnedOpenings(row.openings, sign.openings, sign.epoch),
      sealed: null,
      operation: null,
      step: null,
    }),
  );
}

/**
 * Before a primary serves after a restart: no higher epoch may exist. The archive chain can say so alone; without it every
 * registered follower has to. Returns false when a newer epoch turned up meanwhile.
 */
export function* confirmEpoch(
  context: RoleContext,
  waiting: (names: readonly string[]) => void,
): Procedure<boolean> {
  if (context.settings.restartFencing === 'off') return true;
  for (;;) {
    const row = context.row();
    if (row.fenced !== null || context.fencing() !== null) return false;
    if (context.openAnyway()) return true;
    const silent: string[] = [];
    const archive = yield* call('archive', 'configured');
    let confirmed = false;
    if (archive !== null) {
      try {
        const head = yield* call('archive', 'head');
        if (supersedes(head, row)) {
          yield* heedEpoch(context, {
            ...head,
            address: null,
            certainty: 'claimed',
            inherited: false,
          });
          return false;
        }
        confirmed = true;
      } catch (error) {
        if (!isObError(error)) throw error;
        silent.push(archive);
      }
    }
    const followers = (yield* call('peers', 'followerAddresses')).slice(0, roleProbesMax);
    let answered = 0;
    for (const address of followers) {
      try {
        const { epoch, site, openings, opened } = yield* describePeer(context, address);
        // Two sites that opened under one epoch: the site ids say which of them stops.
        const newer = epoch > row.epoch || opened?.epoch === row.epoch;
        if (newer && supersedes({ epoch, site }, row)) {
          yield* heedEpoch(context, {
            epoch,
            site,
            address,
            certainty: 'opened',
            openings,
            inherited: false,
          });
          return false;
        }
        answered += 1;
      } catch (error) {
        if (!isObError(error)) throw error;
        silent.push(address);
      }
    }
    // Nobody to ask is an answer only where there is no archive through which somebody could have been promoted.
    const byFollowers = answered === followers.length && (followers.length > 0 || archive === null);
    if (confirmed || byFollowers) return context.fencing() === null;
    waiting(silent);
    yield* call('timer', 'sleep', context.settings.fenceRetryMs);
  }
}

/** After a failover: tells the old primary until it has heard, and takes its count of what was lost. */
export function* notifyOldPrimary(context: RoleContext): Procedure<void> {
  for (;;) {
    const row = context.row();
    const { unfenced, opening, certificate } = row;
    if (unfenced === null || unfenced.address === null || opening === null || certificate === null) return;
    if (!holdsWrites(row)) return;
    try {
      const reply = yield* call('peers', 'control', unfenced.address, {
        op: 'fence-notice',
        epoch: opening.epoch,
        oldEpoch: certificate.oldEpoch,
        site: row.site,
        address: context.settings.address,
        openings: row.openings,
      });
      if (reply.kind === 'fenced') {
        yield* completeCertificate(context, opening.epoch, reply.suffix);
        return;
      }
    } catch (error) {
      if (!isObError(error)) throw error;
    }
    yield* call('timer', 'sleep', context.settings.fenceRetryMs);
  }
}

/** Makes the loss certificate of that failover exact, and ends the notices. A repeat changes nothing. */
export function* completeCertificate(
  context: RoleContext,
  newEpoch: RoleRow['epoch'],
  suffix: LogSuffix | null,
): Procedure<RoleRow> {
  const row = context.row();
  const certificate = row.certificate;
  if (certificate === null || certificate.newEpoch !== newEpoch) return row;
  if (row.unfenced === null && certificate.lostTransactions !== null) return row;
  return yield* change(
    context,
    () => {},
    each => ({
      ...each,
      unfenced: null,
      certificate: each.certificate === null ? null : withSuffix(each.certificate, suffix),
    }),
  );
}

const withSuffix = (certificate: LossCertificate, suffix: LogSuffix | null): LossCertificate =>
  suffix === null || certificate.lostTransactions !== null
    ? certificate
    : {
        ...certificate,
        lostTransactions: suffix.transactions,
        lostLsnEnd: suffix.end.lsn,
        lostScnEnd: suffix.end.scn,
      };

/** The error a write meets while this site is fenced. */
export const staleEpoch = (row: RoleRow, sign: { epoch: RoleRow['epoch']; site: string }): ObError =>
  new ObError('OBS_ROLE_EPOCH_STALE', {
    tenant: row.tenant,
    mine: row.fenced?.ownEpoch ?? row.epoch,
    newer: sign.epoch,
    site: sign.site,
  });
