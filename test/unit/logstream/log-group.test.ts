/** Log streams with several members: real disks, simulated network and time. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import { isObError } from '../../../src/base/errors.ts';
import { lsn, nodeId, scn } from '../../../src/base/scalars.ts';
import { blockHeaderBytes } from '../../../src/codec/block-header.ts';
import { MetaFile } from '../../../src/logstream/meta-file.ts';
import { nodeDisk } from '../../../src/platform/disk.ts';
import { LogGroup, type Member } from '../../support/log-group.ts';

let group: LogGroup;
beforeEach(() => {
  group = new LogGroup('a', 'b', 'c');
});
afterEach(() => group.close());

const outcome = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'done',
    (error: unknown) => (isObError(error) ? error.code : String(error)),
  );

const followersOf = (leader: Member): Member[] => group.running.filter(member => member !== leader);
const [first, second] = [
  (members: readonly Member[]) => must(members[0], 'a member'),
  (members: readonly Member[]) => must(members[1], 'another member'),
];

async function begin(): Promise<Member> {
  await group.startAll();
  return group.elect();
}

const changeMode = (member: Member, to: 'RAW_WRITE' | 'FLASHBACK' | 'APPEND'): Promise<number> =>
  group.run(
    member.log.changeMode({
      to,
      expectedModeVersion: member.log.state().modeVersion,
      referenceScn: scn(0),
    }),
  );

async function sameLog(): Promise<void> {
  const logs = await Promise.all(group.running.map(member => member.texts()));
  for (const texts of logs) expect(texts).toEqual(logs[0]);
  const [end, ...ends] = group.running.map(({ log }) => log.state().end);
  for (const other of ends) expect(other).toEqual(end);
}

test('what the leader commits is on every replica, byte for byte', async () => {
  const leader = await begin();
  await group.commit(leader, ...Array.from({ length: 50 }, (_, index) => `entry ${index} `.repeat(20)));
  await group.settle(leader);
  await sameLog();
  expect(await leader.texts()).toHaveLength(50);
  for (const member of group.running)
    expect(member.log.state()).toMatchObject({
      leader: leader.id,
      role: member === leader ? 'leader' : 'follower',
      isActive: member === leader,
      isImpaired: false,
      config: { members: group.ids, learners: [] },
    });
  expect(leader.log.replicas().map(({ node }) => node)).toEqual(followersOf(leader).map(({ id }) => id));
});

test('an entry is on its way at the end of its turn, whichever timers are due', async () => {
  // Times that no tick of the timers meets.
  await group.startAll({ timing: { leaseMs: 1_213, renewMs: 303 } });
  const leader = await group.elect();
  await group.commit(leader, 'first, so that blocks are there');
  let longest = 0;
  for (let index = 0; index < 600; index++) {
    const before = group.loop.now;
    await group.commit(leader, `entry ${index}`);
    longest = Math.max(longest, group.loop.now - before);
  }
  // Simulated time: two hops.
  expect(longest).toBeLessThan(5);
});

test('followers hear of a commit, and read it from memory in the same tick', async () => {
  const leader = await begin();
  const follower = first(followersOf(leader));
  const heard: number[] = [];
  follower.log.onCommitted(end => {
    const chunk = follower.log.readRecent(lsn(0), 1_000_000);
    heard.push(must(chunk, 'recent log').end.lsn - end.lsn);
  });
  await group.commit(leader, 'x', 'y');
  await group.settle(leader);
  expect(heard.length).toBeGreaterThan(0);
  expect(heard.every(difference => difference === 0)).toBe(true);
});

test('a follower takes no entry, and says who does', async () => {
  const leader = await begin();
  const follower = first(followersOf(leader));
  await group.commit(leader, 'x');
  await group.settle(leader);
  expect(() => follower.log.append({ kind: 'redo', body: [Buffer.from('mine')] })).toThrow(
    expect.objectContaining({
      code: 'OBS_LOG_NOT_LEADER',
      details: expect.objectContaining({ node: leader.id }),
    }),
  );
  expect(follower.log.holdsLease()).toBe(false);
  expect(await outcome(group.run(follower.log.transfer(leader.id)))).toBe('OBS_LOG_NOT_LEADER');
});

test('another replica leads when the leader is gone, with everything that was committed', async () => {
  const leader = await begin();
  await group.commit(leader, 'one', 'two');
  group.kill(leader);
  const next = await group.elect(leader);
  expect(await next.texts()).toEqual(['one', 'two']);
  await group.commit(next, 'three');
  const back = await group.restart(leader);
  await group.settle(next);
  await sameLog();
  expect(back.log.state()).toMatchObject({ role: 'follower', leader: next.id });
  expect(next.log.state().proposalId).toBeGreaterThan(leader.log.state().proposalId);
});

test('everything comes back after a restart of all; promises and proposals never go back', async () => {
  const leader = await begin();
  await group.commit(leader, 'one', 'two');
  await group.settle(leader);
  const before = leader.log.state().proposalId;
  const promised = async (member: Member) => {
    const found = await new MetaFile(nodeDisk, member.directory).read();
    return found.kind === 'found' ? found.image.promised : 0;
  };
  for (const member of group.running) {
    expect(await promised(member)).toBeGreaterThanOrEqual(before);
    group.kill(member);
  }
  for (const id of group.ids) await group.restart(must(group.members.get(id), 'member'));
  const next = await group.elect();
  expect(next.log.state().proposalId).toBeGreaterThan(before);
  await group.commit(next, 'three');
  await group.settle(next);
  await sameLog();
  expect(await next.texts()).toEqual(['one', 'two', 'three']);
});

test('a leader without a majority loses its lease, then its leadership: what waits is unknown, the stream stays open', async () => {
  const leader = await begin();
  await group.commit(leader, 'kept');
  group.isolate(leader);
  const { endLsn } = leader.log.append({ kind: 'redo', body: [Buffer.from('lost')] });
  const waiting = outcome(leader.log.committed(endLsn));
  await group.until(() => !leader.log.holdsLease(), 'the end of the lease');
  expect(() => leader.log.append({ kind: 'redo', body: [Buffer.from('late')] })).toThrow(
    expect.objectContaining({ kind: 'not-leader' }),
  );
  const next = await group.elect(leader);
  expect(await group.run(waiting)).toBe('OBS_LOG_OUTCOME_UNKNOWN');
  expect(leader.roles.at(-1)).toMatchObject({ role: 'follower' });
  expect(await outcome(leader.log.committed(endLsn))).toBe('OBS_LOG_OUTCOME_UNKNOWN');
  await group.commit(next, 'instead of the lost one');
  group.net.heal();
  await group.settle(next);
  await sameLog();
  expect(await leader.texts()).toEqual(['kept', 'instead of the lost one']);
  // Others have written there since: it is not what was ordered here.
  expect(await outcome(leader.log.committed(endLsn))).toBe('OBS_LOG_OUTCOME_UNKNOWN');
  expect(leader.fatal).toEqual([]);
});

test('a follower that was away gets the log it missed, from memory or from disk', async () => {
  const leader = await begin();
  const [away] = followersOf(leader) as [Member];
  group.kill(away);
  const body = 'some log '.repeat(900);
  for (let index = 0; index < 60; index++) await group.commit(leader, `${index} ${body}`);
  // What is older than this is in memory no more.
  await group.until(() => group.loop.now > 20_000, 'time');
  await group.commit(leader, 'the last');
  await group.restart(away);
  await group.settle(leader);
  await sameLog();
});

test('a leader hands over to a member that it is told to', async () => {
  const leader = await begin();
  await group.commit(leader, 'x');
  const target = second(followersOf(leader));
  await group.run(leader.log.transfer(target.id));
  expect(await group.elect(leader)).toBe(target);
  await group.commit(target, 'y');
  await group.settle(target);
  await sameLog();
});

test('the replica with the better priority gets the lead', async () => {
  const leader = await begin();
  const better = second(followersOf(leader));
  leader.log.setPriority(5);
  better.log.setPriority(0);
  first(followersOf(leader)).log.setPriority(5);
  await group.until(() => better.log.state().isActive, 'a change of leader');
  await group.commit(better, 'x');
});

test('a node is added as a learner, promoted, and another one removed', async () => {
  const leader = await begin();
  await group.commit(leader, 'before');
  const stale = leader.log.state().config.version;
  const added = await group.start('d', { initialConfig: { members: [], learners: [nodeId('d')] } });
  const change = (kind: 'add-learner' | 'promote' | 'remove', node: string) =>
    group.run(leader.log.changeConfig({ kind, node: nodeId(node) }, leader.log.state().config.version));
  await change('add-learner', 'd');
  await group.settle(leader);
  expect(await added.texts()).toEqual(['before']);
  const knows = () => leader.log.replicas().some(({ node, flushedLsn }) => node === 'd' && flushedLsn > 0);
  await group.until(knows, 'a leader that knows of the log of its learner');
  await change('promote', 'd');
  expect(
    await outcome(group.run(leader.log.changeConfig({ kind: 'remove', node: nodeId('d') }, stale))),
  ).toBe('OBS_LOG_CONFIG_CONFLICT');
  const removed = first(followersOf(leader));
  await change('remove', removed.id);
  group.kill(removed);
  const members = [...group.ids, nodeId('d')].filter(id => id !== removed.id);
  expect([...leader.log.state().config.members].sort()).toEqual(members.sort());
  // The new member counts: with it there is a majority without the leader.
  await group.commit(leader, 'after');
  group.kill(leader);
  const next = await group.elect();
  expect(await next.texts()).toEqual(['before', 'after']);
});

test('changes of members that cannot be are refused by name', async () => {
  const leader = await begin();
  const { version } = leader.log.state().config;
  const ask = (change: Parameters<typeof leader.log.changeConfig>[0]) =>
    outcome(group.run(leader.log.changeConfig(change, version)));
  expect(await ask({ kind: 'promote', node: nodeId('x') })).toBe('OBS_LOG_CONFIG_REFUSED');
  expect(await ask({ kind: 'remove', node: leader.id })).toBe('OBS_LOG_CONFIG_REFUSED');
  expect(await ask({ kind: 'add-learner', node: first(followersOf(leader)).id })).toBe(
    'OBS_LOG_CONFIG_REFUSED',
  );
});

test('a replica whose log is nowhere any more is rebuilt from a copy, and counts again', async () => {
  const limits = { blockBytes: 65_536, diskBytesMax: 262_144 };
  await group.startAll({ limits });
  const leader = await group.elect();
  const [away, other] = followersOf(leader) as [Member, Member];
  await group.commit(leader, 'early');
  group.kill(away);
  for (let index = 0; index < 50; index++) {
    await group.commit(leader, `${index} `.repeat(3_000));
    if (index % 3 === 0) await group.run(leader.log.advanceBase(leader.log.state().end.lsn));
  }
  await group.until(() => leader.log.state().beginLsn > 65_536, 'recycling');
  // Memory forgets it, too.
  await group.until(() => group.loop.now > 20_000, 'time');
  await group.commit(leader, 'late');
  const back = await group.restart(away, { limits });
  await group.until(() => back.needs.length > 0, 'a need for a copy');
  const { base } = must(back.needs[0], 'need');
  expect(base.lsn).toBeGreaterThan(0);
  await group.run(back.log.beginRebuild());
  expect(back.log.state()).toMatchObject({ isImpaired: true, role: 'follower' });
  const at = leader.log.state().end;
  const { start } = await group.run(leader.log.read(at.lsn, 1));
  await group.run(
    back.log.finishRebuild({
      base: start,
      checkpointLsn: at.lsn,
      history: leader.log.state().proposalHistory,
    }),
  );
  expect(back.log.state()).toMatchObject({ beginLsn: start.lsn, baseLsn: start.lsn });
  await group.until(() => !back.log.state().isImpaired, 'a whole replica');
  await group.commit(leader, 'after');
  await group.settle(leader);
  // Its vote and its log count: the other one is not needed.
  group.kill(other);
  await group.commit(leader, 'with two');
  await group.settle(leader);
  expect(back.log.state().end).toEqual(leader.log.state().end);
  const again = await group.restart(back, { limits });
  await group.settle(leader);
  expect(again.log.state()).toMatchObject({ isImpaired: false, end: leader.log.state().end });
});

test('a rebuild that a crash interrupted is asked for again', async () => {
  const leader = await begin();
  await group.commit(leader, 'x');
  await group.settle(leader);
  const replica = first(followersOf(leader));
  await group.run(replica.log.beginRebuild());
  const back = await group.restart(replica);
  expect(back.log.state().isImpaired).toBe(true);
  await group.until(() => back.needs.length > 0 || !back.log.state().isImpaired, 'a way out');
});

test('a replica whose log waits for room is rebuilt, and waits for room again after it', async () => {
  await group.startAll({ limits: { blockBytes: 1_048_576, diskBytesMax: 16_777_216 } });
  const leader = await group.elect();
  await group.commit(leader, 'one');
  await group.settle(leader);
  const replica = first(followersOf(leader));
  replica.isFull = true;
  for (let index = 0; index < 30; index++) await group.commit(leader, 'x'.repeat(10_000));
  expect(replica.log.state().end.lsn).toBeLessThan(leader.log.state().end.lsn);
  await group.run(replica.log.beginRebuild());
  expect(replica.log.state()).toMatchObject({ isImpaired: true, role: 'follower' });
  const { start, end } = await group.run(leader.log.read(leader.log.state().end.lsn, 1));
  const { proposalHistory: history } = leader.log.state();
  await group.run(replica.log.finishRebuild({ base: start, checkpointLsn: end.lsn, history }));
  await group.commit(leader, 'behind the copy');
  await group.until(() => !replica.log.state().isImpaired, 'a whole replica');
  expect(replica.log.state().end.lsn).toBe(start.lsn);
  replica.isFull = false;
  await group.settle(leader);
  expect(replica.fatal).toEqual([]);
  expect(await replica.texts(start)).toEqual(['behind the copy']);
});

test.for(['before', 'after'] as const)(
  'a log whose disk becomes full %s it begins to close is closed without what found no room',
  async when => {
    const leader = await begin();
    await group.commit(leader, 'one');
    leader.isFull = when === 'before';
    for (let index = 0; index < 10; index++)
      leader.log.append({ kind: 'redo', body: [Buffer.alloc(10_000, 1)] });
    const from = group.loop.now;
    if (when === 'before') await group.until(() => group.loop.now > from + 100, 'a write that waits');
    const closed = leader.log.close();
    leader.isFull = true;
    await group.run(closed);
    expect(group.loop.now - from).toBeLessThan(1_000);
    expect(leader.fatal).toEqual([]);
  },
);

const block = (member: Member, id = 0): string =>
  join(member.directory, `${String(id).padStart(12, '0')}.clog`);

function spoil(member: Member, at: number, blockId = 0): void {
  const bytes = readFileSync(block(member, blockId));
  bytes[at] = must(bytes[at], 'byte') ^ 4;
  writeFileSync(block(member, blockId), bytes);
}

test('damaged log is mended from the others at the start, and the replica counts as before', async () => {
  const leader = await begin();
  await group.commit(leader, ...Array.from({ length: 40 }, (_, index) => `entry ${index} `.repeat(20)));
  await group.settle(leader);
  const replica = first(followersOf(leader));
  group.kill(replica);
  spoil(replica, blockHeaderBytes + 900);
  const back = await group.restart(replica);
  expect(back.log.state().isImpaired).toBe(false);
  await group.commit(leader, 'more');
  await group.settle(leader);
  await sameLog();
});

test('damage that nobody can mend at the start makes a replica that does not vote until its leader has mended it', async () => {
  const leader = await begin();
  await group.commit(leader, ...Array.from({ length: 40 }, (_, index) => `entry ${index} `.repeat(20)));
  await group.settle(leader);
  const [replica, other] = followersOf(leader) as [Member, Member];
  for (const member of [replica, other, leader]) group.kill(member);
  spoil(replica, blockHeaderBytes + 900);
  const back = await group.restart(replica);
  expect(back.log.state()).toMatchObject({ isImpaired: true, end: { lsn: expect.any(Number) } });
  // It does not vote: two are not enough.
  const one = await group.restart(other);
  const now = group.loop.now;
  await group.until(() => group.loop.now > now + 10_000, 'time');
  expect(group.leader()).toBeUndefined();
  await group.restart(leader);
  const next = await group.elect(back);
  await group.until(() => !back.log.state().isImpaired, 'a mended replica');
  await group.commit(next, 'more');
  await group.settle(next);
  await sameLog();
  expect(one.fatal).toEqual([]);
  // And now it does.
  group.kill(next === one ? must(group.members.get(leader.id), 'the third') : one);
  await group.commit(await group.elect(), 'with two');
});

test('damage met by a reader is mended from the others', async () => {
  const leader = await begin();
  await group.commit(leader, ...Array.from({ length: 400 }, (_, index) => `entry ${index} `.repeat(20)));
  await group.settle(leader);
  const replica = await group.restart(first(followersOf(leader)));
  await group.settle(leader);
  spoil(replica, blockHeaderBytes + 300);
  const texts = await group.run(replica.texts());
  expect(texts).toHaveLength(400);
  await group.run(replica.log.close());
  replica.isDead = true;
  const again = await group.restart(replica);
  expect(again.log.state().isImpaired).toBe(false);
});

test('damaged log that a reader met, and that cannot be written again, ends its replica', async () => {
  const leader = await begin();
  await group.commit(leader, ...Array.from({ length: 400 }, (_, index) => `entry ${index} `.repeat(20)));
  await group.settle(leader);
  const replica = await group.restart(first(followersOf(leader)));
  await group.settle(leader);
  spoil(replica, blockHeaderBytes + 300);
  replica.isFailing = true;
  expect(await group.run(outcome(replica.texts()))).toBe('OBS_LOG_DISK_FAILED');
  expect(replica.fatal.map(({ message }) => message)).toEqual([
    expect.stringContaining('could not restore its damaged log at LSN'),
  ]);
});

test('a block of a running leader that does not say any more where it begins is mended, and followers get its log', async () => {
  const first = await begin();
  const away = must(followersOf(first)[0], 'a follower');
  for (let count = 0; count < 8; count++) {
    await group.commit(
      first,
      ...Array.from({ length: 100 }, (_, index) => `entry ${count} ${index} `.repeat(30)),
    );
    if (count !== 2) continue;
    // Its log ends inside the second block.
    await group.settle(first);
    group.kill(away);
  }
  await group.settle(first);
  // Who starts anew has its log on the disk alone.
  for (const member of group.running) await group.restart(member);
  const leader = await group.elect();
  spoil(leader, 8, 1);
  const back = await group.restart(away);
  await group.commit(leader, 'one more');
  await group.settle(leader);
  expect(await group.run(back.texts())).toEqual(await group.run(leader.texts()));
  expect(back.needs).toEqual([]);
  expect(leader.roles.at(-1)).toMatchObject({ role: 'leader' });
});

test('a leader whose disk stands still is replaced', async () => {
  const leader = await begin();
  await group.commit(leader, 'x');
  const gate = Promise.withResolvers<void>();
  leader.gate = gate.promise;
  const { endLsn } = leader.log.append({ kind: 'redo', body: [Buffer.from('stuck')] });
  const waiting = outcome(leader.log.committed(endLsn));
  const next = await group.elect(leader);
  expect(['OBS_LOG_OUTCOME_UNKNOWN', 'done']).toContain(await group.run(waiting));
  leader.gate = undefined;
  gate.resolve();
  await group.commit(next, 'y');
  await group.settle(next);
  await sameLog();
});

test('a follower whose disk stands still says so, for as long as it does', async () => {
  const leader = await begin();
  const [follower] = followersOf(leader);
  const stuck = must(follower, 'a follower');
  const gate = Promise.withResolvers<void>();
  stuck.gate = gate.promise;
  await group.commit(leader, 'x');
  await group.until(() => stuck.log.state().isStuck, 'a write that takes a lease');
  expect(leader.log.state().isStuck).toBe(false);
  stuck.gate = undefined;
  gate.resolve();
  await group.until(() => !stuck.log.state().isStuck, 'a disk that answers');
  await group.settle(leader);
});

test('access mode and flashback hold on all replicas, and over a change of leader', async () => {
  const leader = await begin();
  await group.commit(leader, 'one');
  const kept = leader.log.state().end;
  await group.commit(leader, 'two');
  await changeMode(leader, 'RAW_WRITE');
  group.kill(leader);
  const next = await group.elect(leader);
  expect(next.log.state()).toMatchObject({ accessMode: 'RAW_WRITE' });
  expect(next.log.sealed).toEqual(next.log.state().end);
  await changeMode(next, 'FLASHBACK');
  expect(await group.run(next.log.flashback(kept.scn))).toEqual(kept);
  await changeMode(next, 'APPEND');
  await group.commit(next, 'three');
  await group.restart(leader);
  await group.settle(next);
  await sameLog();
  expect(await next.texts()).toEqual(['one', 'three']);
});

test('damaged log is not mended with what a flashback has cut off', async () => {
  const leader = await begin();
  await group.commit(leader, 'one');
  const kept = leader.log.state().end;
  await group.commit(leader, ...Array.from({ length: 6 }, (_, index) => `two ${index} `.repeat(30)));
  await group.settle(leader);
  const [other, away] = followersOf(leader) as [Member, Member];
  await changeMode(leader, 'RAW_WRITE');
  group.isolate(away);
  await changeMode(leader, 'FLASHBACK');
  await group.run(leader.log.flashback(kept.scn));
  await changeMode(leader, 'APPEND');
  await group.commit(leader, 'three'.repeat(30));
  const { end } = leader.log.state();
  await group.until(() => other.log.state().end.lsn >= end.lsn, 'what two have');
  for (const member of [leader, other]) group.kill(member);
  spoil(other, blockHeaderBytes + kept.lsn + 60);
  group.net.heal();
  // The only one that can be asked has another log there, committed once and well-formed.
  const back = await group.restart(other);
  expect(back.log.state().isImpaired).toBe(true);
  const again = await group.restart(leader);
  await group.commit(await group.elect(), 'four');
  await group.settle(await group.elect());
  await sameLog();
  expect(await again.texts()).toEqual(['one', 'three'.repeat(30), 'four']);
});

test('a standby’s leader writes raw groups through its members', async () => {
  const source = new LogGroup('s');
  try {
    const primary = first(await source.startAll());
    await source.commit(primary, ...Array.from({ length: 30 }, (_, index) => `row ${index}`));
    await group.startAll({ initialAccessMode: 'RAW_WRITE' });
    const leader = await group.elect();
    for (let at = lsn(0); at < primary.log.state().end.lsn; at = leader.log.state().end.lsn)
      await group.run(leader.log.rawWrite(await primary.log.read(at, 300)));
    await group.settle(leader);
    await sameLog();
    expect(leader.log.state().end).toEqual(primary.log.state().end);
    group.kill(leader);
    const next = await group.elect(leader);
    expect(next.log.state().end).toEqual(primary.log.state().end);
  } finally {
    await source.close();
  }
});

test('a leader that closes finishes what it ordered, and the others go on', async () => {
  const leader = await begin();
  leader.log.append({ kind: 'redo', body: [Buffer.from('ordered')] });
  await group.run(leader.log.close());
  group.kill(leader);
  const next = await group.elect(leader);
  expect(await next.texts()).toEqual(['ordered']);
});

test('garbage from the network changes nothing', async () => {
  const leader = await begin();
  const follower = first(followersOf(leader));
  group.net.passesDamaged = true;
  group.net.faults = { ...group.net.faults, flipped: 200 };
  for (let index = 0; index < 50; index++) {
    const now = group.leader() ?? (await group.elect());
    await outcome(group.commit(now, `entry ${index}`));
  }
  group.net.faults = { ...group.net.faults, flipped: 0 };
  const now = await group.elect();
  await group.commit(now, 'last');
  await group.settle(now);
  await sameLog();
  expect([...leader.fatal, ...follower.fatal]).toEqual([]);
});

test('one member alone, with a name and a network, leads at once', async () => {
  const alone = new LogGroup('x');
  try {
    const member = first(await alone.startAll());
    expect(member.log.state()).toMatchObject({ role: 'leader', isActive: true, leader: 'x' });
    await alone.commit(member, 'y');
    expect(readdirSync(member.directory)).toContain('meta');
    alone.kill(member);
    spoil(member, 100);
    expect(await outcome(alone.restart(member))).toBe('OBS_LOG_CORRUPT');
  } finally {
    await alone.close();
  }
});
