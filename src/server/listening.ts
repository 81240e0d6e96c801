/** Doors of a process as they are opened: an address that cannot be had is told by the door's name. */
import { isObError, ObError } from '../base/errors.ts';
import { codeOf } from '../platform/disk.ts';

/** Throws OBS_SERVER_CANNOT_LISTEN, and what `start` throws that no operating system said. */
export async function listening<Bound>(
  door: string,
  { host, port }: { readonly host: string; readonly port: number },
  start: () => Promise<Bound>,
): Promise<Bound> {
  try {
    return await start();
  } catch (error) {
    const why = codeOf(error);
    if (isObError(error) || why === undefined) throw error;
    throw new ObError('OBS_SERVER_CANNOT_LISTEN', { door, address: `${host}:${port}`, why }, error);
  }
}
