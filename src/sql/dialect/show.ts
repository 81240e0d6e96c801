/**
 * SHOW, DESCRIBE, EXPLAIN, HELP. What is about the tenant's own tables becomes a query over SQLite's schema (class `show`: any user); what is
 * about the server is answered here or by the views. LIKE and WHERE work on the answer's columns, as in MySQL.
 */
import { ObError } from '../../base/errors.ts';
import type { Cell, Column } from '../../tenant/engine.ts';
import type { DialectContext, Plan, RowsAnswer } from '../plan.ts';
import { shapeOrThrow } from './alter-table.ts';
import { finish, type Fragment, quoteCell, quoteName, quoteText, sql, trimmed } from './fragment.ts';
import { columnRowsOf, keyRowsOf, visibleObjects } from './information-schema.ts';
import type { ShapeLookup } from './insert.ts';
import { Rewriter } from './rewriter.ts';
import { schemaName, sessionValue, systemValue } from './session-values.ts';
import { showCreateTable } from './show-create.ts';
import type { StatementText } from './statement-text.ts';
import { TokenCursor } from './token-cursor.ts';
import { systemVariables } from './variables.ts';

/** Null when the statement is none of these. Throws OBS_SQL_PARSE, OBS_SQL_NO_SUCH_TABLE, TableNeeded. */
export function planShow(
  statement: StatementText,
  shapeOf: ShapeLookup,
  context: DialectContext,
): readonly Plan[] | null {
  const cursor = new TokenCursor(statement);
  const verb = cursor.word();
  if (verb === 'show') {
    cursor.at++;
    return [new ShowPlanner(cursor, shapeOf, context).plan()];
  }
  if (verb === 'help') return [noRows(['name', 'description', 'example'])];
  if (verb === 'check' || verb === 'checksum' || verb === 'repair')
    throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: verb.toUpperCase() });
  if (verb !== 'describe' && verb !== 'desc' && verb !== 'explain') return null;
  cursor.at++;
  return [describe(cursor, shapeOf, context)];
}

const column = (name: string): Column => ({ name, declaredType: 'TEXT', table: null, originColumn: null });
const answer = (names: readonly string[], rows: readonly (readonly Cell[])[]): RowsAnswer => ({
  kind: 'rows',
  columns: names.map(column),
  rows,
});
const noRows = (names: readonly string[]): RowsAnswer => answer(names, []);

const explained = new Set(['select', 'insert', 'update', 'delete', 'replace', 'with', 'table', 'values']);

/** DESCRIBE t [column], EXPLAIN [FORMAT = …] statement. */
function describe(cursor: TokenCursor, shapeOf: ShapeLookup, context: DialectContext): Plan {
  while (cursor.takeOne('extended', 'partitions', 'analyze') !== undefined);
  if (cursor.take('format')) {
    cursor.expectSymbol('=');
    cursor.nameOrString();
  }
  if (cursor.take('for', 'connection'))
    throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: 'EXPLAIN FOR CONNECTION' });
  if (explained.has(cursor.word()) || cursor.symbol() === '(') {
    const rewriter = new Rewriter(cursor.statement);
    const query = trimmed(rewriter.range(cursor.at, cursor.end));
    return enginePlan(sql`EXPLAIN QUERY PLAN ${query}`, context);
  }
  const table = cursor.qualifiedName();
  const like = cursor.done ? null : cursor.nameOrString();
  cursor.expectEnd();
  return showColumns(
    table.name,
    false,
    shapeOf,
    context,
    like === null ? [] : sql` WHERE "Field" LIKE ${quoteText(like)}`,
  );
}

function enginePlan(fragment: Fragment, context: DialectContext): Plan {
  const template = finish(fragment);
  const parameters = template.parameters.map(parameter =>
    parameter.kind === 'client'
      ? parameter
      : { kind: 'value' as const, value: sessionValue(parameter.value, context) },
  );
  return {
    kind: 'engine',
    class: 'show',
    sql: template.sql,
    ...(parameters.length === 0 ? {} : { parameters }),
  };
}

function showColumns(
  table: string,
  full: boolean,
  shapeOf: ShapeLookup,
  context: DialectContext,
  filter: Fragment,
): Plan {
  const shape = shapeOrThrow(shapeOf, table);
  const collation = `CASE WHEN data_type LIKE '%char%' OR data_type LIKE '%text%' THEN 'utf8mb4_bin' END AS "Collation", `;
  const privileges = `, 'select,insert,update,references' AS "Privileges", '' AS "Comment"`;
  const columns = `column_name AS "Field", column_type AS "Type", ${full ? collation : ''}nullable AS "Null", key AS "Key", default_value AS "Default", extra AS "Extra"${full ? privileges : ''}`;
  return enginePlan(
    sql`SELECT * FROM (SELECT ${columns} FROM ${columnRowsOf(shape.name)} ORDER BY position)${filter}`,
    context,
  );
}

class ShowPlanner {
  readonly #cursor: TokenCursor;
  readonly #shapeOf: ShapeLookup;
  readonly #context: DialectContext;

  constructor(cursor: TokenCursor, shapeOf: ShapeLookup, context: DialectContext) {
    this.#cursor = cursor;
    this.#shapeOf = shapeOf;
    this.#context = context;
  }

  plan(): Plan {
    const cursor = this.#cursor;
    const full = cursor.take('full');
    cursor.take('extended');
    const scope = cursor.takeOne('global', 'session', 'local');
    const subject = cursor.word();
    cursor.at++;
    switch (subject) {
      case 'tables':
        return this.#tables(full);
      case 'columns':
      case 'fields':
        return this.#columns(full);
      case 'index':
      case 'indexes':
      case 'keys':
        return this.#keys();
      case 'create':
        return this.#create();
      case 'databases':
      case 'schemas':
        return this.#databases();
      case 'table':
        cursor.expect('status');
        return this.#tableStatus();
      case 'variables':
        return this.#variables(scope === 'global');
      case 'status':
        return this.#status();
      case 'warnings':
      case 'errors':
        return this.#warnings(subject === 'errors');
      case 'count':
        cursor.brackets();
        return {
          kind: 'warnings',
          errorsOnly: cursor.expectOne('warnings', 'errors') === 'errors',
          countOnly: true,
        };
      case 'processlist':
        return this.#view(
          `SELECT ID AS "Id", "USER" AS "User", HOST AS "Host", DB AS "db", COMMAND AS "Command", "TIME" AS "Time", STATE AS "State", INFO AS "Info"${full ? ', TENANT AS "Tenant"' : ''} FROM oceanbase."V$OB_PROCESSLIST"`,
        );
      case 'tenant':
      case 'tenants':
        return this.#tenants(subject);
      case 'parameters':
        return this.#view('SELECT * FROM oceanbase."GV$OB_PARAMETERS"', 'NAME');
      case 'grants':
        return this.#grants();
      default:
        return this.#small(subject);
    }
  }

  /** FROM or IN a database: read, and nothing else, since there is one. */
  #database(): void {
    if (this.#cursor.takeOne('from', 'in') !== undefined) this.#cursor.name();
  }

  /** LIKE 'pattern' on the answer's `name` column, or WHERE over all of them. */
  #filter(name: string): Fragment {
    const cursor = this.#cursor;
    if (cursor.take('like')) {
      const pattern = cursor.string();
      cursor.expectEnd();
      return sql` WHERE ${quoteName(name)} LIKE ${quoteText(pattern)} ESCAPE '\\'`;
    }
    if (cursor.word() === 'where')
      return sql` ${trimmed(new Rewriter(cursor.statement).range(cursor.at, cursor.end))}`;
    cursor.expectEnd();
    return [];
  }

  /** Rows this process knows, filtered by SQLite. */
  #known(names: readonly string[], rows: readonly (readonly Cell[])[]): Plan {
    const cursor = this.#cursor;
    if (cursor.done) return answer(names, rows);
    const filter = this.#filter(names[0] ?? '');
    const columns = names.map((name, index) => `column${index + 1} AS ${quoteName(name)}`).join(', ');
    const values = rows.map(row => `(${row.map(quoteCell).join(', ')})`).join(', ');
    if (rows.length === 0) return answer(names, rows);
    return enginePlan(sql`SELECT * FROM (SELECT ${columns} FROM (VALUES ${values}))${filter}`, this.#context);
  }

  #view(text: string, likeColumn = 'Id'): Plan {
    const template = finish(sql`SELECT * FROM (${text})${this.#filter(likeColumn)}`);
    if (template.parameters.length > 0) throw this.#cursor.error();
    return { kind: 'view', sql: template.sql };
  }

  #tables(full: boolean): Plan {
    this.#database();
    const heading = `Tables_in_${schemaName(this.#context)}`;
    const type = `, CASE type WHEN 'view' THEN 'VIEW' ELSE 'BASE TABLE' END AS "Table_type"`;
    if (this.#context.schema === 'oceanbase')
      return this.#view(
        `SELECT name AS ${quoteName('Tables_in_oceanbase')} FROM oceanbase.sqlite_schema ORDER BY name`,
        'Tables_in_oceanbase',
      );
    return enginePlan(
      sql`SELECT * FROM (SELECT name AS ${quoteName(heading)}${full ? type : ''} FROM ${visibleObjects} ORDER BY name)${this.#filter(heading)}`,
      this.#context,
    );
  }

  #fromTable(): string {
    this.#cursor.expectOne('from', 'in');
    const { name } = this.#cursor.qualifiedName();
    this.#database();
    return name;
  }

  #columns(full: boolean): Plan {
    const table = this.#fromTable();
    return showColumns(table, full, this.#shapeOf, this.#context, this.#filter('Field'));
  }

  #keys(): Plan {
    const shape = shapeOrThrow(this.#shapeOf, this.#fromTable());
    const columns =
      `table_name AS "Table", 1 - is_unique AS "Non_unique", key_name AS "Key_name", position AS "Seq_in_index", column_name AS "Column_name", ` +
      `CASE descending WHEN 1 THEN 'D' ELSE 'A' END AS "Collation", 0 AS "Cardinality", NULL AS "Sub_part", NULL AS "Packed", ` +
      `CASE is_primary WHEN 1 THEN '' ELSE 'YES' END AS "Null", 'BTREE' AS "Index_type", '' AS "Comment", '' AS "Index_comment", 'YES' AS "Visible", NULL AS "Expression"`;
    return enginePlan(
      sql`SELECT * FROM (SELECT ${columns} FROM ${keyRowsOf(shape.name)} ORDER BY is_primary DESC, key_name, position)${this.#filter('Key_name')}`,
      this.#context,
    );
  }

  #create(): Plan {
    const cursor = this.#cursor;
    const kind = cursor.expectOne('table', 'view', 'database', 'schema', 'tenant');
    if (kind === 'database' || kind === 'schema') {
      cursor.take('if', 'not', 'exists');
      const name = cursor.name();
      return answer(
        ['Database', 'Create Database'],
        [[name, `CREATE DATABASE ${'`'}${name}${'`'} DEFAULT CHARACTER SET = utf8mb4`]],
      );
    }
    const { name } = cursor.qualifiedName();
    cursor.expectEnd();
    if (kind === 'tenant') return answer(['Tenant', 'create tenant'], [[name, `CREATE TENANT ${name}`]]);
    const shape = shapeOrThrow(this.#shapeOf, name);
    const text = showCreateTable(shape);
    return shape.view
      ? answer(
          ['View', 'Create View', 'character_set_client', 'collation_connection'],
          [[shape.name, text, 'utf8mb4', 'utf8mb4_bin']],
        )
      : answer(['Table', 'Create Table'], [[shape.name, text]]);
  }

  #databases(): Plan {
    const names = [...new Set(['information_schema', 'oceanbase', schemaName(this.#context)])];
    return this.#known(
      ['Database'],
      names.map(name => [name]),
    );
  }

  #tableStatus(): Plan {
    this.#database();
    const columns =
      `name AS "Name", CASE type WHEN 'table' THEN 'InnoDB' END AS "Engine", 10 AS "Version", 'Dynamic' AS "Row_format", 0 AS "Rows", 0 AS "Avg_row_length", ` +
      `0 AS "Data_length", 0 AS "Max_data_length", 0 AS "Index_length", 0 AS "Data_free", NULL AS "Auto_increment", NULL AS "Create_time", NULL AS "Update_time", ` +
      `NULL AS "Check_time", 'utf8mb4_bin' AS "Collation", NULL AS "Checksum", '' AS "Create_options", CASE type WHEN 'view' THEN 'VIEW' ELSE '' END AS "Comment"`;
    return enginePlan(
      sql`SELECT * FROM (SELECT ${columns} FROM ${visibleObjects} ORDER BY name)${this.#filter('Name')}`,
      this.#context,
    );
  }

  #variables(global: boolean): Plan {
    const rows = [...systemVariables.keys()].map(name => {
      const value = systemValue(global ? `global.${name}` : name, this.#context);
      const isSwitch = switches.has(name) && (value === 0 || value === 1);
      return [name, isSwitch ? (value === 1 ? 'ON' : 'OFF') : String(value ?? '')];
    });
    return this.#known(['Variable_name', 'Value'], rows);
  }

  #status(): Plan {
    return this.#known(
      ['Variable_name', 'Value'],
      [
        ['Ssl_cipher', ''],
        ['Ssl_version', ''],
        ['Threads_connected', '1'],
        ['Uptime', '0'],
      ],
    );
  }

  #warnings(errorsOnly: boolean): Plan {
    const cursor = this.#cursor;
    if (cursor.take('limit')) {
      cursor.integer();
      if (cursor.takeSymbol(',')) cursor.integer();
    }
    cursor.expectEnd();
    return { kind: 'warnings', errorsOnly, countOnly: false };
  }

  #tenants(subject: 'tenant' | 'tenants'): Plan {
    const cursor = this.#cursor;
    if (subject === 'tenant' && cursor.take('status'))
      return this.#view('SELECT TENANT_NAME AS tenant_name, STATUS AS status FROM oceanbase.DBA_OB_TENANTS');
    if (subject === 'tenant' && cursor.done) return answer(['Current_tenant_name'], [[this.#context.tenant]]);
    return this.#view(
      'SELECT TENANT_ID, TENANT_NAME, TENANT_ROLE, SWITCHOVER_STATUS, STATUS, SYNC_SCN, READABLE_SCN FROM oceanbase.DBA_OB_TENANTS',
      'TENANT_NAME',
    );
  }

  #grants(): Plan {
    const cursor = this.#cursor;
    let name: string | null = null;
    if (cursor.take('for') && !cursor.take('current_user')) {
      name = cursor.nameOrString();
      if (cursor.peek()?.kind === 'user-variable') cursor.at++;
    }
    if (cursor.symbol() === '(') cursor.brackets();
    cursor.expectEnd();
    return { kind: 'user', statement: { kind: 'show-grants', name } };
  }

  /** Lists clients ask for that are short, or empty. */
  #small(subject: string): Plan {
    switch (subject) {
      case 'engines':
      case 'storage':
        if (subject === 'storage') this.#cursor.expect('engines');
        return this.#known(
          ['Engine', 'Support', 'Comment', 'Transactions', 'XA', 'Savepoints'],
          [['InnoDB', 'DEFAULT', 'SQLite pages replicated by clog', 'YES', 'NO', 'YES']],
        );
      case 'character':
      case 'charset':
        if (subject === 'character') this.#cursor.expect('set');
        return this.#known(
          ['Charset', 'Description', 'Default collation', 'Maxlen'],
          [['utf8mb4', 'UTF-8 Unicode', 'utf8mb4_bin', 4]],
        );
      case 'collation':
        return this.#known(
          ['Collation', 'Charset', 'Id', 'Default', 'Compiled', 'Sortlen'],
          [['utf8mb4_bin', 'utf8mb4', 46, 'Yes', 'Yes', 1]],
        );
      case 'privileges':
        return noRows(['Privilege', 'Context', 'Comment']);
      case 'plugins':
        return noRows(['Name', 'Status', 'Type', 'Library', 'License']);
      case 'triggers':
        this.#database();
        return this.#known(['Trigger', 'Event', 'Table', 'Statement', 'Timing', 'Created'], []);
      case 'events':
        this.#database();
        return this.#known(['Db', 'Name', 'Definer', 'Type', 'Status'], []);
      case 'procedure':
      case 'function':
        this.#cursor.expect('status');
        return this.#known(
          ['Db', 'Name', 'Type', 'Definer', 'Modified', 'Created', 'Security_type', 'Comment'],
          [],
        );
      case 'open':
        this.#cursor.expect('tables');
        this.#database();
        return this.#known(['Database', 'Table', 'In_use', 'Name_locked'], []);
      case 'recyclebin':
        return noRows(['OBJECT_NAME', 'ORIGINAL_NAME', 'TYPE', 'CREATETIME']);
      default:
        this.#cursor.at--;
        throw this.#cursor.error();
    }
  }
}

/** Variables that SHOW VARIABLES shows as ON and OFF. */
const switches = new Set([
  'autocommit',
  'big_tables',
  'explicit_defaults_for_timestamp',
  'foreign_key_checks',
  'innodb_strict_mode',
  'local_infile',
  'log_bin',
  'lower_case_file_system',
  'performance_schema',
  'profiling',
  'read_only',
  'recyclebin',
  'session_track_schema',
  'session_track_state_change',
  'show_old_temporals',
  'skip_networking',
  'sql_auto_is_null',
  'sql_big_selects',
  'sql_log_bin',
  'sql_notes',
  'sql_quote_show_create',
  'sql_require_primary_key',
  'sql_safe_updates',
  'sql_warnings',
  'super_read_only',
  'transaction_read_only',
  'tx_read_only',
  'unique_checks',
]);
