/**
 * What this site does when another site of the tenant asks (`control-ops.ts`). Each handler may be asked twice, late, or
 * in the middle of this site's own role change; the row decides.
 *
 * Never: grants a seal to a second site, consents to a cancellation after this site decided to open, or opens again
 * without the caller's durable cancellation (W1).
 */
import { must } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import { roleEpoch } from '../base/scalars.ts';
import type { ControlReply, ControlRequest } from './control-ops.ts';
import { completeCertificate, heedEpoch, releaseSeal, staleEpoch } from './fence.ts';
import { runOperation } from './operation.ts';
import { call, type EpochSign, type Procedure, type RoleContext } from './procedure.ts';
import {
  cededAfter,
  forkPoint,
  holdsWrites,
  isUnfinished,
  type RoleRow,
  type SealRecord,
  withCancelled,
} from './row.ts';
import { beginReopen } from './rollback.ts';
import { beginSeal } from './switchover-to-standby.ts';
import { change, claimLost, load, refuseFenced, rowChanged } from './transition.ts';

type Request<Op extends ControlRequest['op']> = Extract<ControlRequest, { op: Op }>;

/** Requests that run a role change here wait for the lane of role changes; the others do not. */
export const needsLane = (request: ControlRequest): boolean =>
  request.op === 'seal' || request.op === 'unseal' || request.op === 'follow';

export function* handleControl(context: RoleContext, request: ControlRequest): Procedure<ControlReply> {
  switch (request.op) {
    case 'describe':
      return yield* describe(context);
    case 'seal':
      return yield* seal(context, request);
    case 'grant':
      return yield* grant(context, request);
    case 'cancel':
      return yield* cancel(context, request);
    case 'unseal':
      return yield* unseal(context, request);
    case 'follow':
      return yield* follow(context, request);
    case 'fence-notice':
      return yield* fenceNotice(context, request);
    case 'report-suffix':
      yield* load(context);
      yield* completeCertificate(context, request.epoch, request.suffix);
      return { kind: 'noted' };
  }
}

function* describe(context: RoleContext): Procedure<ControlReply> {
  const { end } = yield* call('local', 'observe');
  const row = yield* load(context);
  return {
    kind: 'description',
    description: {
      incarnation: row.incarnation,
      site: row.site,
      role: row.role,
      switchoverStatus: row.switchoverStatus,
      epoch: row.epoch,
      end,
      sealed: row.sealed,
      openings: row.openings,
      opened: row.opening === null ? null : { epoch: row.opening.epoch },
      fencedBy: row.fenced === null ? null : { epoch: row.fenced.by.epoch },
    },
  };
}

function* seal(context: RoleContext, request: Request<'seal'>): Procedure<ControlReply> {
  let row = yield* load(context);
  const { operationId, target } = request;
  if (row.cancelled.includes(operationId)) throw cancelledHere(row, operationId);
  if (request.epoch > row.epoch) {
    throw staleEpoch(row, { epoch: request.epoch, site: target.site });
  }
  if (row.operation?.id === operationId && row.operation.kind === 'to-standby') {
    row = yield* runOperation(context, row);
  } else if (row.sealed?.operationId !== operationId) {
    row = yield* beginSeal(context, { operationId, target, targetArchive: request.archiveName });
    row = yield* runOperation(context, row);
  }
  const sealed = row.sealed;
  if (sealed?.operationId !== operationId || isUnfinished(row)) throw rowChanged(row);
  if (sealed.arbiter === 'network' && sealed.target?.site !== target.site) {
    return { kind: 'sealed', seal: yield* grantTo(context, sealed, target) };
  }
  return { kind: 'sealed', seal: sealed };
}

function* grant(context: RoleContext, request: Request<'grant'>): Procedure<ControlReply> {
  const row = yield* load(context);
  refuseFenced(context, row);
  if (row.sealed?.operationId !== request.operationId) throw cancelledHere(row, request.operationId);
  return { kind: 'sealed', seal: yield* grantTo(context, row.sealed, request.target) };
}

/** Gives the right to open to one site, once. Where the archive decides, the chain is told first, in that site's name. */
function* grantTo(
  context: RoleContext,
  sealed: SealRecord,
  target: Request<'grant'>['target'],
): Procedure<SealRecord> {
  const refuse = (row: RoleRow): void => {
    refuseFenced(context, row);
    if (row.sealed?.operationId !== sealed.operationId || isUnfinished(row)) throw rowChanged(row);
    const holder = row.sealed.target;
    if (holder !== null && holder.site !== target.site) {
      throw new ObError('OBS_ROLE_NOT_GRANTED', { operation: sealed.operationId, site: holder.site });
    }
  };
  refuse(context.row());
  if (sealed.target?.site === target.site) return sealed;
  if (sealed.arbiter === 'archive') {
    const epoch = roleEpoch(sealed.epoch + 1);
    const claim = { epoch, site: target.site, operationId: sealed.operationId };
    const answer = yield* call('archive', 'claim', claim);
    if (answer.kind === 'lost') throw claimLost(context.row(), answer.to);
  }
  const row = yield* change(context, refuse, each => ({
    ...each,
    sealed: { ...must(each.sealed, 'seal to grant'), arbiter: 'network', target },
  }));
  return must(row.sealed, 'granted seal');
}

/** The sealed primary wants to open again. After this reply this site can never open on that seal. */
function* cancel(context: RoleContext, request: Request<'cancel'>): Procedure<ControlReply> {
  yield* load(context);
  const { operationId, epoch } = request;
  const row = yield* change(
    context,
    each => {
      if (each.epoch > epoch || holdsWrites(each) || each.operation?.kind === 'activate') {
        throw new ObError('OBS_ROLE_ROLLBACK_REFUSED', {
          operation: operationId,
          why: `site ${each.site} is ${each.role}, ${each.switchoverStatus}, in epoch ${each.epoch}`,
        });
      }
    },
    each => {
      const given = { cancelled: withCancelled(each, operationId), ceded: cededAfter(each, epoch) };
      const underWay =
        each.operation?.id === operationId && each.switchoverStatus === 'PREPARE SWITCHING TO PRIMARY';
      if (!underWay) return { ...each, ...given };
      return { ...each, ...given, switchoverStatus: 'NORMAL', operation: null, step: null };
    },
  );
  if (row.role === 'STANDBY') yield* call('local', 'startPulling');
  return { kind: 'cancelled' };
}

function* unseal(context: RoleContext, request: Request<'unseal'>): Procedure<ControlReply> {
  let row = yield* load(context);
  refuseFenced(context, row);
  const { operationId, site } = request;
  const mine = row.sealed?.operationId === operationId || row.operation?.id === operationId;
  if (!mine || (row.operation?.id === operationId && row.operation.kind === 'bootstrap')) {
    // Never sealed for it, or open again already: only make sure that it can not be sealed for it later.
    row = yield* change(
      context,
      each => {
        const now = each.sealed?.operationId === operationId || each.operation?.id === operationId;
        if (now) throw rowChanged(each);
      },
      each => ({ ...each, cancelled: withCancelled(each, operationId) }),
    );
    return { kind: 'writable', epoch: row.epoch };
  }
  if (row.operation === null || row.operation.kind === 'to-standby') {
    const target = row.sealed?.target ?? row.operation?.seal?.target ?? null;
    // The caller's word counts for the caller alone; a chain or another site may still have the right to open.
    row = yield* beginReopen(context, target !== null && target.site === site);
  }
  row = yield* runOperation(context, row);
  return { kind: 'writable', epoch: row.epoch };
}

/** The new primary opened on this site's seal (or this site is a plain standby): pull from it. */
function* follow(context: RoleContext, request: Request<'follow'>): Procedure<ControlReply> {
  const row = yield* load(context);
  const seen = context.fencing();
  // The caller's login showed its epoch a moment before: that sign is what this request is about, no newer one.
  if (row.fenced !== null || (seen !== null && seen.epoch > request.epoch)) refuseFenced(context, row);
  const { epoch, site, address, openings } = request;
  const sign: EpochSign = { epoch, site, address, certainty: 'opened', openings, inherited: true };
  if (epoch < row.epoch) throw staleEpoch({ ...row, epoch }, { epoch: row.epoch, site: row.site });
  if (holdsWrites(row)) {
    const after = yield* heedEpoch(context, { ...sign, inherited: false });
    refuseFenced(context, after);
    throw rowChanged(after);
  }
  const onOurSeal = row.sealed === null || row.sealed.operationId === request.operationId;
  if (!onOurSeal) throw rowChanged(row);
  yield* call('local', 'follow', address);
  yield* releaseSeal(context, sign);
  return { kind: 'following' };
}

function* fenceNotice(context: RoleContext, request: Request<'fence-notice'>): Procedure<ControlReply> {
  const { epoch, site, address, openings } = request;
  const row = yield* heedEpoch(context, {
    epoch,
    site,
    address,
    certainty: 'opened',
    openings,
    inherited: false,
  });
  if (holdsWrites(row)) throw staleEpoch({ ...row, epoch }, { epoch: row.epoch, site: row.site });
  const { fenced } = row;
  if (fenced !== null) return { kind: 'fenced', ownEpoch: fenced.ownEpoch, suffix: fenced.suffix };
  // The primary of the old epoch, and an ordinary standby by now: its log did not go past the cut. A site that did not
  // write the old epoch can not say what was lost of it.
  const wroteIt = row.opening !== null && row.opening.epoch >= request.oldEpoch;
  const cut = forkPoint(openings, request.oldEpoch);
  const suffix = wroteIt && cut !== null ? { transactions: 0, end: cut } : null;
  return { kind: 'fenced', ownEpoch: row.epoch, suffix };
}

const cancelledHere = (row: RoleRow, operation: string): ObError =>
  new ObError('OBS_ROLE_OPERATION_CANCELLED', { operation, site: row.site });
