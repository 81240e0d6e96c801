/**
 * What a follower asks whoever leads its log, again and again: how old log must be to be shown (a delayed standby is delayed
 * in all its replicas), from where on log is kept for archives, standbys and copies, so that it is still there when this
 * replica leads and they come here, and whether it serves as primary, which says that its restart check is done.
 */
import { z } from 'zod';
import { isSurvivable, ObError } from '../base/errors.ts';
import { followerHoldMs, guideMs, guideRetryMs, recycleAtShare, refuseAtShare } from '../base/limits.ts';
import type { LogHold } from '../base/log-access.ts';
import {
  lsn,
  type Lsn,
  type MonoMs,
  type NodeId,
  type TenantId,
  tenantId,
  type WallMicros,
} from '../base/scalars.ts';
import type { LogStream } from '../logstream/log-stream.ts';
import type { Timer } from '../platform/clock.ts';
import type { ReplicaIdentity } from './replica-log.ts';
import type { ClusterPorts, ReplicaHost, UnitSettings } from './unit-host.ts';

/** Name of the request between nodes. */
export const guideOp = 'replica.guide';

const request = z.object({ tenantId: z.int().min(1).transform(tenantId), incarnation: z.string() });
const reply = z.object({
  keptFrom: z.int().min(0).transform(lsn),
  delayMs: z.number().min(0),
  serves: z.boolean().default(false),
});

/** A leader whose log fills so much of its share lets go of what nobody here asked for. */
const keptShareMax = (recycleAtShare + refuseAtShare) / 2;

export interface Guidance {
  readonly keptFrom: Lsn;
  readonly delayMs: number;
  /** the tenant takes writes there */
  readonly serves: boolean;
}

/** A moment, on both clocks of this node: one stands still while the machine sleeps, the other can be set. */
export interface Moment {
  readonly at: MonoMs;
  readonly wall: WallMicros;
}

/** A replica here that can be asked; throws OBS_TENANT_NOT_LEADER when it does not lead. */
export interface GuideSource {
  readonly tenant: Pick<ReplicaIdentity, 'incarnation'>;
  guidance(): Guidance;
}

export function serveGuide(find: (tenant: TenantId) => GuideSource | undefined, body: unknown): Guidance {
  const asked = request.safeParse(body);
  if (!asked.success) throw new ObError('OBS_NODE_BAD_REQUEST', { what: 'no request for guidance' });
  const source = find(asked.data.tenantId);
  if (source === undefined || source.tenant.incarnation !== asked.data.incarnation)
    throw new ObError('OBS_SERVER_NO_SUCH_TENANT', { tenant: asked.data.tenantId });
  return source.guidance();
}

export interface LeaderGuideOptions {
  readonly host: Pick<ReplicaHost, 'clock' | 'onFatal' | 'self'> & {
    readonly settings: Pick<UnitSettings, 'logDiskBytesMax'>;
  };
  readonly links: Pick<ClusterPorts['links'], 'request'>;
  readonly tenant: Pick<ReplicaIdentity, 'id' | 'incarnation'>;
  readonly log: Pick<LogStream, 'hold' | 'state'>;
  /** `asked`: it was so then, or later */
  readonly onTold: (told: Guidance, asked: Moment) => void;
}

export class LeaderGuide {
  readonly #options: LeaderGuideOptions;
  #hold: LogHold | null;
  /** the log has led here all the time since */
  #ledSince: MonoMs | null = null;
  #isTold = false;
  /** who answered last, and how soon it is asked again: one that does not serve may be about to */
  #toldBy: NodeId | null = null;
  #restMs = guideRetryMs;
  #timer: Timer | null = null;
  #isClosed = false;

  /** Keeps all the log there is until it is told from where on it is needed. */
  constructor(options: LeaderGuideOptions) {
    this.#options = options;
    this.#hold = this.#keep(options.log.state().beginLsn);
    this.#look();
  }

  close(): void {
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#hold?.release();
  }

  #look(): void {
    const { host, log } = this.#options;
    const { role, leader, beginLsn } = log.state();
    if (role === 'leader') {
      this.#ledSince ??= host.clock.now();
      if (!this.#isStillNeeded(this.#ledSince)) this.#move(null);
    } else {
      this.#ledSince = null;
      this.#hold ??= this.#keep(beginLsn);
      if (leader !== null && leader !== host.self) {
        this.#ask(leader).then(() => this.#lookAgain(), host.onFatal);
        return;
      }
    }
    this.#lookAgain();
  }

  #lookAgain(): void {
    if (this.#isClosed) return;
    const { host, log } = this.#options;
    const isTold = this.#toldBy !== null && this.#toldBy === log.state().leader;
    const restMs = isTold ? this.#restMs : guideRetryMs;
    const ledMs = this.#hold === null ? guideMs : guideRetryMs;
    const pauseMs = this.#ledSince === null ? restMs : ledMs;
    this.#timer = host.clock.after(pauseMs, () => this.#look());
  }

  /** Until whoever needs old log has come here and keeps it himself; what was only guessed at, and a full disk, do not wait. */
  #isStillNeeded(ledSince: MonoMs): boolean {
    const { host, log } = this.#options;
    const { beginLsn, maxLsn } = log.state();
    const isNearlyFull = maxLsn - beginLsn > keptShareMax * host.settings.logDiskBytesMax;
    return this.#isTold && !isNearlyFull && host.clock.now() - ledSince < followerHoldMs;
  }

  async #ask(leader: NodeId): Promise<void> {
    const { host, links, tenant, onTold } = this.#options;
    const asked = { at: host.clock.now(), wall: host.clock.wall() };
    const body = { tenantId: tenant.id, incarnation: tenant.incarnation };
    try {
      const answer = await links.request(leader, guideOp, body, { timeoutMs: guideMs });
      const told = reply.safeParse(answer);
      if (this.#isClosed || !told.success) return;
      this.#isTold = true;
      const before = this.#toldBy === leader ? this.#restMs : guideRetryMs;
      this.#restMs = told.data.serves ? guideMs : Math.min(guideMs, before * 2);
      this.#toldBy = leader;
      this.#move(told.data.keptFrom);
      onTold(told.data, asked);
    } catch (error) {
      // It leads no more, or not yet, or is gone: whoever leads is asked soon.
      if (!isSurvivable(error)) throw error;
    }
  }

  /** Other log may be needed from now on; also older log, where it is still there. */
  #move(from: Lsn | null): void {
    const before = this.#hold;
    this.#hold = from === null ? null : this.#keep(from);
    before?.release();
  }

  #keep(from: Lsn): LogHold {
    return this.#options.log.hold('what the leader keeps', from);
  }
}
