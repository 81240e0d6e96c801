/** The driver around the role core: order of effects on the local tenant, refusal of writes, failures and closing. */
import { expect, test } from 'vitest';
import { isObError, ObError } from '../../src/base/errors.ts';
import type { AccessMode } from '../../src/base/log-access.ts';
import { lsn, roleEpoch, scn, wallMicros } from '../../src/base/scalars.ts';
import { RoleDriver } from '../../src/role/driver.ts';
import type { LocalTenant, RolePorts } from '../../src/role/ports.ts';
import { newPrimaryRow, type RoleRow } from '../../src/role/row.ts';

const at = (value: number) => ({ lsn: lsn(value), scn: scn(value), checksum: 7 });

/** A site whose local calls can be held back; everything else answers at once. */
class SlowSite {
  row: RoleRow = newPrimaryRow({ tenant: 'shop', incarnation: 'i', site: 'A' }, wallMicros(1));
  readonly calls: string[] = [];
  readonly fatal: unknown[] = [];
  mode: AccessMode = 'APPEND';
  held: { readonly name: string; readonly go: () => void } | null = null;
  hold: string | null = null;
  onHeld: () => void = () => {};
  promoteError: unknown = null;

  readonly #slowly = async (name: string): Promise<void> => {
    this.calls.push(name);
    if (this.hold !== name) return;
    this.hold = null;
    await new Promise<void>(resolve => {
      this.held = { name, go: resolve };
      this.onHeld();
    });
  };

  readonly #local: LocalTenant = {
    observe: () =>
      Promise.resolve({
        end: at(5),
        accessMode: this.mode,
        modeVersion: 1,
        appliedLsn: lsn(5),
        replayableScn: scn(5),
        applyProblem: null,
        writable: true,
        contact: { end: null, time: null },
      }),
    refuseWrites: () => this.#slowly('refuse'),
    drainWrites: () => this.#slowly('drain'),
    appendRoleEntry: async () => {
      await this.#slowly('append');
      return at(6);
    },
    changeMode: async to => {
      await this.#slowly(`mode ${to}`);
      this.mode = to;
    },
    flashback: () => Promise.resolve(at(5)),
    promote: async () => {
      await this.#slowly('promote');
      if (this.promoteError !== null) throw this.promoteError;
    },
    demote: () => this.#slowly('demote'),
    stopPulling: () => this.#slowly('stop'),
    startPulling: () => this.#slowly('start'),
    follow: () => this.#slowly('follow'),
    caughtUpTo: () => Promise.resolve(),
    countSuffix: () => Promise.resolve({ transactions: 0, end: at(5) }),
  };

  readonly ports: RolePorts = {
    store: {
      load: () => Promise.resolve(this.row),
      compareAndSet: (expected, next) => {
        const stored = expected.revision === this.row.revision;
        if (stored) this.row = next;
        return Promise.resolve({ stored, row: this.row });
      },
      writeJournal: () => Promise.resolve(),
      readJournal: () => Promise.resolve([]),
    },
    local: this.#local,
    peers: {
      sourceAddresses: () => Promise.resolve([]),
      followerAddresses: () => Promise.resolve([]),
      control: () => Promise.reject(new ObError('OBS_PEER_ERROR', { code: 'X', message: 'nobody' })),
    },
    archive: {
      configured: () => Promise.resolve(null),
      head: () => Promise.reject(new ObError('OBS_BUG', { what: 'no archive' })),
      claim: () => Promise.reject(new ObError('OBS_BUG', { what: 'no archive' })),
      seal: () => Promise.reject(new ObError('OBS_BUG', { what: 'no archive' })),
      sealed: () => Promise.resolve(null),
    },
    timer: { sleep: () => new Promise(() => {}) },
  };

  async start(until: (row: RoleRow) => boolean = row => row.role === 'PRIMARY'): Promise<RoleDriver> {
    let settle: () => void = () => {};
    const settled = new Promise<void>(resolve => {
      settle = resolve;
    });
    const driver = await RoleDriver.start({
      ports: this.ports,
      settings: { address: 'A:1', drainMs: 1, catchUpMs: 1, fenceRetryMs: 1, restartFencing: 'strict' },
      clock: { wall: () => wallMicros(2) },
      onChange: view => {
        if (until(view.row)) settle();
      },
      onFatal: error => {
        this.fatal.push(error);
        settle();
      },
    });
    await settled;
    return driver;
  }

  whenHeld(name: string): Promise<void> {
    this.hold = name;
    return new Promise(resolve => {
      this.onHeld = resolve;
    });
  }
}

const newer = {
  epoch: roleEpoch(9),
  site: 'B',
  address: null,
  certainty: 'opened',
  openings: [],
  inherited: false,
} as const;

test('a new tenant opens its log, then its engine, under epoch 1', async () => {
  const site = new SlowSite();
  const driver = await site.start();
  expect(site.calls).toEqual(['mode APPEND', 'append', 'promote']);
  expect(driver.view().writesRefused).toBeNull();
  expect(site.row).toMatchObject({ role: 'PRIMARY', epoch: 1 });
  await driver.close();
});

test('an opening that was under way when a newer epoch came is refused again the moment it is done', async () => {
  const site = new SlowSite();
  const driver = await site.start();
  await driver.close();
  // A restart: the engine is opened once more, and the sign comes while that runs.
  site.calls.length = 0;
  const held = site.whenHeld('promote');
  let fenced: () => void = () => {};
  const isFenced = new Promise<void>(resolve => {
    fenced = resolve;
  });
  const restarted = await RoleDriver.start({
    ports: site.ports,
    settings: { address: 'A:1', drainMs: 1, catchUpMs: 1, fenceRetryMs: 1, restartFencing: 'strict' },
    clock: { wall: () => wallMicros(2) },
    onChange: view => {
      if (view.row.fenced !== null) fenced();
    },
    onFatal: error => site.fatal.push(error),
  });
  await held;
  restarted.epochSeen(newer);
  site.held?.go();
  await isFenced;
  await restarted.close();
  expect(site.calls).toEqual(['promote', 'refuse', 'refuse', 'demote']);
  expect(site.fatal).toEqual([]);
});

test('writes are refused while the change of mode before them still runs; the fence demotes after it', async () => {
  const site = new SlowSite();
  const driver = await site.start();
  const held = site.whenHeld('drain');
  const command = driver.command({ kind: 'switchover-to-standby', operationId: 'x', verify: false });
  await held;
  const rejected = command.then(
    () => null,
    (error: unknown) => error,
  );
  driver.epochSeen(newer);
  expect(driver.view().writesRefused?.code).toBe('OBS_ROLE_EPOCH_STALE');
  expect(site.calls.slice(3)).toEqual(['drain', 'refuse']);
  site.held?.go();
  const error = await rejected;
  expect(isObError(error) && error.kind).toBe('fenced');
  // Nothing of the switchover came after the sign.
  expect(site.calls.filter(call => call === 'append')).toHaveLength(1);
  expect(site.row.sealed).toBeNull();
  await driver.close();
});

test('a disk error of a port ends the process, and nothing is answered as done', async () => {
  const site = new SlowSite();
  site.promoteError = new TypeError('not an error of the catalogue');
  await site.start();
  expect(site.fatal).toEqual([site.promoteError]);
  expect(site.row.role).toBe('STANDBY');
});

test('callers are told when the site stops in the middle', async () => {
  const site = new SlowSite();
  const driver = await site.start();
  const held = site.whenHeld('drain');
  const command = driver.command({ kind: 'switchover-to-standby', operationId: 'x', verify: false });
  const answer = command.catch((error: unknown) => error);
  await held;
  const closing = driver.close();
  expect(isObError(await answer, 'OBS_ROLE_STOPPED')).toBe(true);
  site.held?.go();
  await closing;
  expect(site.row.step).toBe('S3');
});

test('a peer request that is no request is refused, not thrown at the core', async () => {
  const site = new SlowSite();
  const driver = await site.start();
  await expect(driver.control('seal', { operationId: 7 })).rejects.toMatchObject({
    code: 'OBS_ROLE_REQUEST_INVALID',
  });
  await expect(driver.control('explode', null)).rejects.toMatchObject({ code: 'OBS_ROLE_REQUEST_INVALID' });
  await expect(driver.control('describe', {})).resolves.toMatchObject({ kind: 'description' });
  await driver.close();
});
