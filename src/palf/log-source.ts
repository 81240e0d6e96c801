/**
 * Gives log to a candidate that this replica promised its proposal to: what follows a position, if this log holds it. Reads
 * are bounded; one that cannot be begun is asked for again.
 */
import { pushBytesMax } from '../base/limits.ts';
import type { NodeId } from '../base/scalars.ts';
import { samePosition } from '../codec/clog.ts';
import type { PalfMessageOf } from '../codec/palf-message.ts';
import type { LogReadResult } from './inputs.ts';
import type { Replica } from './replica.ts';

interface Read {
  readonly to: NodeId;
  readonly request: PalfMessageOf<'fetch'>;
}

/** Reads for candidates at once: there is one candidate, and it asks for one piece. */
const readsMax = 4;

export class LogSource {
  readonly #replica: Replica;
  readonly #reads = new Map<number, Read>();

  constructor(replica: Replica) {
    this.#replica = replica;
  }

  onFetch(from: NodeId, request: PalfMessageOf<'fetch'>): void {
    const { meta, log, out, isLogQuiet } = this.#replica;
    if (request.proposal !== meta.durable.promised || !isLogQuiet || this.#reads.size >= readsMax) return;
    const read = { to: from, request };
    if (log.holds(request.from) === false) return this.#refuse(read, 'mismatch');
    if (request.from.lsn >= log.flushed.lsn) return this.#refuse(read, 'failed');
    const readId = out.nextId();
    this.#reads.set(readId, read);
    out.push({
      kind: 'readLog',
      readId,
      from: request.from.lsn,
      to: log.flushed.lsn,
      bytesMax: pushBytesMax,
    });
  }

  onLogRead(readId: number, result: LogReadResult): void {
    const read = this.#reads.get(readId);
    if (read === undefined || !this.#reads.delete(readId)) return;
    const { to, request } = read;
    const { meta, out } = this.#replica;
    if (request.proposal !== meta.durable.promised) return;
    if (result.kind !== 'groups') return this.#refuse(read, result.kind);
    if (!samePosition(result.start, request.from)) return this.#refuse(read, 'mismatch');
    const { proposal, id } = request;
    out.send(to, { kind: 'fetched', proposal, id, prev: request.from, groups: result.groups });
  }

  #refuse({ to, request }: Read, why: 'mismatch' | 'gone' | 'failed'): void {
    const { proposal, id } = request;
    const { base } = this.#replica.meta.durable;
    this.#replica.out.send(to, { kind: 'unfetched', proposal, id, why, base });
  }
}
