/**
 * The thin shell around the role core of one tenant: carries out its effects against the ports, in the order that
 * matters, and turns commands, peer requests and signs of newer epochs into inputs.
 *
 * Never: decides anything. Calls that change the local tenant run one after another in the order the core asked for them,
 * so that what a fence asks for last is what holds; refusing writes overtakes them all.
 */
import { must } from '../base/assert.ts';
import { isSurvivable, ObError } from '../base/errors.ts';
import type { CommandResult, RoleCommand } from './commands.ts';
import { type ControlReply, decodeControlRequest } from './control-ops.ts';
import { type Outcome, RoleCore, type RoleInput, type RoleOutput, type RoleView } from './core.ts';
import type { RoleClock, RolePorts } from './ports.ts';
import type { EpochSign, RoleEffect, RoleSettings } from './procedure.ts';
import type { StepReport } from './steps.ts';

export interface RoleDriverOptions {
  readonly ports: RolePorts;
  readonly settings: RoleSettings;
  readonly clock: RoleClock;
  /** called when the row, or the reason why writes are refused, changed; read it from `view()` */
  readonly onChange?: (view: RoleView) => void;
  /** a port failed with something that is no `ObError`, or an invariant broke: the process has to end */
  readonly onFatal: (error: unknown) => void;
}

interface Caller {
  readonly resolve: (value: CommandResult | ControlReply) => void;
  readonly reject: (error: unknown) => void;
  readonly progress: ((report: StepReport) => void) | undefined;
}

/** Effects that only look or wait; the others on the local tenant are queued. */
const unqueued: ReadonlySet<RoleEffect['kind']> = new Set([
  'local.observe',
  'local.refuseWrites',
  'local.caughtUpTo',
  'local.countSuffix',
]);

export class RoleDriver {
  readonly #options: RoleDriverOptions;
  readonly #core: RoleCore;
  readonly #callers = new Map<number, Caller>();
  #nextToken = 1;
  #localQueue: Promise<unknown> = Promise.resolve();
  /** counts refusals, so that an opening that was already running when writes were refused is refused again */
  #refusals = 0;
  #refusal = '';
  #closed = false;

  private constructor(options: RoleDriverOptions, core: RoleCore) {
    this.#options = options;
    this.#core = core;
  }

  /** Loads the stored row and boots: pulls, serves, or finishes an opening, whatever the row says. */
  static async start(options: RoleDriverOptions): Promise<RoleDriver> {
    const row = await options.ports.store.load();
    const core = new RoleCore({ row, settings: options.settings, now: options.clock.wall() });
    const driver = new RoleDriver(options, core);
    driver.#step({ kind: 'boot' });
    return driver;
  }

  view(): RoleView {
    return this.#core.view();
  }

  /** Runs an operator's command; rejects with its refusal. `progress` gets each step as it begins and ends. */
  command(command: RoleCommand, progress?: (report: StepReport) => void): Promise<CommandResult> {
    return this.#ask(token => ({ kind: 'command', token, command }), progress) as Promise<CommandResult>;
  }

  /** A request of an authenticated peer; `body` is unchecked JSON, the answer is a `ControlReply`. */
  async control(op: string, body: unknown): Promise<ControlReply> {
    const request = decodeControlRequest(
      typeof body === 'object' && body !== null && !Array.isArray(body) ? { ...body, op } : { op },
    );
    return (await this.#ask(token => ({ kind: 'control', token, request }))) as ControlReply;
  }

  /** Somebody knows of this epoch: a peer's handshake, a role entry of the log, a fenced archiver. */
  epochSeen(sign: EpochSign): void {
    this.#step({ kind: 'epoch-seen', sign });
  }

  /** Ends the restart check on an operator's word. */
  openAnyway(): void {
    this.#step({ kind: 'open-anyway' });
  }

  /** Forgets what is in progress; its callers are told. The row says what to resume. */
  async close(): Promise<void> {
    this.#closed = true;
    const error = new ObError('OBS_ROLE_STOPPED', { tenant: this.#core.view().row.tenant });
    for (const caller of this.#callers.values()) caller.reject(error);
    this.#callers.clear();
    await this.#localQueue;
  }

  #ask(
    input: (token: number) => RoleInput,
    progress?: (report: StepReport) => void,
  ): Promise<CommandResult | ControlReply> {
    return new Promise((resolve, reject) => {
      const token = this.#nextToken;
      this.#nextToken += 1;
      this.#callers.set(token, { resolve, reject, progress });
      this.#step(input(token));
    });
  }

  #step(input: RoleInput): void {
    if (this.#closed) return;
    let outputs: readonly RoleOutput[];
    try {
      outputs = this.#core.step(input, this.#options.clock.wall());
    } catch (error) {
      this.#fail(error);
      return;
    }
    for (const output of outputs) this.#carryOut(output);
    if (outputs.some(output => output.kind === 'changed')) this.#options.onChange?.(this.#core.view());
  }

  #carryOut(output: RoleOutput): void {
    switch (output.kind) {
      case 'effect':
        this.#perform(output.effectId, output.effect);
        return;
      case 'reply': {
        // Token 0 is the core's own: an opening that a restart finishes.
        const caller = this.#callers.get(output.token);
        this.#callers.delete(output.token);
        if (output.outcome.kind === 'ok') caller?.resolve(output.outcome.value);
        else caller?.reject(output.outcome.error);
        return;
      }
      case 'progress':
        this.#callers.get(output.token)?.progress?.(output.report);
        return;
      case 'changed':
        return;
    }
  }

  #perform(effectId: number, effect: RoleEffect): void {
    const queued = effect.port === 'local' && !unqueued.has(effect.kind);
    const work = queued ? this.#localQueue.then(() => this.#invoke(effect)) : this.#invoke(effect);
    const settled = work.then(
      (value): Outcome<unknown> => ({ kind: 'ok', value }),
      (error: unknown): Outcome<unknown> => {
        if (isSurvivable(error)) {
          return { kind: 'failed', error };
        }
        this.#fail(error);
        return { kind: 'failed', error: new ObError('OBS_BUG', { what: effect.kind }, error) };
      },
    );
    if (queued) this.#localQueue = settled;
    void settled.then(outcome => this.#step({ kind: 'done', effectId, outcome }));
  }

  async #invoke(effect: RoleEffect): Promise<unknown> {
    if (effect.kind === 'local.refuseWrites') {
      this.#refusals += 1;
      this.#refusal = effect.parameters[0];
    }
    const before = this.#refusals;
    const port = this.#options.ports[effect.port] as unknown as Record<
      string,
      ((...parameters: readonly unknown[]) => Promise<unknown>) | undefined
    >;
    const method = must(port[effect.method], `method of the port ${effect.port}`);
    const result = await method.call(port, ...effect.parameters);
    // Writes were refused while the engine was being opened: it must not stay open until the fence gets its turn.
    if (effect.kind === 'local.promote' && this.#refusals !== before) {
      await this.#options.ports.local.refuseWrites(this.#refusal);
    }
    return result;
  }

  #fail(error: unknown): void {
    this.#closed = true;
    for (const caller of this.#callers.values()) caller.reject(error);
    this.#callers.clear();
    this.#options.onFatal(error);
  }
}
