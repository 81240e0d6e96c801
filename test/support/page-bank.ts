/**
 * A bank on a leader, for tests of what readers of a follower see: in every state between two transactions the balances
 * add up, the ledger has as many rows and as much money as the counters say, and the table agrees with its index.
 */
import type { DecodedRedo } from '../../src/codec/redo.ts';
import { seeded } from './page-fuzz.ts';
import type { Connection, Leader } from './page-replicas.ts';

const accounts = 2_000;
const opening = 1_000;

/** Creates the bank; returns its records. */
export function openBank(leader: Leader): DecodedRedo[] {
  const from = leader.records.length;
  leader.run(
    `CREATE TABLE account(id INTEGER PRIMARY KEY, balance INTEGER NOT NULL, pad TEXT);
     CREATE TABLE ledger(id INTEGER PRIMARY KEY, payer INTEGER, amount INTEGER, note TEXT);
     CREATE INDEX ledger_payer ON ledger(payer);
     CREATE TABLE blob(id INTEGER PRIMARY KEY, bytes BLOB);
     CREATE TABLE counter(name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
     INSERT INTO counter VALUES ('sequence', 0), ('entries', 0), ('amount', 0), ('blobBytes', 0)`,
  );
  leader.run(
    `WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${accounts})
     INSERT INTO account SELECT i, ${opening}, hex(randomblob(80)) FROM n`,
  );
  return leader.records.slice(from);
}

/** Runs transactions, deletions, VACUUMs and checkpoints; returns their records. */
export function runBank(leader: Leader, transactions: number, seed: number): DecodedRedo[] {
  const from = leader.records.length;
  const random = seeded(seed);
  const { writer } = leader;
  const add = writer.prepare('UPDATE account SET balance = balance + ? WHERE id = ?');
  const enter = writer.prepare('INSERT INTO ledger(payer, amount, note) VALUES (?, ?, ?)');
  const count = writer.prepare('UPDATE counter SET value = value + ? WHERE name = ?');
  const store = writer.prepare('INSERT INTO blob(bytes) VALUES (?)');
  for (let transaction = 1; transaction <= transactions; transaction++) {
    writer.exec('BEGIN IMMEDIATE');
    for (let transfer = random(3); transfer >= 0; transfer--) {
      const amount = random(50);
      const payer = 1 + random(accounts);
      add.run(-amount, payer);
      add.run(amount, 1 + random(accounts));
      enter.run(payer, amount, 'n'.repeat(random(100)));
      count.run(1, 'entries');
      count.run(amount, 'amount');
    }
    if (transaction % 40 === 0) {
      const bytes = new Uint8Array(random(60_000)).fill(transaction);
      store.run(bytes);
      count.run(bytes.length, 'blobBytes');
    }
    if (transaction % 250 === 0) {
      writer.exec(
        `UPDATE counter SET value = value - (SELECT count(*) FROM (SELECT 1 FROM ledger LIMIT 300)) WHERE name = 'entries';
         UPDATE counter SET value = value - (SELECT coalesce(sum(amount), 0) FROM (SELECT amount FROM ledger ORDER BY id LIMIT 300)) WHERE name = 'amount';
         DELETE FROM ledger WHERE id IN (SELECT id FROM ledger ORDER BY id LIMIT 300)`,
      );
    }
    count.run(1, 'sequence');
    writer.exec('COMMIT');
    leader.take();
    if (transaction % 1500 === 0) leader.run('VACUUM');
    if (transaction % 700 === 0) leader.writer.pragma('wal_checkpoint(RESTART)');
  }
  return leader.records.slice(from);
}

/** Audits the bank in one read transaction; throws what is wrong, returns the sequence number it saw. */
export class BankAudit {
  readonly #connection: Connection;
  readonly #look;

  constructor(connection: Connection) {
    this.#connection = connection;
    this.#look = connection.prepare<[], Record<string, number>>(
      `SELECT (SELECT sum(balance) FROM account) AS balances,
              (SELECT count(*) FROM account) AS accounts,
              (SELECT count(*) FROM ledger) AS rows,
              (SELECT count(*) FROM ledger INDEXED BY ledger_payer WHERE payer > 0) AS indexed,
              (SELECT coalesce(sum(amount), 0) FROM ledger) AS amounts,
              (SELECT coalesce(sum(length(bytes)), 0) FROM blob) AS bytes,
              (SELECT value FROM counter WHERE name = 'entries') AS entries,
              (SELECT value FROM counter WHERE name = 'amount') AS amount,
              (SELECT value FROM counter WHERE name = 'blobBytes') AS blobBytes,
              (SELECT value FROM counter WHERE name = 'sequence') AS sequence`,
    );
  }

  look(): number {
    const seen = this.#look.get() ?? {};
    const right =
      seen['balances'] === accounts * opening &&
      seen['accounts'] === accounts &&
      seen['rows'] === seen['entries'] &&
      seen['indexed'] === seen['entries'] &&
      seen['amounts'] === seen['amount'] &&
      seen['bytes'] === seen['blobBytes'];
    if (!right) throw new Error(`the books are wrong: ${JSON.stringify(seen)}`);
    return seen['sequence'] ?? -1;
  }

  integrity(): void {
    const check = this.#connection.pragma('integrity_check', { simple: true });
    if (check !== 'ok') throw new Error(`damaged: ${String(check)}`);
  }
}
