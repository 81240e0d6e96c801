/**
 * Values on their way into SQLite and out of it. Integers go in as INTEGER (the binding would make them REAL) and come
 * out as numbers where a number holds them exactly, else as bigint. Nothing is ever rounded silently.
 */
import { ObError } from '../base/errors.ts';
import type { Cell } from './engine.ts';

const int64Max = 2n ** 63n - 1n;
const int64Min = -(2n ** 63n);

/** Parameters as the binding takes them. Throws OBS_SQL_PARAMETER_VALUE for an integer beyond 64 bits. */
export function bindable(parameters: readonly Cell[]): readonly unknown[] {
  let bound: unknown[] | undefined;
  for (let index = 0; index < parameters.length; index++) {
    const value = parameters[index];
    if (typeof value === 'number') {
      // Copied at the first value that must not go in as it is.
      if (Number.isSafeInteger(value)) (bound ??= [...parameters])[index] = BigInt(value);
    } else if (typeof value === 'bigint' && (value > int64Max || value < int64Min)) {
      throw new ObError('OBS_SQL_PARAMETER_VALUE', {
        message: `parameter ${index + 1} has more than 64 bits`,
      });
    }
  }
  return bound ?? parameters;
}

/** True when a row read as numbers may have lost digits of an INTEGER: it must be read again with bigints. */
export function mayHaveLostDigits(rows: readonly (readonly Cell[])[]): boolean {
  for (const row of rows) {
    for (let index = 0; index < row.length; index++) {
      const value = row[index];
      if (typeof value !== 'number' || (value < 9007199254740992 && value > -9007199254740992)) continue;
      // a REAL of this size is whole as well: reading again tells the two apart
      if (Number.isInteger(value)) return true;
    }
  }
  return false;
}

/** Rows read with bigints: those that a number holds exactly become numbers, in place. */
export function shrinkIntegers(rows: Cell[][]): void {
  for (const row of rows) {
    for (let index = 0; index < row.length; index++) {
      const value = row[index];
      if (typeof value === 'bigint') row[index] = exact(value);
    }
  }
}

/** A bigint as a number when that is exact. */
export const exact = (value: bigint): number | bigint => {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
};

/** Rough size of a row in memory and on its way between threads, in bytes. */
export function rowBytes(row: readonly Cell[]): number {
  let bytes = 16;
  for (let index = 0; index < row.length; index++) {
    const value = row[index];
    if (typeof value === 'string') bytes += 8 + value.length;
    else bytes += value instanceof Uint8Array ? 8 + value.length : 8;
  }
  return bytes;
}
