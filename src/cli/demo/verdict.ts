/**
 * What the demo claims at its end, computed from its own ledger and the sites' files, never from what a server says
 * of itself alone.
 */
import { createHash } from 'node:crypto';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import Database from 'better-sqlite3';
import type { LossCertificate } from '../../server/entry.ts';
import type { Ledger } from '../../client/ledger.ts';

export interface LedgerVerdict {
  readonly commits: number;
  /** acknowledged rows that are nowhere: neither kept nor named by the certificate */
  readonly lostCommits: number;
  /** acknowledged rows that the certificate names as lost */
  readonly certifiedLost: number;
  /** the certificate's count is exactly what the old primary has and the new one has not */
  readonly certificateExact: boolean;
}

/** `kept`: rows of the new primary; `old`: rows of the old one, which is fenced but readable. */
export function judge(
  ledger: Ledger,
  kept: ReadonlySet<number>,
  old: ReadonlySet<number>,
  certificate: LossCertificate | null,
): LedgerVerdict {
  const onlyOld = [...old].filter(n => !kept.has(n));
  const onlyOldSet = new Set(onlyOld);
  const missing = [...ledger.acknowledged].filter(n => !kept.has(n));
  const unexplained = missing.filter(n => !onlyOldSet.has(n));
  return {
    commits: ledger.acknowledged.size,
    lostCommits: unexplained.length,
    certifiedLost: missing.length - unexplained.length,
    certificateExact: certificate !== null && certificate.lostTransactions === onlyOld.length,
  };
}

/** SHA-256 of all pages of the only tenant database in a data directory, as whoever opens it there sees it now. */
export function databaseDigest(dataDirectory: string): string {
  const tenants = join(dataDirectory, 'tenants');
  const [tenant] = readdirSync(tenants).filter(id => id !== '1');
  const connection = new Database(join(tenants, tenant ?? '', 'db', 'tenant.db'), { readonly: true });
  try {
    return createHash('sha256').update(connection.serialize()).digest('hex');
  } finally {
    connection.close();
  }
}
