/**
 * A simulated arbiter: a machine with a clock, a disk for its image and a port of the network, and while it is up a process with
 * a real arbiter core. It may die at any moment; an image that was being written is then there or not.
 */
import { assert } from '../../../src/base/assert.ts';
import type { MonoMs, NodeId } from '../../../src/base/scalars.ts';
import {
  type ArbiterImage,
  decodeArbiterImage,
  encodeArbiterImage,
  newArbiterImage,
} from '../../../src/codec/arbiter-image.ts';
import { decodePalfMessage, encodePalfMessage } from '../../../src/codec/palf-message-codec.ts';
import type { StreamKey } from '../../../src/logstream/member-net.ts';
import {
  ArbiterCore,
  type ArbiterEffect,
  type ArbiterInput,
  type ArbiterView,
} from '../../../src/palf/arbiter.ts';
import type { PalfSend } from '../../../src/palf/effects.ts';
import type { Clock } from '../../../src/platform/clock.ts';
import type { Disk } from '../../../src/platform/disk.ts';
import { type ClockFaults, driftingClock } from '../../support/sim/clock.ts';
import { SimDisk } from '../../support/sim/disk.ts';
import type { EventLoop } from '../../support/sim/event-loop.ts';
import type { SimMemberNet } from '../../support/sim/member-net.ts';
import { ProcessTime } from '../../support/sim/process-time.ts';
import type { SimRandom } from '../../support/sim/random.ts';

const imageFile = 'arbiter';

/** One step of an arbiter's core, or the start of its process. */
export interface ArbiterStep {
  readonly arbiter: ArbiterNode;
  readonly self: NodeId;
  readonly input: ArbiterInput | { readonly kind: 'boot' };
  /** before and after the step */
  readonly before: ArbiterView;
  readonly view: ArbiterView;
  readonly now: MonoMs;
}

export interface ArbiterWatcher {
  stepped(step: ArbiterStep): void;
  broke(error: unknown): void;
}

export class ArbiterNode {
  readonly id: NodeId;
  readonly disk: SimDisk;
  readonly time: ProcessTime;
  /** its volume is lost: it never comes back under this id */
  isGone = false;
  core: ArbiterCore | undefined;
  clock: Clock | undefined;
  readonly #clockFaults: ClockFaults;
  readonly #net: SimMemberNet;
  readonly #key: StreamKey;
  readonly #leaseMs: number;
  readonly #watcher: ArbiterWatcher;
  #disk: Disk | undefined;
  #port: ReturnType<SimMemberNet['attach']> | undefined;
  #incarnation = 0;
  #read: { readonly version: number; readonly image: ArbiterImage } | undefined;

  constructor(
    parts: {
      readonly id: NodeId;
      readonly clock: ClockFaults;
      readonly loop: EventLoop;
      readonly random: SimRandom;
      readonly net: SimMemberNet;
      readonly key: StreamKey;
      readonly leaseMs: number;
    },
    watcher: ArbiterWatcher,
  ) {
    this.id = parts.id;
    this.#clockFaults = parts.clock;
    this.#net = parts.net;
    this.#key = parts.key;
    this.#leaseMs = parts.leaseMs;
    this.#watcher = watcher;
    this.time = new ProcessTime(parts.loop);
    this.disk = new SimDisk(this.time, parts.random);
  }

  get isUp(): boolean {
    return this.#disk !== undefined;
  }

  /** What its disk would show if the power failed now. */
  get image(): ArbiterImage {
    const file = this.disk.durableFile(imageFile);
    if (file === undefined) return newArbiterImage(this.id);
    if (this.#read?.version !== file.version)
      this.#read = { version: file.version, image: decoded(file.bytes) };
    return this.#read.image;
  }

  boot(): void {
    const incarnation = ++this.#incarnation;
    this.time.resume();
    const disk = this.disk.attach();
    this.#disk = disk;
    disk.readFile(imageFile).then(
      bytes => {
        if (incarnation === this.#incarnation) this.#start(bytes);
      },
      (error: unknown) => this.#watcher.broke(error),
    );
  }

  #start(bytes: Uint8Array | undefined): void {
    const self = this.id;
    const image = bytes === undefined ? newArbiterImage(self) : decoded(bytes);
    this.clock = driftingClock(this.time, this.#clockFaults);
    const now = this.clock.now();
    const core = new ArbiterCore({ self, image }, { leaseMs: this.#leaseMs }, now);
    this.core = core;
    this.#port = this.#net.attach(self, this.time);
    this.#port.net.onMessages(this.#key, (from, payload) => {
      const message = decodePalfMessage(payload);
      if (message.kind !== 'problem' && this.core === core) this.#step({ kind: 'message', from, message });
    });
    const view = core.view();
    this.#watcher.stepped({ arbiter: this, self, input: { kind: 'boot' }, before: view, view, now });
  }

  #step(input: ArbiterInput): void {
    const { core, clock, id: self } = this;
    assert(core !== undefined && clock !== undefined, 'a process steps its core');
    const before = core.view();
    const now = clock.now();
    const effects = core.step(input, now);
    this.#watcher.stepped({ arbiter: this, self, input, before, view: core.view(), now });
    for (const effect of effects) {
      if (effect.kind === 'send') this.#send(effect);
      else this.#persist(effect);
    }
  }

  #persist({ id, image, thenSend }: Extract<ArbiterEffect, { kind: 'persist' }>): void {
    const { core } = this;
    this.#disk?.replaceFile(imageFile, encodeArbiterImage(image)).then(
      () => {
        if (this.core !== core) return;
        this.#step({ kind: 'persisted', id });
        for (const send of thenSend) this.#send(send);
      },
      (error: unknown) => this.#watcher.broke(error),
    );
  }

  #send({ to, message }: PalfSend): void {
    this.#port?.net.send(to, this.#key, encodePalfMessage(message));
  }

  crash(kind: 'process' | 'power'): void {
    this.#incarnation += 1;
    this.core = undefined;
    this.clock = undefined;
    this.#disk = undefined;
    this.#port?.close();
    this.disk.crash(kind);
  }
}

function decoded(bytes: Uint8Array): ArbiterImage {
  const image = decodeArbiterImage(bytes);
  if ('kind' in image) throw new Error(image.what);
  return image;
}
