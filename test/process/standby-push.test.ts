/** What a primary acknowledged just before it was killed is at its standby: commits leave before replies do. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { afterEach, expect, test } from 'vitest';
import type { NetAddress } from '../../src/platform/net.ts';
import {
  atEnd,
  closeSites,
  networkTo,
  openLog,
  pullerInto,
  temporaryDirectory,
  TextEngine,
} from '../support/peer-sites.ts';

afterEach(closeSites);

const source = new URL('../support/source-process.ts', import.meta.url).pathname;

/** Resolves when the value has not changed for some time. */
async function standsStill(value: () => number): Promise<void> {
  let [last, times] = [value(), 0];
  while (times < 50) {
    await new Promise(resolve => setTimeout(resolve, 10));
    times = value() === last ? times + 1 : 0;
    last = value();
  }
}

test('a primary killed right after an acknowledgement has handed the commit to its standby before', async () => {
  for (const acknowledgements of [1, 7, 150, 400]) {
    const child = spawn(process.execPath, [source, temporaryDirectory()], {
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    atEnd(() => {
      child.kill('SIGKILL');
    });
    const exited = new Promise<void>(resolve => child.once('exit', () => resolve()));
    const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
    const address = JSON.parse(String((await lines.next()).value)) as NetAddress;

    const log = await openLog({ mode: 'RAW_WRITE', blockBytes: 1_048_576 });
    const engine = new TextEngine();
    const puller = pullerInto(log, { network: networkTo(address), archive: null }, engine);
    puller.start();
    while (puller.status().status !== 'NORMAL') await new Promise(resolve => setTimeout(resolve, 2));

    child.stdin.write('go\n');
    let acknowledged = 0;
    for (let i = 0; i < acknowledgements; i += 1) acknowledged = Number((await lines.next()).value);
    // From here on it does nothing. It is killed when all that it sent has come: a socket that is closed with bytes unread, here what
    // the standby says, makes the other end forget what it has not read either.
    child.kill('SIGSTOP');
    await standsStill(() => log.state().end.lsn);
    child.kill('SIGKILL');
    await exited;
    // Lines that were printed before the kill and not read yet were acknowledged too.
    for (let line = await lines.next(); line.done !== true; line = await lines.next())
      acknowledged = Number(line.value);

    while (puller.status().status === 'NORMAL') await new Promise(resolve => setTimeout(resolve, 2));
    await puller.stop();
    await puller.caughtUpTo(log.state().end.lsn, 10_000);
    expect(log.state().end.lsn).toBeGreaterThanOrEqual(acknowledged);
    expect(engine.texts.map(text => text.replace(/\.*$/, ''))).toEqual(
      engine.texts.map((_, i) => `row ${i}`),
    );
    await closeSites();
  }
});
