/**
 * Runs a parsed administration statement over `Operations`, the one implementation behind every door. Decides nothing itself but which tenant
 * is meant; each verb is idempotent or compare-and-set there, so a repeated statement is safe.
 */
import { unreachable } from '../../base/assert.ts';
import type { ArbiterOutcome, ServerOperations, TenantPlacement } from '../../cluster/cluster-operations.ts';
import type { LossCertificate, StepReport } from '../../cluster/operations.ts';
import type { AdminContext, OkAnswer, PlanAnswer } from '../plan.ts';
import type { AdminStatement, PlacementClauses, TenantList } from './statement.ts';

const ok = (info = ''): OkAnswer => (info === '' ? { kind: 'ok' } : { kind: 'ok', info });

/** Answers when the operation has finished. Throws what the operation throws. */
export async function executeAdmin(statement: AdminStatement, context: AdminContext): Promise<PlanAnswer> {
  const { operations } = context;
  const own = (tenant: string | null): string => tenant ?? context.tenant;
  switch (statement.kind) {
    case 'create-tenant': {
      const { name, ifNotExists, pageBytes, rootPassword, placement } = statement;
      await operations.createTenant({
        name,
        ifNotExists,
        ...(pageBytes === null ? {} : { pageBytes }),
        ...(rootPassword === null ? {} : { rootPassword }),
        ...placementOf(placement),
      });
      return ok();
    }
    case 'alter-tenant':
      await operations.alterTenant(statement.name, placementOf(statement.placement));
      return ok();
    case 'servers':
      return servers(statement, operations);
    case 'arbitration-service':
      if (statement.action === 'remove') return left(await operations.removeArbiter(statement.address));
      await operations.addArbiter(statement.address);
      return ok();
    case 'replace-arbitration-service':
      return left(await operations.replaceArbiter(statement.old, statement.address));
    case 'set-parameter':
      return setParameter(statement, context);
    case 'transfer-leader':
      await operations.transferLeader(statement.tenant, statement.server);
      return ok();
    case 'drop-tenant':
      await operations.dropTenant(statement.name, { force: statement.force, ifExists: statement.ifExists });
      return ok();
    case 'create-standby-tenant': {
      const { name, source, ifNotExists, placement } = statement;
      await operations.createStandbyTenant({ name, source, ifNotExists, ...placementOf(placement) });
      return ok();
    }
    case 'set-log-restore-source':
      await operations.setLogRestoreSource(own(statement.tenant), statement.source);
      return ok();
    case 'set-log-archive-dest':
      await operations.setLogArchiveDest(own(statement.tenant), statement.dest);
      return ok();
    case 'set-log-archive-dest-state':
      await operations.setLogArchiveDestState(own(statement.tenant), statement.state);
      return ok();
    case 'archivelog':
      for (const name of await tenantsOf(statement.tenants, context)) await operations.archivelog(name);
      return ok();
    case 'noarchivelog':
      for (const name of await tenantsOf(statement.tenants, context)) await operations.noarchivelog(name);
      return ok();
    case 'recover-standby':
      await operations.recoverStandby(own(statement.tenant), statement.until);
      return ok();
    case 'switchover-to-standby':
      return steps(await operations.switchoverToStandby(own(statement.tenant), { verify: statement.verify }));
    case 'switchover-to-primary':
      return steps(await operations.switchoverToPrimary(own(statement.tenant), { verify: statement.verify }));
    case 'activate-standby': {
      const { verify, force, maxLagMs } = statement;
      return ok(
        certified(await operations.activateStandby(own(statement.tenant), { verify, force, maxLagMs })),
      );
    }
    case 'resume-switchover':
      return steps(await operations.resume(own(statement.tenant)));
    case 'rollback-switchover':
      return steps(await operations.rollback(own(statement.tenant)));
    case 'backup': {
      const made: string[] = [];
      for (const name of await tenantsOf(statement.tenants, context)) {
        const backup = await operations.backup(name, statement.dest === null ? {} : { dest: statement.dest });
        made.push(`${name}: backup ${backup.backupId}, consistent from SCN ${backup.minimumScn}`);
      }
      return ok(made.join('; '));
    }
    case 'restore': {
      const { name, from, until } = statement;
      await operations.restore({ name, from, ...(until === null ? {} : { untilScn: until }) });
      return ok();
    }
    case 'checkpoint': {
      const done: string[] = [];
      for (const name of await tenantsOf(statement.tenants, context))
        done.push(`${name}: LSN ${await operations.checkpoint(name)}`);
      return ok(done.join('; '));
    }
    default:
      return unreachable(statement);
  }
}

/** OceanBase's warning for it is 4757: data of the cluster may remain at the arbiter. */
const left = ({ left: what }: ArbiterOutcome): OkAnswer =>
  what === null ? ok() : ok(`warning 4757: ${what}`);

const placementOf = ({ locality, primaryZone, arbitration }: PlacementClauses): TenantPlacement => ({
  ...(arbitration === null ? {} : { arbitration }),
  ...(locality === null ? {} : { locality }),
  ...(primaryZone === null ? {} : { primaryZone }),
});

async function servers(
  { action, addresses, zone }: Extract<AdminStatement, { kind: 'servers' }>,
  operations: ServerOperations,
): Promise<OkAnswer> {
  for (const address of addresses) {
    if (action === 'add') await operations.addServer(address, zone);
    else if (action === 'delete') await operations.removeServer(address);
    else if (action === 'stop') await operations.stopServer(address);
    else await operations.startServer(address);
  }
  return ok();
}

/** In its own session a tenant sets its own; the policy is the cluster's. */
async function setParameter(
  { name, value, tenants }: Extract<AdminStatement, { kind: 'set-parameter' }>,
  { operations, tenant }: AdminContext,
): Promise<OkAnswer> {
  const named = tenants === 'all' ? [null] : (tenants ?? [tenant]);
  for (const one of named) await operations.setParameter(name, value, one);
  return ok();
}

async function tenantsOf(list: TenantList, context: AdminContext): Promise<readonly string[]> {
  if (list === null) return [context.tenant];
  if (list !== 'all') return list;
  const tenants = await context.operations.tenants();
  return tenants.filter(tenant => tenant.name !== 'sys').map(tenant => tenant.name);
}

/** How far it came; the whole list is what `obstandby` shows. */
function steps(reports: readonly StepReport[]): OkAnswer {
  const done = reports.filter(report => report.state === 'done').length;
  const last = reports.at(-1);
  return last === undefined
    ? ok()
    : ok(`${done} of ${reports.length} steps done; ${last.step}: ${last.detail}`);
}

function certified(certificate: LossCertificate | null): string {
  if (certificate === null) return '';
  const { newEpoch, cutScn, cutLsn, knownEndLsn } = certificate;
  const missing =
    knownEndLsn === null ? 'an unknown amount' : `${Math.max(0, knownEndLsn - cutLsn)} bytes of log known`;
  return `role epoch ${newEpoch}; kept up to SCN ${cutScn}, LSN ${cutLsn}; after it ${missing}; see oceanbase.DBA_OB_LOSS_CERTIFICATES`;
}
