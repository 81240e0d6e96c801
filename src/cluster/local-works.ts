/**
 * What the root service asks of this server when a tenant is made: to complete one that leads here, or to make the first
 * replica of one that is copied from elsewhere.
 */
import { ObError } from '../base/errors.ts';
import { scn, type TenantId } from '../base/scalars.ts';
import { newStandbyRow } from '../role/row.ts';
import type { TenantEngine } from '../tenant/engine.ts';
import type { Progress } from './operations.ts';
import { storedSource } from './restore-source-text.ts';
import type { CopyRequest, TenantWorks } from './root/tenant-works.ts';
import { type CopyBound, createFromArchive, createFromNetwork } from './standby-creation.ts';
import type { StoredRestoreSource, StoredTenant } from './sys-store.ts';
import type { TenantRegistry } from './tenant-registry.ts';
import type { UnitHost } from './unit-host.ts';
import { untilWritable } from './unit-opening.ts';

export interface LocalWorksOptions {
  readonly host: UnitHost;
  readonly registry: TenantRegistry;
  /** makes the users of a new tenant; the front-end's, since users are its affair */
  readonly createUsers: (engine: TenantEngine, rootPassword: string) => Promise<void>;
}

/** What a copy follows, where it comes from, and how far it goes. */
interface CopyPlan {
  readonly source: StoredRestoreSource | null;
  readonly location: string | null;
  readonly bound: CopyBound;
}

export class LocalWorks implements TenantWorks {
  readonly #options: LocalWorksOptions;

  constructor(options: LocalWorksOptions) {
    this.#options = options;
  }

  async finish(id: TenantId, rootPassword: string): Promise<void> {
    const { host, registry, createUsers } = this.#options;
    const unit = registry.replica(id)?.unit;
    if (unit === undefined) throw new ObError('OBS_SERVER_NO_SUCH_TENANT', { tenant: id });
    await untilWritable(host, unit);
    await createUsers(unit.engine, rootPassword);
    // From here on the files themselves know that there was a log: one that vanishes is missed, not begun anew.
    await unit.engine.checkpoint();
  }

  /** The copy is this server's alone; other replicas join it as learners. */
  async copy(
    record: StoredTenant,
    replicaId: number,
    request: CopyRequest,
    progress: Progress,
  ): Promise<Pick<StoredTenant, 'incarnation' | 'pageBytes'>> {
    const { host, registry } = this.#options;
    const { settings, siteId, store } = host;
    const plan = planOf(request);
    const spec = {
      replicaId,
      tenant: record,
      blockBytes: settings.blockBytes,
      priority: 0,
      birth: { members: [host.self], learners: [] },
    };
    const unit = await registry.adopt(spec, async () => {
      const service = plan.source?.service ?? null;
      const files =
        service !== null
          ? await createFromNetwork(host, record, service, progress)
          : await createFromArchive(host, record, locationOf(plan, record.name), plan.bound, progress);
      await files.log.close();
      const { incarnation, pageBytes, epoch, openings } = files;
      const row = newStandbyRow({ tenant: record.name, incarnation, site: siteId }, epoch, openings);
      await store.insertRole(record.id, row);
      await store.setRestoreSource(record.id, plan.source);
      return { incarnation, pageBytes };
    });
    // A restored tenant must not claim the archive it came from: it stays where it was restored to.
    if (request.kind === 'restore') {
      const { role } = await unit.whenLed();
      await role.command({ kind: 'set-recovery-until', until: 'cancel' });
    }
    const { incarnation, pageBytes } = unit.record;
    return { incarnation, pageBytes };
  }
}

function planOf(request: CopyRequest): CopyPlan {
  if (request.kind === 'standby') {
    const source = storedSource(request.source);
    if (source === null) throw new ObError('OBS_STANDBY_SOURCE_INVALID', { problems: 'it is empty' });
    return { source, location: source.location, bound: { kind: 'whole' } };
  }
  const { from, untilScn } = request;
  const bound: CopyBound = untilScn === null ? { kind: 'end' } : { kind: 'scn', scn: scn(untilScn) };
  return { source: null, location: from, bound };
}

function locationOf({ location }: CopyPlan, name: string): string {
  if (location !== null) return location;
  throw new ObError('OBS_STANDBY_SOURCE_INVALID', { problems: `there is nothing to make ${name} from` });
}
