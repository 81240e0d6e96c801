/** What followers are told by their leader: the log that is kept for others, and how late a delayed standby shows it. */
import { afterEach, expect, test } from 'vitest';
import { must } from '../../../src/base/assert.ts';
import { ObError } from '../../../src/base/errors.ts';
import { followerHoldMs, recycleAtShare } from '../../../src/base/limits.ts';
import type { LogState } from '../../../src/base/log-access.ts';
import { lsn, type NodeId, nodeId, tenantId } from '../../../src/base/scalars.ts';
import { LeaderGuide } from '../../../src/cluster/leader-guide.ts';
import { nodeRandom } from '../../../src/platform/random.ts';
import { ManualClock } from '../../support/manual-clock.ts';
import { rows, run, type TenantNode, TenantNodes, weakly } from '../../support/tenant-nodes.ts';

const timeout = 60_000;
const hourMs = 3_600_000;
const clusters: TenantNodes[] = [];

afterEach(async () => {
  for (const cluster of clusters.splice(0).reverse()) await cluster.close();
});

async function start(options: Parameters<typeof TenantNodes.start>[0] = {}): Promise<TenantNodes> {
  const cluster = await TenantNodes.start(options);
  clusters.push(cluster);
  return cluster;
}

/** A guide in virtual time, before a log that is what the test says. */
class GuideRig {
  readonly clock = new ManualClock();
  readonly holds = new Set<{ readonly from: number }>();
  role: 'leader' | 'follower' = 'follower';
  leader: NodeId | null = null;
  end = 6_000;
  answer: unknown = new ObError('OBS_TENANT_NOT_LEADER', { tenant: 'shop', leader: 'n', node: 'n' });
  readonly asked: NodeId[] = [];
  delayMs: number | null = null;
  serves: boolean | null = null;
  readonly guide: LeaderGuide;

  constructor() {
    const state = () =>
      ({ role: this.role, leader: this.leader, beginLsn: lsn(100), maxLsn: lsn(this.end) }) as LogState;
    this.guide = new LeaderGuide({
      host: {
        self: nodeId('self'),
        clock: this.clock,
        settings: { logDiskBytesMax: 10_000 },
        onFatal: error => this.#fatal.push(error),
      },
      links: {
        request: to => {
          this.asked.push(to);
          return this.answer instanceof Error ? Promise.reject(this.answer) : Promise.resolve(this.answer);
        },
      },
      tenant: { id: tenantId(1001), incarnation: 'i' },
      log: {
        state,
        hold: (_name, from) => {
          const hold = { from };
          this.holds.add(hold);
          return { advance: () => {}, release: () => this.holds.delete(hold) };
        },
      },
      onTold: ({ delayMs, serves }) => {
        this.delayMs = delayMs;
        this.serves = serves;
      },
    });
  }

  readonly #fatal: unknown[] = [];

  async pass(ms: number): Promise<void> {
    for (let at = 0; at < ms; at += 100) {
      this.clock.advance(100);
      await new Promise(setImmediate);
    }
    expect(this.#fatal).toEqual([]);
  }

  get kept(): number[] {
    return [...this.holds].map(({ from }) => from);
  }
}

test('a replica keeps all its log until its leader says what is needed, and for a while when it leads itself', async () => {
  const rig = new GuideRig();
  await rig.pass(1_000);
  expect(rig.asked).toEqual([]);
  rig.leader = nodeId('other');
  await rig.pass(1_000);
  expect({ kept: rig.kept, delayMs: rig.delayMs }).toEqual({ kept: [100], delayMs: null });
  rig.answer = { keptFrom: 5_000, delayMs: 70 };
  await rig.pass(200);
  expect({ kept: rig.kept, delayMs: rig.delayMs }).toEqual({ kept: [5_000], delayMs: 70 });
  const asked = rig.asked.length;
  expect(rig.serves).toBe(false);
  // An older place: somebody came back who is far behind.
  rig.answer = { keptFrom: 300, delayMs: 0, serves: true };
  await rig.pass(6_000);
  expect(rig.asked.length - asked).toBeLessThanOrEqual(3);
  expect(rig.serves).toBe(true);
  expect({ kept: rig.kept, delayMs: rig.delayMs }).toEqual({ kept: [300], delayMs: 0 });
  // Words that make no sense change nothing.
  rig.answer = { keptFrom: -1 };
  await rig.pass(3_000);
  expect(rig.kept).toEqual([300]);
  rig.role = 'leader';
  await rig.pass(followerHoldMs - 2_500);
  expect(rig.kept).toEqual([300]);
  await rig.pass(5_000);
  expect(rig.kept).toEqual([]);
  rig.role = 'follower';
  rig.leader = null;
  await rig.pass(3_000);
  expect(rig.kept).toEqual([100]);
  rig.role = 'leader';
  await rig.pass(3_000);
  expect(rig.kept).toEqual([100]);
  rig.end = 9_500;
  await rig.pass(200);
  expect(rig.kept).toEqual([]);
  rig.guide.close();
});

test('a leader that was never a follower keeps nothing on a guess', async () => {
  const rig = new GuideRig();
  rig.role = 'leader';
  await rig.pass(300);
  expect(rig.kept).toEqual([]);
  rig.guide.close();
});

const beginOf = ({ unit }: TenantNode): number => unit.log.state().beginLsn;
const endOf = ({ unit }: TenantNode): number => unit.log.state().end.lsn;

test('log that the leader keeps for others is there in every replica', { timeout }, async () => {
  const logDiskBytesMax = 1_048_576;
  const cluster = await start({ settings: { logDiskBytesMax } });
  const leader = await cluster.writable();
  leader.unit.log.hold('an archive that is behind', lsn(0));
  await run(leader, 'CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)');
  const checkpoint = () => Promise.all(cluster.running.map(({ unit }) => unit.engine.checkpoint()));
  // Enough for a replica to recycle, and not so much that a leader lets go of what others need.
  for (let id = 1; endOf(leader) < logDiskBytesMax * (recycleAtShare + 0.02); id += 1) {
    await run(leader, `INSERT INTO t VALUES (${id}, '${'x'.repeat(20_000)}')`);
    if (id % 10 === 0) await checkpoint();
  }
  await cluster.settled();
  await checkpoint();
  expect(cluster.running.map(beginOf)).toEqual([0, 0, 0]);
  // Whoever leads next still has it.
  const next = must(cluster.followersOf(leader)[0], 'a follower');
  await cluster.leadAt(next);
  expect(beginOf(next)).toBe(0);
});

/** A primary of three replicas with three rows, and a delayed standby of three with all of its log. */
async function startDelayed(): Promise<{ readonly here: TenantNodes; readonly there: TenantNodes }> {
  const here = await start({ site: 'here' });
  const leader = await here.writable();
  await run(leader, 'CREATE TABLE t (id INTEGER PRIMARY KEY)');
  const there = await start({ site: 'there', standbyOf: here, delayMs: hourMs });
  // Three more nodes at once are much for a small machine: it may lead elsewhere by now.
  const writer = await here.writable();
  await run(writer, 'INSERT INTO t VALUES (1), (2), (3)');
  const end = endOf(writer);
  await there.until('a standby with all of the log', () => there.running.every(node => endOf(node) >= end));
  return { here, there };
}

const shows = (node: TenantNode): Promise<string> =>
  weakly(node, 'SELECT count(*) FROM t').then(
    ([row]) => `${Number(row?.[0])} rows`,
    () => 'no table',
  );

test('a delayed standby is delayed in all its replicas, over restarts and changes of leaders', {
  timeout,
}, async () => {
  const { there } = await startDelayed();
  const all = async () => Promise.all(there.running.map(shows));
  expect(await all()).toEqual(['no table', 'no table', 'no table']);
  const leader = await there.led();
  const [follower, other] = there.followersOf(leader);
  await there.restart(must(follower, 'a follower'));
  await leader.unit.log.transfer(must(other, 'another follower').id);
  await there.until('another leader', () => there.running.some(node => node !== leader && node.leads));
  await there.restart(leader);
  // Everybody was told anew by now.
  await new Promise(resolve => setTimeout(resolve, 2_500));
  expect(await all()).toEqual(['no table', 'no table', 'no table']);
  const led = await there.led();
  const source = must(led.unit.pull.source, 'a source');
  await led.unit.pull.setSource({ ...source, delayMs: 0 });
  await there.until('replicas that show all', () =>
    there.running.every(node => node.unit.engine.state().appliedLsn >= endOf(led)),
  );
  expect(await all()).toEqual(['3 rows', '3 rows', '3 rows']);
});

test('a failover of a delayed standby takes back what other replicas have shown', { timeout }, async () => {
  const { here, there } = await startDelayed();
  const leader = await there.led();
  const [early] = there.followersOf(leader);
  // Its clock is an hour ahead, as it were.
  await there.until('a follower ahead', () => {
    const { replica } = must(early, 'a follower').unit;
    replica.apply.setDelay(0);
    return replica.hasEngine && replica.engine.state().appliedLsn >= endOf(leader);
  });
  expect(await shows(must(early, 'a follower'))).toBe('3 rows');
  await Promise.all(here.running.map(node => node.close()));
  const order = { kind: 'activate', operationId: nodeRandom.uuid(), verify: false } as const;
  // Nobody has promised that an hour may go.
  const bounded = leader.unit.role.command({ ...order, maxLagMs: 600_000, force: false });
  await expect(bounded).rejects.toMatchObject({ code: 'OBS_ROLE_LAG_EXCEEDED' });
  await leader.unit.role.command({ ...order, maxLagMs: null, force: false });
  const writable = await there.writable();
  await run(writable, 'CREATE TABLE t (id INTEGER PRIMARY KEY, v TEXT)');
  await run(writable, "INSERT INTO t VALUES (7, 'new')");
  expect(new Set(await there.digests()).size).toBe(1);
  expect(await rows(writable, 'SELECT id FROM t')).toEqual([[7]]);
});
