/**
 * What one client statement means: the contract between the dialect (which reads MySQL text) and the session (which
 * runs plans against the tenant's engine and answers). Data only; neither side imports more of the other than this.
 *
 * The dialect never touches the engine: what it must know about tables it asks for with a `tables` plan.
 */
import type { ObError } from '../base/errors.ts';
import type { WallMicros } from '../base/scalars.ts';
import type { ServerOperations } from '../cluster/cluster-operations.ts';
import type { Cell, Column } from '../tenant/engine.ts';
import type { AdminStatement } from './admin/statement.ts';

/** Which privilege a statement needs, and how the session treats it. */
export type StatementClass =
  | 'select'
  | 'insert'
  | 'update'
  | 'delete'
  /** commits the open transaction first, as MySQL does */
  | 'ddl'
  /** SAVEPOINT, RELEASE, ROLLBACK TO: answered OK without effect outside a transaction */
  | 'savepoint'
  /** SHOW, EXPLAIN and the like over the tenant's own schema: any logged-in user */
  | 'show';

/** Where a parameter of the SQLite statement comes from. */
export type PlanParameter =
  /** the client's n-th `?`, from 0 */
  { readonly kind: 'client'; readonly index: number } | { readonly kind: 'value'; readonly value: Cell };

export interface EnginePlan {
  readonly kind: 'engine';
  readonly class: StatementClass;
  /** one statement in SQLite's dialect */
  readonly sql: string;
  /** one for each `?` of `sql`, in order; absent: the client's parameters as they come */
  readonly parameters?: readonly PlanParameter[];
  /** takes the tenant's writer although it only reads (SELECT … FOR UPDATE with autocommit off) */
  readonly locking?: boolean;
  /** depends on text and sql_mode alone: the session may keep it with a prepared statement */
  readonly stable?: boolean;
  /** asked for with READ_CONSISTENCY(WEAK): what it reads may be a little old */
  readonly weak?: boolean;
}

export interface Assignment {
  /** `transaction`: for the next one alone */
  readonly scope: 'session' | 'global' | 'user' | 'transaction';
  /** lower case, without `@` */
  readonly name: string;
  readonly value: Cell;
}

export type Privilege =
  | 'ALL'
  | 'SELECT'
  | 'INSERT'
  | 'UPDATE'
  | 'DELETE'
  | 'DDL'
  | 'SUPER'
  | 'REPLICATION SLAVE'
  | 'CREATE USER';

/** CREATE, ALTER and SET PASSWORD carry clear text: it is hashed at once and never stored, logged or echoed. */
export type UserStatement =
  | {
      readonly kind: 'create';
      readonly users: readonly {
        readonly name: string;
        readonly password: string;
        readonly locked: boolean;
      }[];
      readonly ifNotExists: boolean;
    }
  | {
      readonly kind: 'alter';
      /** `name` null: the current user; absent fields stay as they are */
      readonly users: readonly {
        readonly name: string | null;
        readonly password?: string;
        readonly locked?: boolean;
      }[];
      readonly ifExists: boolean;
    }
  | { readonly kind: 'drop'; readonly names: readonly string[]; readonly ifExists: boolean }
  | {
      readonly kind: 'grant' | 'revoke';
      readonly privileges: readonly Privilege[];
      readonly names: readonly string[];
    }
  /** `name` null: the current user */
  | { readonly kind: 'show-grants'; readonly name: string | null };

/** Rows with their columns; types are widened by the values. */
export interface RowsAnswer {
  readonly kind: 'rows';
  readonly columns: readonly Column[];
  readonly rows: readonly (readonly Cell[])[];
}

export interface OkAnswer {
  readonly kind: 'ok';
  readonly info?: string;
  readonly changes?: number;
}

/** What a statement that is not the engine's answers with. */
export type PlanAnswer = RowsAnswer | OkAnswer;

export type Plan =
  | EnginePlan
  | { readonly kind: 'begin'; readonly readOnly: boolean }
  /** `chain`: begin again at once */
  | { readonly kind: 'commit' | 'rollback'; readonly chain?: boolean }
  | { readonly kind: 'set'; readonly assignments: readonly Assignment[] }
  | { readonly kind: 'use'; readonly schema: string }
  | RowsAnswer
  | OkAnswer
  /** a SELECT over virtual views (oceanbase.*, information_schema.*): `runView` answers it */
  | { readonly kind: 'view'; readonly sql: string; readonly parameters?: readonly PlanParameter[] }
  | { readonly kind: 'admin'; readonly statement: AdminStatement }
  | { readonly kind: 'user'; readonly statement: UserStatement }
  /** SHOW WARNINGS, SHOW ERRORS: the session's own */
  | { readonly kind: 'warnings'; readonly errorsOnly: boolean; readonly countOnly: boolean }
  /** KILL [CONNECTION | QUERY] n */
  | { readonly kind: 'kill'; readonly connectionId: number; readonly query: boolean }
  /** the dialect must see these tables: the session loads them and translates the same text again */
  | { readonly kind: 'tables'; readonly names: readonly string[] }
  | { readonly kind: 'error'; readonly error: ObError };

export interface TableColumn {
  readonly name: string;
  readonly declaredType: string;
  readonly notNull: boolean;
  /** SQL text of the default, or null */
  readonly defaultSql: string | null;
  readonly autoIncrement: boolean;
  /** GENERATED ALWAYS AS */
  readonly generated: boolean;
}

export interface TableKey {
  /** SQLite's name of the index */
  readonly index: string;
  /** MySQL's name of the key */
  readonly name: string;
  readonly unique: boolean;
  /** `name` null: an expression */
  readonly columns: readonly { readonly name: string | null; readonly descending: boolean }[];
}

/** A table or view as its schema describes it. The session may keep it until the next DDL or role change. */
export interface TableShape {
  readonly name: string;
  readonly view: boolean;
  /** the CREATE text SQLite keeps */
  readonly sql: string;
  readonly columns: readonly TableColumn[];
  readonly primaryKey: readonly string[];
  readonly keys: readonly TableKey[];
  /** indexes and triggers that belong to it */
  readonly attached: readonly {
    readonly kind: 'index' | 'trigger';
    readonly name: string;
    readonly sql: string;
  }[];
  readonly foreignKeys: readonly {
    readonly table: string;
    readonly from: readonly string[];
    readonly to: readonly string[];
    readonly onUpdate: string;
    readonly onDelete: string;
  }[];
}

/** Reads the tenant's schema for the dialect and the views: an internal, read-only engine call. */
export type SchemaQuery = (sql: string, parameters?: readonly Cell[]) => Promise<RowsAnswer>;

/** What the dialect may know about the session it translates for. */
export interface DialectContext {
  readonly tenant: string;
  /** the sys tenant, which may name other tenants */
  readonly sys: boolean;
  /** the database the client chose, or null */
  readonly schema: string | null;
  /** `name@host` as USER() shows it */
  readonly user: string;
  readonly connectionId: number;
  /** NO_BACKSLASH_ESCAPES in sql_mode */
  readonly noBackslashEscapes: boolean;
  /** ANSI_QUOTES in sql_mode: "x" is an identifier */
  readonly ansiQuotes: boolean;
  /**
   * The client's bytes were not UTF-8: each character of the text is one byte. Literals and names must be read back
   * as UTF-8, and as blobs where they are not.
   */
  readonly textIsBytes: boolean;
  readonly autocommit: boolean;
  readonly inTransaction: boolean;
  readonly lastInsertId: number | bigint;
  readonly rowCount: number;
  readonly foundRows: number;
  readonly wall: WallMicros;
  /** a session variable the client has set (lower case name); undefined: the default holds */
  variable(name: string): Cell | undefined;
  /** an `@name` variable; null when never set */
  userVariable(name: string): Cell;
  /** undefined: not loaded (answer with a `tables` plan); null: no such table */
  table(name: string): TableShape | null | undefined;
}

/**
 * The dialect's entry points, as the session gets them (`dialect/translate.ts` exports functions of these shapes):
 *
 * - `splitStatements(text, mode)`: the statements of a multi-statement text, without their semicolons; bounded.
 * - `countParameters(text, mode)`: `?` outside literals and comments, of one statement.
 * - `translate(text, context)`: one statement. Several plans run in order as one unit (one write transaction when more
 *   than one is an engine plan) and the last one's answer is the statement's. Never throws for what a client may send:
 *   errors are plans. An empty statement (comments only) is `[{ kind: 'ok' }]`.
 */
export interface Dialect {
  splitStatements(text: string, mode: LexicalMode): readonly string[];
  countParameters(text: string, mode: LexicalMode): number;
  translate(text: string, context: DialectContext): readonly Plan[];
}

export type LexicalMode = Pick<DialectContext, 'noBackslashEscapes' | 'ansiQuotes' | 'textIsBytes'>;

/** One connection as SHOW PROCESSLIST and GV$OB_PROCESSLIST show it. */
export interface SessionRow {
  readonly connectionId: number;
  readonly user: string;
  readonly tenant: string;
  readonly host: string;
  readonly schema: string | null;
  readonly command: string;
  readonly seconds: number;
  readonly inTransaction: boolean;
}

/** What `runView` may see. A user tenant's session sees its own tenant only. */
export interface ViewContext {
  readonly tenant: string;
  readonly sys: boolean;
  readonly schema: string | null;
  readonly operations: ServerOperations;
  readonly rowsMax: number;
  /** the tenant's own schema, for information_schema */
  readonly query: SchemaQuery;
  readonly dialect: DialectContext;
  sessions(): readonly SessionRow[];
}

/** What `executeAdmin` may see; privileges were checked before. */
export interface AdminContext {
  readonly tenant: string;
  readonly sys: boolean;
  readonly operations: ServerOperations;
}

/**
 * What the front-end needs of the dialect, the views and the admin statements. `sql/statement-services.ts` is the real
 * set; tests may pass a smaller one.
 */
export interface StatementServices {
  readonly dialect: Dialect;
  runView(sql: string, parameters: readonly Cell[], context: ViewContext): Promise<RowsAnswer>;
  executeAdmin(statement: AdminStatement, context: AdminContext): Promise<PlanAnswer>;
  /** null: there is no such table */
  loadTableShape(query: SchemaQuery, name: string): Promise<TableShape | null>;
}
