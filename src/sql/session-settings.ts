/**
 * What a client has set: session variables with an effect (autocommit, sql_mode, foreign_key_checks, ob_read_consistency,
 * transaction_isolation, wait_timeout), those that are only remembered, and `@user` variables. Pure; the session acts on
 * the changes this reports.
 */
import { ObError } from '../base/errors.ts';
import { sessionVariablesMax } from '../base/limits.ts';
import type { Cell } from '../tenant/engine.ts';
import type { Assignment } from './plan.ts';

/** What the session must do because of an assignment. */
type SettingChange =
  | { readonly kind: 'autocommit'; readonly on: boolean }
  | { readonly kind: 'foreign-keys'; readonly on: boolean }
  | { readonly kind: 'idle-limit'; readonly seconds: number }
  | { readonly kind: 'none' };

const switchValues: ReadonlyMap<string, boolean> = new Map([
  ['1', true],
  ['on', true],
  ['true', true],
  ['0', false],
  ['off', false],
  ['false', false],
]);

const waitTimeoutSecondsMax = 31_536_000;

export class SessionSettings {
  readonly #variables = new Map<string, Cell>();
  readonly #userVariables = new Map<string, Cell>();
  noBackslashEscapes = false;
  ansiQuotes = false;
  autocommit = true;
  readOnlyTransactions = false;
  /** reads may be a little old, and are answered by any replica */
  weakReads = false;
  /** transactions take the weakest level there is, READ COMMITTED; else they are serializable, whatever was asked for */
  #readsCommitted = false;
  /** the same of the next transaction alone */
  #nextReadsCommitted: boolean | undefined;

  variable(name: string): Cell | undefined {
    return this.#variables.get(name);
  }

  userVariable(name: string): Cell {
    return this.#userVariables.get(name.toLowerCase()) ?? null;
  }

  /** As on a new connection. */
  reset(): void {
    this.#variables.clear();
    this.#userVariables.clear();
    this.noBackslashEscapes = false;
    this.ansiQuotes = false;
    this.autocommit = true;
    this.readOnlyTransactions = false;
    this.weakReads = false;
    this.#readsCommitted = false;
    this.#nextReadsCommitted = undefined;
  }

  /** Whether the transaction that begins now is READ COMMITTED. */
  takeReadsCommitted(): boolean {
    const next = this.#nextReadsCommitted ?? this.#readsCommitted;
    this.#nextReadsCommitted = undefined;
    return next;
  }

  /** Throws OBS_SQL_VARIABLE for a value the variable cannot take; nothing is changed then. */
  assign(assignment: Assignment): SettingChange {
    const { scope, name, value } = assignment;
    if (scope === 'user') {
      this.#remember(this.#userVariables, name.toLowerCase(), value);
      return { kind: 'none' };
    }
    // A global value is the default of later connections in MySQL; here every connection starts the same.
    if (scope === 'global') return { kind: 'none' };
    if (scope === 'transaction') {
      this.#nextReadsCommitted = readsCommitted(name, value);
      return { kind: 'none' };
    }
    const change = this.#effect(name, value);
    this.#remember(this.#variables, name, value);
    return change;
  }

  #effect(name: string, value: Cell): SettingChange {
    switch (name) {
      case 'autocommit':
        this.autocommit = switchValue(name, value);
        return { kind: 'autocommit', on: this.autocommit };
      case 'foreign_key_checks':
        return { kind: 'foreign-keys', on: switchValue(name, value) };
      case 'transaction_read_only':
      case 'tx_read_only':
        this.readOnlyTransactions = switchValue(name, value);
        return { kind: 'none' };
      case 'transaction_isolation':
      case 'tx_isolation':
        this.#readsCommitted = readsCommitted(name, value);
        return { kind: 'none' };
      case 'ob_read_consistency':
        this.weakReads = consistency(name, value) === 'WEAK';
        return { kind: 'none' };
      case 'sql_mode': {
        const modes = String(value ?? '')
          .toUpperCase()
          .split(',')
          .map(mode => mode.trim());
        this.noBackslashEscapes = modes.includes('NO_BACKSLASH_ESCAPES');
        this.ansiQuotes = modes.includes('ANSI_QUOTES') || modes.includes('ANSI');
        return { kind: 'none' };
      }
      case 'wait_timeout':
      case 'interactive_timeout': {
        const seconds = Number(value);
        if (!Number.isInteger(seconds) || seconds < 1 || seconds > waitTimeoutSecondsMax) {
          throw new ObError('OBS_SQL_VARIABLE', { name, value: shown(value) });
        }
        return { kind: 'idle-limit', seconds };
      }
      default:
        return { kind: 'none' };
    }
  }

  #remember(variables: Map<string, Cell>, name: string, value: Cell): void {
    if (!variables.has(name) && variables.size >= sessionVariablesMax) {
      throw new ObError('OBS_SQL_TOO_MANY_VARIABLES', { max: sessionVariablesMax });
    }
    variables.set(name, value);
  }
}

function switchValue(name: string, value: Cell): boolean {
  const on = switchValues.get(String(value).toLowerCase());
  if (on === undefined) throw new ObError('OBS_SQL_VARIABLE', { name, value: shown(value) });
  return on;
}

/** Levels are at least what was asked for: between READ COMMITTED and SERIALIZABLE there is none. */
function readsCommitted(name: string, value: Cell): boolean {
  const level = String(value).toUpperCase().replaceAll(' ', '-');
  if (!isolationLevels.has(level)) throw new ObError('OBS_SQL_VARIABLE', { name, value: shown(value) });
  return level.startsWith('READ-');
}

const isolationLevels: ReadonlySet<string> = new Set([
  'READ-UNCOMMITTED',
  'READ-COMMITTED',
  'REPEATABLE-READ',
  'SERIALIZABLE',
]);

/** OceanBase's enumeration, by name or number. FROZEN reads there what its last merge left: there is no such thing here. */
function consistency(name: string, value: Cell): 'WEAK' | 'STRONG' {
  const given = String(value).toUpperCase();
  if (given === 'WEAK' || given === '2') return 'WEAK';
  if (given === 'STRONG' || given === '3') return 'STRONG';
  throw new ObError('OBS_SQL_VARIABLE', { name, value: shown(value) });
}

const shown = (value: Cell): string => (value === null ? 'NULL' : String(value).slice(0, 64));
