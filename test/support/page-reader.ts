/**
 * A reader that audits a bank until it is told to stop, as a worker thread or as a process of its own:
 *   node page-reader.ts <file> <kind> <stop file>
 * Answers {kind, looks, held, wrong} as a message or a line.
 */
import fs from 'node:fs';
import { isMainThread, parentPort, workerData } from 'node:worker_threads';
import { BankAudit } from './page-bank.ts';
import { connect } from './page-replicas.ts';

/** `look`: one audit after another; `hold`: audits again and again in one snapshot; `churn`: opens anew each time. */
export type ReaderKind = 'look' | 'hold' | 'churn';

export interface ReaderReport {
  readonly kind: ReaderKind;
  readonly looks: number;
  readonly held: number;
  readonly wrong: readonly string[];
}

const pause = new Int32Array(new SharedArrayBuffer(4));

function readUntilStopped(file: string, kind: ReaderKind, stopFile: string): ReaderReport {
  let connection = connect(file, { readonly: true });
  connection.pragma('busy_timeout = 5000');
  let audit = new BankAudit(connection);
  const report = { kind, looks: 0, held: 0, wrong: [] as string[] };
  let last = 0;
  while (!fs.existsSync(stopFile) && report.wrong.length < 5) {
    try {
      connection.exec('BEGIN');
      const sequence = audit.look();
      report.looks++;
      if (sequence < last) report.wrong.push(`went back from ${last} to ${sequence}`);
      last = sequence;
      for (let again = 0; kind === 'hold' && again < 4; again++) {
        Atomics.wait(pause, 0, 0, 30);
        const seen = audit.look();
        report.held++;
        if (seen !== sequence) report.wrong.push(`a snapshot moved from ${sequence} to ${seen}`);
      }
      if (report.looks % 20 === 0) audit.integrity();
      connection.exec('COMMIT');
      if (kind === 'churn') {
        connection.close();
        connection = connect(file, { readonly: true });
        connection.pragma('busy_timeout = 5000');
        audit = new BankAudit(connection);
      }
    } catch (error) {
      report.wrong.push(String(error));
      if (connection.inTransaction) connection.exec('ROLLBACK');
    }
  }
  connection.close();
  return report;
}

if (isMainThread) {
  const [file = '', kind = 'look', stopFile = ''] = process.argv.slice(2);
  console.log(JSON.stringify(readUntilStopped(file, kind as ReaderKind, stopFile)));
} else {
  const { file, kind, stopFile } = workerData as { file: string; kind: ReaderKind; stopFile: string };
  parentPort?.postMessage(readUntilStopped(file, kind, stopFile));
}
