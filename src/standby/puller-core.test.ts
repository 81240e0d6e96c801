import fc from 'fast-check';
import { expect, test } from 'vitest';
import { groupsAfter, logStart } from '../../test/support/log-groups.ts';
import type { LogChunk, LogPosition } from '../base/log-access.ts';
import { lsn, monoMs, roleEpoch, scn, scnUnlimited, wallMicros } from '../base/scalars.ts';
import { joinChunks } from './chunk-cut.ts';
import { networkPatienceMs, PullerCore, retryHopelessMs } from './puller-core.ts';
import type { PullerEffect, PullerInput, PullerOptions } from './puller-messages.ts';

const wall = wallMicros(1_000);
const log = groupsAfter(
  logStart,
  100,
  Array.from({ length: 20 }, (_, i) => `group ${i}`),
);
const chunkAt = (index: number): LogChunk => log[index] ?? (log[0] as LogChunk);
const endOf = (count: number): LogPosition => (count === 0 ? logStart : chunkAt(count - 1).end);
const sourceEnd = endOf(20);

/** Steps a core, doing writes at once when told to, and keeps what it asked for. */
class Bench {
  readonly core: PullerCore;
  now = 0;
  effects: PullerEffect[] = [];
  written: LogChunk[] = [];
  pendingWrite: LogChunk | null = null;
  wakeAt: number | null = null;

  constructor(options: Partial<PullerOptions> = {}) {
    this.core = new PullerCore({
      sources: { addresses: 1, archive: false },
      recoveryUntil: scnUnlimited,
      knownEpoch: roleEpoch(1),
      sourceEnd: null,
      bandwidthBytesPerSecond: 0,
      jitterSeed: 1,
      ...options,
    });
  }

  step(input: PullerInput): PullerEffect[] {
    const effects = this.core.step(input, monoMs(this.now));
    for (const effect of effects) {
      if (effect.kind === 'wake-at') this.wakeAt = effect.at;
      if (effect.kind !== 'write') continue;
      expect(this.pendingWrite).toBeNull();
      this.pendingWrite = effect.chunk;
    }
    this.effects.push(...effects);
    return effects;
  }

  /** Finishes the write under way. */
  flush(): void {
    while (this.pendingWrite !== null) {
      const chunk = this.pendingWrite;
      this.pendingWrite = null;
      this.written.push(chunk);
      this.step({ kind: 'written', end: chunk.end });
    }
  }

  last<K extends PullerEffect['kind']>(kind: K): Extract<PullerEffect, { kind: K }> {
    const found = this.effects.findLast(effect => effect.kind === kind);
    if (found === undefined) throw new Error(`no ${kind} was asked for`);
    return found as Extract<PullerEffect, { kind: K }>;
  }

  count(kind: PullerEffect['kind']): number {
    return this.effects.filter(effect => effect.kind === kind).length;
  }

  /** Lets time pass to the next wake asked for. */
  sleep(): void {
    if (this.wakeAt === null) throw new Error('it asked for no wake');
    this.now = this.wakeAt;
    this.step({ kind: 'wake' });
  }

  connected(options: { epoch?: number; beginLsn?: number } = {}): PullerEffect[] {
    return this.step({
      kind: 'connected',
      link: this.last('connect').link,
      epoch: roleEpoch(options.epoch ?? 1),
      log: { beginLsn: lsn(options.beginLsn ?? 0), end: sourceEnd },
      wall,
    });
  }

  stream(): void {
    this.connected();
    this.step({ kind: 'subscribed', link: this.last('subscribe').link, end: sourceEnd, wall });
  }

  chunk(index: number, chunk = chunkAt(index)): PullerEffect[] {
    return this.step({ kind: 'chunk', link: this.last('connect').link, chunk, sourceEnd, wall });
  }

  lose(
    problem: Partial<{
      code: 'OBS_LOG_RECYCLED' | 'OBS_PEER_CLOSED' | 'OBS_STANDBY_DIVERGED';
      begin: number;
    }> = {},
  ): void {
    this.step({
      kind: 'link-lost',
      link: this.last('connect').link,
      problem: {
        code: problem.code ?? 'OBS_PEER_CLOSED',
        message: 'it ended',
        begin: problem.begin === undefined ? null : lsn(problem.begin),
      },
    });
  }
}

test('it connects, subscribes from its end, writes what comes and gives credit for what is durable', () => {
  const bench = new Bench();
  bench.step({ kind: 'start', end: logStart });
  bench.stream();
  expect(bench.last('subscribe').from).toEqual(logStart);
  bench.chunk(0);
  expect(bench.count('ack')).toBe(0);
  bench.flush();
  expect(bench.last('ack').creditBytes).toBe(chunkAt(0).bytes.length);
  expect(bench.core.view()).toMatchObject({ status: 'NORMAL', transport: 'network', flushed: endOf(1) });
});

test('chunks that come while a write is under way are written together', () => {
  const bench = new Bench();
  bench.step({ kind: 'start', end: logStart });
  bench.stream();
  for (let i = 0; i < 4; i += 1) bench.chunk(i);
  bench.flush();
  expect(bench.written).toEqual([chunkAt(0), joinChunks(log.slice(1, 4))]);
});

test('a fork in the stream is refused and nothing of it is written', () => {
  const bench = new Bench();
  bench.step({ kind: 'start', end: logStart });
  bench.stream();
  bench.chunk(0);
  const other = groupsAfter(groupsAfter(logStart, 100, ['group X'])[0]?.end ?? logStart, 110, ['group 1'])[0];
  bench.chunk(1, other);
  bench.flush();
  expect(bench.core.view()).toMatchObject({ status: 'STANDBY LOG NOT MATCH', flushed: endOf(1) });
  expect(bench.last('disconnect').link).toBe(1);
});

test('a gap or a repeat in the stream ends the link', () => {
  for (const index of [0, 2]) {
    const bench = new Bench();
    bench.step({ kind: 'start', end: logStart });
    bench.stream();
    bench.chunk(0);
    bench.chunk(index);
    expect(bench.count('disconnect')).toBe(1);
    bench.flush();
    expect(bench.core.view().flushed).toEqual(endOf(1));
  }
});

test('after a lost link it comes back from what is durable, later each time', () => {
  const bench = new Bench();
  bench.step({ kind: 'start', end: logStart });
  bench.stream();
  bench.chunk(0);
  bench.lose();
  bench.flush();
  expect(bench.core.view().status).toBe('CHECK NETWORK');
  const pauses: number[] = [];
  for (let i = 0; i < 8; i += 1) {
    const before = bench.now;
    bench.sleep();
    pauses.push(bench.now - before);
    bench.lose();
  }
  expect(pauses[0]).toBeLessThan(150);
  expect(pauses.at(-1)).toBeGreaterThan(3_000);
  bench.sleep();
  bench.connected();
  expect(bench.last('subscribe').from).toEqual(endOf(1));
});

test('each attempt takes the next address', () => {
  const bench = new Bench({ sources: { addresses: 3, archive: false } });
  bench.step({ kind: 'start', end: logStart });
  for (let i = 0; i < 4; i += 1) {
    bench.lose();
    bench.sleep();
  }
  const addresses = bench.effects.flatMap(effect => (effect.kind === 'connect' ? [effect.address] : []));
  expect(addresses).toEqual([0, 1, 2, 0, 1]);
});

test('what an earlier link says is ignored', () => {
  const bench = new Bench();
  bench.step({ kind: 'start', end: logStart });
  bench.stream();
  bench.lose();
  bench.sleep();
  bench.step({ kind: 'chunk', link: 1, chunk: chunkAt(0), sourceEnd, wall });
  bench.step({ kind: 'link-lost', link: 1, problem: { code: 'OBS_PEER_CLOSED', message: '', begin: null } });
  bench.flush();
  expect(bench.core.view().flushed).toEqual(logStart);
  expect(bench.count('connect')).toBe(2);
  expect(bench.count('disconnect')).toBe(1);
});

test('recycled log is read from the archive, and the network again as soon as it has what follows', () => {
  const bench = new Bench({ sources: { addresses: 1, archive: true } });
  bench.step({ kind: 'start', end: logStart });
  bench.connected({ beginLsn: endOf(2).lsn });
  expect(bench.core.view().status).toBe('SOURCE HAS A GAP');
  for (let i = 0; i < 2; i += 1) {
    const { read, from } = bench.last('read-archive');
    expect(from).toEqual(endOf(i));
    bench.step({
      kind: 'archive-chunk',
      read,
      chunk: chunkAt(i),
      archivedEnd: endOf(3),
      epoch: roleEpoch(1),
      wall,
    });
    bench.flush();
  }
  expect(bench.core.view()).toMatchObject({ status: 'NORMAL', transport: 'archive' });
  expect(bench.count('connect')).toBe(2);
  bench.connected({ beginLsn: endOf(2).lsn });
  expect(bench.last('subscribe').from).toEqual(endOf(2));
  bench.step({ kind: 'subscribed', link: 2, end: sourceEnd, wall });
  bench.chunk(2);
  bench.flush();
  expect(bench.core.view()).toMatchObject({ status: 'NORMAL', transport: 'network', flushed: endOf(3) });
});

test('a gap without an archive says so and is tried again slowly', () => {
  const bench = new Bench();
  bench.step({ kind: 'start', end: logStart });
  bench.connected({ beginLsn: endOf(2).lsn });
  expect(bench.core.view().status).toBe('SOURCE HAS A GAP');
  bench.sleep();
  expect(bench.now).toBeGreaterThan(retryHopelessMs / 2);
});

test('a network that stays away is replaced by the archive until it is back', () => {
  const bench = new Bench({ sources: { addresses: 1, archive: true } });
  bench.step({ kind: 'start', end: logStart });
  bench.lose();
  while (bench.count('read-archive') === 0) {
    bench.sleep();
    if (bench.count('connect') > bench.count('disconnect')) bench.lose();
  }
  expect(bench.now).toBeGreaterThanOrEqual(networkPatienceMs);
  bench.step({ kind: 'archive-end', read: bench.last('read-archive').read, wall });
  expect(bench.core.view()).toMatchObject({ status: 'NORMAL', transport: 'archive' });
  while (bench.count('connect') === bench.count('disconnect')) bench.sleep();
  bench.stream();
  expect(bench.core.view()).toMatchObject({ status: 'NORMAL', transport: 'network' });
});

test('a fork told by the network is not asked of the archive again', () => {
  const bench = new Bench({ sources: { addresses: 1, archive: true } });
  bench.step({ kind: 'start', end: logStart });
  bench.connected();
  bench.lose({ code: 'OBS_STANDBY_DIVERGED' });
  for (let i = 0; i < 5; i += 1) {
    bench.sleep();
    if (bench.count('connect') > bench.count('disconnect')) bench.lose({ code: 'OBS_STANDBY_DIVERGED' });
  }
  expect(bench.count('read-archive')).toBe(0);
  expect(bench.core.view().status).toBe('STANDBY LOG NOT MATCH');
});

test('a source of a lower role epoch is refused; a higher one is told and remembered', () => {
  const bench = new Bench({ knownEpoch: roleEpoch(2) });
  bench.step({ kind: 'start', end: logStart });
  bench.connected({ epoch: 1 });
  expect(bench.count('subscribe')).toBe(0);
  expect(bench.core.view().status).toBe('STANDBY LOG NOT MATCH');
  bench.sleep();
  bench.connected({ epoch: 3 });
  expect(bench.last('epoch').epoch).toBe(3);
  expect(bench.last('subscribe').link).toBe(2);
  bench.step({ kind: 'subscribed', link: 2, end: sourceEnd, wall });
  bench.step({ kind: 'heartbeat', link: 2, sourceEnd, epoch: roleEpoch(2), wall });
  expect(bench.last('disconnect').link).toBe(2);
});

test('an archive of a lower role epoch is not read on: it may hold what the newer epoch left behind', () => {
  const bench = new Bench({ sources: { addresses: 0, archive: true }, knownEpoch: roleEpoch(2) });
  bench.step({ kind: 'start', end: logStart });
  const read = (epoch: number): void => {
    bench.step({
      kind: 'archive-chunk',
      read: bench.last('read-archive').read,
      chunk: chunkAt(0),
      archivedEnd: sourceEnd,
      epoch: roleEpoch(epoch),
      wall,
    });
    bench.flush();
  };
  read(1);
  expect(bench.core.view()).toMatchObject({ status: 'STANDBY LOG NOT MATCH', flushed: logStart });
  bench.sleep();
  read(3);
  expect(bench.core.view()).toMatchObject({ status: 'NORMAL', flushed: endOf(1), knownEpoch: 3 });
  expect(bench.last('epoch').epoch).toBe(3);
});

test('nothing after recovery-until is written, and a later bound goes on from there', () => {
  const bench = new Bench({ recoveryUntil: scn(115) });
  bench.step({ kind: 'start', end: logStart });
  bench.stream();
  bench.chunk(0, joinChunks(log.slice(0, 5)));
  bench.flush();
  expect(bench.core.view()).toMatchObject({ status: 'RESTORE SUSPEND', flushed: endOf(2) });
  expect(bench.wakeAt).toBeNull();
  bench.step({ kind: 'until', scn: scnUnlimited });
  bench.stream();
  expect(bench.last('subscribe').from).toEqual(endOf(2));
});

test('a start at the bound stays there', () => {
  const bench = new Bench({ recoveryUntil: scn(110) });
  bench.step({ kind: 'start', end: endOf(2) });
  expect(bench.count('connect')).toBe(0);
  expect(bench.core.view().status).toBe('RESTORE SUSPEND');
});

test('cancel keeps what is being written, forgets what waits, and stays until told to go on', () => {
  const bench = new Bench();
  bench.step({ kind: 'start', end: logStart });
  bench.stream();
  bench.chunk(0);
  bench.chunk(1);
  bench.step({ kind: 'cancel' });
  bench.flush();
  expect(bench.core.view()).toMatchObject({
    status: 'RESTORE SUSPEND',
    flushed: endOf(1),
    received: endOf(1),
  });
  expect(bench.wakeAt).toBeNull();
  bench.step({ kind: 'until', scn: scnUnlimited });
  expect(bench.count('connect')).toBe(2);
});

test('after a stop nothing is written or asked for', () => {
  const bench = new Bench();
  bench.step({ kind: 'start', end: logStart });
  bench.stream();
  bench.chunk(0);
  bench.chunk(1);
  bench.step({ kind: 'stop' });
  bench.flush();
  expect(bench.written).toEqual([chunkAt(0)]);
  expect(bench.wakeAt).toBeNull();
  expect(bench.core.view().status).toBe('NOT AVAILABLE');
});

test('a full disk is shown, and the log is asked for again from where it stands', () => {
  const bench = new Bench();
  bench.step({ kind: 'start', end: logStart });
  bench.stream();
  bench.chunk(0);
  bench.chunk(1);
  bench.pendingWrite = null;
  bench.step({
    kind: 'write-failed',
    end: logStart,
    problem: { code: 'OBS_LOG_DISK_FULL', message: 'the log disk is full', begin: null },
  });
  expect(bench.core.view()).toMatchObject({ status: 'STANDBY LOG DISK IS FULL', received: logStart });
  bench.sleep();
  bench.stream();
  expect(bench.last('subscribe').from).toEqual(logStart);
});

test('without a source it does nothing and says so', () => {
  const bench = new Bench({ sources: { addresses: 0, archive: false } });
  bench.step({ kind: 'start', end: logStart });
  expect(bench.effects).toEqual([]);
  expect(bench.core.view()).toMatchObject({
    status: 'NOT AVAILABLE',
    comment: 'no log restore source is set',
  });
  bench.step({ kind: 'sources', sources: { addresses: 1, archive: false } });
  expect(bench.count('connect')).toBe(1);
});

test('whatever happens in whatever order, what is written is a prefix of the source', () => {
  const event = fc.oneof(
    fc.constant('next' as const),
    fc.constant('repeat' as const),
    fc.constant('skip' as const),
    fc.constant('altered' as const),
    fc.constant('lose' as const),
    fc.constant('recycled' as const),
    fc.constant('archive' as const),
    fc.constant('archive-end' as const),
    fc.constant('flush' as const),
    fc.constant('fail' as const),
    fc.constant('sleep' as const),
    fc.constant('cancel' as const),
    fc.constant('go on' as const),
    fc.constant('stop' as const),
  );
  fc.assert(
    fc.property(fc.array(event, { maxLength: 80 }), events => {
      const bench = new Bench({ sources: { addresses: 2, archive: true } });
      bench.step({ kind: 'start', end: logStart });
      let stopped = false;
      let durable = logStart;
      const indexAt = (position: LogPosition): number =>
        log.findIndex(chunk => chunk.start.lsn === position.lsn);
      const answer = (): void => {
        // The source answers whatever was asked last.
        if (bench.effects.length === 0) return;
        const connect = bench.effects.findLast(effect => effect.kind === 'connect');
        if (connect !== undefined) bench.connected();
        const subscribe = bench.effects.findLast(effect => effect.kind === 'subscribe');
        if (subscribe !== undefined) {
          bench.step({ kind: 'subscribed', link: subscribe.link, end: sourceEnd, wall });
        }
      };
      for (const what of events) {
        if (stopped && what !== 'flush' && what !== 'fail') continue;
        answer();
        const index = indexAt(bench.core.view().received);
        const link = bench.effects.findLast(effect => effect.kind === 'connect')?.link ?? 0;
        const push = (chunk: LogChunk | undefined): void => {
          if (chunk !== undefined) bench.step({ kind: 'chunk', link, chunk, sourceEnd, wall });
        };
        if (what === 'next') push(log[index]);
        if (what === 'repeat') push(log[index - 1]);
        if (what === 'skip') push(log[index + 1]);
        if (what === 'altered' && log[index] !== undefined) {
          const bytes = chunkAt(index).bytes.slice();
          bytes[45] = (bytes[45] ?? 0) ^ 4;
          push({ ...chunkAt(index), bytes });
        }
        if (what === 'lose' && link > 0) bench.lose();
        if (what === 'recycled' && link > 0) bench.lose({ code: 'OBS_LOG_RECYCLED', begin: endOf(5).lsn });
        const read = bench.effects.findLast(effect => effect.kind === 'read-archive');
        if (what === 'archive' && read !== undefined) {
          const chunk = log[indexAt(read.from)];
          if (chunk !== undefined) {
            bench.step({
              kind: 'archive-chunk',
              read: read.read,
              chunk,
              archivedEnd: sourceEnd,
              epoch: roleEpoch(1),
              wall,
            });
          }
        }
        if (what === 'archive-end' && read !== undefined)
          bench.step({ kind: 'archive-end', read: read.read, wall });
        if (what === 'flush' && bench.pendingWrite !== null) {
          const chunk = bench.pendingWrite;
          bench.pendingWrite = null;
          expect(chunk.start).toEqual(durable);
          expect(indexAt(chunk.end) === -1 ? chunk.end : log[indexAt(chunk.end)]?.start).toEqual(chunk.end);
          durable = chunk.end;
          bench.step({ kind: 'written', end: chunk.end });
        }
        if (what === 'fail' && bench.pendingWrite !== null) {
          bench.pendingWrite = null;
          const problem = { code: 'OBS_LOG_DISK_FULL', message: '', begin: null } as const;
          bench.step({ kind: 'write-failed', end: durable, problem });
        }
        if (what === 'sleep' && bench.wakeAt !== null) bench.sleep();
        if (what === 'cancel') bench.step({ kind: 'cancel' });
        if (what === 'go on') bench.step({ kind: 'until', scn: scnUnlimited });
        if (what === 'stop') {
          stopped = true;
          bench.step({ kind: 'stop' });
        }
        expect(bench.core.view().flushed).toEqual(durable);
      }
      // Faults stop: it gets everything (S8).
      if (stopped) {
        if (bench.pendingWrite !== null) {
          durable = bench.pendingWrite.end;
          bench.flush();
        }
        bench.step({ kind: 'start', end: durable });
      }
      bench.flush();
      bench.step({ kind: 'until', scn: scnUnlimited });
      bench.step({ kind: 'sources', sources: { addresses: 1, archive: true } });
      for (let turn = 0; turn < 200 && bench.core.view().flushed.lsn < sourceEnd.lsn; turn += 1) {
        answer();
        const index = indexAt(bench.core.view().received);
        if (log[index] !== undefined) bench.chunk(index);
        bench.flush();
        if (bench.core.view().transport !== 'network' && bench.wakeAt !== null) bench.sleep();
      }
      expect(bench.core.view()).toMatchObject({ flushed: sourceEnd, synchronised: true });
    }),
    { numRuns: 400 },
  );
});
