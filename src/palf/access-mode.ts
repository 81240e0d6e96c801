/**
 * The access-mode rules: what may be written in which mode (M1), and which mode may follow which. A primary that gives
 * up goes through RAW_WRITE first: nothing cuts a log that still takes entries.
 */
import type { AccessMode } from '../base/log-access.ts';

const followers: Readonly<Record<AccessMode, readonly AccessMode[]>> = {
  APPEND: ['RAW_WRITE'],
  RAW_WRITE: ['APPEND', 'PREPARE_FLASHBACK', 'FLASHBACK'],
  PREPARE_FLASHBACK: ['FLASHBACK', 'RAW_WRITE', 'APPEND'],
  FLASHBACK: ['RAW_WRITE', 'APPEND'],
};

export const mayFollow = (from: AccessMode, to: AccessMode): boolean => followers[from].includes(to);
export const takesEntries = (mode: AccessMode): boolean => mode === 'APPEND';
export const takesRawGroups = (mode: AccessMode): boolean => mode === 'RAW_WRITE';
export const takesFlashback = (mode: AccessMode): boolean => mode === 'FLASHBACK';
