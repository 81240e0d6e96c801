/**
 * information_schema, as far as clients and drivers ask: each table is a subquery over SQLite's schema, put where the name stood. So any
 * query over them works, joins included, at the state the statement sees. Hidden tables of the system are left out.
 */
import { type Fragment, quoteText, sql } from './fragment.ts';

const schema: Fragment = [{ kind: 'session', value: { kind: 'schema-name' } }];

/** tables and views clients may know of */
const visible = (name: string): string => `${name} NOT GLOB 'sqlite_*' AND ${name} NOT GLOB '[_][_]obs[_]*'`;

const objects = `(SELECT name, type, sql FROM sqlite_schema WHERE type IN ('table', 'view') AND ${visible('name')})`;

/** MySQL's name of an index of table `t`, from SQLite's */
const keyName =
  "CASE WHEN l.origin = 'pk' THEN 'PRIMARY' WHEN l.name GLOB 'sqlite_autoindex_*' THEN (SELECT name FROM pragma_index_info(l.name) LIMIT 1) WHEN instr(l.name, '$') > 0 THEN substr(l.name, CASE WHEN lower(substr(l.name, 1, length(t.name) + 1)) = lower(t.name) || '$' THEN length(t.name) ELSE instr(l.name, '$') - 1 END + 2) ELSE l.name END";

/** row-id keys have no index in SQLite; clients expect one named PRIMARY */
const keyParts =
  `SELECT t.name AS table_name, ${keyName} AS key_name, l."unique" AS is_unique, i.seqno + 1 AS position, i.name AS column_name, i."desc" AS descending, l.origin = 'pk' AS is_primary ` +
  `FROM ${objects} AS t, pragma_index_list(t.name) AS l, pragma_index_xinfo(l.name) AS i WHERE t.type = 'table' AND i.key = 1 ` +
  `UNION ALL SELECT t.name, 'PRIMARY', 1, c.pk, c.name, 0, 1 FROM ${objects} AS t, pragma_table_info(t.name) AS c ` +
  "WHERE t.type = 'table' AND c.pk > 0 AND NOT EXISTS (SELECT 1 FROM pragma_index_list(t.name) WHERE origin = 'pk')";

const baseType =
  "lower(CASE WHEN c.type = '' THEN 'text' WHEN c.type = 'INTEGER' THEN 'int' WHEN c.type = 'JSON TEXT' THEN 'json' ELSE c.type END)";

const columnRows: string =
  `SELECT t.name AS table_name, c.name AS column_name, c.cid + 1 AS position, ` +
  `CASE WHEN c.dflt_value GLOB '''*''' THEN replace(substr(c.dflt_value, 2, length(c.dflt_value) - 2), '''''', '''') WHEN upper(c.dflt_value) = 'NULL' THEN NULL ELSE c.dflt_value END AS default_value, ` +
  `CASE WHEN c."notnull" OR c.pk > 0 THEN 'NO' ELSE 'YES' END AS nullable, ${baseType} AS column_type, ` +
  `CASE WHEN instr(${baseType}, '(') > 0 THEN substr(${baseType}, 1, instr(${baseType}, '(') - 1) ELSE replace(${baseType}, ' unsigned', '') END AS data_type, ` +
  `CASE WHEN instr(c.type, '(') > 0 THEN CAST(substr(c.type, instr(c.type, '(') + 1) AS INTEGER) END AS size, ` +
  `CASE WHEN c.pk > 0 THEN 'PRI' WHEN EXISTS (SELECT 1 FROM pragma_index_list(t.name) AS l WHERE l."unique" AND (SELECT count(*) FROM pragma_index_info(l.name)) = 1 AND (SELECT name FROM pragma_index_info(l.name)) = c.name) THEN 'UNI' ` +
  `WHEN EXISTS (SELECT 1 FROM pragma_index_list(t.name) AS l WHERE (SELECT name FROM pragma_index_info(l.name) WHERE seqno = 0) = c.name) THEN 'MUL' ELSE '' END AS key, ` +
  `CASE WHEN c.pk = 1 AND t.sql LIKE '%AUTOINCREMENT%' THEN 'auto_increment' WHEN c.hidden = 2 THEN 'VIRTUAL GENERATED' WHEN c.hidden = 3 THEN 'STORED GENERATED' WHEN c.dflt_value = 'CURRENT_TIMESTAMP' OR c.dflt_value GLOB '(*' THEN 'DEFAULT_GENERATED' ELSE '' END AS extra ` +
  `FROM ${objects} AS t, pragma_table_xinfo(t.name) AS c`;

const isText = "data_type LIKE '%char%' OR data_type LIKE '%text%'";

const empty = (columns: string): Fragment => [
  `(SELECT ${columns
    .split(' ')
    .map(column => `NULL AS ${column}`)
    .join(', ')} WHERE 0)`,
];

const rows = (columns: readonly string[], values: readonly (readonly (string | number)[])[]): Fragment => [
  `(SELECT ${columns.map((column, index) => `column${index + 1} AS ${column}`).join(', ')} FROM (VALUES ${values
    .map(
      row => `(${row.map(cell => (typeof cell === 'string' ? quoteText(cell) : String(cell))).join(', ')})`,
    )
    .join(', ')}))`,
];

const tables: ReadonlyMap<string, Fragment> = new Map<string, Fragment>([
  [
    'schemata',
    sql`(SELECT 'def' AS CATALOG_NAME, column1 AS SCHEMA_NAME, 'utf8mb4' AS DEFAULT_CHARACTER_SET_NAME, 'utf8mb4_bin' AS DEFAULT_COLLATION_NAME, NULL AS SQL_PATH, 'NO' AS DEFAULT_ENCRYPTION FROM (VALUES ('information_schema'), ('oceanbase'), (${schema})))`,
  ],
  [
    'tables',
    sql`(SELECT 'def' AS TABLE_CATALOG, ${schema} AS TABLE_SCHEMA, t.name AS TABLE_NAME, CASE t.type WHEN 'view' THEN 'VIEW' ELSE 'BASE TABLE' END AS TABLE_TYPE, CASE t.type WHEN 'table' THEN 'InnoDB' END AS ENGINE, 10 AS VERSION, 'Dynamic' AS ROW_FORMAT, 0 AS TABLE_ROWS, 0 AS AVG_ROW_LENGTH, 0 AS DATA_LENGTH, 0 AS MAX_DATA_LENGTH, 0 AS INDEX_LENGTH, 0 AS DATA_FREE, NULL AS AUTO_INCREMENT, NULL AS CREATE_TIME, NULL AS UPDATE_TIME, NULL AS CHECK_TIME, 'utf8mb4_bin' AS TABLE_COLLATION, NULL AS CHECKSUM, '' AS CREATE_OPTIONS, CASE t.type WHEN 'view' THEN 'VIEW' ELSE '' END AS TABLE_COMMENT FROM ${objects} AS t)`,
  ],
  [
    'columns',
    sql`(SELECT 'def' AS TABLE_CATALOG, ${schema} AS TABLE_SCHEMA, table_name AS TABLE_NAME, column_name AS COLUMN_NAME, position AS ORDINAL_POSITION, default_value AS COLUMN_DEFAULT, nullable AS IS_NULLABLE, data_type AS DATA_TYPE, CASE WHEN ${isText} THEN coalesce(size, 65535) END AS CHARACTER_MAXIMUM_LENGTH, CASE WHEN ${isText} THEN coalesce(size * 4, 65535) END AS CHARACTER_OCTET_LENGTH, CASE WHEN data_type IN ('decimal', 'numeric') THEN coalesce(size, 10) WHEN data_type LIKE '%int' THEN CASE data_type WHEN 'bigint' THEN 19 WHEN 'int' THEN 10 WHEN 'mediumint' THEN 7 WHEN 'smallint' THEN 5 ELSE 3 END WHEN data_type = 'double' THEN 22 WHEN data_type = 'float' THEN 12 END AS NUMERIC_PRECISION, CASE WHEN data_type IN ('decimal', 'numeric') THEN CASE WHEN instr(column_type, ',') > 0 THEN CAST(substr(column_type, instr(column_type, ',') + 1) AS INTEGER) ELSE 0 END WHEN data_type LIKE '%int' THEN 0 END AS NUMERIC_SCALE, CASE WHEN data_type IN ('datetime', 'timestamp', 'time') THEN coalesce(size, 0) END AS DATETIME_PRECISION, CASE WHEN ${isText} THEN 'utf8mb4' END AS CHARACTER_SET_NAME, CASE WHEN ${isText} THEN 'utf8mb4_bin' END AS COLLATION_NAME, column_type AS COLUMN_TYPE, key AS COLUMN_KEY, extra AS EXTRA, 'select,insert,update,references' AS PRIVILEGES, '' AS COLUMN_COMMENT, '' AS GENERATION_EXPRESSION, NULL AS SRS_ID FROM (${columnRows}))`,
  ],
  [
    'statistics',
    sql`(SELECT 'def' AS TABLE_CATALOG, ${schema} AS TABLE_SCHEMA, table_name AS TABLE_NAME, 1 - is_unique AS NON_UNIQUE, ${schema} AS INDEX_SCHEMA, key_name AS INDEX_NAME, position AS SEQ_IN_INDEX, column_name AS COLUMN_NAME, CASE descending WHEN 1 THEN 'D' ELSE 'A' END AS COLLATION, 0 AS CARDINALITY, NULL AS SUB_PART, NULL AS PACKED, CASE is_primary WHEN 1 THEN '' ELSE 'YES' END AS NULLABLE, 'BTREE' AS INDEX_TYPE, '' AS COMMENT, '' AS INDEX_COMMENT, 'YES' AS IS_VISIBLE, NULL AS EXPRESSION FROM (${keyParts}))`,
  ],
  [
    'key_column_usage',
    sql`(SELECT 'def' AS CONSTRAINT_CATALOG, ${schema} AS CONSTRAINT_SCHEMA, key_name AS CONSTRAINT_NAME, 'def' AS TABLE_CATALOG, ${schema} AS TABLE_SCHEMA, table_name AS TABLE_NAME, column_name AS COLUMN_NAME, position AS ORDINAL_POSITION, NULL AS POSITION_IN_UNIQUE_CONSTRAINT, NULL AS REFERENCED_TABLE_SCHEMA, NULL AS REFERENCED_TABLE_NAME, NULL AS REFERENCED_COLUMN_NAME FROM (${keyParts}) WHERE is_unique UNION ALL SELECT 'def', ${schema}, t.name || '_ibfk_' || (f.id + 1), 'def', ${schema}, t.name, f."from", f.seq + 1, f.seq + 1, ${schema}, f."table", coalesce(f."to", (SELECT name FROM pragma_table_info(f."table") WHERE pk = f.seq + 1)) FROM ${objects} AS t, pragma_foreign_key_list(t.name) AS f WHERE t.type = 'table')`,
  ],
  [
    'table_constraints',
    sql`(SELECT DISTINCT 'def' AS CONSTRAINT_CATALOG, ${schema} AS CONSTRAINT_SCHEMA, key_name AS CONSTRAINT_NAME, ${schema} AS TABLE_SCHEMA, table_name AS TABLE_NAME, CASE is_primary WHEN 1 THEN 'PRIMARY KEY' ELSE 'UNIQUE' END AS CONSTRAINT_TYPE, 'YES' AS ENFORCED FROM (${keyParts}) WHERE is_unique UNION ALL SELECT DISTINCT 'def', ${schema}, t.name || '_ibfk_' || (f.id + 1), ${schema}, t.name, 'FOREIGN KEY', 'YES' FROM ${objects} AS t, pragma_foreign_key_list(t.name) AS f WHERE t.type = 'table')`,
  ],
  [
    'referential_constraints',
    sql`(SELECT DISTINCT 'def' AS CONSTRAINT_CATALOG, ${schema} AS CONSTRAINT_SCHEMA, t.name || '_ibfk_' || (f.id + 1) AS CONSTRAINT_NAME, 'def' AS UNIQUE_CONSTRAINT_CATALOG, ${schema} AS UNIQUE_CONSTRAINT_SCHEMA, 'PRIMARY' AS UNIQUE_CONSTRAINT_NAME, 'NONE' AS MATCH_OPTION, f.on_update AS UPDATE_RULE, f.on_delete AS DELETE_RULE, t.name AS TABLE_NAME, f."table" AS REFERENCED_TABLE_NAME FROM ${objects} AS t, pragma_foreign_key_list(t.name) AS f WHERE t.type = 'table')`,
  ],
  [
    'views',
    sql`(SELECT 'def' AS TABLE_CATALOG, ${schema} AS TABLE_SCHEMA, t.name AS TABLE_NAME, t.sql AS VIEW_DEFINITION, 'NONE' AS CHECK_OPTION, 'NO' AS IS_UPDATABLE, 'root@%' AS DEFINER, 'DEFINER' AS SECURITY_TYPE, 'utf8mb4' AS CHARACTER_SET_CLIENT, 'utf8mb4_bin' AS COLLATION_CONNECTION FROM ${objects} AS t WHERE t.type = 'view')`,
  ],
  [
    'engines',
    rows(
      ['ENGINE', 'SUPPORT', 'COMMENT', 'TRANSACTIONS', 'XA', 'SAVEPOINTS'],
      [['InnoDB', 'DEFAULT', 'SQLite pages replicated by clog', 'YES', 'NO', 'YES']],
    ),
  ],
  [
    'character_sets',
    rows(
      ['CHARACTER_SET_NAME', 'DEFAULT_COLLATE_NAME', 'DESCRIPTION', 'MAXLEN'],
      [
        ['utf8mb4', 'utf8mb4_bin', 'UTF-8 Unicode', 4],
        ['binary', 'binary', 'Binary pseudo charset', 1],
      ],
    ),
  ],
  [
    'collations',
    rows(
      ['COLLATION_NAME', 'CHARACTER_SET_NAME', 'ID', 'IS_DEFAULT', 'IS_COMPILED', 'SORTLEN', 'PAD_ATTRIBUTE'],
      [
        ['utf8mb4_bin', 'utf8mb4', 46, 'Yes', 'Yes', 1, 'NO PAD'],
        ['utf8mb4_general_ci', 'utf8mb4', 45, '', 'Yes', 1, 'PAD SPACE'],
        ['binary', 'binary', 63, 'Yes', 'Yes', 1, 'NO PAD'],
      ],
    ),
  ],
  [
    'triggers',
    empty(
      'TRIGGER_CATALOG TRIGGER_SCHEMA TRIGGER_NAME EVENT_MANIPULATION EVENT_OBJECT_SCHEMA EVENT_OBJECT_TABLE ACTION_ORDER ACTION_STATEMENT ACTION_TIMING CREATED SQL_MODE DEFINER',
    ),
  ],
  [
    'routines',
    empty(
      'SPECIFIC_NAME ROUTINE_CATALOG ROUTINE_SCHEMA ROUTINE_NAME ROUTINE_TYPE DATA_TYPE ROUTINE_DEFINITION',
    ),
  ],
  [
    'parameters',
    empty('SPECIFIC_CATALOG SPECIFIC_SCHEMA SPECIFIC_NAME ORDINAL_POSITION PARAMETER_NAME DATA_TYPE'),
  ],
  [
    'events',
    empty('EVENT_CATALOG EVENT_SCHEMA EVENT_NAME DEFINER TIME_ZONE EVENT_DEFINITION EVENT_TYPE STATUS'),
  ],
  [
    'partitions',
    empty(
      'TABLE_CATALOG TABLE_SCHEMA TABLE_NAME PARTITION_NAME SUBPARTITION_NAME PARTITION_ORDINAL_POSITION PARTITION_METHOD PARTITION_EXPRESSION PARTITION_DESCRIPTION TABLE_ROWS TABLESPACE_NAME',
    ),
  ],
  [
    'files',
    empty(
      'FILE_ID FILE_NAME FILE_TYPE TABLESPACE_NAME TABLE_CATALOG LOGFILE_GROUP_NAME ENGINE EXTENT_SIZE INITIAL_SIZE MAXIMUM_SIZE FREE_EXTENTS TOTAL_EXTENTS STATUS EXTRA',
    ),
  ],
  ['check_constraints', empty('CONSTRAINT_CATALOG CONSTRAINT_SCHEMA CONSTRAINT_NAME CHECK_CLAUSE')],
  ['user_privileges', empty('GRANTEE TABLE_CATALOG PRIVILEGE_TYPE IS_GRANTABLE')],
  ['plugins', empty('PLUGIN_NAME PLUGIN_VERSION PLUGIN_STATUS PLUGIN_TYPE')],
  ['column_statistics', empty('SCHEMA_NAME TABLE_NAME COLUMN_NAME HISTOGRAM')],
  ['libraries', empty('LIBRARY_CATALOG LIBRARY_SCHEMA LIBRARY_NAME')],
]);

/** The subquery that stands for `information_schema.name`; undefined when there is no such table. */
export const informationSchemaTable = (name: string): Fragment | undefined => tables.get(name.toLowerCase());

/** Columns and keys of one table, for SHOW: the same rows as COLUMNS and STATISTICS, with the short names. */
export const columnRowsOf = (table: string): string =>
  `(${columnRows}) WHERE table_name = ${quoteText(table)}`;
export const keyRowsOf = (table: string): string => `(${keyParts}) WHERE table_name = ${quoteText(table)}`;
export const visibleObjects = objects;
