/** What every object store of the archive must do: one suite, run over each adapter and each real store. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { nodeRandom } from '../../src/platform/random.ts';
import { probeConditionalWrites } from '../../src/archive/probe.ts';
import type { ObjectStore } from '../../src/platform/object-store.ts';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

export function conformsAsObjectStore(name: string, open: () => Promise<ObjectStore>): void {
  describe(`${name} as an object store`, () => {
    let store: ObjectStore;
    let folder: string;
    beforeAll(async () => {
      store = await open();
      folder = `conformance-${nodeRandom.uuid()}/`;
    });
    afterAll(async () => {
      for (const key of await store.list(folder)) await store.delete(key);
      await store.close();
    });

    test('an absent object is undefined, whole or in part, and its removal is no error', async () => {
      expect(await store.get(`${folder}absent`)).toBeUndefined();
      expect(await store.getRange(`${folder}absent`, 0, 10)).toBeUndefined();
      await store.delete(`${folder}absent`);
    });

    test('an object comes back byte for byte, also empty, also of megabytes', async () => {
      for (const [index, bytes] of [
        new Uint8Array(0),
        nodeRandom.bytes(1),
        nodeRandom.bytes(3_000_001),
      ].entries()) {
        const key = `${folder}whole/${index}`;
        await store.put(key, bytes);
        expect(Buffer.compare((await store.get(key)) ?? bytesOf('?'), bytes)).toBe(0);
      }
    });

    test('a range is cut at the end of the object', async () => {
      const key = `${folder}ranged`;
      await store.put(key, bytesOf('0123456789'));
      const text = async (start: number, length: number) =>
        new TextDecoder().decode(await store.getRange(key, start, length));
      expect(await text(2, 3)).toBe('234');
      expect(await text(8, 100)).toBe('89');
      expect(await text(10, 5)).toBe('');
      expect(await text(3, 0)).toBe('');
    });

    test('put overwrites', async () => {
      const key = `${folder}overwritten`;
      await store.put(key, bytesOf('first'));
      await store.put(key, bytesOf('second'));
      expect(new TextDecoder().decode(await store.get(key))).toBe('second');
    });

    test('putIfAbsent keeps the first bytes, and takes equal bytes for its own', async () => {
      const key = `${folder}exclusive`;
      expect(await store.putIfAbsent(key, bytesOf('first'))).toBe('created');
      expect(await store.putIfAbsent(key, bytesOf('second'))).toBe('exists');
      expect(await store.putIfAbsent(key, bytesOf('first'))).toBe('created');
      expect(new TextDecoder().decode(await store.get(key))).toBe('first');
    });

    test('of many racers for one key exactly one creates it', async () => {
      for (let round = 0; round < 5; round += 1) {
        const key = `${folder}race/${round}`;
        const racers = Array.from({ length: 16 }, (_, index) => bytesOf(`racer ${index}`));
        const outcomes = await Promise.all(racers.map(bytes => store.putIfAbsent(key, bytes)));
        expect(outcomes.filter(outcome => outcome === 'created').length).toBe(1);
        const winner = outcomes.indexOf('created');
        expect(new TextDecoder().decode(await store.get(key))).toBe(`racer ${winner}`);
      }
    });

    test('a removed key can be created again', async () => {
      const key = `${folder}again`;
      await store.putIfAbsent(key, bytesOf('first'));
      await store.delete(key);
      expect(await store.putIfAbsent(key, bytesOf('second'))).toBe('created');
    });

    test('keys are listed in order, by prefix, after a key, and at most as many as asked for', async () => {
      const keys = ['a-b', 'a/1', 'a/2/x', 'a/2/y', 'a0', 'b'].map(key => `${folder}list/${key}`);
      for (const key of keys.toReversed()) await store.put(key, bytesOf(key));
      const sorted = keys.toSorted();
      expect(await store.list(`${folder}list/`)).toEqual(sorted);
      expect(await store.list(`${folder}list/a/`)).toEqual(sorted.filter(key => key.includes('/a/')));
      expect(await store.list(`${folder}list/a/2`)).toEqual(sorted.filter(key => key.includes('/a/2')));
      for (const [index, after] of sorted.entries())
        expect(await store.list(`${folder}list/`, { after })).toEqual(sorted.slice(index + 1));
      expect(await store.list(`${folder}list/`, { max: 2 })).toEqual(sorted.slice(0, 2));
      expect(await store.list(`${folder}nothing/`)).toEqual([]);
    });

    test('the probe for conditional writes accepts it and leaves nothing behind', async () => {
      await probeConditionalWrites(store, nodeRandom);
      expect(await store.list('probe/')).toEqual([]);
    });
  });
}
