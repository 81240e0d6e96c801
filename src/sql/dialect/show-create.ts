/** SHOW CREATE TABLE: MySQL text that makes the table again, here or there. Types are the declared ones. */
import { stampedColumns, stampName } from './create-table.ts';
import type { TableColumn, TableKey, TableShape } from '../plan.ts';

const name = (text: string): string => `\`${text.replaceAll('`', '``')}\``;

function columnType(column: TableColumn): string {
  if (column.autoIncrement) return 'bigint';
  const type = column.declaredType.toLowerCase();
  if (type === 'integer') return 'int';
  if (type === 'json text') return 'json';
  if (type === '') return 'longtext';
  return type === 'text' ? 'longtext' : type === 'blob' ? 'longblob' : type;
}

function columnLine(column: TableColumn, primary: boolean, stamped: boolean): string {
  const parts = [name(column.name), columnType(column)];
  if (column.notNull || primary) parts.push('NOT NULL');
  if (column.autoIncrement) parts.push('AUTO_INCREMENT');
  else if (column.defaultSql !== null) parts.push(`DEFAULT ${mysqlDefault(column.defaultSql)}`);
  else if (!column.notNull && !primary && !column.generated) parts.push('DEFAULT NULL');
  if (stamped) parts.push('ON UPDATE CURRENT_TIMESTAMP');
  return `  ${parts.join(' ')}`;
}

/** An SQLite default in MySQL's spelling: literals and CURRENT_TIMESTAMP stay, expressions stand in brackets. */
function mysqlDefault(text: string): string {
  if (text.startsWith("'")) return text.replaceAll('\\', '\\\\');
  return /^(-?[\d.]+|null|current_timestamp)$/i.test(text)
    ? text.toUpperCase()
    : `(${text.replace(/^\(([^]*)\)$/, '$1')})`;
}

const keyColumns = (key: TableKey): string =>
  key.columns
    .map(column => `${name(column.name ?? 'expression')}${column.descending ? ' DESC' : ''}`)
    .join(',');

/** The text of CREATE TABLE or CREATE VIEW. */
export function showCreateTable(shape: TableShape): string {
  if (shape.view) return shape.sql.replaceAll('"', '`');
  const primary = new Set(shape.primaryKey.map(column => column.toLowerCase()));
  const stamp = shape.attached.find(item => item.kind === 'trigger' && item.name === stampName(shape.name));
  const stamped = new Set(stamp === undefined ? [] : stampedColumns(stamp.sql));
  const lines = shape.columns.map(column =>
    columnLine(column, primary.has(column.name.toLowerCase()), stamped.has(column.name)),
  );
  if (shape.primaryKey.length > 0) lines.push(`  PRIMARY KEY (${shape.primaryKey.map(name).join(',')})`);
  for (const key of shape.keys)
    if (key.name !== 'PRIMARY')
      lines.push(`  ${key.unique ? 'UNIQUE ' : ''}KEY ${name(key.name)} (${keyColumns(key)})`);
  shape.foreignKeys.forEach((key, index) => {
    const to = key.to.length === 0 ? '' : ` (${key.to.map(name).join(', ')})`;
    const onDelete = key.onDelete === 'NO ACTION' ? '' : ` ON DELETE ${key.onDelete}`;
    const onUpdate = key.onUpdate === 'NO ACTION' ? '' : ` ON UPDATE ${key.onUpdate}`;
    lines.push(
      `  CONSTRAINT ${name(`${shape.name}_ibfk_${index + 1}`)} FOREIGN KEY (${key.from.map(name).join(', ')}) REFERENCES ${name(key.table)}${to}${onDelete}${onUpdate}`,
    );
  });
  return `CREATE TABLE ${name(shape.name)} (\n${lines.join(',\n')}\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin`;
}
