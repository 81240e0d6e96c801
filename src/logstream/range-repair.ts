/**
 * Damaged log from another replica: asks all of them for the committed groups behind a position, and believes the first
 * whose groups continue the chain there. Answers the same question for others, from its own committed log. Only logs in which
 * the same flashbacks were made are compared: what one of them cut off continues the chain as well as what came after it, and
 * a replica that has not heard of the cut still holds it as committed.
 *
 * Must never: take groups that do not continue exactly the position asked for, send what is not committed or may belong to another
 * history, wait long for nodes that are gone, hold more than a few answers at once.
 */
import {
  repairAsksMax,
  repairChunkBytes,
  repairRoundMs,
  repairRoundsMax,
  repairServesMax,
} from '../base/limits.ts';
import type { ConfigVersion, LogChunk, LogPosition } from '../base/log-access.ts';
import type { NodeId } from '../base/scalars.ts';
import { decodeGroups, isProblem, samePosition } from '../codec/clog.ts';
import { compareVersions } from '../codec/config-record.ts';
import { decodeRepair, encodeRepair, type RepairMessage } from '../codec/repair-message.ts';
import type { Clock } from '../platform/clock.ts';
import type { MemberNet, StreamKey } from './member-net.ts';

export interface RangeRepairOptions {
  readonly clock: Clock;
  readonly net: MemberNet;
  readonly key: StreamKey;
  /** the other replicas */
  readonly peers: () => readonly NodeId[];
  /** the last flashback made in this replica's log, durably; null while one is being made, or when the log is not open */
  readonly lastCut: () => ConfigVersion | null;
  /** committed log of this replica from a byte on; undefined while it has none to give */
  readonly read: (from: LogPosition, bytesMax: number) => Promise<LogChunk> | undefined;
}

interface Ask {
  readonly at: LogPosition;
  /** those that have not said no in this round */
  readonly waiting: Set<NodeId>;
  readonly answer: (chunk: LogChunk | undefined) => void;
}

export class RangeRepair {
  readonly #options: RangeRepairOptions;
  readonly #asks = new Map<number, Ask>();
  #nextId = 1;
  #serving = 0;
  #isClosed = false;

  constructor(options: RangeRepairOptions) {
    this.#options = options;
  }

  /** Takes a message if it is one of its own; false if not. */
  receive(from: NodeId, payload: Uint8Array): boolean {
    const message = decodeRepair(payload);
    if (message === 'foreign') return false;
    if (message === 'bad') return true;
    if (message.kind === 'ask') this.#serve(from, message);
    else this.#answered(from, message);
    return true;
  }

  /**
   * Groups that follow `at` in the committed log; undefined if nobody who can be reached has them.
   * @param who whom to ask and what was cut here last, where that is known before the log is open
   */
  async fetch(
    at: LogPosition,
    who?: { readonly peers: readonly NodeId[]; readonly lastCut: ConfigVersion },
  ): Promise<LogChunk | undefined> {
    const peers = who?.peers ?? this.#options.peers();
    const cut = who?.lastCut ?? this.#options.lastCut();
    if (cut === null) return undefined;
    for (let round = 0; round < repairRoundsMax && !this.#isClosed; round++) {
      if (peers.length === 0 || this.#asks.size >= repairAsksMax) return undefined;
      const found = await this.#ask(at, cut, peers);
      if (found !== 'no answer') return found;
    }
    return undefined;
  }

  close(): void {
    this.#isClosed = true;
    for (const ask of this.#asks.values()) ask.answer(undefined);
  }

  /** One round. Undefined: everybody said no. */
  #ask(
    at: LogPosition,
    cut: ConfigVersion,
    peers: readonly NodeId[],
  ): Promise<LogChunk | undefined | 'no answer'> {
    const { clock, net, key } = this.#options;
    const id = this.#nextId++;
    return new Promise(resolve => {
      const timer = clock.after(repairRoundMs, () => end('no answer'));
      const end = (found: LogChunk | undefined | 'no answer') => {
        timer.cancel();
        this.#asks.delete(id);
        resolve(found);
      };
      this.#asks.set(id, { at, waiting: new Set(peers), answer: end });
      const parts = encodeRepair({ kind: 'ask', id, at, cut, bytesMax: repairChunkBytes });
      for (const peer of peers) net.send(peer, key, parts);
    });
  }

  #answered(from: NodeId, message: Exclude<RepairMessage, { kind: 'ask' }>): void {
    const ask = this.#asks.get(message.id);
    if (ask === undefined || !samePosition(ask.at, message.at)) return;
    const groups = message.kind === 'log' ? decodeGroups(message.bytes, ask.at) : [];
    const last = isProblem(groups) ? undefined : groups.at(-1);
    if (message.kind === 'log' && last !== undefined)
      ask.answer({ start: ask.at, end: last.end, bytes: message.bytes });
    // Bytes that do not prove themselves are as good as none.
    else if (ask.waiting.delete(from) && ask.waiting.size === 0) ask.answer(undefined);
  }

  #serve(from: NodeId, { id, at, cut, bytesMax }: Extract<RepairMessage, { kind: 'ask' }>): void {
    const { net, key, peers, read } = this.#options;
    if (this.#isClosed || this.#serving >= repairServesMax || !peers().includes(from)) return;
    const none: RepairMessage = { kind: 'none', id, at };
    if (!this.#hasMade(cut)) return net.send(from, key, encodeRepair(none));
    const reading = read(at, Math.min(bytesMax, repairChunkBytes));
    if (reading === undefined) return;
    this.#serving += 1;
    const answerWith = (answer: RepairMessage) => {
      this.#serving -= 1;
      if (!this.#isClosed) net.send(from, key, encodeRepair(answer));
    };
    reading.then(
      ({ start, bytes }) =>
        // A cut may have come while it was read.
        answerWith(
          bytes.length > 0 && samePosition(start, at) && this.#hasMade(cut)
            ? { kind: 'log', id, at, bytes }
            : none,
        ),
      // Recycled, not committed, or damaged here too.
      () => answerWith(none),
    );
  }

  /** Whether this log is of the history in which `cut` is the last flashback. */
  #hasMade(cut: ConfigVersion): boolean {
    const own = this.#options.lastCut();
    return own !== null && compareVersions(own, cut) === 0;
  }
}
