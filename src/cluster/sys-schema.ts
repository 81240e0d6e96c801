/**
 * The root service's tables, in the sys tenant. Names begin with `__obs_`, which clients do not see. A new version adds a
 * step at the end of the list and never changes one that was released.
 */
export const sysMigrations: readonly (readonly string[])[] = [
  [
    `CREATE TABLE __obs_tenant (
      id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE, incarnation TEXT NOT NULL, status TEXT NOT NULL,
      create_time INTEGER NOT NULL, page_bytes INTEGER NOT NULL)`,
    `CREATE TABLE __obs_role (
      tenant_id INTEGER PRIMARY KEY, revision INTEGER NOT NULL, role TEXT NOT NULL, switchover_status TEXT NOT NULL,
      epoch INTEGER NOT NULL, step TEXT, row TEXT NOT NULL)`,
    `CREATE TABLE __obs_role_journal (
      tenant_id INTEGER NOT NULL, operation_id TEXT NOT NULL, site TEXT NOT NULL, step TEXT NOT NULL, begun INTEGER NOT NULL,
      entry TEXT NOT NULL, PRIMARY KEY (tenant_id, operation_id, site, step)) WITHOUT ROWID`,
    'CREATE TABLE __obs_restore_source (tenant_id INTEGER PRIMARY KEY, sealed BLOB NOT NULL)',
    'CREATE TABLE __obs_source_end (tenant_id INTEGER PRIMARY KEY, source_end TEXT NOT NULL)',
    'CREATE TABLE __obs_archive_dest (tenant_id INTEGER PRIMARY KEY, sealed BLOB NOT NULL)',
    `CREATE TABLE __obs_follower (
      tenant_id INTEGER NOT NULL, site TEXT NOT NULL, address TEXT NOT NULL, sealed BLOB NOT NULL,
      PRIMARY KEY (tenant_id, site)) WITHOUT ROWID`,
    `CREATE TABLE __obs_event (
      id INTEGER PRIMARY KEY AUTOINCREMENT, tenant_id INTEGER NOT NULL, time INTEGER NOT NULL, module TEXT NOT NULL,
      event TEXT NOT NULL, detail TEXT NOT NULL)`,
  ],
  [
    // The root service's own: which servers there are, and who holds which replica.
    `CREATE TABLE __obs_server (
      id INTEGER PRIMARY KEY AUTOINCREMENT, node_id TEXT NOT NULL UNIQUE, address TEXT NOT NULL, zone TEXT NOT NULL,
      region TEXT NOT NULL, status TEXT NOT NULL, stop_time INTEGER, create_time INTEGER NOT NULL, start_time INTEGER,
      version TEXT NOT NULL, sql_address TEXT, peer_address TEXT, http_address TEXT, replaced_by TEXT)`,
    `CREATE TABLE __obs_ls (
      tenant_id INTEGER PRIMARY KEY, locality TEXT NOT NULL, previous_locality TEXT, primary_zone TEXT NOT NULL)`,
    `CREATE TABLE __obs_replica (
      replica_id INTEGER PRIMARY KEY AUTOINCREMENT, tenant_id INTEGER NOT NULL, node_id TEXT NOT NULL, type TEXT NOT NULL,
      dropping INTEGER NOT NULL DEFAULT 0)`,
    'CREATE INDEX __obs_replica_tenant ON __obs_replica (tenant_id)',
    `CREATE TABLE __obs_job (
      id INTEGER PRIMARY KEY AUTOINCREMENT, tenant_id INTEGER NOT NULL, kind TEXT NOT NULL, status TEXT NOT NULL,
      revision INTEGER NOT NULL, previous TEXT NOT NULL, target TEXT NOT NULL, replicas TEXT, detail TEXT NOT NULL,
      start_time INTEGER NOT NULL, modify_time INTEGER NOT NULL)`,
    'CREATE INDEX __obs_job_tenant ON __obs_job (tenant_id)',
  ],
  [
    // The arbitration service: the cluster's arbiter, who uses it, on what terms, and what came of it.
    "ALTER TABLE __obs_ls ADD COLUMN arbitration TEXT NOT NULL DEFAULT 'DISABLED'",
    `CREATE TABLE __obs_arbitration (
      service_key TEXT PRIMARY KEY, address TEXT NOT NULL, node_id TEXT NOT NULL, previous_address TEXT,
      create_time INTEGER NOT NULL, modify_time INTEGER NOT NULL) WITHOUT ROWID`,
    `CREATE TABLE __obs_arb_task (
      id INTEGER PRIMARY KEY AUTOINCREMENT, tenant_id INTEGER NOT NULL, type TEXT NOT NULL, service TEXT NOT NULL,
      status TEXT NOT NULL, detail TEXT NOT NULL, start_time INTEGER NOT NULL, modify_time INTEGER NOT NULL)`,
    `CREATE TABLE __obs_parameter (
      tenant_id INTEGER NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (tenant_id, name)) WITHOUT ROWID`,
    `CREATE TABLE __obs_server_event (
      id INTEGER PRIMARY KEY AUTOINCREMENT, boot TEXT NOT NULL, number INTEGER NOT NULL, time INTEGER NOT NULL,
      address TEXT NOT NULL, tenant_id INTEGER NOT NULL, module TEXT NOT NULL, event TEXT NOT NULL, detail TEXT NOT NULL,
      UNIQUE (boot, number))`,
  ],
];

/** Tables with a row per tenant, emptied when it is dropped. */
export const tenantTables = [
  '__obs_role',
  '__obs_role_journal',
  '__obs_restore_source',
  '__obs_source_end',
  '__obs_archive_dest',
  '__obs_follower',
  '__obs_job',
  '__obs_arb_task',
  '__obs_parameter',
  '__obs_replica',
  '__obs_ls',
  '__obs_tenant',
] as const;
