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
];

/** Tables with a row per tenant, emptied when it is dropped. */
export const tenantTables = [
  '__obs_role',
  '__obs_role_journal',
  '__obs_restore_source',
  '__obs_source_end',
  '__obs_archive_dest',
  '__obs_follower',
  '__obs_tenant',
] as const;
