/**
 * All replicas of this server, the sys tenant's among them, as the root service's orders reach them: the registry's, and the
 * one of the sys tenant in its own slot.
 *
 * Must never leave a replica open that was opened while all were closed.
 */
import { join } from 'node:path';
import { ObError } from '../base/errors.ts';
import type { LogState } from '../base/log-access.ts';
import { lsn, proposalId, scn, type TenantId } from '../base/scalars.ts';
import type { LogStream } from '../logstream/log-stream.ts';
import {
  eraseReplica,
  type ReplicaFile,
  readReplicaFile,
  requireLog,
  writeReplicaFile,
} from './replica-file.ts';
import { sysLogStream, userLogStream } from './replica-log.ts';
import type { LocalReplica, LocalReplicas, ReplicaSpec } from './root/local-replicas.ts';
import type { SysUnit } from './sys-unit.ts';
import type { RegisteredReplica, TenantRegistry } from './tenant-registry.ts';
import { sysTenantId, tenantPaths } from './tenant-paths.ts';
import { Turns } from './turns.ts';
import type { ReplicaHost } from './unit-host.ts';

export interface ReplicaSetOptions {
  readonly host: ReplicaHost;
  readonly registry: TenantRegistry;
  readonly openSys: (file: ReplicaFile) => Promise<SysUnit>;
}

export class ReplicaSet implements LocalReplicas {
  readonly #options: ReplicaSetOptions;
  #sys: { file: ReplicaFile; readonly unit: SysUnit } | null = null;
  /** what is done with the replica of the sys tenant, one thing at a time: orders come while it is being opened */
  readonly #turns = new Turns();
  #isClosed = false;

  constructor(options: ReplicaSetOptions) {
    this.#options = options;
  }

  /** Null where the sys tenant has no replica. */
  get sys(): SysUnit | null {
    return this.#sys?.unit ?? null;
  }

  /**
   * Opens the replica of the sys tenant that is here; `first`: of one that is made now, because its cluster was made with it
   * or it is a server of its own.
   */
  openSys(first: ReplicaSpec | null): Promise<void> {
    return this.#inTurn(() => this.#openFirst(first));
  }

  async #openFirst(first: ReplicaSpec | null): Promise<void> {
    const { cluster, disk, dataDirectory, logger } = this.#options.host;
    const known = await readReplicaFile(disk, dataDirectory, sysTenantId);
    if (known !== null) {
      // What is left of one that was removed goes; whoever removed it may order another one.
      if (known.state === 'HERE') await this.#openSys(known);
      else await this.#eraseSys();
      return;
    }
    const mark = await this.#readMark();
    if (mark === 'removed') {
      await this.#eraseSys();
      return;
    }
    if (first === null) return;
    const { log } = tenantPaths(dataDirectory, sysTenantId);
    const hasLog = (await disk.list(log)).length > 0;
    // Only once: a voter that lost its log does not begin anew under its old name (C4).
    if (mark === 'made' && (cluster !== null || !hasLog)) {
      const missing = new ObError('OBS_REPLICA_LOG_MISSING', { tenant: 'sys', path: log });
      if (cluster === null) throw missing;
      logger.error({ ...missing.toJSON() }, 'this server goes on without a replica of the sys tenant');
      return;
    }
    const file: ReplicaFile = { ...first, state: 'HERE', hasLog };
    await this.#write(file);
    await this.#openSys(file);
  }

  find(id: TenantId): LocalReplica | undefined {
    if (id === sysTenantId) return this.#sysReplica();
    const replica = this.#options.registry.replica(id);
    return replica === undefined ? undefined : localReplica(replica);
  }

  all(): readonly LocalReplica[] {
    const sys = this.#sysReplica();
    const others = this.#options.registry.replicas.map(localReplica);
    return sys === undefined ? others : [sys, ...others];
  }

  async create(spec: ReplicaSpec): Promise<void> {
    if (spec.tenant.id !== sysTenantId) {
      await this.#options.registry.create(spec);
      return;
    }
    await this.#inTurn(async () => {
      await this.#dropSys();
      await this.#eraseSys();
      const file: ReplicaFile = { ...spec, state: 'HERE', hasLog: false };
      await this.#write(file);
      await this.#openSys(file);
    });
  }

  async drop(id: TenantId): Promise<void> {
    if (id !== sysTenantId) {
      await this.#options.registry.drop(id);
      return;
    }
    await this.#inTurn(() => this.#dropSys());
  }

  async #dropSys(): Promise<void> {
    const sys = this.#sys;
    if (sys === null) return;
    await this.#write({ ...sys.file, state: 'DROPPING' });
    this.#sys = null;
    await sys.unit.close();
    await this.#eraseSys();
  }

  async number(id: TenantId, replicaId: number): Promise<void> {
    if (id !== sysTenantId) {
      await this.#options.registry.number(id, replicaId);
      return;
    }
    if (this.#sys === null) return;
    this.#sys.file = { ...this.#sys.file, replicaId };
    await this.#write(this.#sys.file);
  }

  /** Waits for what is being done; what would be begun later is refused with OBS_SERVER_CLOSING. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#options.registry.closeAll();
    await this.#turns.settled;
    await this.#sys?.unit.close();
    this.#sys = null;
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    return this.#turns.run(() => {
      if (this.#isClosed) throw new ObError('OBS_SERVER_CLOSING');
      return work();
    });
  }

  /** Says that a replica of the sys tenant was made here, and whether it was removed again; outlives its directory. */
  get #markPath(): string {
    return join(this.#options.host.dataDirectory, 'tenants', 'sys.made');
  }

  async #readMark(): Promise<'made' | 'removed' | null> {
    const bytes = await this.#options.host.disk.readFile(this.#markPath);
    if (bytes === undefined) return null;
    return bytes.length === 0 ? 'made' : 'removed';
  }

  async #writeMark(mark: 'made' | 'removed'): Promise<void> {
    if ((await this.#readMark()) === mark) return;
    const text = mark === 'made' ? '' : 'removed\n';
    await this.#options.host.disk.replaceFile(this.#markPath, Buffer.from(text));
  }

  /** Its `replica.json` is there. Before it can promise anything it is noted that it was here. */
  async #openSys(file: ReplicaFile): Promise<void> {
    const { disk, dataDirectory } = this.#options.host;
    await this.#writeMark('made');
    await requireLog(disk, dataDirectory, file);
    const unit = await this.#options.openSys(file);
    this.#sys = { file: { ...file, hasLog: true }, unit };
    if (!file.hasLog) await this.#write(this.#sys.file);
  }

  #sysReplica(): LocalReplica | undefined {
    if (this.#sys === null) return undefined;
    const { file, unit } = this.#sys;
    return openReplica(sysTenantId, file.replicaId, unit.replica.log);
  }

  #write(file: ReplicaFile): Promise<void> {
    const { disk, dataDirectory } = this.#options.host;
    return writeReplicaFile(disk, dataDirectory, file);
  }

  async #eraseSys(): Promise<void> {
    const { disk, dataDirectory } = this.#options.host;
    if ((await this.#readMark()) !== null) await this.#writeMark('removed');
    await eraseReplica(disk, dataDirectory, sysTenantId);
  }
}

const localReplica = ({ file, unit }: RegisteredReplica): LocalReplica =>
  unit === undefined ? closedReplica(file) : openReplica(file.tenant.id, file.replicaId, unit.log);

const openReplica = (id: TenantId, replicaId: number, log: LogStream): LocalReplica => ({
  tenantId: id,
  replicaId,
  blockBytes: log.blockBytes,
  state: () => log.state(),
  changeConfig: (change, expected) => log.changeConfig(change, expected),
  transfer: to => log.transfer(to),
  setPriority: priority => log.setPriority(priority),
  inform: news => log.inform(news),
});

/** One that did not open: it takes part in nothing. */
function closedReplica(file: ReplicaFile): LocalReplica {
  const nothing = { lsn: lsn(0), scn: scn(0), checksum: 0 };
  const state: LogState = {
    stream: file.tenant.id === sysTenantId ? sysLogStream : userLogStream,
    role: 'follower',
    leader: null,
    isActive: false,
    isImpaired: true,
    isStuck: false,
    config: {
      version: { proposalId: proposalId(0), sequence: 0 },
      members: [],
      learners: [],
      degraded: [],
      arbiter: null,
    },
    proposalId: proposalId(0),
    accessMode: 'RAW_WRITE',
    modeVersion: 0,
    baseLsn: nothing.lsn,
    beginLsn: nothing.lsn,
    end: nothing,
    maxLsn: nothing.lsn,
    maxScn: nothing.scn,
    proposalHistory: [],
  };
  const closed = (): Promise<never> =>
    Promise.reject(new ObError('OBS_TENANT_NOT_OPEN', { tenant: file.tenant.name, state: 'closed' }));
  return {
    tenantId: file.tenant.id,
    replicaId: file.replicaId,
    blockBytes: file.blockBytes,
    state: () => state,
    changeConfig: closed,
    transfer: closed,
    setPriority: () => {},
    inform: () => {},
  };
}
