/** What the session functions and variables of a statement are worth at the moment it runs. */
import { unreachable } from '../../base/assert.ts';
import { ObError } from '../../base/errors.ts';
import type { Cell } from '../../tenant/engine.ts';
import type { DialectContext } from '../plan.ts';
import type { SessionValue } from './fragment.ts';
import { splitVariable, systemVariables } from './variables.ts';

/** The value of `@@name`. Throws OBS_SQL_UNKNOWN_VARIABLE. */
export function systemValue(written: string, context: DialectContext): Cell {
  const { scope, name } = splitVariable(written);
  if (!systemVariables.has(name)) throw new ObError('OBS_SQL_UNKNOWN_VARIABLE', { name });
  const usual = systemVariables.get(name) ?? null;
  if (scope === 'global') return usual;
  if (name === 'last_insert_id' || name === 'identity') return context.lastInsertId;
  if (name === 'autocommit') return context.autocommit ? 1 : 0;
  if (name === 'timestamp') return Math.floor(context.wall / 1_000_000);
  const set = context.variable(name);
  if (set === undefined) return usual;
  return typeof usual === 'number' && typeof set === 'string' ? switchOr(set) : set;
}

/** `ON` and `OFF` are 1 and 0 where the variable is a number. */
function switchOr(text: string): Cell {
  const lower = text.toLowerCase();
  if (lower === 'on' || lower === 'true') return 1;
  return lower === 'off' || lower === 'false' ? 0 : text;
}

/** The name the tenant's tables have as their database for this session: the one the client chose, else the tenant's. */
export const schemaName = (context: DialectContext): string =>
  context.schema === null || context.schema === 'oceanbase' || context.schema === 'information_schema'
    ? context.tenant
    : context.schema;

export function sessionValue(value: SessionValue, context: DialectContext): Cell {
  switch (value.kind) {
    case 'last-insert-id':
      return context.lastInsertId;
    case 'row-count':
      return context.rowCount;
    case 'found-rows':
      return context.foundRows;
    case 'connection-id':
      return context.connectionId;
    case 'schema':
      return context.schema;
    case 'schema-name':
      return schemaName(context);
    case 'user':
      return context.user;
    case 'user-variable':
      return context.userVariable(value.name);
    case 'system-variable':
      return systemValue(value.name, context);
    default:
      return unreachable(value);
  }
}
