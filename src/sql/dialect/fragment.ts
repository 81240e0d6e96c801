/**
 * Pieces of SQLite text with their parameters in place. A rewrite may swap, repeat or drop operands; because each `?` travels
 * inside the piece it belongs to, the parameter list always comes out in the order of the finished text.
 */
import type { Cell } from '../../tenant/engine.ts';
import type { PlanParameter } from '../plan.ts';

/** What a session function stands for; resolved each time the statement runs. */
export type SessionValue =
  | { readonly kind: 'last-insert-id' | 'row-count' | 'found-rows' | 'connection-id' }
  /** `schema-name`: the tenant's own when the client chose none */
  | { readonly kind: 'schema' | 'schema-name' | 'user' }
  | { readonly kind: 'user-variable' | 'system-variable'; readonly name: string };

export type Piece =
  | string
  | { readonly kind: 'client'; readonly index: number }
  | { readonly kind: 'session'; readonly value: SessionValue };

export type Fragment = readonly Piece[];

export interface Template {
  readonly sql: string;
  readonly parameters: readonly Exclude<Piece, string>[];
}

/** Composes fragments: sql`substr(${text}, 1, ${length})`. Plain strings are SQL text, not values. */
export function sql(parts: TemplateStringsArray, ...values: readonly (string | Fragment)[]): Fragment {
  const pieces: Piece[] = [];
  parts.forEach((part, index) => {
    if (part !== '') pieces.push(part);
    const value = values[index];
    if (typeof value === 'string') pieces.push(value);
    else if (value !== undefined) pieces.push(...value);
  });
  return pieces;
}

/** Fragments with a text between them. */
export function joined(fragments: readonly Fragment[], between: string): Fragment {
  const pieces: Piece[] = [];
  fragments.forEach((fragment, index) => {
    if (index > 0) pieces.push(between);
    for (const piece of fragment) pieces.push(piece);
  });
  return pieces;
}

/** The finished text, `?` for each parameter, and what each of them is. */
export function finish(fragment: Fragment): Template {
  const parameters: Exclude<Piece, string>[] = [];
  let text = '';
  for (const piece of fragment) {
    if (typeof piece === 'string') {
      text += piece;
    } else {
      text += '?';
      parameters.push(piece);
    }
  }
  return { sql: text, parameters };
}

/** The text of a fragment without parameters; parameters show as `?`. For comparison and names only. */
export const textOf = (fragment: Fragment): string =>
  fragment.map(piece => (typeof piece === 'string' ? piece : '?')).join('');

/** A string as an SQLite literal. Text with NUL cannot stand in a statement, so it goes as bytes. */
export function quoteText(value: string): string {
  if (value.includes('\0')) return `CAST(${quoteBytes(Buffer.from(value, 'utf8'))} AS TEXT)`;
  return value.includes("'") ? `'${value.replaceAll("'", "''")}'` : `'${value}'`;
}

export const quoteBytes = (bytes: Uint8Array): string => `x'${Buffer.from(bytes).toString('hex')}'`;

/** A name as an SQLite identifier. */
export const quoteName = (name: string): string =>
  name.includes('"') ? `"${name.replaceAll('"', '""')}"` : `"${name}"`;

/** A value as SQLite text. */
export function quoteCell(value: Cell): string {
  if (value === null) return 'NULL';
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  return typeof value === 'string' ? quoteText(value) : quoteBytes(value);
}

/** Parameters of a template for one run. */
export function bindTemplate(
  template: Template,
  resolve: (value: SessionValue) => Cell,
): readonly PlanParameter[] {
  return template.parameters.map(parameter =>
    parameter.kind === 'client' ? parameter : { kind: 'value', value: resolve(parameter.value) },
  );
}

/** Without a blank at its start. */
export const trimmed = (fragment: Fragment): Fragment => (fragment[0] === ' ' ? fragment.slice(1) : fragment);
