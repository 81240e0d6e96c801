import { expect, test } from 'vitest';
import type { ConfigVersion, LogChunk, LogPosition } from '../../../src/base/log-access.ts';
import { logStreamId, lsn, nodeId, proposalId, tenantId } from '../../../src/base/scalars.ts';
import { samePosition } from '../../../src/codec/clog.ts';
import { noVersion } from '../../../src/codec/config-record.ts';
import { decodeRepair, encodeRepair } from '../../../src/codec/repair-message.ts';
import { RangeRepair } from '../../../src/logstream/range-repair.ts';
import { groupsAfter, logStart } from '../../support/log-groups.ts';
import { simClock } from '../../support/sim/clock.ts';
import { EventLoop } from '../../support/sim/event-loop.ts';
import { SimMemberNet } from '../../support/sim/member-net.ts';
import { ProcessTime } from '../../support/sim/process-time.ts';
import { SimRandom } from '../../support/sim/random.ts';

const key = { tenantId: tenantId(1002), stream: logStreamId(1001) };
const nodes = ['a', 'b', 'c'].map(nodeId);
const groups = groupsAfter(logStart, 10, ['one', 'two', 'three']);

type Store = (from: LogPosition) => LogChunk | 'refuse' | undefined;
const whole: Store = from => groups.find(group => samePosition(group.start, from)) ?? 'refuse';

/** Three replicas with what each of them can give. */
function rig(
  stores: Readonly<Record<string, Store>>,
  lastCuts: Readonly<Record<string, ConfigVersion>> = {},
) {
  const loop = new EventLoop();
  const net = new SimMemberNet(loop, new SimRandom(1));
  const repairs = nodes.map(self => {
    const time = new ProcessTime(loop);
    const port = net.attach(self, time);
    const repair = new RangeRepair({
      clock: simClock(time),
      net: port.net,
      key,
      peers: () => nodes.filter(node => node !== self),
      lastCut: () => lastCuts[self] ?? noVersion,
      read: from => {
        const found = stores[self]?.(from);
        if (found === undefined) return undefined;
        return found === 'refuse' ? Promise.reject(new Error('recycled')) : Promise.resolve(found);
      },
    });
    port.net.onMessages(key, (from, payload) => {
      expect(repair.receive(from, payload)).toBe(true);
    });
    return repair;
  });
  const fetch = async (at: LogPosition) => {
    let isDone = false;
    const found = repairs[0]?.fetch(at).finally(() => {
      isDone = true;
    });
    while (!isDone && (await loop.step()));
    const chunk = await found;
    return chunk && { ...chunk, bytes: new Uint8Array(chunk.bytes) };
  };
  return { net, loop, repairs, fetch };
}

const at = (index: number): LogPosition => groups[index]?.start ?? logStart;

test('the bytes behind a position come from whoever has them', async () => {
  const { fetch } = rig({ b: () => 'refuse', c: whole });
  expect(await fetch(at(1))).toEqual(groups[1]);
});

test('nobody has them: that is known as soon as all have said so', async () => {
  const { fetch, loop } = rig({ b: () => 'refuse', c: whole });
  expect(await fetch({ ...at(1), checksum: 7 })).toBeUndefined();
  expect(loop.now).toBeLessThan(100);
});

test('groups that do not continue the position are no answer', async () => {
  const altered: Store = from => {
    const group = whole(from);
    if (group === 'refuse' || group === undefined) return group;
    const bytes = new Uint8Array(group.bytes);
    bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1;
    return { ...group, bytes };
  };
  const { fetch } = rig({ b: altered, c: whole });
  expect(await fetch(at(2))).toEqual(groups[2]);
  expect(await rig({ b: altered }).fetch(at(2))).toBeUndefined();
});

test('a log with other cuts than this one has no answer, whatever continues the chain there', async () => {
  const cut = { proposalId: proposalId(3), sequence: 2 };
  const newer = { ...cut, sequence: 3 };
  expect(await rig({ b: whole, c: whole }, { a: cut, c: newer }).fetch(at(1))).toBeUndefined();
  expect(await rig({ b: whole, c: () => 'refuse' }, { a: cut, b: cut }).fetch(at(1))).toEqual(groups[1]);
});

test('a log that is cut while it is read has no answer', async () => {
  const cut = { proposalId: proposalId(3), sequence: 2 };
  const lastCuts = { a: cut, b: cut, c: cut };
  const cutAsRead: Store = from => {
    lastCuts.b = { ...cut, sequence: 3 };
    return whole(from);
  };
  expect(await rig({ b: cutAsRead, c: () => 'refuse' }, lastCuts).fetch(at(1))).toBeUndefined();
});

test('nodes that are gone are waited for a few times, and no longer', async () => {
  const { fetch, net, loop } = rig({ b: whole });
  for (const node of ['b', 'c'].map(nodeId)) net.cut(nodeId('a'), node);
  loop.after(1_000, () => net.heal());
  expect(await fetch(at(0))).toEqual(groups[0]);
  const other = rig({});
  expect(await other.fetch(at(0))).toBeUndefined();
  expect(other.loop.now).toBeLessThan(5_000);
});

test('a replica that closes has no answer', async () => {
  const { repairs } = rig({});
  const found = repairs[0]?.fetch(at(0));
  repairs[0]?.close();
  expect(await found).toBeUndefined();
});

test('a repair message comes back as it was, and any flipped bit of its head is noticed', () => {
  const position = { lsn: lsn(77), scn: groups[0]?.end.scn ?? logStart.scn, checksum: 0xffff_fff0 };
  const messages = [
    { kind: 'ask', id: 3, at: position, cut: { proposalId: proposalId(2 ** 40), sequence: 7 }, bytesMax: 10 },
    { kind: 'none', id: 4_000_000_000, at: position },
    { kind: 'log', id: 5, at: position, bytes: new Uint8Array([1, 2, 3]) },
  ] as const;
  for (const message of messages) {
    const bytes = new Uint8Array(Buffer.concat(encodeRepair(message)));
    expect(decodeRepair(bytes)).toEqual(message);
    for (let bit = 32; bit < 56 * 8; bit++) {
      const bad = bytes.slice();
      bad[bit >> 3] = (bad[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      expect(decodeRepair(bad)).toBe('bad');
    }
    expect(decodeRepair(bytes.subarray(0, 55))).toBe('bad');
  }
  expect(decodeRepair(new Uint8Array([1, 2, 3, 4, 5]))).toBe('foreign');
});
