import { expect, test } from 'vitest';
import { encodeFrameHeader } from './frame.ts';
import { frameSealBytes } from './frame-seal.ts';
import { SealedFrames } from './sealed-frames.ts';

const key = new Uint8Array(32).fill(3);
const payload = Buffer.from('what is said');

/** A receiving end, and what came of it. */
function receiver(): {
  frames: SealedFrames;
  told: string[];
  onFrame: { call: (text: string) => void };
  state: { isReading: boolean };
} {
  const told: string[] = [];
  const onFrame = { call: (text: string): void => void told.push(text) };
  const state = { isReading: true };
  const frames = new SealedFrames({
    payloadBytesMax: (type, isSealed) => (isSealed === type > 9 ? payload.length : undefined),
    withoutSeal: 'no seal',
    isReading: () => state.isReading,
    onFrame: (type, bytes) => onFrame.call(`${type}: ${Buffer.from(bytes).toString()}`),
    onProblem: what => {
      state.isReading = false;
      told.push(what);
    },
  });
  return { frames, told, onFrame, state };
}

const sender = (sealed = true): SealedFrames => {
  const { frames } = receiver();
  if (sealed) frames.sealSent(key);
  return frames;
};

const come = (frames: SealedFrames, parts: readonly Uint8Array[]): void => {
  frames.push(Buffer.concat(parts));
  frames.drain();
};

test('frames are bare until there is a key, and sealed from the next one on', () => {
  const { frames, told } = receiver();
  come(frames, sender(false).encode(1, [payload]));
  frames.verifyReceived(key);
  const other = sender();
  come(frames, other.encode(10, [payload.subarray(0, 4), payload.subarray(4)]));
  come(frames, other.encode(11, []));
  expect(told).toEqual(['1: what is said', '10: what is said', '11: ']);
});

test('the limit of a type is asked for with and without seals, and a seal does not count', () => {
  const { frames, told } = receiver();
  frames.verifyReceived(key);
  come(frames, sender().encode(1, [payload]));
  expect(told).toEqual(['a frame of type 1 is not expected now']);
  const over = receiver();
  over.frames.verifyReceived(key);
  come(over.frames, sender().encode(10, [payload, new Uint8Array(1)]));
  expect(over.told).toEqual([
    `a frame of type 10 has ${payload.length + 1 + frameSealBytes} bytes, over ${payload.length + frameSealBytes}`,
  ]);
});

test('nothing that was not verified is given on', () => {
  const bare = receiver();
  bare.frames.verifyReceived(key);
  come(bare.frames, [encodeFrameHeader(10, []), ...sender().encode(10, [payload])]);
  expect(bare.told).toEqual(['no seal']);
  const repeated = receiver();
  repeated.frames.verifyReceived(key);
  const once = sender().encode(10, [payload]);
  come(repeated.frames, [...once, ...once, ...once]);
  expect(repeated.told).toEqual(['10: what is said', 'a frame that fails its authentication']);
});

test('what comes while a frame is handled, or is not read yet, waits its turn', () => {
  const { frames, told, onFrame, state } = receiver();
  const other = sender(false);
  onFrame.call = text => {
    onFrame.call = later => void told.push(later);
    come(frames, other.encode(2, []));
    told.push(text);
    state.isReading = false;
  };
  come(frames, other.encode(1, []));
  expect(told).toEqual(['1: ']);
  state.isReading = true;
  frames.drain();
  expect(told).toEqual(['1: ', '2: ']);
});
