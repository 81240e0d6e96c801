/**
 * Strict reading of the JSON another site sent: each field must be there, of its type and inside its bounds, and no
 * other field may be. Foreign values never reach an assertion.
 */
import { ObError } from '../base/errors.ts';
import { controlTextLengthMax } from '../base/limits.ts';

export class JsonFields {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #where: string;
  readonly #unread: Set<string>;

  constructor(value: unknown, where: string) {
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw invalid(where, 'no object');
    this.#values = value as Record<string, unknown>;
    this.#where = where;
    this.#unread = new Set(Object.keys(value));
  }

  text(name: string): string {
    const value = this.#take(name);
    if (typeof value !== 'string' || value.length === 0 || value.length > controlTextLengthMax) {
      throw invalid(this.#where, `${name} is not a text of 1 to ${controlTextLengthMax} characters`);
    }
    return value;
  }

  textOrNull(name: string): string | null {
    return this.#isNull(name) ? null : this.text(name);
  }

  whole(name: string): number {
    const value = this.#take(name);
    if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
      throw invalid(this.#where, `${name} is not a whole number from 0 to 2^53`);
    }
    return value;
  }

  oneOf<T extends string>(name: string, allowed: readonly T[]): T {
    const value = this.text(name);
    const found = allowed.find(each => each === value);
    if (found === undefined) throw invalid(this.#where, `${name} is none of ${allowed.join(', ')}`);
    return found;
  }

  object<T>(name: string, read: (fields: JsonFields) => T): T {
    const fields = new JsonFields(this.#take(name), `${this.#where}.${name}`);
    const value = read(fields);
    fields.end();
    return value;
  }

  objectOrNull<T>(name: string, read: (fields: JsonFields) => T): T | null {
    return this.#isNull(name) ? null : this.object(name, read);
  }

  list<T>(name: string, lengthMax: number, read: (fields: JsonFields) => T): T[] {
    const value = this.#take(name);
    if (!Array.isArray(value) || value.length > lengthMax) {
      throw invalid(this.#where, `${name} is not a list of at most ${lengthMax}`);
    }
    return value.map((each: unknown) => {
      const fields = new JsonFields(each, `${this.#where}.${name}`);
      const item = read(fields);
      fields.end();
      return item;
    });
  }

  /** Nothing may be left over. */
  end(): void {
    const [extra] = this.#unread;
    if (extra !== undefined) throw invalid(this.#where, `unknown field ${extra.slice(0, 40)}`);
  }

  #take(name: string): unknown {
    this.#unread.delete(name);
    return Object.hasOwn(this.#values, name) ? this.#values[name] : undefined;
  }

  #isNull(name: string): boolean {
    if (!Object.hasOwn(this.#values, name) || this.#values[name] !== null) return false;
    this.#unread.delete(name);
    return true;
  }
}

const invalid = (where: string, what: string): ObError =>
  new ObError('OBS_ROLE_REQUEST_INVALID', { where, what });
