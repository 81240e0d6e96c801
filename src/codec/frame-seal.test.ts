import { createHmac } from 'node:crypto';
import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { FrameSeal, frameSealBytes } from './frame-seal.ts';

function standard(key: Uint8Array, number: bigint, type: number, payload: readonly Uint8Array[]): Buffer {
  const head = Buffer.alloc(9);
  head.writeBigUInt64LE(number, 0);
  head.writeUInt8(type, 8);
  return createHmac('sha256', key)
    .update(Buffer.concat([head, ...payload]))
    .digest()
    .subarray(0, frameSealBytes);
}

test('seals are the HMAC of the standard library, for little and large frames in turn', () => {
  const part = fc.uint8Array({ maxLength: 40 });
  const large = fc.integer({ min: 16_380, max: 16_390 }).map(length => new Uint8Array(length).fill(7));
  const payload = fc.array(fc.oneof({ weight: 5, arbitrary: part }, large), { maxLength: 3 });
  const frame = fc.record({ type: fc.nat(255), payload });
  const key = fc.uint8Array({ minLength: 16, maxLength: 64 });
  fc.assert(
    fc.property(key, fc.array(frame, { maxLength: 12 }), (bytes, frames) => {
      const seal = new FrameSeal(bytes);
      for (const [number, { type, payload: parts }] of frames.entries())
        expect(seal.next(type, parts)).toEqual(standard(bytes, BigInt(number), type, parts));
    }),
  );
});
