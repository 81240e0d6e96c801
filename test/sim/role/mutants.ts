/** Known bugs of role managers, put back one at a time at the border of the core. The tests prove that each is caught. */
import { lsn } from '../../../src/base/scalars.ts';
import type { RoleRow } from '../../../src/role/row.ts';
import type { Mutant } from './world.ts';

const ok = (value: unknown): { readonly outcome: { readonly kind: 'ok'; readonly value: unknown } } => ({
  outcome: { kind: 'ok', value },
});

/** A compare-and-set that answers before it is durable: a crash takes it back. */
const undurable =
  (which: (next: RoleRow) => boolean): Mutant =>
  (site, effect) => {
    if (effect.kind !== 'store.compareAndSet') return undefined;
    const [expected, next] = effect.parameters;
    if (site.row.revision !== expected.revision || !which(next)) return undefined;
    site.undurable = site.row;
    site.row = next;
    return ok({ stored: true, row: next });
  };

export const mutants: Readonly<Record<string, Mutant>> = {
  'the claim of an epoch is skipped': (_, effect) =>
    effect.kind === 'archive.claim' ? ok({ kind: 'claimed' }) : undefined,

  'a claim overwrites another one of the same epoch': (_, effect, world) => {
    if (effect.kind !== 'archive.claim') return undefined;
    world.chain.claims.push(effect.parameters[0]);
    return ok({ kind: 'claimed' });
  },

  'the engine opens before the decision is durable': undurable(
    next => next.switchoverStatus === 'SWITCHING TO PRIMARY' && next.step === 'O6',
  ),

  'a rollback does not wait for the target to cancel': (_, effect) =>
    effect.kind === 'peers.control' && effect.parameters[1].op === 'cancel'
      ? ok({ kind: 'cancelled' })
      : undefined,

  'a cancellation is not durable before it is answered': undurable(
    next => next.operation === null && next.cancelled.length > 0 && next.role === 'STANDBY',
  ),

  'the seal is taken before the log has left APPEND': (site, effect) => {
    if (site.row.step !== 'S4' && site.row.step !== 'S3') return undefined;
    if (effect.kind === 'local.drainWrites' || effect.kind === 'local.changeMode') return ok(undefined);
    if (effect.kind === 'local.observe' && site.row.step === 'S4') {
      return ok({ ...site.observe(), accessMode: 'RAW_WRITE' });
    }
    return undefined;
  },

  'the standby opens one entry before the seal': (site, effect) => {
    if (site.row.step !== 'O3' || site.row.operation?.seal === null || site.row.operation === null)
      return undefined;
    if (effect.kind === 'local.caughtUpTo') return ok(undefined);
    if (effect.kind !== 'local.observe') return undefined;
    const { position } = site.row.operation.seal;
    return ok({ ...site.observe(), end: position, appliedLsn: lsn(position.lsn) });
  },

  'a fenced primary goes on': (_, effect) =>
    effect.kind === 'local.refuseWrites' || effect.kind === 'local.demote' ? ok(undefined) : undefined,

  'a restarted primary asks nobody': (site, effect) => {
    if (effect.kind === 'peers.followerAddresses') return ok([]);
    if (effect.kind === 'archive.configured' && site.row.role === 'PRIMARY' && site.row.operation === null) {
      return ok(null);
    }
    return undefined;
  },

  'a seal is granted to whoever asks': (site, effect, world) => {
    if (effect.kind !== 'peers.control' || effect.parameters[1].op !== 'grant') return undefined;
    const sealed = world.at(effect.parameters[0])?.row.sealed ?? null;
    if (sealed === null) return undefined;
    return ok({ kind: 'sealed', seal: { ...sealed, target: { site: site.name, address: site.address } } });
  },

  'the role entry of an opening is left out': (site, effect) =>
    effect.kind === 'local.appendRoleEntry' && effect.parameters[0].event !== 'sealed'
      ? ok(site.end)
      : undefined,

  'what a failover lost is counted one short': (site, effect) => {
    if (effect.kind !== 'local.countSuffix') return undefined;
    const suffix = site.countSuffix(effect.parameters[0]);
    return ok({ ...suffix, transactions: Math.max(0, suffix.transactions - 1) });
  },
};
