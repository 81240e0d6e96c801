/**
 * The door of the dialect: MySQL text in, plans out. A statement that is plain in both dialects passes untouched after one look
 * (`isPlain`); any other is read once and its template kept by text. Never throws for what a client may send.
 *
 * It must never let a literal reach SQLite with another value than MySQL would have read, and never answers for a table it has not seen.
 */
import { ObError } from '../../base/errors.ts';
import { dialectStatementsMax, dialectTemplateTextMax, dialectTemplatesMax } from '../../base/limits.ts';
import type { AdminStatement } from '../admin/statement.ts';
import { parseAdminStatement } from '../admin/grammar.ts';
import type { Dialect, DialectContext, LexicalMode, Plan, StatementClass, TableShape } from '../plan.ts';
import { mentionedViews } from '../views/view-names.ts';
import { rewriteDdl } from './ddl.ts';
import { bindTemplate, finish, type Fragment, type Template, trimmed } from './fragment.ts';
import { rewriteInsert, type ShapeLookup, TableNeeded } from './insert.ts';
import { lex } from './lexer.ts';
import { isPlain } from './plain-statement.ts';
import { Rewriter } from './rewriter.ts';
import { sessionValue } from './session-values.ts';
import { planSet } from './set-statement.ts';
import { planShow } from './show.ts';
import { StatementText } from './statement-text.ts';
import { planTransaction } from './transactions.ts';
import { rewriteDelete, rewriteUpdate } from './update-delete.ts';
import { parseUserStatement } from './user-grammar.ts';

/** A translated data statement, without the values of one session. */
interface KeptTemplate {
  readonly template: Template;
  readonly class: StatementClass;
  readonly view: boolean;
  readonly locking: boolean;
  readonly weak: boolean;
  /** the shapes it was translated with; a template is used only while they are the ones of the session */
  readonly shapes: readonly (readonly [string, TableShape | null])[];
  /** made already, when nothing of it depends on the session */
  readonly plans: readonly Plan[] | null;
  /** of the session it was translated for */
  readonly mode: string;
  /** asked for since it was last passed over for removal */
  used: boolean;
}

const plainClasses: Readonly<Record<string, StatementClass>> = {
  s: 'select',
  u: 'update',
  d: 'delete',
};

/** One dialect serves all sessions of a process: its templates depend on text and lexical mode alone. */
export class MysqlDialect implements Dialect {
  /** by text; oldest first */
  readonly #templates = new Map<string, KeptTemplate>();

  /** Throws OBS_SQL_TOO_MANY_STATEMENTS. Text that cannot be read stays in one piece, for `translate` to refuse. */
  splitStatements(text: string, mode: LexicalMode): readonly string[] {
    if (!text.includes(';')) return [text];
    const { tokens, semicolons } = lex(text, mode);
    const parts: string[] = [];
    let from = 0;
    let tokenFrom = 0;
    for (const at of semicolons) {
      const token = tokens[at];
      if (token === undefined) break;
      if (at > tokenFrom) parts.push(text.slice(from, token.start));
      from = token.end;
      tokenFrom = at + 1;
      if (parts.length > dialectStatementsMax)
        throw new ObError('OBS_SQL_TOO_MANY_STATEMENTS', { max: dialectStatementsMax });
    }
    const rest = text.slice(from);
    if (rest.trim() !== '' || parts.length === 0) parts.push(rest);
    return parts;
  }

  /** 0 for text that cannot be read: `translate` says why. */
  countParameters(text: string, mode: LexicalMode): number {
    if (!text.includes('?')) return 0;
    return lex(text, mode).tokens.filter(token => token.kind === 'parameter').length;
  }

  translate(text: string, context: DialectContext): readonly Plan[] {
    try {
      return this.#translate(text, context);
    } catch (error) {
      if (error instanceof TableNeeded) return [{ kind: 'tables', names: [error.table] }];
      if (error instanceof ObError) return [{ kind: 'error', error }];
      throw error;
    }
  }

  #translate(text: string, context: DialectContext): readonly Plan[] {
    if (
      !context.textIsBytes &&
      context.schema !== 'oceanbase' &&
      context.schema !== 'information_schema' &&
      isPlain(text)
    ) {
      const kind = plainClasses[text.charAt(0).toLowerCase()] ?? 'select';
      return [{ kind: 'engine', class: kind, sql: text, stable: true }];
    }
    const mode = modeOf(context);
    const kept = this.#templates.get(text);
    if (kept?.mode === mode && kept.shapes.every(([name, shape]) => context.table(name) === shape)) {
      kept.used = true;
      return plansOf(kept, context);
    }
    const statement = new StatementText(text, context);
    if (statement.tokens.length === 0) return [{ kind: 'ok' }];
    const used = new Map<string, TableShape | null>();
    const shapeOf: ShapeLookup = name => {
      const shape = context.table(name);
      if (shape !== undefined) used.set(name, shape);
      return shape;
    };
    const made = dataTemplate(statement, shapeOf, context);
    if (made === null) return planOther(statement, shapeOf, context);
    const template = finish(made.fragment);
    const { weak } = statement;
    const entry: KeptTemplate = {
      ...made,
      weak,
      template,
      shapes: [...used],
      plans: null,
      mode,
      used: false,
    };
    const fixed = template.parameters.every(parameter => parameter.kind === 'client');
    const finished = fixed ? { ...entry, plans: plansOf(entry, context) } : entry;
    if (mayComeAgain(statement)) this.#keep(text, finished);
    return plansOf(finished, context);
  }

  /** Most texts come once, so a template stays only if it was asked for again before its turn to go. */
  #keep(text: string, kept: KeptTemplate): void {
    if (text.length > dialectTemplateTextMax) return;
    this.#templates.delete(text);
    this.#templates.set(text, kept);
    if (this.#templates.size <= dialectTemplatesMax) return;
    for (const [oldest, candidate] of this.#templates) {
      this.#templates.delete(oldest);
      if (!candidate.used) return;
      candidate.used = false;
      this.#templates.set(oldest, candidate);
    }
  }
}

/** Text with values written into it seldom comes twice. */
function mayComeAgain(statement: StatementText): boolean {
  if (statement.parameterCount > 0) return true;
  let values = 0;
  for (const { kind } of statement.tokens)
    if (kind === 'string' || kind === 'number' || kind === 'blob') values++;
  return values <= 2;
}

/** What besides its text decides how a statement is read. */
function modeOf(context: DialectContext): string {
  const lexical =
    (context.noBackslashEscapes ? 1 : 0) + (context.ansiQuotes ? 2 : 0) + (context.textIsBytes ? 4 : 0);
  const { schema } = context;
  return schema === 'oceanbase' || schema === 'information_schema'
    ? `${lexical}${schema}`
    : (modeNames[lexical] ?? '');
}

const modeNames: readonly string[] = Array.from({ length: 8 }, (_, lexical) => String(lexical));

function plansOf(kept: KeptTemplate, context: DialectContext): readonly Plan[] {
  if (kept.plans !== null) return kept.plans;
  const { sql } = kept.template;
  const onlyClient = kept.template.parameters.every(
    (parameter, index) => parameter.kind === 'client' && parameter.index === index,
  );
  const parameters = onlyClient
    ? {}
    : { parameters: bindTemplate(kept.template, value => sessionValue(value, context)) };
  if (kept.view) return [{ kind: 'view', sql, ...parameters }];
  const independent =
    kept.shapes.length === 0 && kept.template.parameters.every(parameter => parameter.kind === 'client');
  return [
    {
      kind: 'engine',
      class: kept.class,
      sql,
      ...parameters,
      ...(kept.locking ? { locking: true } : {}),
      ...(kept.weak ? { weak: true } : {}),
      ...(independent ? { stable: true } : {}),
    },
  ];
}

interface DataStatement {
  readonly fragment: Fragment;
  readonly class: StatementClass;
  readonly view: boolean;
  readonly locking: boolean;
}

/** SELECT, INSERT, UPDATE, DELETE and their kin; null for every other statement. */
function dataTemplate(
  statement: StatementText,
  shapeOf: ShapeLookup,
  context: DialectContext,
): DataStatement | null {
  const written = (kind: StatementClass, fragment: Fragment): DataStatement => ({
    fragment,
    class: kind,
    view: false,
    locking: false,
  });
  const first = statement.word(0) === '' && statement.symbol(0) === '(' ? 'select' : statement.word(0);
  switch (first) {
    case 'insert':
    case 'replace':
      return written('insert', rewriteInsert(statement, shapeOf));
    case 'update':
      return written('update', rewriteUpdate(statement, shapeOf));
    case 'delete':
      return written('delete', rewriteDelete(statement));
    case 'select':
    case 'values':
    case 'with': {
      if (statement.word(1) === 'sql_calc_found_rows')
        throw new ObError('OBS_SQL_NOT_SUPPORTED', { what: 'SQL_CALC_FOUND_ROWS' });
      const rewriter = new Rewriter(statement);
      const views = mentionedViews(statement, context.schema);
      const fragment = trimmed(rewriter.rangeWithViews(views));
      const verb = first === 'with' ? withVerb(statement) : 'select';
      return { fragment, class: verb, view: views.kind === 'oceanbase', locking: rewriter.notes.locking };
    }
    default:
      return null;
  }
}

/** What a WITH statement does in the end. */
function withVerb(statement: StatementText): StatementClass {
  const at = statement.find(
    0,
    statement.tokens.length,
    new Set(['select', 'insert', 'update', 'delete', 'replace']),
  );
  const word = statement.word(at);
  if (word === 'insert' || word === 'replace') return 'insert';
  return word === 'update' || word === 'delete' ? word : 'select';
}

const adminPlan = (statement: AdminStatement): readonly Plan[] => [{ kind: 'admin', statement }];

function planOther(statement: StatementText, shapeOf: ShapeLookup, context: DialectContext): readonly Plan[] {
  const transaction = planTransaction(statement);
  if (transaction !== null) return transaction;
  if (statement.word(0) === 'set') return [planSet(statement, context)];
  const user = parseUserStatement(statement);
  if (user !== null) return [{ kind: 'user', statement: user }];
  const admin = parseAdminStatement(statement, context.sys);
  if (admin !== null) return adminPlan(admin);
  const show = planShow(statement, shapeOf, context);
  if (show !== null) return show;
  const ddl = rewriteDdl(statement, shapeOf);
  if (ddl === null) throw refused(statement);
  if (ddl.length === 0) return [{ kind: 'ok' }];
  return ddl.map(sql => ({ kind: 'engine', class: 'ddl', sql }));
}

const refusedVerbs: Readonly<Record<string, string>> = {
  call: 'CALL',
  load: 'LOAD DATA',
  handler: 'HANDLER',
  prepare: 'PREPARE as text',
  execute: 'EXECUTE as text',
  deallocate: 'DEALLOCATE as text',
  create: 'this CREATE',
  drop: 'this DROP',
  alter: 'this ALTER',
  install: 'INSTALL',
  uninstall: 'UNINSTALL',
  xa: 'XA',
  attach: 'ATTACH',
  detach: 'DETACH',
  pragma: 'PRAGMA',
  vacuum: 'VACUUM',
};

function refused(statement: StatementText): ObError {
  const what = refusedVerbs[statement.word(0)];
  if (what === undefined || !Object.hasOwn(refusedVerbs, statement.word(0))) return statement.errorAt(0);
  return new ObError('OBS_SQL_NOT_SUPPORTED', { what });
}
