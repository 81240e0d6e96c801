/**
 * Entry of a worker thread: takes messages of requests, lets each tenant's desk serve its own, and sends the replies of
 * a turn as one message. All messages that have arrived are taken together, so that writes that came in two of them
 * still share a commit.
 */
import { type MessagePort, parentPort, receiveMessageOnPort } from 'node:worker_threads';
import { must } from '../base/assert.ts';
import { TenantDesk } from './tenant-desk.ts';
import type { TenantHandle, WorkerReply, WorkerRequest } from './worker-messages.ts';

const port: MessagePort = must(parentPort, 'this file runs in a worker thread');
const desks = new Map<TenantHandle, TenantDesk>();
let replies: WorkerReply[] = [];
let serving = false;

const reply = (message: WorkerReply): void => {
  replies.push(message);
  // an answer that comes by itself, after a flush in the thread pool
  if (!serving) send();
};

const send = (): void => {
  if (replies.length === 0) return;
  const bodies = replies.flatMap(message =>
    message.kind === 'captured' ? message.body.map(part => part.buffer) : [],
  );
  port.postMessage(replies, bodies);
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

port.on('message', (first: readonly WorkerRequest[]) => {
  // all that has arrived, before anything runs: what arrives meanwhile must not hold these replies back
  const messages = [first];
  for (;;) {
    const next = receiveMessageOnPort(port) as { message: readonly WorkerRequest[] } | undefined;
    if (next === undefined) break;
    messages.push(next.message);
  }
  serving = true;
  const busy = new Set<TenantDesk>();
  for (const requests of messages) {
    for (const request of requests) {
      const desk = deskOf(request.tenant);
      busy.add(desk);
      desk.handle(request);
      if (request.kind === 'close') desks.delete(request.tenant);
    }
  }
  for (const desk of busy) desk.flush();
  serving = false;
  send();
});
