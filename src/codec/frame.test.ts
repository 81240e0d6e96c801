import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeFrameHeader, FrameReader, frameHeaderBytes } from './frame.ts';

const limit = 4_096;
const reader = (): FrameReader => new FrameReader(type => (type === 255 ? undefined : limit));
const frameOf = (type: number, payload: Uint8Array): Uint8Array =>
  Buffer.concat([encodeFrameHeader(type, [payload]), payload]);

const frames = fc.array(
  fc.record({ type: fc.integer({ min: 0, max: 254 }), payload: fc.uint8Array({ maxLength: 200 }) }),
  { maxLength: 6 },
);

test('frames come out as they went in, however the stream is cut', () => {
  fc.assert(
    fc.property(frames, fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1 }), (sent, cuts) => {
      const stream = Buffer.concat(sent.map(({ type, payload }) => frameOf(type, payload)));
      const receiver = reader();
      const got: unknown[] = [];
      for (let at = 0, turn = 0; at < stream.length; turn += 1) {
        const count = cuts[turn % cuts.length] ?? 1;
        receiver.push(stream.subarray(at, at + count));
        at += count;
        for (let frame = receiver.next(); frame !== undefined; frame = receiver.next()) got.push(frame);
      }
      expect(got).toEqual(
        sent.map(({ type, payload }) => ({ kind: 'frame', type, payload: Buffer.from(payload) })),
      );
    }),
  );
});

test('a frame with any bit flipped is never accepted', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), fc.nat(), (payload, bit) => {
      const bytes = Buffer.from(frameOf(7, payload));
      const at = bit % (bytes.length * 8);
      bytes[at >> 3] = (bytes[at >> 3] ?? 0) ^ (1 << (at & 7));
      const receiver = reader();
      receiver.push(bytes);
      expect(receiver.next()?.kind).not.toBe('frame');
    }),
    { numRuns: 500 },
  );
});

test('foreign bytes never throw, and after one problem the answer stays', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 64 }), { maxLength: 8 }), pieces => {
      const receiver = reader();
      let problem: unknown;
      for (const piece of pieces) {
        receiver.push(piece);
        const answer = receiver.next();
        if (problem !== undefined) expect(answer).toEqual(problem);
        else if (answer?.kind === 'problem') problem = answer;
      }
    }),
  );
});

test('a frame over its limit is refused by its header, before its payload comes', () => {
  const receiver = reader();
  receiver.push(encodeFrameHeader(1, [new Uint8Array(limit + 1)]));
  expect(receiver.next()).toMatchObject({ kind: 'problem', what: expect.stringContaining(`over ${limit}`) });
});

test('a type that is not welcome now is refused', () => {
  const receiver = reader();
  receiver.push(frameOf(255, new Uint8Array(3)));
  expect(receiver.next()).toMatchObject({ kind: 'problem' });
});

test('a header that is not there yet is waited for', () => {
  const receiver = reader();
  receiver.push(frameOf(1, new Uint8Array(5)).subarray(0, frameHeaderBytes - 1));
  expect(receiver.next()).toBeUndefined();
});
