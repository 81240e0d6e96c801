/**
 * The simulated network between the members of a cluster, a twin of `logstream/peers/`: loses, doubles (also much
 * later), delays, reorders; links clog, are cut in one or both directions, pass small messages only, and flip bits. The frame check of the
 * transport is part of it: a frame with a flipped bit is dropped where it arrives, and may be handed on damaged where
 * the codec must notice.
 */
import { must } from '../../../src/base/assert.ts';
import type { NodeId } from '../../../src/base/scalars.ts';
import type { MemberNet, StreamKey } from '../../../src/logstream/member-net.ts';
import type { SimTime } from './event-loop.ts';
import type { ProcessTime } from './process-time.ts';
import type { SimRandom } from './random.ts';

/** Shares are per thousand messages. */
export interface NetFaults {
  readonly lost: number;
  /** delivered twice, the second time after another delay */
  readonly doubled: number;
  /** of the doubled ones, those whose second delivery is very late */
  readonly doubledLate: number;
  /** take a multiple of what is normal, up to `slowMsMax` */
  readonly slow: number;
  readonly slowMsMax: number;
  /** how late a late second delivery may be */
  readonly lateMsMax: number;
  /** one bit differs when it arrives */
  readonly flipped: number;
  readonly delayMsMin: number;
  /** mean of the exponential part of the delay */
  readonly delayMsMean: number;
  /** a link delivers in the order of sending */
  readonly isOrdered: boolean;
}

const perfectNet: NetFaults = {
  lost: 0,
  doubled: 0,
  doubledLate: 0,
  slow: 0,
  slowMsMax: 0,
  lateMsMax: 0,
  flipped: 0,
  delayMsMin: 0.1,
  delayMsMean: 0.2,
  isOrdered: true,
};

/** Messages on one link at once; more are dropped. */
const linkMessagesMax = 2_048;

interface Link {
  readonly from: NodeId;
  readonly to: NodeId;
  isCut: boolean;
  /** nothing arrives before this */
  cloggedUntil: number;
  /** larger messages never arrive */
  bytesMax: number;
  /** when the last message arrives, for links that keep order */
  lastAt: number;
  messages: number;
}

type Handler = (from: NodeId, payload: Uint8Array) => void;

/** The end of one process: dead for ever once closed. */
interface Port {
  readonly time: ProcessTime;
  readonly handlers: Map<string, Handler>;
  isOpen: boolean;
}

const nameOf = (key: StreamKey): string => `${key.tenantId}/${key.stream}`;

export class SimMemberNet {
  readonly #time: SimTime;
  readonly #random: SimRandom;
  readonly #ports = new Map<NodeId, Port>();
  readonly #links = new Map<string, Link>();
  faults: NetFaults = perfectNet;
  /** damaged frames reach the codec, as if the transport had no check of its own */
  passesDamaged = false;
  /** sees every message at the moment it is sent */
  onSend: ((from: NodeId, to: NodeId, payload: Uint8Array) => void) | undefined;
  /** sees every message that reaches a process */
  onDeliver: ((from: NodeId, to: NodeId, payload: Uint8Array) => void) | undefined;
  sent = 0;

  constructor(time: SimTime, random: SimRandom) {
    this.#time = time;
    this.#random = random;
  }

  /** The port of a process that starts now; an earlier one of the node is closed. */
  attach(id: NodeId, time: ProcessTime): { readonly net: MemberNet; close(): void } {
    this.detach(id);
    const port: Port = { time, handlers: new Map(), isOpen: true };
    this.#ports.set(id, port);
    const net: MemberNet = {
      send: (to, key, parts) => {
        if (port.isOpen) this.#send(id, to, key, Buffer.concat(parts));
      },
      onMessages: (key, handler) => {
        port.handlers.set(nameOf(key), handler);
        return () => port.handlers.delete(nameOf(key));
      },
    };
    return {
      net,
      close: () => {
        port.isOpen = false;
      },
    };
  }

  detach(id: NodeId): void {
    const port = this.#ports.get(id);
    if (port !== undefined) port.isOpen = false;
    this.#ports.delete(id);
  }

  cut(from: NodeId, to: NodeId): void {
    this.#link(from, to).isCut = true;
  }

  clog(from: NodeId, to: NodeId, ms: number): void {
    this.#link(from, to).cloggedUntil = this.#time.now + ms;
  }

  /** Only small messages pass from now on, as on a path with a smaller packet size than its ends believe. */
  narrow(from: NodeId, to: NodeId, bytesMax: number): void {
    this.#link(from, to).bytesMax = bytesMax;
  }

  widen(from: NodeId, to: NodeId): void {
    this.#link(from, to).bytesMax = Number.POSITIVE_INFINITY;
  }

  /** Every link is whole again. What is on its way arrives when it would have; what is sent now does not wait for it. */
  heal(): void {
    for (const link of this.#links.values()) {
      link.isCut = false;
      link.cloggedUntil = 0;
      link.bytesMax = Number.POSITIVE_INFINITY;
      link.lastAt = 0;
    }
  }

  mend(from: NodeId, to: NodeId): void {
    const link = this.#link(from, to);
    link.isCut = false;
    link.cloggedUntil = 0;
  }

  isCut(from: NodeId, to: NodeId): boolean {
    return this.#link(from, to).isCut;
  }

  /** Messages under way. */
  get pending(): number {
    let count = 0;
    for (const link of this.#links.values()) count += link.messages;
    return count;
  }

  #link(from: NodeId, to: NodeId): Link {
    const name = `${from}>${to}`;
    let link = this.#links.get(name);
    if (link === undefined) {
      link = {
        from,
        to,
        isCut: false,
        cloggedUntil: 0,
        bytesMax: Number.POSITIVE_INFINITY,
        lastAt: 0,
        messages: 0,
      };
      this.#links.set(name, link);
    }
    return link;
  }

  #send(from: NodeId, to: NodeId, key: StreamKey, payload: Uint8Array): void {
    this.sent += 1;
    this.onSend?.(from, to, payload);
    const { faults } = this;
    const random = this.#random;
    if (random.between(0, 999) < faults.lost) return;
    this.#travel(this.#link(from, to), key, payload, this.#delay());
    if (random.between(0, 999) >= faults.doubled) return;
    const isLate = random.between(0, 999) < faults.doubledLate;
    this.#travel(
      this.#link(from, to),
      key,
      payload,
      isLate ? random.between(1, faults.lateMsMax) : this.#delay(),
      isLate,
    );
  }

  #delay(): number {
    const { delayMsMin, delayMsMean, slow, slowMsMax } = this.faults;
    if (slow > 0 && this.#random.between(0, 999) < slow) return this.#random.between(1, slowMsMax);
    // in tenths of microseconds, so that no platform's logarithm shifts an event
    const exponential = -Math.log((this.#random.between(0, 65_535) + 1) / 65_537) * delayMsMean;
    return delayMsMin + Math.round(exponential * 10_000) / 10_000;
  }

  #travel(link: Link, key: StreamKey, payload: Uint8Array, delay: number, isLate = false): void {
    if (link.isCut || payload.length > link.bytesMax || link.messages >= linkMessagesMax) return;
    const now = this.#time.now;
    let at = Math.max(now + delay, link.cloggedUntil);
    if (this.faults.isOrdered && !isLate) {
      at = Math.max(at, link.lastAt);
      link.lastAt = at;
    }
    link.messages += 1;
    this.#time.after(at - now, () => {
      link.messages -= 1;
      // A cut link loses what is on it; a late copy is one that something in between had kept.
      if (link.isCut && !isLate) return;
      if (this.#time.now < link.cloggedUntil && !isLate)
        return this.#travel(link, key, payload, link.cloggedUntil - this.#time.now);
      this.#arrive(link, key, payload);
    });
  }

  #arrive(link: Link, key: StreamKey, payload: Uint8Array): void {
    const port = this.#ports.get(link.to);
    if (port === undefined) return;
    // A copy: `slice` of a buffer would be a view.
    const bytes = new Uint8Array(payload);
    if (this.faults.flipped > 0 && this.#random.between(0, 999) < this.faults.flipped) {
      flipBit(bytes, this.#random);
      // The transport's frame check.
      if (!this.passesDamaged) return;
    }
    const hand = () => {
      const handler = port.handlers.get(nameOf(key));
      if (!port.isOpen || handler === undefined) return;
      this.onDeliver?.(link.from, link.to, bytes);
      handler(link.from, bytes);
    };
    if (port.time.isPaused) port.time.after(0, hand);
    else hand();
  }
}

function flipBit(bytes: Uint8Array, random: SimRandom): void {
  if (bytes.length === 0) return;
  const at = random.between(0, bytes.length - 1);
  bytes[at] = must(bytes[at], 'byte') ^ (1 << random.between(0, 7));
}
