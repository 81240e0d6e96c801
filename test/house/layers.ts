/** The layer table: what each folder of `src` may import. The README shows it; `layers.test.ts` holds the code to it. */

const core = ['base', 'codec', 'platform'] as const;
const stores = [...core, 'palf', 'logstream', 'tenant', 'archive', 'standby', 'role'] as const;

export const layers: Readonly<Record<string, readonly string[]>> = {
  base: [],
  codec: ['base'],
  platform: ['base', 'codec'],
  palf: ['base', 'codec'],
  logstream: [...core, 'palf'],
  tenant: core,
  archive: core,
  standby: [...core, 'archive'],
  role: ['base', 'codec'],
  cluster: stores,
  sql: [...stores, 'cluster'],
  ops: [...stores, 'cluster', 'sql'],
  server: [...stores, 'cluster', 'sql', 'ops'],
  proxy: core,
  client: core,
  bench: [...stores, 'cluster', 'sql', 'ops', 'server', 'client'],
  cli: ['base', 'server', 'client', 'bench'],
};
