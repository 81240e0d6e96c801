/**
 * Role changes as the log sees them: access modes one after another, raw groups of another site while in RAW_WRITE,
 * flashbacks, all at times that suit nobody. When the faults stop the log goes back to APPEND.
 */
import { isObError } from '../../../src/base/errors.ts';
import type { AccessMode, LogState } from '../../../src/base/log-access.ts';
import { proposalId, scn } from '../../../src/base/scalars.ts';
import type { SimRandom } from '../../support/sim/random.ts';
import { isFlashbackSafe } from './atlas.ts';
import { encodeWrite } from './machine.ts';
import type { GroupNode, Life } from './node.ts';
import { RawSource } from './raw-source.ts';
import type { GroupWorld } from './world.ts';

const next: Readonly<Record<AccessMode, readonly AccessMode[]>> = {
  APPEND: ['RAW_WRITE'],
  RAW_WRITE: ['APPEND', 'FLASHBACK', 'FLASHBACK', 'PREPARE_FLASHBACK'],
  PREPARE_FLASHBACK: ['FLASHBACK', 'FLASHBACK', 'RAW_WRITE'],
  FLASHBACK: ['RAW_WRITE', 'APPEND'],
};

export class Modes {
  readonly #world: GroupWorld;
  readonly #random: SimRandom;
  #source: { readonly log: RawSource; readonly modeVersion: number } | undefined;
  #lastEra = 0;
  #isOver = false;
  #isChanging = false;
  #changingSince = 0;

  constructor(world: GroupWorld, random: SimRandom) {
    this.#world = world;
    this.#random = random;
  }

  begin(): void {
    const { modeEveryMs } = this.#world.options.operator;
    if (modeEveryMs === 0) return;
    this.#changes(modeEveryMs);
    this.#pump();
  }

  /** From here on: back to APPEND. */
  end(): void {
    this.#isOver = true;
    this.#tidy();
  }

  get isTidy(): boolean {
    return this.#world.leader()?.life?.log.state().accessMode === 'APPEND';
  }

  #changes(ms: number): void {
    this.#world.loop.after(this.#random.between(1, ms), () => {
      if (this.#isOver) return;
      this.#changes(ms);
      const leader = this.#world.leader();
      if (leader?.life === undefined || leader.time.isPaused) return;
      const state = leader.life.log.state();
      if (state.accessMode === 'FLASHBACK' && this.#random.chance(2, 3)) this.#flashback(leader, leader.life);
      else this.#change(leader, leader.life, this.#random.pick(next[state.accessMode]));
    });
  }

  #change(node: GroupNode, life: Life, to: AccessMode): void {
    const { modeVersion, accessMode, end } = life.log.state();
    this.#world.note(`${node.id} is asked for ${to} from ${accessMode} version ${modeVersion}`);
    life.log.changeMode({ to, expectedModeVersion: modeVersion, referenceScn: scn(end.scn) }).then(
      version => {
        this.#world.counts.modeChanges += 1;
        this.#world.note(`${node.id} is in ${to} version ${version}`);
        this.#isChanging = false;
      },
      (error: unknown) => {
        this.#isChanging = false;
        this.#refused(node, error);
      },
    );
  }

  #flashback(node: GroupNode, life: Life): void {
    const { end, config } = life.log.state();
    // Not far back: further than the databases' checkpoints it would be refused.
    const { chaosMs } = this.#world.options;
    const to = scn(Math.max(0, end.scn - this.#random.between(0, Math.floor(chaosMs * 100))));
    if (!isFlashbackSafe(this.#world, config.members, to)) return;
    this.#world.note(`${node.id} is asked to flash back to SCN ${to} from ${end.scn} (LSN ${end.lsn})`);
    life.log.flashback(to).then(
      kept => {
        this.#world.counts.flashbacks += 1;
        this.#world.note(`${node.id} flashed back to LSN ${kept.lsn}`);
        this.#world.flashedBack(node, to, kept);
      },
      (error: unknown) => this.#refused(node, error),
    );
  }

  #refused(node: GroupNode, error: unknown): void {
    if (isObError(error) && error.kind !== 'bug') this.#world.note(`${node.id} refused: ${error.code}`);
    else this.#world.broke(error);
  }

  /** The other site writes, and the leader pulls. */
  #pump(): void {
    if (this.#isOver) return;
    this.#world.loop.after(this.#random.between(1, 40), () => this.#pump());
    const leader = this.#world.leader();
    if (leader?.life === undefined || leader.time.isPaused) return;
    const state = leader.life.log.state();
    const { accessMode } = state;
    // In other modes it tries as well, for it must be refused.
    if (accessMode !== 'RAW_WRITE' && !this.#random.chance(1, 20)) return;
    const { log, clock } = leader.life;
    const source = this.#sourceFor(state);
    const body = encodeWrite(
      { serial: this.#world.truth.takeSerial(), key: 'raw' },
      this.#random.between(8, 300),
    );
    source.write(body, scn(clock.wall()));
    const chunk = source.chunk(state.maxLsn, this.#random.between(1, 8));
    if (chunk === undefined) return;
    log.rawWrite(chunk).then(
      () => this.#world.facts.taken.push({ node: leader, accessMode, how: 'raw' }),
      (error: unknown) => {
        if (isObError(error, 'OBS_LOG_CORRUPT')) this.#world.broke(error);
        // Another leader's tail: it starts over at the end it finds.
        else if (isObError(error, 'OBS_STANDBY_DIVERGED')) this.#source = undefined;
        else this.#refused(leader, error);
      },
    );
  }

  /** A site for this stay in RAW_WRITE; its history begins at the committed end that it finds. */
  #sourceFor(state: LogState): RawSource {
    if (this.#source?.modeVersion !== state.modeVersion) {
      const eras = state.proposalHistory.map(({ proposalId: id }) => id);
      this.#lastEra = Math.max(this.#lastEra, state.proposalId, ...eras) + 1;
      this.#source = {
        log: new RawSource(state.end, this.#world.options.blockBytes, proposalId(this.#lastEra)),
        modeVersion: state.modeVersion,
      };
    }
    return this.#source.log;
  }

  #tidy(): void {
    const { leaseMs } = this.#world.options;
    this.#world.loop.after(leaseMs / 4, () => this.#tidy());
    const leader = this.#world.leader();
    if (leader?.life === undefined || leader.time.isPaused) return;
    if (this.#isChanging && this.#world.loop.now - this.#changingSince < leaseMs * 4) return;
    const { accessMode } = leader.life.log.state();
    if (accessMode === 'APPEND') return;
    this.#isChanging = true;
    this.#changingSince = this.#world.loop.now;
    this.#change(leader, leader.life, accessMode === 'PREPARE_FLASHBACK' ? 'RAW_WRITE' : 'APPEND');
  }
}
