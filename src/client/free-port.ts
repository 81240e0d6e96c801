/** Ports of loopback for servers that are stopped and started again at the same place. */
import { randomInt } from 'node:crypto';
import { createServer } from 'node:net';
import { ObError } from '../base/errors.ts';

/** Below the ports that outgoing connections get: none of them can take a server's port while the server is down. */
const firstPort = 20_000;
const lastPort = 32_000;
const portTries = 100;
/** Given by this process: whoever got one may be down at the moment, and come back to it. */
const given = new Set<number>();

/** A port of loopback that nobody listens on now, another one each time. Throws OBS_SITE_NO_PORT. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < portTries; tries += 1) {
    const port = randomInt(firstPort, lastPort);
    if (given.has(port)) continue;
    const server = createServer();
    const bound = await new Promise<boolean>(resolve => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (!bound) continue;
    await new Promise<void>(resolve => server.close(() => resolve()));
    given.add(port);
    return port;
  }
  throw new ObError('OBS_SITE_NO_PORT', { first: firstPort, last: lastPort });
}
