/** The clauses administration statements share: TENANT, UNTIL, durations. */
import { ObError } from '../../base/errors.ts';
import { type Scn, scn, scnUnlimited } from '../../base/scalars.ts';
import type { TokenCursor } from '../dialect/token-cursor.ts';
import type { RecoveryBound, TenantList } from './statement.ts';

export function optionalEquals(cursor: TokenCursor): void {
  cursor.takeSymbol('=');
}

/** TENANT [=] name: mandatory in the sys tenant, forbidden in the others (OceanBase's rule). */
export class TenantClauses {
  readonly #cursor: TokenCursor;
  readonly #sys: boolean;

  constructor(cursor: TokenCursor, sys: boolean) {
    this.#cursor = cursor;
    this.#sys = sys;
  }

  /** One tenant; null in a user tenant's session. Throws OBS_SQL_TENANT_CLAUSE. */
  one(): string | null {
    if (!this.#cursor.take('tenant')) return this.none();
    this.#mustBeSys();
    optionalEquals(this.#cursor);
    return this.#userTenant(this.#cursor.nameOrString());
  }

  /** No clause was there. */
  none(): null {
    if (this.#sys)
      throw new ObError('OBS_SQL_TENANT_CLAUSE', {
        what: 'the sys tenant must name the tenant: TENANT = name',
      });
    return null;
  }

  /** TENANT [=] ALL | t1, t2 | (t1, t2). */
  several(): TenantList {
    const cursor = this.#cursor;
    if (!cursor.take('tenant')) return this.none();
    this.#mustBeSys();
    optionalEquals(cursor);
    if (cursor.take('all')) return 'all';
    const bracketed = cursor.takeSymbol('(');
    const names: string[] = [];
    do names.push(this.#userTenant(cursor.nameOrString()));
    while (cursor.takeSymbol(','));
    if (bracketed) cursor.expectSymbol(')');
    return names;
  }

  #mustBeSys(): void {
    if (!this.#sys) throw new ObError('OBS_SQL_TENANT_CLAUSE', { what: "please don't specify tenant name" });
  }

  #userTenant(name: string): string {
    if (name.toLowerCase() === 'sys')
      throw new ObError('OBS_SQL_TENANT_CLAUSE', { what: 'tenant name, only support operating user tenant' });
    return name;
  }
}

/** UNTIL TIME='…' | UNTIL SCN=n | UNTIL UNLIMITED. */
export function until(cursor: TokenCursor): RecoveryBound {
  cursor.expect('until');
  const kind = cursor.expectOne('time', 'scn', 'unlimited');
  if (kind === 'unlimited') return { kind: 'unlimited' };
  optionalEquals(cursor);
  if (kind === 'time') return { kind: 'scn', scn: timeToScn(cursor.string()) };
  const token = cursor.peek();
  if (token?.kind !== 'number' || !/^\d{1,20}$/.test(token.text)) throw cursor.error();
  cursor.at++;
  const value = BigInt(token.text);
  if (value >= BigInt(scnUnlimited)) return { kind: 'unlimited' };
  return { kind: 'scn', scn: scn(Number(value)) };
}

const timePattern =
  /^(\d{4})-(\d{1,2})-(\d{1,2})(?:[ T](\d{1,2}):(\d{1,2})(?::(\d{1,2})(?:\.(\d{1,6}))?)?)?$/;

/** A time in UTC as an SCN: microseconds since 1970. Throws OBS_SQL_ARGUMENT. */
function timeToScn(text: string): Scn {
  const match = timePattern.exec(text.trim());
  const wrong = (): ObError =>
    new ObError('OBS_SQL_ARGUMENT', { what: "UNTIL TIME: write 'YYYY-MM-DD hh:mm:ss[.ffffff]', in UTC" });
  if (match === null) throw wrong();
  const [year, month, day, hour, minute, second] = match.slice(1, 7).map(part => Number(part ?? 0));
  const ms = Date.UTC(year ?? 0, (month ?? 1) - 1, day ?? 1, hour ?? 0, minute ?? 0, second ?? 0);
  const date = new Date(ms);
  const sameDay = date.getUTCMonth() + 1 === month && date.getUTCDate() === day;
  if (!sameDay || (hour ?? 0) > 23 || (minute ?? 0) > 59 || (second ?? 0) > 59 || ms < 0) throw wrong();
  return scn(ms * 1000 + Number((match[7] ?? '').padEnd(6, '0')));
}

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** '500ms', '5s', '1m'; a bare number counts seconds. Throws OBS_SQL_ARGUMENT. */
export function durationMs(cursor: TokenCursor): number {
  const token = cursor.peek();
  if (token?.kind !== 'string' && token?.kind !== 'number') throw cursor.error();
  cursor.at++;
  const match = /^(\d{1,9})(ms|s|m|h|d)?$/.exec(token.text.trim().toLowerCase());
  const factor = unitMs[match?.[2] ?? 's'];
  if (match === null || factor === undefined)
    throw new ObError('OBS_SQL_ARGUMENT', { what: "the duration: write '500ms', '5s', '1m' or '1h'" });
  return Number(match[1]) * factor;
}
