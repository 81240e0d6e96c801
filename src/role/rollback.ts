/**
 * Rollback of a switchover, from either side, while the new primary has not decided to open.
 *
 * The sealed primary opens again only when nobody else can open on its seal any more: the seal was never shown, or never
 * granted, or the site it was granted to has durably cancelled the operation, or the next epoch in the archive chain is
 * this site's. If none can be had the rollback is refused: no primary for a while is better than two (W1, W3).
 * Opening again is an opening like any other: a new epoch, durable before effect (W5).
 */
import { assert, must } from '../base/assert.ts';
import { isObError, ObError } from '../base/errors.ts';
import { type RoleEpoch, roleEpoch } from '../base/scalars.ts';
import { cancelling, decide } from './opening.ts';
import type { EpochClaim } from './ports.ts';
import { call, type Procedure, type RoleContext } from './procedure.ts';
import {
  cededAfter,
  newOperation,
  type RoleOperation,
  type RoleRow,
  type SealRecord,
  withCancelled,
} from './row.ts';
import { roleSteps } from './steps.ts';
import { heedEpoch } from './fence.ts';
import { describePeer, unexpected } from './seal-search.ts';
import {
  advance,
  begin,
  change,
  claimLost,
  current,
  finish,
  load,
  refuseFenced,
  refuseUnconfirmed,
  rowChanged,
} from './transition.ts';

/** Begins the rollback that fits where this site stands. `consented`: the target cancelled the operation and says so. */
export function* beginRollback(context: RoleContext): Procedure<RoleRow> {
  const row = yield* load(context);
  refuseFenced(context, row);
  const { operation, step } = row;
  if (operation === null || step === null || row.switchoverStatus === 'NORMAL') {
    if (row.role === 'STANDBY' && row.sealed !== null) return yield* beginReopen(context, false);
    throw new ObError('OBS_ROLE_NOTHING_TO_DO', { tenant: row.tenant });
  }
  const { rollback } = roleSteps[step];
  switch (rollback) {
    case 'continue':
      return row;
    case 'reopen':
      return yield* beginReopen(context, false);
    case 'undo':
      return yield* beginUndo(context, operation);
    case 'undo-activate':
      return yield* beginUndoActivate(context, operation);
    case 'refused':
      throw new ObError('OBS_ROLE_ROLLBACK_REFUSED', {
        operation: operation.id,
        why: `step ${step} comes after the decision`,
      });
  }
}

/** The seal this primary would take back, and whether anybody was ever shown it. */
function sealToTakeBack(row: RoleRow): { readonly seal: SealRecord; readonly published: boolean } {
  if (row.sealed !== null) return { seal: row.sealed, published: true };
  const { operation } = current(row);
  assert(operation.kind === 'to-standby', 'only a switchover to standby leaves a seal');
  return { seal: must(operation.seal, 'seal under way'), published: false };
}

/** R1, then the intent. `targetCancelled`: the site the seal was granted to asks for it itself. */
export function* beginReopen(context: RoleContext, targetCancelled: boolean): Procedure<RoleRow> {
  const { seal, published } = sealToTakeBack(context.row());
  const consent = yield* askConsent(context, seal, published, targetCancelled);
  const guard = (row: RoleRow): void => {
    refuseFenced(context, row);
    const now = sealToTakeBack(row);
    const same = now.published === published && now.seal.operationId === seal.operationId;
    // A grant that was given while the consent was asked for is somebody's right to open.
    if (!same || now.seal.target?.site !== seal.target?.site || now.seal.arbiter !== seal.arbiter) {
      throw rowChanged(row);
    }
  };
  const operation: RoleOperation = {
    ...newOperation(seal.operationId, 'reopen', context.now()),
    seal,
    peer: seal.target,
    consent,
    sealComplete: context.row().switchoverStatus === 'NORMAL',
  };
  return yield* begin(context, {
    operation,
    checked: [{ step: 'R1', detail: consentText(consent, seal) }],
    next: 'R2',
    guard,
    build: row => ({
      ...row,
      role: 'STANDBY',
      switchoverStatus: 'PREPARE SWITCHING TO PRIMARY',
      ...(consent === 'archive' ? {} : { cancelled: withCancelled(row, seal.operationId) }),
    }),
  });
}

function* askConsent(
  context: RoleContext,
  seal: SealRecord,
  published: boolean,
  targetCancelled: boolean,
): Procedure<NonNullable<RoleOperation['consent']>> {
  if (!published) {
    refuseUnconfirmed(context, context.row());
    return 'unpublished';
  }
  if (targetCancelled) return 'target';
  if (seal.target === null) return seal.arbiter === 'archive' ? 'archive' : 'not-granted';
  const { site, address } = seal.target;
  if (address === null) throw unsafe(seal, site);
  try {
    const reply = yield* call('peers', 'control', address, {
      op: 'cancel',
      operationId: seal.operationId,
      epoch: seal.epoch,
    });
    if (reply.kind !== 'cancelled') throw unexpected(address, reply.kind, 'cancelled');
    return 'target';
  } catch (error) {
    if (!(error instanceof ObError)) throw error;
    if (error.code === 'OBS_ROLE_ROLLBACK_REFUSED') yield* learnSuccessor(context, address);
    if (error.code === 'OBS_ROLE_ROLLBACK_REFUSED' || error.kind === 'fenced') throw error;
    throw unsafe(seal, site, error);
  }
}

/** The target opened, or follows who did: this site takes note, and follows too if its log ends at its seal. */
function* learnSuccessor(context: RoleContext, address: string): Procedure<void> {
  try {
    const { epoch, site, openings } = yield* describePeer(context, address);
    if (epoch <= context.row().epoch) return;
    yield* heedEpoch(context, { epoch, site, address, certainty: 'opened', openings, inherited: false });
  } catch (error) {
    if (!isObError(error)) throw error;
  }
}

const unsafe = (seal: SealRecord, site: string, cause?: unknown): ObError =>
  new ObError('OBS_ROLE_ROLLBACK_UNSAFE', { operation: seal.operationId, site }, cause);

function consentText(consent: NonNullable<RoleOperation['consent']>, seal: SealRecord): string {
  switch (consent) {
    case 'unpublished':
      return 'the seal was shown to nobody';
    case 'not-granted':
      return 'the seal was granted to nobody';
    case 'target':
      return `site ${seal.target?.site} cancelled`;
    case 'archive':
      return `archive ${seal.archiveName} decides`;
  }
}

/** R2 and R3: the next epoch in the archive chain, if there is one, then the decision. */
export function* claimAndReopen(context: RoleContext, row: RoleRow): Procedure<RoleRow> {
  const { operation } = current(row);
  const seal = must(operation.seal, 'seal to take back');
  const archive = yield* call('archive', 'configured');
  const claimed =
    archive === null
      ? { epoch: roleEpoch(seal.epoch + 1), detail: 'no archive' }
      : yield* claimAgain(context, row, operation, seal, archive);
  if (archive === null && operation.consent === 'archive') {
    yield* sealAgain(context, row, seal);
    throw new ObError('OBS_ROLE_ROLLBACK_REFUSED', {
      operation: operation.id,
      why: `archive ${seal.archiveName} decides, and is not configured any more`,
    });
  }
  // What was appended up to now, the seal entry included, stays: the new history starts at the end of this log.
  const local = yield* call('local', 'observe');
  return yield* decide(context, row, {
    event: 'reopened',
    epoch: claimed.epoch,
    cut: local.end,
    decided: 'R3',
    next: 'R4',
    detail: `epoch ${claimed.epoch}, ${claimed.detail}`,
    also: cancelling(operation.id),
  });
}

function* claimAgain(
  context: RoleContext,
  row: RoleRow,
  operation: RoleOperation,
  seal: SealRecord,
  archive: string,
): Procedure<{ readonly epoch: RoleEpoch; readonly detail: string }> {
  const free = operation.consent !== 'archive';
  const mine = (epoch: RoleEpoch): EpochClaim => ({ epoch, site: row.site, operationId: operation.id });
  const first = roleEpoch(seal.epoch + 1);
  let lostTo: EpochClaim;
  try {
    const answer = yield* call('archive', 'claim', mine(first));
    if (answer.kind === 'claimed') return { epoch: first, detail: `claimed in ${archive}` };
    const { to } = answer;
    lostTo = to;
    if (to.operationId === operation.id && to.site === row.site) {
      return { epoch: to.epoch, detail: `handed back in ${archive}` };
    }
    // The target claimed, or was granted, before it cancelled: with its consent the next epoch is this site's.
    if (free && to.operationId === operation.id) {
      const second = roleEpoch(to.epoch + 1);
      const again = yield* call('archive', 'claim', mine(second));
      if (again.kind === 'claimed') return { epoch: second, detail: `claimed in ${archive}` };
      lostTo = again.to;
    }
  } catch (error) {
    // Nobody else can open on this seal: a dead archive does not keep the primary closed. The archiver claims later.
    if (!free || !isObError(error) || error.kind !== 'unavailable') throw error;
    return { epoch: first, detail: `archive ${archive} did not answer, not claimed` };
  }
  if (!free) yield* sealAgain(context, row, seal);
  throw claimLost(row, lostTo);
}

/** The chain gave the epoch to another site: this one goes back to being sealed, for that site's sake. */
function* sealAgain(context: RoleContext, row: RoleRow, seal: SealRecord): Procedure<void> {
  const { operation } = current(row);
  yield* change(
    context,
    each => {
      refuseFenced(context, each);
      if (each.operation?.id !== operation.id || each.step !== 'R2') throw rowChanged(each);
    },
    each => ({
      ...each,
      role: 'STANDBY',
      sealed: seal,
      ...(operation.sealComplete
        ? { switchoverStatus: 'NORMAL', operation: null, step: null }
        : {
            switchoverStatus: 'SWITCHING TO STANDBY',
            operation: { ...operation, kind: 'to-standby', consent: null },
            step: 'S5',
          }),
    }),
  );
}

/** U1: the cancellation is durable; this site can never open on that seal. */
function* beginUndo(context: RoleContext, operation: RoleOperation): Procedure<RoleRow> {
  return yield* begin(context, {
    operation: { ...operation, kind: 'undo' },
    checked: [{ step: 'U1', detail: '' }],
    next: 'U2',
    guard: row => {
      refuseFenced(context, row);
      const open =
        row.operation?.id === operation.id && row.switchoverStatus === 'PREPARE SWITCHING TO PRIMARY';
      if (!open) throw rowChanged(row);
    },
    build: row => ({
      ...row,
      cancelled: withCancelled(row, operation.id),
      ceded: cededAfter(row, operation.seal?.epoch ?? row.epoch),
    }),
  });
}

/** U2: an epoch this site claimed goes to the sealed site, which finds it there when it rolls back. */
export function* handClaimBack(context: RoleContext, row: RoleRow): Procedure<RoleRow> {
  const { operation } = current(row);
  yield* call('local', 'startPulling');
  const seal = operation.seal;
  const archive = yield* call('archive', 'configured');
  if (archive === null || seal === null)
    return yield* advance(context, row, 'U3', each => each, 'nothing claimed');
  const head = yield* call('archive', 'head');
  if (head.operationId !== operation.id || head.site !== row.site) {
    return yield* advance(context, row, 'U3', each => each, 'nothing claimed');
  }
  const epoch = roleEpoch(head.epoch + 1);
  const answer = yield* call('archive', 'claim', { epoch, site: seal.site, operationId: operation.id });
  const detail =
    answer.kind === 'claimed' ? `epoch ${epoch} handed to ${seal.site}` : `lost to ${answer.to.site}`;
  return yield* advance(context, row, 'U3', each => each, detail);
}

/** U3: the primary opens again, or at least knows that it must not seal for this operation. */
export function* unsealPrimary(context: RoleContext, row: RoleRow): Procedure<RoleRow> {
  const { operation } = current(row);
  const address = operation.peer?.address ?? null;
  if (address === null) {
    return yield* advance(context, row, 'U4', each => each, 'run rollback on the site of the primary');
  }
  let detail: string;
  try {
    const reply = yield* call('peers', 'control', address, {
      op: 'unseal',
      operationId: operation.id,
      site: row.site,
    });
    if (reply.kind !== 'writable') throw unexpected(address, reply.kind, 'writable');
    detail = `primary in epoch ${reply.epoch}`;
  } catch (error) {
    // Another site has the right to open on that seal, or is open: this one is out of it, which is all it can do.
    if (!isObError(error) || (error.kind !== 'fenced' && error.kind !== 'invalid')) throw error;
    detail = error.message;
  }
  return yield* advance(context, row, 'U4', each => each, detail);
}

/** U4: an ordinary standby again. */
export function* stayStandby(context: RoleContext, row: RoleRow): Procedure<RoleRow> {
  return yield* finish(context, row, each => ({ ...each, switchoverStatus: 'NORMAL' }));
}

/** V1: the failover is given up before it claimed anything. */
function* beginUndoActivate(context: RoleContext, operation: RoleOperation): Procedure<RoleRow> {
  return yield* begin(context, {
    operation: { ...operation, kind: 'undo-activate' },
    checked: [],
    next: 'V1',
    guard: row => {
      refuseFenced(context, row);
      if (row.operation?.id !== operation.id || (row.step !== 'F2' && row.step !== 'F3'))
        throw rowChanged(row);
    },
    build: row => row,
  });
}

/** V1: the log takes the source's bytes again. */
export function* giveUpFailover(context: RoleContext, row: RoleRow): Procedure<RoleRow> {
  const { end } = yield* call('local', 'observe');
  yield* call('local', 'changeMode', 'RAW_WRITE', end.scn);
  const { operation } = current(row);
  const after = yield* finish(context, row, each => ({
    ...each,
    switchoverStatus: 'NORMAL',
    recoveryUntilScn: operation.previousRecoveryUntilScn,
  }));
  yield* call('local', 'startPulling');
  return after;
}
