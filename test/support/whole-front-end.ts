/** The front-end as a server has it: real engine, real log, the whole dialect. One tenant, `acme`. */
import { tenantId } from '../../src/base/scalars.ts';
import type { TenantInfo } from '../../src/cluster/operations.ts';
import { nodeClock } from '../../src/platform/clock.ts';
import { nodeRandom } from '../../src/platform/random.ts';
import type { TenantAccess } from '../../src/sql/directory.ts';
import type { MysqlFrontEndOptions } from '../../src/sql/front-end.ts';
import { createStatementServices } from '../../src/sql/statement-services.ts';
import { createInitialUsers } from '../../src/sql/users.ts';
import { rootPassword, startTestFrontEnd, type TestFrontEnd } from './front-end.ts';
import { TenantSite } from './tenant-site.ts';

export interface WholeFrontEnd extends TestFrontEnd {
  readonly site: TenantSite;
}

export async function startWholeFrontEnd(
  options: Partial<MysqlFrontEndOptions> = {},
): Promise<WholeFrontEnd> {
  const site = await TenantSite.open();
  const session = site.engine.openSession({ internal: true });
  await createInitialUsers(session, rootPassword, nodeRandom);
  await session.close();
  const services = createStatementServices({ clock: nodeClock, viewTimeoutMs: 5_000, server: () => null });
  const acme: TenantAccess = {
    id: tenantId(1002),
    name: 'acme',
    get engine() {
      return site.engine;
    },
    info: () => ({ name: 'acme' }) as unknown as TenantInfo,
    writable: () => site.engine.state().mode === 'leader',
    admit: () => undefined,
  };
  const started = await startTestFrontEnd({
    directory: { find: name => (name === 'acme' ? acme : undefined) },
    services,
    ...options,
  });
  return {
    ...started,
    site,
    async stop() {
      await started.stop();
      await services.close();
      await site.close();
    },
  };
}
