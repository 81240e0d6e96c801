/** A reader thread of the apply benchmark: a point read each millisecond, and now and then a scan of a range. */
import { parentPort, workerData } from 'node:worker_threads';
import Database from 'better-sqlite3';
import { must } from '../base/assert.ts';

const { path, rows } = workerData as { path: string; rows: number };
const port = must(parentPort, 'a worker has a port');
const connection = new Database(path, { readonly: true, timeout: 1000 });
const point = connection.prepare('SELECT c FROM sbtest1 WHERE id = ?');
const scan = connection.prepare('SELECT sum(k) FROM sbtest1 WHERE id BETWEEN ? AND ?');
let reads = 0;

const timer = setInterval(() => {
  const id = 1 + ((reads * 7919) % rows);
  if (reads % 50 === 49) scan.get(id, id + 1000);
  else point.get(id);
  reads += 1;
}, 1);

port.on('message', () => {
  clearInterval(timer);
  connection.close();
  port.postMessage(reads);
  port.close();
});
