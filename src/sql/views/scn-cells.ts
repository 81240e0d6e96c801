/** SCNs and times as the views show them. */
import { type Scn, scnUnlimited } from '../../base/scalars.ts';

/** What OceanBase shows for "no bound"; scripts compare with it. */
const unlimitedShown = 4611686018427387903n;

export const scnCell = (scn: Scn): number | bigint => (scn >= scnUnlimited ? unlimitedShown : scn);

/** `YYYY-MM-DD hh:mm:ss.ffffff` in UTC; null for "never". */
export function timeCell(micros: number | null): string | null {
  if (micros === null || micros <= 0 || micros >= 8.64e18) return null;
  const seconds = Math.floor(micros / 1_000_000);
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) return null;
  const text = date.toISOString().slice(0, 19).replace('T', ' ');
  return `${text}.${String(micros % 1_000_000).padStart(6, '0')}`;
}
