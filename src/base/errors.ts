/**
 * The one error class. Every failure that a user, an operator or a caller can meet has a row in the catalogue
 * (`catalogue/`, one file an area), which says what kind it is, what happened and what to do next.
 *
 * Errors are thrown in drivers and returned as values in pure cores. They carry no secrets.
 */
import { AssertionError } from './assert.ts';
import { catalogue, type ErrorCode } from './catalogue.ts';

/** How a caller reacts. */
export type ErrorKind =
  /** the caller's mistake in an argument, a config, or the state a command needs: report */
  | 'invalid'
  /** somebody else leads: go there */
  | 'not-leader'
  /** timeout, overload, no quorum, peer down: retry later */
  | 'unavailable'
  /** it may or may not have happened: ask again by token, never assume */
  | 'unknown'
  /** a newer epoch exists: stop this actor, never retry */
  | 'fenced'
  /** histories forked: an operator decides */
  | 'diverged'
  /** checksum or format: quarantine and repair */
  | 'corrupt'
  /** a write or flush failed: the process ends */
  | 'disk'
  /** broken invariant: the process ends */
  | 'bug';

/** One row of the catalogue. `message` and `hint` may name details as `{name}`. */
export interface CatalogueRow {
  readonly kind: ErrorKind;
  /** what happened, with `{details}` */
  readonly message: string;
  /** what to do next, as an instruction to the person at the keyboard */
  readonly hint: string;
  /** MySQL or OceanBase number and SQLSTATE, where clients know one */
  readonly mysql?: { readonly number: number; readonly sqlState: string };
}

export type ErrorDetails = Readonly<Record<string, string | number | boolean | null | undefined>>;

export class ObError extends Error {
  override readonly name = 'ObError';
  readonly code: ErrorCode;
  readonly kind: ErrorKind;
  readonly hint: string;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, details: ErrorDetails = {}, cause?: unknown) {
    const row: CatalogueRow = catalogue[code];
    super(fill(row.message, details), cause === undefined ? undefined : { cause });
    this.code = code;
    this.kind = row.kind;
    this.hint = fill(row.hint, details);
    this.details = details;
  }

  get mysql(): CatalogueRow['mysql'] {
    return (catalogue[this.code] as CatalogueRow).mysql;
  }

  /** The form that crosses a thread, a wire or `--json`. */
  toJSON(): { code: ErrorCode; kind: ErrorKind; message: string; hint: string; details: ErrorDetails } {
    return {
      code: this.code,
      kind: this.kind,
      message: this.message,
      hint: this.hint,
      details: this.details,
    };
  }
}

/** True for an `ObError`, of the given code if one is named. */
export const isObError = (error: unknown, code?: ErrorCode): error is ObError =>
  error instanceof ObError && (code === undefined || error.code === code);

/** A failed disk, a bug or a broken invariant of this process: nobody may be spared from it, the process ends. */
export const isFatal = (error: unknown): boolean =>
  error instanceof AssertionError || (isObError(error) && (error.kind === 'disk' || error.kind === 'bug'));

/**
 * A failure with a name, over which no process ends: it is told, or met by another try. An error that is none of the catalogue's is
 * neither this nor fatal; whoever may not go on after what nobody foresaw asks this way.
 */
export const isSurvivable = (error: unknown): error is ObError =>
  isObError(error) && error.kind !== 'disk' && error.kind !== 'bug';

/** Rebuilds an error that crossed a thread or a wire. Unknown codes (a newer peer) become `OBS_PEER_ERROR`. */
export function reviveError(json: { code: string; message: string; details?: ErrorDetails }): ObError {
  if (Object.hasOwn(catalogue, json.code)) return new ObError(json.code as ErrorCode, json.details ?? {});
  return new ObError('OBS_PEER_ERROR', { code: json.code, message: json.message });
}

const fill = (template: string, details: ErrorDetails): string =>
  template.replaceAll(/\{(\w+)\}/g, (_, name: string) => String(details[name] ?? '?'));
