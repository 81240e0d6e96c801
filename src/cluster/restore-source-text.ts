/** LOG_RESTORE_SOURCE as an operator writes it, as the sys tenant stores it. */
import { parseRestoreSource } from '../standby/restore-source.ts';
import type { StoredRestoreSource } from './sys-store.ts';

/** Null for a blank text. Throws OBS_STANDBY_SOURCE_INVALID. */
export function storedSource(text: string): StoredRestoreSource | null {
  const source = parseRestoreSource(text);
  if (source === null) return null;
  const { service, location, delayMs } = source;
  if (service === null) return { service: null, location, delayMs };
  const { addresses, tenant, user, password } = service;
  return {
    service: { addresses, tenant, credential: { kind: 'password', user, password } },
    location,
    delayMs,
  };
}
