/**
 * The role manager of one tenant on one site, as a pure core: inputs in, effects out. It holds the row, the procedures in
 * progress (each waits for exactly one effect), and the one lane in which role changes run.
 *
 * Decides: who may begin a role change, what a newer epoch does, when a restarted primary may serve, why writes are refused.
 * Never: awaits, reads a clock, or has two role changes in progress. Keeps W1 to W7.
 */
import { assert, must, unreachable } from '../base/assert.ts';
import { ObError } from '../base/errors.ts';
import { roleEffectsMax, roleProceduresMax } from '../base/limits.ts';
import type { WallMicros } from '../base/scalars.ts';
import { type CommandResult, type RoleCommand, runCommand } from './commands.ts';
import { handleControl, needsLane } from './control-handlers.ts';
import type { ControlReply, ControlRequest } from './control-ops.ts';
import { completeFence, confirmEpoch, heedEpoch, mustStop, notifyOldPrimary, staleEpoch } from './fence.ts';
import { runOperation } from './operation.ts';
import {
  call,
  type EpochSign,
  type Procedure,
  type RoleContext,
  type RoleEffect,
  type RoleSettings,
} from './procedure.ts';
import { holdsWrites, isUnfinished, type RoleRow } from './row.ts';
import type { StepId, StepReport } from './steps.ts';
import { load } from './transition.ts';

export type Outcome<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'failed'; readonly error: ObError };

export type RoleInput =
  /** once, first: the site has started */
  | { readonly kind: 'boot' }
  | { readonly kind: 'command'; readonly token: number; readonly command: RoleCommand }
  | { readonly kind: 'control'; readonly token: number; readonly request: ControlRequest }
  | { readonly kind: 'epoch-seen'; readonly sign: EpochSign }
  /** an operator answers for it that no other primary exists */
  | { readonly kind: 'open-anyway' }
  | { readonly kind: 'done'; readonly effectId: number; readonly outcome: Outcome<unknown> };

export type RoleOutput =
  | { readonly kind: 'effect'; readonly effectId: number; readonly effect: RoleEffect }
  | {
      readonly kind: 'reply';
      readonly token: number;
      readonly outcome: Outcome<CommandResult | ControlReply>;
    }
  | { readonly kind: 'progress'; readonly token: number; readonly report: StepReport }
  /** the row changed, or the reason why writes are refused */
  | { readonly kind: 'changed' };

export interface RoleView {
  readonly row: RoleRow;
  /** why the tenant takes no writes although this site holds, or held, the right to them; null when it serves or is a standby */
  readonly writesRefused: ObError | null;
  /** the id of the role change that runs at this moment */
  readonly running: string | null;
}

interface Running {
  readonly name: string;
  readonly lane: boolean;
  readonly tokens: number[];
  readonly procedure: Procedure<CommandResult | ControlReply | undefined>;
  effects: number;
}

/** A role change that wants the lane. */
interface Entrant {
  readonly name: string;
  readonly token: number;
  readonly procedure: Procedure<CommandResult | ControlReply>;
}

/** The lane's name while a restarted site finishes an opening whose decision was durable. */
const ownOpening = 'own opening';

export class RoleCore {
  #row: RoleRow;
  #now: WallMicros;
  #fencing: EpochSign | null = null;
  #openAnyway = false;
  /** null: the restart check is done, or was not needed */
  #waitingFor: readonly string[] | null;
  #notifying = false;
  #lane: Running | null = null;
  /** the restarted site is finding out what it is */
  #booting = false;
  /** who asked for the lane meanwhile; they get it afterwards, in this order */
  #queue: Entrant[] = [];
  #nextEffectId = 1;
  /** the restart check has asked somebody who did not answer */
  #silent = false;
  readonly #waiting = new Map<number, Running>();
  #outputs: RoleOutput[] = [];
  #active: Running | null = null;
  readonly #stepStarts = new Map<StepId, WallMicros>();
  readonly #context: RoleContext;

  /** `row` is the stored row at start; until `boot` has been stepped nothing is served. */
  constructor(options: { readonly row: RoleRow; readonly settings: RoleSettings; readonly now: WallMicros }) {
    this.#row = options.row;
    this.#now = options.now;
    this.#waitingFor = options.row.role === 'PRIMARY' ? ['restart check'] : null;
    this.#context = {
      settings: options.settings,
      now: () => this.#now,
      row: () => this.#row,
      fencing: () => this.#fencing,
      openAnyway: () => this.#openAnyway,
      unconfirmed: () => this.#waitingFor,
      learn: row => this.#learn(row),
      progress: report => this.#progress(report),
      stepStart: (step, begins) => {
        const known = this.#stepStarts.get(step);
        if (known !== undefined && !begins) return known;
        this.#stepStarts.set(step, this.#now);
        return this.#now;
      },
    };
  }

  /** Takes one input; the outputs are to be carried out in order. Throws only on a broken invariant. */
  step(input: RoleInput, now: WallMicros): readonly RoleOutput[] {
    this.#now = now;
    this.#outputs = [];
    switch (input.kind) {
      case 'boot':
        this.#booting = true;
        this.#start('boot', this.#boot());
        break;
      case 'command':
        this.#enterLane({
          name: input.command.kind,
          token: input.token,
          procedure: runCommand(this.#context, input.command),
        });
        break;
      case 'control':
        this.#control(input.token, input.request);
        break;
      case 'epoch-seen':
        this.#epochSeen(input.sign);
        break;
      case 'open-anyway':
        this.#openAnyway = true;
        break;
      case 'done': {
        const running = must(this.#waiting.get(input.effectId), 'procedure that waits for the effect');
        this.#waiting.delete(input.effectId);
        this.#resume(running, input.outcome);
        break;
      }
      default:
        unreachable(input);
    }
    return this.#outputs;
  }

  view(): RoleView {
    return { row: this.#row, writesRefused: this.#writesRefused(), running: this.#lane?.name ?? null };
  }

  #writesRefused(): ObError | null {
    const row = this.#row;
    if (row.fenced !== null) return staleEpoch(row, row.fenced.by);
    if (this.#fencing !== null && holdsWrites(row)) return staleEpoch(row, this.#fencing);
    if (row.sealed !== null || isUnfinished(row)) {
      if (row.operation?.kind === 'undo' || (row.role === 'STANDBY' && row.opening === null)) return null;
      const { operation, step, tenant } = row;
      const id = operation?.id ?? row.sealed?.operationId;
      return new ObError('OBS_ROLE_SEALED', { tenant, operation: id, step: step ?? 'S6' });
    }
    if (row.role === 'PRIMARY' && this.#waitingFor !== null) {
      const waiting = this.#waitingFor.join(', ');
      return new ObError('OBS_ROLE_FENCE_PENDING', { tenant: row.tenant, waiting });
    }
    return null;
  }

  #control(token: number, request: ControlRequest): void {
    if (request.op === 'fence-notice') {
      const { epoch, site, address, openings } = request;
      this.#stopAtOnce({ epoch, site, address, openings, certainty: 'opened', inherited: false });
    }
    const procedure = handleControl(this.#context, request);
    const id = 'operationId' in request ? request.operationId : '';
    if (needsLane(request)) this.#enterLane({ name: `${request.op} ${id}`, token, procedure });
    else this.#start(request.op, procedure, token);
  }

  /**
   * A role change runs alone. The same one asked for again joins it; another one is refused. What a restarted site does by
   * itself (its restart check, an opening it finishes) is waited for, unless that waits for somebody who does not answer.
   */
  #enterLane(entrant: Entrant): void {
    const { name, token, procedure } = entrant;
    if (this.#isSettling && name !== ownOpening) {
      if (this.#queue.length < roleProceduresMax) this.#queue.push(entrant);
      else this.#refuseLane(token);
    } else if (this.#lane === null) {
      this.#lane = this.#start(name, procedure, token, true);
      if (this.#lane !== null && !this.#isWaiting(this.#lane)) this.#lane = null;
    } else if (this.#lane.name === name && this.#lane.tokens.length < roleProceduresMax) {
      this.#lane.tokens.push(token);
    } else {
      this.#refuseLane(token);
    }
  }

  #refuseLane(token: number): void {
    const operation = this.#row.operation?.id ?? this.#lane?.name;
    const error = new ObError('OBS_ROLE_OPERATION_RUNNING', { operation, tenant: this.#row.tenant });
    this.#outputs.push({ kind: 'reply', token, outcome: { kind: 'failed', error } });
  }

  get #isSettling(): boolean {
    return !this.#silent && (this.#booting || this.#lane?.name === ownOpening);
  }

  #letIn(): void {
    if (this.#isSettling) return;
    const queue = this.#queue;
    this.#queue = [];
    for (const entrant of queue) this.#enterLane(entrant);
  }

  #epochSeen(sign: EpochSign): void {
    const known = this.#row.openings;
    const newStart =
      sign.inherited && sign.openings.some(({ epoch }) => !known.some(each => each.epoch === epoch));
    if (!newStart) {
      if (sign.epoch < this.#row.epoch || this.#fencing?.epoch === sign.epoch) return;
      if (sign.epoch === this.#row.epoch && !mustStop(this.#row, sign)) return;
    }
    this.#stopAtOnce(sign);
    this.#start('heed-epoch', this.#heed(sign));
  }

  /** In memory, before anything is awaited: from here on no procedure gets past a guard. */
  #stopAtOnce(sign: EpochSign): void {
    if (!mustStop(this.#row, sign)) return;
    if (this.#fencing === null || this.#fencing.epoch < sign.epoch) this.#fencing = sign;
    this.#outputs.push({ kind: 'changed' });
  }

  /** A newer epoch is heeded until the row says so, however long the store takes. */
  *#heed(sign: EpochSign): Procedure<undefined> {
    for (;;) {
      try {
        yield* heedEpoch(this.#context, sign);
        return undefined;
      } catch (error) {
        if (!(error instanceof ObError)) throw error;
        if (!mustStop(this.#row, sign)) return undefined;
      }
      yield* call('timer', 'sleep', this.#context.settings.fenceRetryMs);
    }
  }

  *#boot(): Procedure<undefined> {
    const row = yield* load(this.#context);
    if (row.fenced !== null) {
      yield* completeFence(this.#context, null);
      return undefined;
    }
    if (row.switchoverStatus === 'SWITCHING TO PRIMARY') {
      if (this.#lane === null) {
        this.#enterLane({ name: ownOpening, token: 0, procedure: this.#finishOpening() });
      }
      return undefined;
    }
    if (row.role === 'PRIMARY') {
      yield* this.#serve();
      return undefined;
    }
    const kind = row.operation?.kind ?? null;
    if (row.role === 'STANDBY' && kind !== 'activate' && kind !== 'undo-activate' && kind !== 'reopen') {
      yield* call('local', 'startPulling');
    }
    return undefined;
  }

  /** The decision was durable before the site stopped: the opening is finished without being asked. */
  *#finishOpening(): Procedure<CommandResult> {
    const context = this.#context;
    const row = yield* load(context);
    if (!(yield* confirmEpoch(context, names => this.#wait(names)))) {
      return { row: this.#row, operationId: null, steps: [] };
    }
    this.#wait(null);
    const after = yield* runOperation(context, row);
    return { row: after, operationId: row.operation?.id ?? null, steps: [] };
  }

  /** A primary serves after a restart once nobody can be primary of a newer epoch. */
  *#serve(): Procedure<undefined> {
    if (!(yield* confirmEpoch(this.#context, names => this.#wait(names)))) return undefined;
    this.#wait(null);
    const row = this.#row;
    if (row.role !== 'PRIMARY' || row.switchoverStatus !== 'NORMAL' || row.fenced !== null) return undefined;
    if (this.#fencing !== null) return undefined;
    yield* call('local', 'promote');
    return undefined;
  }

  #wait(names: readonly string[] | null): void {
    this.#waitingFor = names;
    this.#silent = names !== null;
    this.#outputs.push({ kind: 'changed' });
    this.#letIn();
  }

  #learn(row: RoleRow): void {
    if (row.revision < this.#row.revision) return;
    this.#row = row;
    this.#outputs.push({ kind: 'changed' });
  }

  #progress(report: StepReport): void {
    for (const token of this.#active?.tokens ?? []) this.#outputs.push({ kind: 'progress', token, report });
  }

  #start(
    name: string,
    procedure: Procedure<CommandResult | ControlReply | undefined>,
    token: number | null = null,
    lane = false,
  ): Running | null {
    if (this.#waiting.size >= roleProceduresMax) {
      const error = new ObError('OBS_ROLE_BUSY', { tenant: this.#row.tenant });
      if (token !== null) this.#outputs.push({ kind: 'reply', token, outcome: { kind: 'failed', error } });
      return null;
    }
    const running: Running = { name, lane, tokens: token === null ? [] : [token], procedure, effects: 0 };
    this.#resume(running, { kind: 'ok', value: undefined });
    return running;
  }

  #resume(running: Running, outcome: Outcome<unknown>): void {
    const before = this.#active;
    this.#active = running;
    try {
      const { procedure } = running;
      const next = outcome.kind === 'ok' ? procedure.next(outcome.value) : procedure.throw(outcome.error);
      if (next.done === true) {
        this.#end(running, { kind: 'ok', value: next.value });
        return;
      }
      running.effects += 1;
      assert(!running.lane || running.effects <= roleEffectsMax, 'a role change ends');
      const effectId = this.#nextEffectId;
      this.#nextEffectId += 1;
      this.#waiting.set(effectId, running);
      this.#outputs.push({ kind: 'effect', effectId, effect: next.value });
    } catch (error) {
      if (!(error instanceof ObError)) throw error;
      this.#end(running, { kind: 'failed', error });
    } finally {
      this.#active = before;
    }
  }

  #end(running: Running, outcome: Outcome<CommandResult | ControlReply | undefined>): void {
    if (this.#lane === running) this.#lane = null;
    if (this.#fencing !== null && !mustStop(this.#row, this.#fencing)) this.#fencing = null;
    for (const token of running.tokens) {
      if (outcome.kind === 'failed') this.#outputs.push({ kind: 'reply', token, outcome });
      else if (outcome.value !== undefined) {
        this.#outputs.push({ kind: 'reply', token, outcome: { kind: 'ok', value: outcome.value } });
      }
    }
    this.#startNotices();
    if (running.name === 'boot') this.#booting = false;
    this.#letIn();
  }

  #startNotices(): void {
    const row = this.#row;
    if (this.#notifying || row.unfenced === null || row.unfenced.address === null) return;
    if (row.role !== 'PRIMARY' || isUnfinished(row)) return;
    this.#notifying = true;
    this.#start('notify-old-primary', this.#notify());
  }

  *#notify(): Procedure<undefined> {
    try {
      yield* notifyOldPrimary(this.#context);
    } finally {
      this.#notifying = false;
    }
    return undefined;
  }

  #isWaiting(running: Running): boolean {
    return [...this.#waiting.values()].includes(running);
  }
}
