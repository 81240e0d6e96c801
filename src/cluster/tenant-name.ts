/** What a tenant may be called and how large its pages may be. */
import { ObError } from '../base/errors.ts';

/** Throws OBS_SERVER_TENANT_NAME. */
export function checkTenantName(name: string): void {
  if (!/^[A-Za-z][A-Za-z0-9_-]{0,62}$/.test(name) || name.toLowerCase() === 'sys') {
    throw new ObError('OBS_SERVER_TENANT_NAME', { tenant: name });
  }
}

/** Throws OBS_SERVER_PAGE_BYTES. */
export function checkPageBytes(pageBytes: number): void {
  if (pageBytes < 512 || pageBytes > 65_536 || (pageBytes & (pageBytes - 1)) !== 0) {
    throw new ObError('OBS_SERVER_PAGE_BYTES', { pageBytes });
  }
}
