/** What the view engine and its thread say to each other. */
import type { ObError } from '../../base/errors.ts';
import type { Cell, Column } from '../../tenant/engine.ts';

export interface ViewRequest {
  readonly id: number;
  /** one query in SQLite's dialect */
  readonly sql: string;
  readonly parameters: readonly Cell[];
  /** rows of the views it names, by lower-case name */
  readonly tables: readonly { readonly name: string; readonly rows: readonly (readonly Cell[])[] }[];
  readonly rowsMax: number;
}

export type ViewReply =
  | {
      readonly id: number;
      readonly kind: 'rows';
      readonly columns: readonly Column[];
      readonly rows: readonly (readonly Cell[])[];
    }
  | { readonly id: number; readonly kind: 'error'; readonly error: ReturnType<ObError['toJSON']> };
