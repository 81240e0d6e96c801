/**
 * Entry of a worker thread: takes messages of requests, one at a time, lets each tenant's desk serve its own, and sends
 * the replies of a turn as one message, which also asks for the next one.
 */
import { type MessagePort, parentPort } from 'node:worker_threads';
import { must } from '../base/assert.ts';
import { writerCacheKibibytesMax, writerCacheKibibytesMin, writerCachesKibibytes } from '../base/limits.ts';
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
  const handedOver: ArrayBuffer[] = [];
  let littleBytes = 0;
  for (const message of replies) {
    if (message.kind !== 'captured') continue;
    // handing memory over costs more than copying a little
    if (message.bytes < handedOverBytesMin) littleBytes += message.bytes;
    else for (const part of message.body) if (ownsItsMemory(part)) handedOver.push(part.buffer);
  }
  const message: WorkerMessage = { finished, replies: littleBytes === 0 ? replies : packed(littleBytes) };
  port.postMessage(message, handedOver);
  replies = [];
};

/** The last part of a body may be a little one, in memory shared with others: it is copied. */
const ownsItsMemory = (part: Uint8Array): boolean => part.length === part.buffer.byteLength;

/**
 * The replies with all little redo bodies in one memory of their own. They come in memory shared with much else, and a
 * message copies the whole memory of whatever it carries, once.
 */
const packed = (bytes: number): WorkerReply[] => {
  const memory = new Uint8Array(bytes);
  let at = 0;
  return replies.map(message => {
    if (message.kind !== 'captured' || message.bytes >= handedOverBytesMin) return message;
    const from = at;
    for (const part of message.body) {
      memory.set(part, at);
      at += part.length;
    }
    return { ...message, body: [memory.subarray(from, at)] };
  });
};

/** With few tenants each may keep more of its pages. */
const shareCaches = (): void => {
  const share = Math.floor(writerCachesKibibytes / Math.max(1, desks.size));
  const kibibytes = Math.min(writerCacheKibibytesMax, Math.max(writerCacheKibibytesMin, share));
  for (const desk of desks.values()) desk.cacheKibibytes = kibibytes;
};

const deskOf = (tenant: TenantHandle): TenantDesk => {
  let desk = desks.get(tenant);
  if (desk === undefined) {
    desk = new TenantDesk(tenant, reply);
    desks.set(tenant, desk);
    shareCaches();
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
    if (request.kind === 'close') {
      desks.delete(request.tenant);
      shareCaches();
    }
  }
  for (const desk of busy) desk.flush();
  serving = false;
  send(true);
});
