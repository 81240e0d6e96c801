/** A MySQL front-end on a free port of this machine, over tenants without a log. */
import { tenantId } from '../../src/base/scalars.ts';
import type { ServerOperations } from '../../src/cluster/cluster-operations.ts';
import type { TenantInfo } from '../../src/cluster/operations.ts';
import { nodeClock } from '../../src/platform/clock.ts';
import { silentLogger } from '../../src/platform/logger.ts';
import { nodeRandom } from '../../src/platform/random.ts';
import type { TenantAccess } from '../../src/sql/directory.ts';
import { MysqlFrontEnd, type MysqlFrontEndOptions } from '../../src/sql/front-end.ts';
import { createInitialUsers } from '../../src/sql/users.ts';
import { DirectEngine } from './direct-engine.ts';
import { plainStatements } from './plain-statements.ts';

export interface TestFrontEnd {
  readonly frontEnd: MysqlFrontEnd;
  readonly port: number;
  readonly engines: ReadonlyMap<string, DirectEngine>;
  readonly fatal: unknown[];
  stop(): Promise<void>;
}

export const rootPassword = 'root secret';

/** Tenants `sys` and `acme`, each with root. */
export async function startTestFrontEnd(options: Partial<MysqlFrontEndOptions> = {}): Promise<TestFrontEnd> {
  const engines = new Map<string, DirectEngine>();
  const tenants = new Map<string, TenantAccess>();
  for (const [index, name] of ['sys', 'acme'].entries()) {
    const engine = new DirectEngine();
    engines.set(name, engine);
    const session = engine.openSession();
    await createInitialUsers(session, rootPassword, nodeRandom);
    await session.close();
    tenants.set(name, {
      id: tenantId(index === 0 ? 1 : 1_001 + index),
      name,
      engine: engine.engine,
      info: () => ({ name }) as unknown as TenantInfo,
      writable: () => engine.mode === 'leader',
      admit: () => undefined,
    });
  }
  const fatal: unknown[] = [];
  const frontEnd = new MysqlFrontEnd({
    address: { host: '127.0.0.1', port: 0 },
    directory: { find: name => tenants.get(name) },
    operations: {} as ServerOperations,
    services: plainStatements,
    logger: silentLogger,
    clock: nodeClock,
    random: nodeRandom,
    version: 'test',
    onFatal: error => fatal.push(error),
    ...options,
  });
  const { port } = await frontEnd.start();
  return {
    frontEnd,
    port,
    engines,
    fatal,
    async stop() {
      await frontEnd.stop();
      for (const engine of engines.values()) await engine.close();
    },
  };
}
