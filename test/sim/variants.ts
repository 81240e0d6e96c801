/**
 * Right programs with other limits: small ones make rare paths common (windows of a few groups, writes of one, log that is
 * hardly kept in memory). Nothing may fail under any of them.
 */
import type { TextChange } from './mutation.ts';

const limit = (name: string, value: string, other: number): TextChange => [
  'base/limits.ts',
  `export const ${name} = ${value};`,
  `export const ${name} = ${other};`,
];

export const variants: Readonly<Record<string, readonly TextChange[]>> = {
  /** two groups in a window, one in a write, one on its way to a replica */
  tiny: [
    limit('windowGroupsMax', '2_048', 2),
    limit('flushBytesMax', '4_194_304', 1),
    limit('pushGroupsMax', '1_024', 1),
    limit('pushBytesMax', '1_048_576', 1),
  ],
  /** replicas that remember next to nothing of what they committed, and read their disks for it */
  forgetful: [
    limit('committedEndsMax', '64', 1),
    limit('tailBytesMax', '2_097_152', 1),
    limit('tailBytesIdle', '4_096', 1),
    limit('readPositionsMax', '32', 1),
    limit('repairChunkBytes', '262_144', 1),
  ],
  /** entries in many parts, and log in small messages */
  split: [
    limit('groupBytesMax', '1_048_576', 2_300),
    limit('splitBytesMin', '2_048', 64),
    limit('flushBytesMax', '4_194_304', 5_000),
    limit('pushBytesMax', '1_048_576', 5_000),
    limit('pushBytesInFlightMax', '33_554_432', 12_000),
  ],
};
