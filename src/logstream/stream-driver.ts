/**
 * Feeds one palf core and carries out what it wants done, in order: durable writes, messages to the other members, wake-ups,
 * reads of its own log. What a write promises is let go when the write has succeeded, never before (L8). What the core tells the layers
 * above goes to `DriverEvents`, in the tick it was decided.
 *
 * Must never: feed the core inside its own step, send anything after a write failed, block on a disk.
 */
import { AssertionError, unreachable } from '../base/assert.ts';
import { isObError, ObError } from '../base/errors.ts';
import type { LogPosition } from '../base/log-access.ts';
import { type LogStreamId, type Lsn, type MonoMs, monoMs, type NodeId } from '../base/scalars.ts';
import type { ClosedGroup } from '../codec/group-builder.ts';
import type { PalfMessage } from '../codec/palf-message.ts';
import { decodePalfMessage, encodePalfMessage } from '../codec/palf-message-codec.ts';
import type { PalfCore } from '../palf/core.ts';
import type { PalfEffect, PalfReply, PalfSend } from '../palf/effects.ts';
import type { LogReadResult, PalfInput } from '../palf/inputs.ts';
import type { PalfView } from '../palf/view.ts';
import type { Clock } from '../platform/clock.ts';
import type { Logger } from '../platform/logger.ts';
import { WriteGivenUp } from './block-store.ts';
import type { LogFiles } from './log-files.ts';
import type { MemberNet, StreamKey } from './member-net.ts';
import type { MetaFile } from './meta-file.ts';
import { diskError } from './refusals.ts';
import { type StreamAlarm, StreamTimers } from './stream-timers.ts';

type Effect<K extends PalfEffect['kind']> = Extract<PalfEffect, { kind: K }>;

interface DriverEvents {
  readonly committed: (end: LogPosition) => void;
  readonly replied: (reply: PalfReply) => void;
  readonly roleChanged: (change: Effect<'roleChanged'> | Effect<'leaderHint'>) => void;
  readonly rebuildWanted: (want: Effect<'rebuildFrom'>) => void;
  /** a flashback was made here: what was committed behind it is no more */
  readonly cutBack: (to: LogPosition) => void;
  /** the end of the stream; called once */
  readonly failed: (error: ObError) => void;
}

export interface DriverOptions {
  readonly core: PalfCore;
  readonly clock: Clock;
  readonly stream: LogStreamId;
  readonly files: LogFiles;
  readonly metaFile: MetaFile;
  /** null where there are no other members */
  readonly peers: { readonly net: MemberNet; readonly key: StreamKey } | null;
  readonly events: DriverEvents;
  readonly logger: Logger;
}

export class StreamDriver {
  readonly #options: DriverOptions;
  readonly #core: PalfCore;
  readonly #clock: Clock;
  readonly #alarm: StreamAlarm;
  /** effects of steps that were taken while others were carried out */
  #queue: PalfEffect[] = [];
  #isCarrying = false;
  /** the core is to be woken at the end of this turn */
  #isWakeDue = false;
  #steppedAt: MonoMs = monoMs(0);
  #view: PalfView | undefined;
  /** the committed end; kept beside the view, which is dear, for those who ask at every commit */
  #committed: LogPosition | undefined;
  #hasFailed = false;
  #encoded: { readonly message: PalfMessage; readonly parts: readonly Uint8Array[] } | undefined;

  constructor(options: DriverOptions) {
    this.#options = options;
    this.#core = options.core;
    this.#clock = options.clock;
    this.#alarm = StreamTimers.of(options.clock).alarm(() => this.step({ kind: 'wake' }));
  }

  get view(): PalfView {
    this.#view ??= this.#core.view();
    return this.#view;
  }

  /** Goes forward with the step that decides it, before anybody is told. */
  get committed(): LogPosition {
    this.#committed ??= this.view.committed;
    return this.#committed;
  }

  /** Feeds the core; whatever goes wrong in here is the end of the stream. Replies come before this returns, if at once. */
  step(input: PalfInput): void {
    if (this.#hasFailed) return;
    try {
      this.#steppedAt = this.#clock.now();
      const effects = this.#core.step(input, this.#steppedAt);
      this.#view = undefined;
      if (input.kind === 'finishRebuild') this.#committed = undefined;
      for (const effect of effects) if (effect.kind === 'commitTo') this.#committed = effect.end;
      this.#carryOutAll(effects);
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      this.fail(new ObError('OBS_BUG', { what }, error));
    }
  }

  /** A message of another member. What makes no sense is dropped. */
  receive(from: NodeId, payload: Uint8Array): void {
    const message = decodePalfMessage(payload);
    if (message.kind === 'problem') {
      this.#options.logger.warn({ from, what: message.what }, 'a message of another member makes no sense');
      return;
    }
    this.step({ kind: 'message', from, message });
  }

  /** Nothing is promised, sent or written from here on. */
  fail(error: ObError): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#queue = [];
    this.#alarm.cancel();
    this.#options.events.failed(error);
  }

  /** Wakes nobody any more. */
  stop(): void {
    this.#alarm.cancel();
  }

  /** Listeners may ask for something while effects are carried out: what that brings comes behind them. */
  #carryOutAll(effects: readonly PalfEffect[]): void {
    if (this.#isCarrying) {
      for (const effect of effects)
        if (effect.kind === 'reply') this.#options.events.replied(effect);
        else this.#queue.push(effect);
      return;
    }
    this.#isCarrying = true;
    try {
      for (const effect of effects) this.#carryOut(effect);
      // Grows while it is walked.
      for (const effect of this.#queue) this.#carryOut(effect);
    } finally {
      this.#isCarrying = false;
      if (this.#queue.length > 0) this.#queue = [];
    }
  }

  #carryOut(effect: PalfEffect): void {
    const { events, logger } = this.#options;
    if (this.#hasFailed) return;
    switch (effect.kind) {
      case 'appendLog':
        void this.#appendLog(effect);
        return;
      case 'persistMeta':
        void this.#persistMeta(effect);
        return;
      case 'truncateLog':
        void this.#truncateLog(effect);
        return;
      case 'commitTo':
        events.committed(effect.end);
        return;
      case 'reply':
        events.replied(effect);
        return;
      case 'wakeAt':
        this.#wakeAt(effect);
        return;
      case 'send':
        this.#send(effect);
        return;
      case 'readLog':
        this.#readLog(effect);
        return;
      case 'roleChanged':
      case 'leaderHint':
        events.roleChanged(effect);
        return;
      case 'rebuildFrom':
        events.rebuildWanted(effect);
        return;
      case 'trace':
        logger.info(effect.trace, effect.trace.event);
        return;
      default:
        unreachable(effect);
    }
  }

  /** Now means at the end of this turn, so that what is ordered in one turn shares a write. */
  #wakeAt({ at }: Effect<'wakeAt'>): void {
    if (at > this.#steppedAt) {
      this.#isWakeDue = false;
      this.#alarm.set(at);
      return;
    }
    // An alarm that is set stays: mostly it is asked for again at the end of the turn, and one too many does no harm.
    if (this.#isWakeDue) return;
    this.#isWakeDue = true;
    queueMicrotask(this.#endTurn);
  }

  readonly #endTurn = (): void => {
    if (!this.#isWakeDue) return;
    this.#isWakeDue = false;
    this.step({ kind: 'wake' });
  };

  #send({ to, message }: PalfSend): void {
    const { peers } = this.#options;
    if (peers === null) throw new AssertionError('a log stream without a network has one member');
    // The same message goes to several members.
    if (this.#encoded?.message !== message) this.#encoded = { message, parts: encodePalfMessage(message) };
    peers.net.send(to, peers.key, this.#encoded.parts);
  }

  // --- the disk ---

  async #appendLog(effect: Effect<'appendLog'>): Promise<void> {
    const { files } = this.#options;
    try {
      await files.append(effect.start, effect.groups);
    } catch (error) {
      // Nothing was written, and nothing that it would have promised is said.
      if (error instanceof WriteGivenUp)
        this.step({ kind: 'ioDone', ioId: effect.ioId, outcome: 'given-up' });
      else this.#failDisk(`write its log at LSN ${effect.start.lsn}`, error);
      return;
    }
    if (this.#hasFailed) return;
    files.remember(effect.groups, this.#clock.now());
    this.step({ kind: 'ioDone', ioId: effect.ioId, outcome: 'ok' });
    this.#letGo(effect.thenSend);
  }

  async #persistMeta(effect: Effect<'persistMeta'>): Promise<void> {
    try {
      await this.#options.metaFile.write(effect.image);
    } catch (error) {
      this.#failDisk('write its meta image', error);
      return;
    }
    if (effect.image.impaired === 'rebuilding') this.#options.files.giveUpWaiting();
    this.step({ kind: 'ioDone', ioId: effect.ioId, outcome: 'ok' });
    for (const reply of effect.thenReply) if (!this.#hasFailed) this.#options.events.replied(reply);
    this.#letGo(effect.thenSend);
  }

  async #truncateLog(effect: Effect<'truncateLog'>): Promise<void> {
    try {
      await this.#options.files.truncate(effect.to);
    } catch (error) {
      this.#failDisk(`cut its log at LSN ${effect.to.lsn}`, error);
      return;
    }
    if (effect.flashback) this.#committed = undefined;
    this.step({ kind: 'ioDone', ioId: effect.ioId, outcome: 'ok' });
    if (effect.flashback && !this.#hasFailed) this.#options.events.cutBack(effect.to);
  }

  #letGo(sends: readonly PalfSend[]): void {
    for (const send of sends) if (!this.#hasFailed) this.#send(send);
  }

  // --- reads for the core ---

  #readLog({ readId, from, to, bytesMax }: Effect<'readLog'>): void {
    const recent = this.#options.files.recentGroups(from, bytesMax, to);
    if (recent !== undefined) {
      this.step({ kind: 'logRead', readId, result: groupsFrom(from, recent) });
      return;
    }
    void this.#readDisk(from, bytesMax, to).then(result => this.step({ kind: 'logRead', readId, result }));
  }

  async #readDisk(from: Lsn, bytesMax: number, to: Lsn): Promise<LogReadResult> {
    const { files, logger } = this.#options;
    if (from < files.begin) return { kind: 'gone' };
    const groups: ClosedGroup[] = [];
    try {
      await files.read(from, bytesMax, to, { groups });
      return groupsFrom(from, groups);
    } catch (error) {
      // A block that was recycled while it was read.
      if (from < files.begin) return { kind: 'gone' };
      this.#endIfLost(error);
      logger.warn({ lsn: from, error }, 'log that another member needs cannot be read');
      return { kind: 'failed' };
    }
  }

  /**
   * Damaged log that was not committed is given by nobody, and a leader that cannot read its own leads to nothing. At the next
   * start this replica says that log is missing here, so that one who has it leads.
   */
  #endIfLost(error: unknown): void {
    if (!isObError(error) || error.code !== 'OBS_LOG_CORRUPT') return;
    const { stream, lsn, what } = error.details;
    if (Number(lsn) >= this.committed.lsn)
      this.fail(new ObError('OBS_LOG_TAIL_CORRUPT', { stream, lsn, what }, error));
  }

  #failDisk(what: string, cause: unknown): void {
    this.fail(diskError(this.#options.stream, what, cause));
  }
}

/** A core asks at a group boundary: if none is there, its log is not the one it was when it asked. */
function groupsFrom(from: Lsn, groups: readonly ClosedGroup[]): LogReadResult {
  const start = groups[0]?.start;
  return start?.lsn === from ? { kind: 'groups', start, groups } : { kind: 'failed' };
}
