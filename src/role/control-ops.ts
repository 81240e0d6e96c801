/**
 * What two sites of a tenant say to each other about roles: requests and replies as JSON, validated and bounded. Refusals
 * cross as errors of the catalogue, not as replies. Every request is idempotent by its operation id: a caller that got no
 * answer sends it again.
 */
import type { LogPosition } from '../base/log-access.ts';
import { roleOpeningsMax } from '../base/limits.ts';
import { lsn, type RoleEpoch, roleEpoch, scn } from '../base/scalars.ts';
import { JsonFields } from './json-fields.ts';
import type { EpochStart, LogSuffix, SealRecord, SiteAddress, SwitchoverStatus, TenantRole } from './row.ts';

export type ControlRequest =
  /** who are you, and where does your log stand */
  | { readonly op: 'describe' }
  /** first half of a switchover at the primary, for the caller */
  | {
      readonly op: 'seal';
      readonly operationId: string;
      readonly epoch: RoleEpoch;
      readonly target: SiteAddress;
      readonly archiveName: string | null;
    }
  /** give the right to open on this seal to the caller, and to nobody else any more */
  | { readonly op: 'grant'; readonly operationId: string; readonly target: SiteAddress }
  /** never open on this seal: asked by the site that sealed, before it opens again */
  | { readonly op: 'cancel'; readonly operationId: string; readonly epoch: RoleEpoch }
  /** the caller has cancelled the operation for itself: open again under a new epoch */
  | { readonly op: 'unseal'; readonly operationId: string; readonly site: string }
  /** the caller has opened: follow it */
  | {
      readonly op: 'follow';
      readonly operationId: string;
      readonly epoch: RoleEpoch;
      readonly site: string;
      readonly address: string;
      readonly openings: readonly EpochStart[];
    }
  /** the caller has opened under a newer epoch after a failover: stop */
  | {
      readonly op: 'fence-notice';
      readonly epoch: RoleEpoch;
      /** the epoch that was failed over from */
      readonly oldEpoch: RoleEpoch;
      readonly site: string;
      readonly address: string | null;
      readonly openings: readonly EpochStart[];
    }
  /** a fenced primary tells what its log holds after the cut */
  | {
      readonly op: 'report-suffix';
      readonly epoch: RoleEpoch;
      readonly ownEpoch: RoleEpoch;
      readonly site: string;
      readonly suffix: LogSuffix;
    };

type ControlOp = ControlRequest['op'];

/** What a site tells about itself. */
export interface SiteDescription {
  readonly incarnation: string;
  readonly site: string;
  readonly role: TenantRole;
  readonly switchoverStatus: SwitchoverStatus;
  readonly epoch: RoleEpoch;
  readonly end: LogPosition;
  readonly sealed: SealRecord | null;
  readonly openings: readonly EpochStart[];
  /** the last epoch this site itself opened under */
  readonly opened: { readonly epoch: RoleEpoch } | null;
  readonly fencedBy: { readonly epoch: RoleEpoch } | null;
}

export type ControlReply =
  | { readonly kind: 'description'; readonly description: SiteDescription }
  | { readonly kind: 'sealed'; readonly seal: SealRecord }
  | { readonly kind: 'cancelled' }
  | { readonly kind: 'writable'; readonly epoch: RoleEpoch }
  | { readonly kind: 'following' }
  | { readonly kind: 'fenced'; readonly ownEpoch: RoleEpoch; readonly suffix: LogSuffix | null }
  | { readonly kind: 'noted' };

const roles = ['PRIMARY', 'STANDBY', 'RESTORE'] as const satisfies readonly TenantRole[];
const statuses = [
  'NORMAL',
  'PREPARE SWITCHING TO STANDBY',
  'SWITCHING TO STANDBY',
  'PREPARE SWITCHING TO PRIMARY',
  'SWITCHING TO PRIMARY',
  'PREPARE FLASHBACK',
  'FLASHBACK',
] as const satisfies readonly SwitchoverStatus[];
const ops = [
  'describe',
  'seal',
  'grant',
  'cancel',
  'unseal',
  'follow',
  'fence-notice',
  'report-suffix',
] as const satisfies readonly ControlOp[];
const replyKinds = [
  'description',
  'sealed',
  'cancelled',
  'writable',
  'following',
  'fenced',
  'noted',
] as const satisfies readonly ControlReply['kind'][];

/** Reads a request as it came off the wire. Throws OBS_ROLE_REQUEST_INVALID. */
export function decodeControlRequest(value: unknown): ControlRequest {
  const fields = new JsonFields(value, 'request');
  const op = fields.oneOf('op', ops);
  const request = readRequest(op, fields);
  fields.end();
  return request;
}

/** Reads a reply as it came off the wire. Throws OBS_ROLE_REQUEST_INVALID. */
export function decodeControlReply(value: unknown): ControlReply {
  const fields = new JsonFields(value, 'reply');
  const reply = readReply(fields.oneOf('kind', replyKinds), fields);
  fields.end();
  return reply;
}

function readRequest(op: ControlOp, fields: JsonFields): ControlRequest {
  switch (op) {
    case 'describe':
      return { op };
    case 'seal':
      return {
        op,
        operationId: fields.text('operationId'),
        epoch: readEpoch(fields),
        target: fields.object('target', readSite),
        archiveName: fields.textOrNull('archiveName'),
      };
    case 'grant':
      return { op, operationId: fields.text('operationId'), target: fields.object('target', readSite) };
    case 'cancel':
      return { op, operationId: fields.text('operationId'), epoch: readEpoch(fields) };
    case 'unseal':
      return { op, operationId: fields.text('operationId'), site: fields.text('site') };
    case 'follow':
      return {
        op,
        operationId: fields.text('operationId'),
        epoch: readEpoch(fields),
        site: fields.text('site'),
        address: fields.text('address'),
        openings: fields.list('openings', roleOpeningsMax, readOpening),
      };
    case 'fence-notice':
      return {
        op,
        epoch: readEpoch(fields),
        oldEpoch: roleEpoch(fields.whole('oldEpoch')),
        site: fields.text('site'),
        address: fields.textOrNull('address'),
        openings: fields.list('openings', roleOpeningsMax, readOpening),
      };
    case 'report-suffix':
      return {
        op,
        epoch: readEpoch(fields),
        ownEpoch: roleEpoch(fields.whole('ownEpoch')),
        site: fields.text('site'),
        suffix: fields.object('suffix', readSuffix),
      };
  }
}

function readReply(kind: ControlReply['kind'], fields: JsonFields): ControlReply {
  switch (kind) {
    case 'description':
      return { kind, description: fields.object('description', readDescription) };
    case 'sealed':
      return { kind, seal: fields.object('seal', readSealRecord) };
    case 'writable':
      return { kind, epoch: readEpoch(fields) };
    case 'fenced':
      return {
        kind,
        ownEpoch: roleEpoch(fields.whole('ownEpoch')),
        suffix: fields.objectOrNull('suffix', readSuffix),
      };
    case 'cancelled':
    case 'following':
    case 'noted':
      return { kind };
  }
}

const readEpoch = (fields: JsonFields): RoleEpoch => roleEpoch(fields.whole('epoch'));

const readSite = (fields: JsonFields): SiteAddress => ({
  site: fields.text('site'),
  address: fields.textOrNull('address'),
});

const readPosition = (fields: JsonFields): LogPosition => ({
  lsn: lsn(fields.whole('lsn')),
  scn: scn(fields.whole('scn')),
  checksum: fields.whole('checksum'),
});

const readSuffix = (fields: JsonFields): LogSuffix => ({
  transactions: fields.whole('transactions'),
  end: fields.object('end', readPosition),
});

/** Reads a seal: also the form in which an archive chain keeps it. */
const readSealRecord = (fields: JsonFields): SealRecord => ({
  operationId: fields.text('operationId'),
  epoch: readEpoch(fields),
  site: fields.text('site'),
  position: fields.object('position', readPosition),
  arbiter: fields.oneOf('arbiter', ['network', 'archive']),
  archiveName: fields.textOrNull('archiveName'),
  target: fields.objectOrNull('target', readSite),
});

const readDescription = (fields: JsonFields): SiteDescription => ({
  incarnation: fields.text('incarnation'),
  site: fields.text('site'),
  role: fields.oneOf('role', roles),
  switchoverStatus: fields.oneOf('switchoverStatus', statuses),
  epoch: readEpoch(fields),
  end: fields.object('end', readPosition),
  sealed: fields.objectOrNull('sealed', readSealRecord),
  openings: fields.list('openings', roleOpeningsMax, readOpening),
  opened: fields.objectOrNull('opened', each => ({ epoch: readEpoch(each) })),
  fencedBy: fields.objectOrNull('fencedBy', each => ({ epoch: readEpoch(each) })),
});

const readOpening = (fields: JsonFields): EpochStart => ({
  epoch: readEpoch(fields),
  cut: fields.object('cut', readPosition),
});
