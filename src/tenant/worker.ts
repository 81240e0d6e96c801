/**
 * Entry of a worker thread: takes messages of requests, one at a time, lets each tenant's desk serve its own, and sends
 * the replies of a turn as one message, which also asks for the next one.
 */
import { type MessagePort, parentPort } from 'node:worker_threads';
import { must } from '../base/assert.ts';
import { TenantDesk } from './tenant-desk.ts';
import type { TenantHandle, WorkerMessage, WorkerReply, WorkerRequest } from './worker-messages.ts';

/** Redo bodies from this size on are transferred. */
const handedOverBytesMin = 16_384;

const port: MessagePort = must(parentPort, 'this file runs in a worker thread');
const desks = new Map<TenantHandle, TenantDesk>();
let replies: WorkerReply[] = [];
let serving = false;

const reply = (message: WorkerReply): void => {
  replies.push(message);
  // an answer that comes by itself, after a flush in the thread pool
  if (!serving) send(false);
};

const send = (finished: boolean): void => {
  // handing memory over costs more than copying a little
  const bodies = replies.flatMap(message =>
    message.kind === 'captured' && message.bytes >= handedOverBytesMin
      ? message.body.map(part => part.buffer)
      : [],
  );
  const message: WorkerMessage = { finished, replies };
  port.postMessage(message, bodies);
  replies = [];
};

const deskOf = (tenant: TenantHandle): TenantDesk => {
  let desk = desks.get(tenant);
  if (desk === undefined) {
    desk = new TenantDesk(tenant, reply);
    desks.set(tenant, desk);
  }
  return desk;
};

port.on('message', (requests: readonly WorkerRequest[]) => {
  serving = true;
  const busy = new Set<TenantDesk>();
  for (const request of requests) {
    const desk = deskOf(request.tenant);
    busy.add(desk);
    desk.handle(request);
    if (request.kind === 'close') desks.delete(request.tenant);
  }
  for (const desk of busy) desk.flush();
  serving = false;
  send(true);
});
