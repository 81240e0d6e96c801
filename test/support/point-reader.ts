/** Worker thread of the page benchmark: point reads on a follower, as fast as they go, until told to stop. */
import { must } from '../../src/base/assert.ts';
import { parentPort, workerData } from 'node:worker_threads';
import { connect } from './page-replicas.ts';

const { file, rows, stop } = workerData as { file: string; rows: number; stop: Int32Array };
const connection = connect(file, { readonly: true });
const read = connection.prepare('SELECT c FROM sbtest WHERE id = ?').pluck();
const port = must(parentPort, 'this file runs in a worker thread');
port.postMessage('reading');
let reads = 0;
while (Atomics.load(stop, 0) === 0) {
  read.get(1 + ((Math.imul(reads++, 7919) >>> 0) % rows));
}
connection.close();
port.postMessage(reads);
