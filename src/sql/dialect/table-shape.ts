/**
 * What the dialect may know of a table, read from SQLite's own schema: columns, defaults, the generated id, indexes, triggers and
 * foreign keys. Read through an internal query; whoever keeps a shape must drop it after any DDL and after a role change.
 */
import { must } from '../../base/assert.ts';
import type { Cell } from '../../tenant/engine.ts';
import type { SchemaQuery, TableColumn, TableKey, TableShape } from '../plan.ts';
import { quoteName } from './fragment.ts';

const text = (cell: Cell | undefined): string => (typeof cell === 'string' ? cell : String(cell ?? ''));

/** The shape of a table or view; null when there is none of that name, or it is one of the hidden tables. */
export async function loadTableShape(query: SchemaQuery, name: string): Promise<TableShape | null> {
  if (/^(__obs_|sqlite_)/i.test(name)) return null;
  const found = await query(
    "SELECT name, type, sql FROM sqlite_schema WHERE lower(name) = lower(?) AND type IN ('table', 'view')",
    [name],
  );
  const row = found.rows[0];
  if (row === undefined) return null;
  const [storedName, type, createSql] = row;
  const autoIncrement = /\bAUTOINCREMENT\b/i.test(text(createSql));
  const [columns, keys, attached, foreign] = [
    await query(
      'SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo(?) ORDER BY cid',
      [name],
    ),
    await query(
      'SELECT l.name, l."unique", l.origin, i.name, i."desc" FROM pragma_index_list(?) AS l, pragma_index_xinfo(l.name) AS i WHERE i.key = 1 ORDER BY l.seq DESC, i.seqno',
      [name],
    ),
    await query(
      "SELECT type, name, sql FROM sqlite_schema WHERE lower(tbl_name) = lower(?) AND type IN ('index', 'trigger') AND sql IS NOT NULL",
      [name],
    ),
    await query(
      'SELECT id, "table", "from", "to", on_update, on_delete FROM pragma_foreign_key_list(?) ORDER BY id, seq',
      [name],
    ),
  ];
  return {
    name: text(storedName),
    view: type === 'view',
    sql: text(createSql),
    columns: columns.rows.map(column => tableColumn(column, autoIncrement)),
    primaryKey: columns.rows
      .filter(column => Number(column[4]) > 0)
      .sort((a, b) => Number(a[4]) - Number(b[4]))
      .map(column => text(column[0])),
    keys: tableKeys(text(storedName), keys.rows),
    attached: attached.rows.map(([kind, attachedName, sql]) => ({
      kind: kind === 'trigger' ? 'trigger' : 'index',
      name: text(attachedName),
      sql: text(sql),
    })),
    foreignKeys: foreignKeys(foreign.rows),
  };
}

function tableColumn(row: readonly Cell[], autoIncrement: boolean): TableColumn {
  const [name, type, notNull, defaultSql, primary, hidden] = row;
  return {
    name: text(name),
    declaredType: text(type),
    notNull: Number(notNull) !== 0,
    defaultSql: defaultSql === null || defaultSql === undefined ? null : text(defaultSql),
    autoIncrement: autoIncrement && Number(primary) === 1,
    generated: Number(hidden) >= 2,
  };
}

/** MySQL's name of an index: what stands behind the table's name it was made under. */
function keyNameOf(table: string, index: string): string {
  if (index.toLowerCase().startsWith(`${table.toLowerCase()}$`)) return index.slice(table.length + 1);
  const dollar = index.lastIndexOf('$');
  return dollar < 0 ? index : index.slice(dollar + 1);
}

function tableKeys(table: string, rows: readonly (readonly Cell[])[]): TableKey[] {
  const keys = new Map<
    string,
    { unique: boolean; primary: boolean; columns: { name: string | null; descending: boolean }[] }
  >();
  for (const [index, unique, origin, column, descending] of rows) {
    const name = text(index);
    const key = keys.get(name) ?? { unique: Number(unique) !== 0, primary: origin === 'pk', columns: [] };
    key.columns.push({
      name: column === null || column === undefined ? null : text(column),
      descending: Number(descending) !== 0,
    });
    keys.set(name, key);
  }
  return [...keys].map(([index, key]) => ({
    index,
    name: key.primary ? 'PRIMARY' : uniqueConstraintName(table, index, key.columns[0]?.name ?? null),
    unique: key.unique,
    columns: key.columns,
  }));
}

/** `sqlite_autoindex_…` belongs to an inline UNIQUE, which MySQL calls as its column. */
const uniqueConstraintName = (table: string, index: string, firstColumn: string | null): string =>
  index.startsWith('sqlite_autoindex_') ? (firstColumn ?? index) : keyNameOf(table, index);

function foreignKeys(rows: readonly (readonly Cell[])[]): TableShape['foreignKeys'] {
  const keys = new Map<
    number,
    { table: string; from: string[]; to: string[]; onUpdate: string; onDelete: string }
  >();
  for (const [id, table, from, to, onUpdate, onDelete] of rows) {
    const number = Number(id);
    if (!keys.has(number))
      keys.set(number, {
        table: text(table),
        from: [],
        to: [],
        onUpdate: text(onUpdate),
        onDelete: text(onDelete),
      });
    const key = must(keys.get(number), 'the foreign key');
    key.from.push(text(from));
    if (to !== null && to !== undefined) key.to.push(text(to));
  }
  return [...keys.values()];
}

/** SQLite's index of a key of the table; undefined when it has none of that name. */
export const findKey = (shape: TableShape, name: string): TableKey | undefined =>
  shape.keys.find(key => key.name.toLowerCase() === name.toLowerCase());

/**
 * The statements that rename a table. Its indexes and the ON UPDATE trigger take the new name with them, so that the old
 * name is free again: swapping two tables by renaming is an everyday migration.
 */
export function renameTable(shape: TableShape, newName: string): readonly string[] {
  const prefix = `${shape.name}$`;
  const moved = shape.attached.filter(item => item.name.startsWith(prefix));
  const oldQuoted = quoteName(shape.name);
  const newQuoted = quoteName(newName);
  return [
    ...moved.map(item => `DROP ${item.kind === 'index' ? 'INDEX' : 'TRIGGER'} ${quoteName(item.name)}`),
    `ALTER TABLE ${oldQuoted} RENAME TO ${newQuoted}`,
    ...moved.map(item =>
      item.sql
        .replace(quoteName(item.name), quoteName(newName + item.name.slice(shape.name.length)))
        .replaceAll(` ON ${oldQuoted} `, ` ON ${newQuoted} `)
        .replaceAll(` UPDATE ${oldQuoted} SET `, ` UPDATE ${newQuoted} SET `),
    ),
  ];
}
