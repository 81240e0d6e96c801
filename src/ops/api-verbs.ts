/**
 * The verbs of the operators' API: for each its argument schema and the operation it calls. The HTTP door and its
 * tests read this table; nothing else decides what an operator may ask.
 */
import { z } from 'zod';
import { localityLengthMax } from '../base/limits.ts';
import { scn } from '../base/scalars.ts';
import type { ServerOperations, TenantPlacement } from '../cluster/cluster-operations.ts';
import type { Progress } from '../cluster/operations.ts';
import { parameterNames } from '../cluster/root/arbitration.ts';

const name = z.string().min(1).max(64);
const sourceText = z.string().max(4096);
const scnValue = z.int().min(0);
/** cluster address of a server: host:port */
const server = z.string().min(3).max(255);
const placement = {
  locality: z.string().min(1).max(localityLengthMax).optional(),
  primaryZone: z.string().min(1).max(localityLengthMax).optional(),
  arbitration: z.boolean().optional(),
};

interface Verb<Shape extends z.ZodType> {
  readonly arguments: Shape;
  /** true when it changes something; shown in the API's listing */
  readonly changes: boolean;
  readonly run: (
    operations: ServerOperations,
    value: z.output<Shape>,
    progress: Progress,
  ) => Promise<unknown>;
}

const verb = <Shape extends z.ZodType>(definition: Verb<Shape>): Verb<Shape> => definition;
const tenantOnly = z.strictObject({ name });
const serverOnly = z.strictObject({ server });
const placed = (given: {
  readonly locality?: string | undefined;
  readonly primaryZone?: string | undefined;
  readonly arbitration?: boolean | undefined;
}): TenantPlacement => ({
  ...(given.arbitration === undefined ? {} : { arbitration: given.arbitration }),
  ...(given.locality === undefined ? {} : { locality: given.locality }),
  ...(given.primaryZone === undefined ? {} : { primaryZone: given.primaryZone }),
});

export const apiVerbs = {
  'tenant-list': verb({
    arguments: z.strictObject({}),
    changes: false,
    run: operations => operations.tenants(),
  }),
  'tenant-show': verb({
    arguments: tenantOnly,
    changes: false,
    run: (operations, value) => operations.tenant(value.name),
  }),
  'tenant-create': verb({
    arguments: z.strictObject({
      name,
      ifNotExists: z.boolean().default(false),
      pageBytes: z.int().min(512).max(65_536).optional(),
      rootPassword: z.string().max(256).optional(),
      ...placement,
    }),
    changes: true,
    run: (operations, value) =>
      operations.createTenant({
        name: value.name,
        ifNotExists: value.ifNotExists,
        ...(value.pageBytes === undefined ? {} : { pageBytes: value.pageBytes }),
        ...(value.rootPassword === undefined ? {} : { rootPassword: value.rootPassword }),
        ...placed(value),
      }),
  }),
  'tenant-alter': verb({
    arguments: z.strictObject({ name, ...placement }),
    changes: true,
    run: (operations, value, progress) => operations.alterTenant(value.name, placed(value), progress),
  }),
  'tenant-transfer-leader': verb({
    arguments: z.strictObject({ name, server }),
    changes: true,
    run: (operations, value) => operations.transferLeader(value.name, value.server),
  }),
  'tenant-jobs': verb({
    arguments: z.strictObject({}),
    changes: false,
    run: operations => operations.tenantJobs(),
  }),
  'cluster-status': verb({
    arguments: z.strictObject({}),
    changes: false,
    run: operations => operations.cluster(),
  }),
  'cluster-bootstrap': verb({
    arguments: z.strictObject({ servers: z.array(server).min(1).max(256) }),
    changes: true,
    run: (operations, value, progress) => operations.bootstrap(value.servers, progress),
  }),
  'cluster-add-server': verb({
    arguments: z.strictObject({ server, zone: z.string().min(1).max(64).nullable().default(null) }),
    changes: true,
    run: (operations, value, progress) => operations.addServer(value.server, value.zone, progress),
  }),
  'cluster-remove-server': verb({
    arguments: serverOnly,
    changes: true,
    run: (operations, value, progress) => operations.removeServer(value.server, progress),
  }),
  'cluster-stop-server': verb({
    arguments: serverOnly,
    changes: true,
    run: (operations, value) => operations.stopServer(value.server),
  }),
  'cluster-start-server': verb({
    arguments: serverOnly,
    changes: true,
    run: (operations, value) => operations.startServer(value.server),
  }),
  'cluster-arbiter-add': verb({
    arguments: serverOnly,
    changes: true,
    run: (operations, value, progress) => operations.addArbiter(value.server, progress),
  }),
  'cluster-arbiter-replace': verb({
    arguments: z.strictObject({ old: server, server }),
    changes: true,
    run: (operations, value, progress) => operations.replaceArbiter(value.old, value.server, progress),
  }),
  'cluster-arbiter-remove': verb({
    arguments: serverOnly,
    changes: true,
    run: (operations, value, progress) => operations.removeArbiter(value.server, progress),
  }),
  'cluster-arbiter-status': verb({
    arguments: z.strictObject({}),
    changes: false,
    run: operations => operations.arbitration(),
  }),
  'cluster-events': verb({
    arguments: z.strictObject({}),
    changes: false,
    run: operations => operations.serverEvents(),
  }),
  'cluster-set': verb({
    arguments: z.strictObject({
      parameter: z.enum(parameterNames),
      value: z.string().min(1).max(256),
      tenant: name.nullable().default(null),
    }),
    changes: true,
    run: (operations, value) => operations.setParameter(value.parameter, value.value, value.tenant),
  }),
  'tenant-drop': verb({
    arguments: z.strictObject({
      name,
      force: z.boolean().default(false),
      ifExists: z.boolean().default(false),
    }),
    changes: true,
    run: (operations, { name: tenant, ...options }) => operations.dropTenant(tenant, options),
  }),
  'tenant-open': verb({
    arguments: tenantOnly,
    changes: true,
    run: (operations, value) => operations.openTenant(value.name),
  }),
  'standby-forget': verb({
    arguments: z.strictObject({ name, site: z.string().min(1).max(64) }),
    changes: true,
    run: (operations, value) => operations.forgetFollower(value.name, value.site),
  }),
  'tenant-checkpoint': verb({
    arguments: tenantOnly,
    changes: true,
    run: (operations, value) => operations.checkpoint(value.name),
  }),
  'standby-create': verb({
    arguments: z.strictObject({
      name,
      source: sourceText,
      ifNotExists: z.boolean().default(false),
      ...placement,
    }),
    changes: true,
    run: (operations, { name: tenant, source, ifNotExists, ...place }, progress) =>
      operations.createStandbyTenant({ name: tenant, source, ifNotExists, ...placed(place) }, progress),
  }),
  'standby-source': verb({
    arguments: z.strictObject({ name, source: sourceText }),
    changes: true,
    run: (operations, value) => operations.setLogRestoreSource(value.name, value.source),
  }),
  'standby-recover': verb({
    arguments: z.strictObject({
      name,
      until: z.union([z.literal('unlimited'), z.literal('cancel'), scnValue]),
    }),
    changes: true,
    run: (operations, { name: tenant, until }) =>
      operations.recoverStandby(
        tenant,
        typeof until === 'number' ? { kind: 'scn', scn: scn(until) } : { kind: until },
      ),
  }),
  'archive-dest': verb({
    arguments: z.strictObject({ name, dest: sourceText }),
    changes: true,
    run: (operations, value) => operations.setLogArchiveDest(value.name, value.dest),
  }),
  'archive-state': verb({
    arguments: z.strictObject({ name, state: z.enum(['ENABLE', 'DEFER']) }),
    changes: true,
    run: (operations, value) => operations.setLogArchiveDestState(value.name, value.state),
  }),
  'archive-start': verb({
    arguments: tenantOnly,
    changes: true,
    run: (operations, value) => operations.archivelog(value.name),
  }),
  'archive-stop': verb({
    arguments: tenantOnly,
    changes: true,
    run: (operations, value) => operations.noarchivelog(value.name),
  }),
  backup: verb({
    arguments: z.strictObject({ name, dest: sourceText.optional() }),
    changes: true,
    run: (operations, value, progress) =>
      operations.backup(value.name, value.dest === undefined ? {} : { dest: value.dest }, progress),
  }),
  restore: verb({
    arguments: z.strictObject({ name, from: sourceText, untilScn: scnValue.optional(), ...placement }),
    changes: true,
    run: (operations, value, progress) =>
      operations.restore(
        {
          name: value.name,
          from: value.from,
          ...(value.untilScn === undefined ? {} : { untilScn: scn(value.untilScn) }),
          ...placed(value),
        },
        progress,
      ),
  }),
  'switchover-to-standby': verb({
    arguments: z.strictObject({ name, verify: z.boolean().default(false) }),
    changes: true,
    run: (operations, value, progress) =>
      operations.switchoverToStandby(value.name, { verify: value.verify }, progress),
  }),
  'switchover-to-primary': verb({
    arguments: z.strictObject({ name, verify: z.boolean().default(false) }),
    changes: true,
    run: (operations, value, progress) =>
      operations.switchoverToPrimary(value.name, { verify: value.verify }, progress),
  }),
  switchover: verb({
    arguments: z.strictObject({ name, planOnly: z.boolean().default(false) }),
    changes: true,
    run: (operations, value, progress) =>
      operations.switchover(value.name, { planOnly: value.planOnly }, progress),
  }),
  failover: verb({
    arguments: z.strictObject({
      name,
      maxLagMs: z.int().min(0).nullable().default(null),
      force: z.boolean().default(false),
      verify: z.boolean().default(false),
    }),
    changes: true,
    run: (operations, { name: tenant, ...options }, progress) =>
      operations.activateStandby(tenant, options, progress),
  }),
  resume: verb({
    arguments: tenantOnly,
    changes: true,
    run: (operations, value, progress) => operations.resume(value.name, progress),
  }),
  rollback: verb({
    arguments: tenantOnly,
    changes: true,
    run: (operations, value, progress) => operations.rollback(value.name, progress),
  }),
  certificate: verb({
    arguments: tenantOnly,
    changes: false,
    run: (operations, value) => operations.lossCertificate(value.name),
  }),
} as const;

export type ApiVerb = keyof typeof apiVerbs;
