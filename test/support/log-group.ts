/**
 * A few nodes with a replica each of one log stream: real log streams on the real disk, in a directory of their own, with a simulated network and
 * simulated time that goes on only while no disk operation is under way. Nothing waits for real time, and a slow disk changes nothing.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { assert, must } from '../../src/base/assert.ts';
import type { ObError } from '../../src/base/errors.ts';
import type { LogPosition } from '../../src/base/log-access.ts';
import { logStreamId, type NodeId, nodeId, tenantId } from '../../src/base/scalars.ts';
import { isProblem } from '../../src/codec/clog.ts';
import { EntryAssembler } from '../../src/codec/entry-assembler.ts';
import { LogStream } from '../../src/logstream/log-stream.ts';
import type { LogStreamOptions, RebuildNeed, RoleChange } from '../../src/logstream/log-stream-options.ts';
import { logStart } from '../../src/logstream/log-stream-options.ts';
import { type Disk, type DiskFile, nodeDisk } from '../../src/platform/disk.ts';
import { simClock } from './sim/clock.ts';
import { EventLoop } from './sim/event-loop.ts';
import { SimMemberNet } from './sim/member-net.ts';
import { ProcessTime } from './sim/process-time.ts';
import { SimRandom } from './sim/random.ts';

const key = { tenantId: tenantId(1002), stream: logStreamId(1001) };

/** One process of a node, from its start on. */
export class Member {
  readonly id: NodeId;
  readonly directory: string;
  readonly roles: RoleChange[] = [];
  readonly needs: RebuildNeed[] = [];
  readonly fatal: ObError[] = [];
  /** durable writes wait for this */
  gate: Promise<void> | undefined;
  isDead = false;
  /** its disk has no room */
  isFull = false;
  /** its durable writes fail */
  isFailing = false;
  #log: LogStream | undefined;

  constructor(id: NodeId, directory: string) {
    this.id = id;
    this.directory = directory;
  }

  get log(): LogStream {
    return must(this.#log, 'a log that is open');
  }

  set log(log: LogStream) {
    this.#log = log;
  }

  /** What is committed here, entry by entry. */
  async texts(from: LogPosition = logStart): Promise<string[]> {
    const assembler = new EntryAssembler(from);
    const found: string[] = [];
    while (assembler.position.lsn < this.log.state().end.lsn) {
      const entries = assembler.push((await this.log.read(assembler.position.lsn, 10_000)).bytes);
      if (isProblem(entries)) throw new Error(entries.what);
      found.push(...entries.map(entry => Buffer.from(entry.body).toString()));
    }
    return found;
  }
}

export class LogGroup {
  readonly root = mkdtempSync(join(tmpdir(), 'obstandby-group-'));
  readonly loop = new EventLoop();
  readonly net = new SimMemberNet(this.loop, new SimRandom(1));
  readonly ids: readonly NodeId[];
  readonly members = new Map<NodeId, Member>();
  #operations = 0;

  /** @param names nodes; a replica each is made when it is started first */
  constructor(...names: readonly string[]) {
    this.ids = names.map(nodeId);
  }

  /** Starts a node, again or for the first time. */
  async start(name: string, changes: Partial<LogStreamOptions> = {}): Promise<Member> {
    const id = nodeId(name);
    const before = this.members.get(id);
    assert(before === undefined || before.isDead, 'a node runs once');
    const member = new Member(id, join(this.root, name));
    this.members.set(id, member);
    const time = new ProcessTime(this.loop);
    const port = this.net.attach(id, time);
    const clock = simClock(time);
    const opening = LogStream.open({
      disk: this.#disk(member),
      clock: {
        ...clock,
        after: (ms, callback) => clock.after(ms, () => (member.isDead ? undefined : callback())),
      },
      directory: member.directory,
      stream: key.stream,
      incarnation: 'test',
      limits: { blockBytes: 65_536, diskBytesMax: 1_048_576 },
      self: id,
      key,
      net: port.net,
      initialConfig: { members: this.ids, learners: [] },
      onRole: change => member.roles.push(change),
      onRebuild: need => member.needs.push(need),
      onFatal: error => member.fatal.push(error),
      ...changes,
    });
    member.log = await this.run(opening);
    return member;
  }

  async startAll(changes: Partial<LogStreamOptions> = {}): Promise<Member[]> {
    return Promise.all(this.ids.map(id => this.start(id, changes)));
  }

  /** The process is gone from one instant to the next: what it had under way never completes. */
  kill(member: Member): void {
    member.isDead = true;
    this.net.detach(member.id);
  }

  async restart(member: Member, changes: Partial<LogStreamOptions> = {}): Promise<Member> {
    this.kill(member);
    await this.#idle();
    return this.start(member.id, changes);
  }

  /** Everybody loses sight of `member`. */
  isolate(member: Member): void {
    for (const id of this.ids) {
      if (id === member.id) continue;
      this.net.cut(id, member.id);
      this.net.cut(member.id, id);
    }
  }

  get running(): readonly Member[] {
    return [...this.members.values()].filter(({ isDead }) => !isDead);
  }

  leader(): Member | undefined {
    return this.running.find(({ log }) => log.state().isActive);
  }

  /** Waits for a leader that others than `not` know. */
  async elect(...not: readonly Member[]): Promise<Member> {
    const found = () => this.running.find(member => !not.includes(member) && member.log.state().isActive);
    await this.until(() => found() !== undefined, 'a leader');
    return must(found(), 'a leader');
  }

  /** Appends at `member` and waits until it is committed there. */
  async commit(member: Member, ...texts: readonly string[]): Promise<void> {
    const ends = texts.map(text => member.log.append({ kind: 'redo', body: [Buffer.from(text)] }).endLsn);
    for (const end of ends) await this.run(member.log.committed(end));
  }

  /** Time goes on until the condition holds. */
  async until(condition: () => boolean, what: string): Promise<void> {
    const limit = this.loop.now + 60_000;
    for (;;) {
      await this.#idle();
      if (condition()) return;
      assert(this.loop.now < limit, `${what} within a minute of simulated time`);
      assert(await this.loop.step(), `something that leads to ${what}`);
    }
  }

  /** All running replicas have everything that `member` has. */
  async settle(member: Member): Promise<void> {
    const { end } = member.log.state();
    await this.until(
      () => this.running.every(({ log }) => log.state().end.lsn >= end.lsn),
      `replicas that have log up to LSN ${end.lsn}`,
    );
  }

  /** Time goes on until the promise is settled. */
  async run<T>(promise: Promise<T>): Promise<T> {
    let isDone = false;
    const settled = promise.finally(() => {
      isDone = true;
    });
    // Whoever waits hears of a failure from the promise itself.
    settled.catch(() => {});
    await this.until(() => isDone, 'an answer');
    return promise;
  }

  async close(): Promise<void> {
    for (const member of this.members.values()) member.isDead = true;
    rmSync(this.root, { recursive: true, force: true });
  }

  /** Nothing is left to do without time going on. */
  async #idle(): Promise<void> {
    for (let quiet = 0; quiet < 2; quiet = this.#operations === 0 ? quiet + 1 : 0)
      await new Promise<void>(resolve => setImmediate(resolve));
  }

  #disk(member: Member): Disk {
    /** Operations of a dead process never complete. */
    const watch = async <T>(run: () => Promise<T>): Promise<T> => {
      if (member.isDead) return new Promise<T>(() => {});
      this.#operations += 1;
      try {
        return await run();
      } finally {
        this.#operations -= 1;
        if (member.isDead) await new Promise<void>(() => {});
      }
    };
    const watched = (file: DiskFile): DiskFile => ({
      path: file.path,
      read: (position, length) => watch(() => file.read(position, length)),
      writeDurable: async (position, parts) => {
        await member.gate;
        if (member.isFailing) throw Object.assign(new Error('it fails'), { code: 'EIO' });
        return watch(() => file.writeDurable(position, parts));
      },
      write: (position, bytes) =>
        watch(async () => {
          if (member.isFull) throw Object.assign(new Error('no room'), { code: 'ENOSPC' });
          await file.write(position, bytes);
        }),
      sync: () => watch(() => file.sync()),
      truncate: length => watch(() => file.truncate(length)),
      size: () => watch(() => file.size()),
      close: () => watch(() => file.close()),
    });
    return {
      open: (path, options) => watch(async () => watched(await nodeDisk.open(path, options))),
      readFile: path => watch(() => nodeDisk.readFile(path)),
      replaceFile: (path, bytes) => watch(() => nodeDisk.replaceFile(path, bytes)),
      list: directory => watch(() => nodeDisk.list(directory)),
      remove: path => watch(() => nodeDisk.remove(path)),
      rename: (from, to) => watch(() => nodeDisk.rename(from, to)),
      makeDirectory: path => watch(() => nodeDisk.makeDirectory(path)),
      removeDirectory: path => watch(() => nodeDisk.removeDirectory(path)),
      freeBytes: path => watch(() => nodeDisk.freeBytes(path)),
    };
  }
}
