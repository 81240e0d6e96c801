/**
 * The sys store's methods as calls between the nodes of a cluster: by name, with parameters as JSON, sealed under the
 * cluster's key, since some carry credentials. One table says what may be asked and what may be asked again.
 */
import { z } from 'zod';
import { ObError } from '../base/errors.ts';
import type { TenantId } from '../base/scalars.ts';
import type { RoleStore } from '../role/ports.ts';
import { openJson, sealJson } from './sealed-json.ts';
import type { SecretBox } from './secret-box.ts';
import type { SysStore } from './sys-store.ts';

interface SysCall<Parameters extends unknown[], Value> {
  readonly run: (store: SysStore, ...parameters: Parameters) => Promise<Value>;
  /** done twice it leaves the same as once: it may be sent again when its answer was lost */
  readonly repeatable: boolean;
}

const repeatable = <Parameters extends unknown[], Value>(
  run: (store: SysStore, ...parameters: Parameters) => Promise<Value>,
): SysCall<Parameters, Value> => ({ run, repeatable: true });

const rolesOf = (store: SysStore, id: TenantId): RoleStore => store.roleStore(id, () => {});

type Of<Method extends keyof SysStore> = Parameters<SysStore[Method]>;
type OfRole<Method extends keyof RoleStore> = [id: TenantId, ...Parameters<RoleStore[Method]>];

const calls = {
  tenants: repeatable((store: SysStore) => store.tenants()),
  addTenant: repeatable((store, ...of: Of<'addTenant'>) => store.addTenant(...of)),
  updateTenant: repeatable((store, ...of: Of<'updateTenant'>) => store.updateTenant(...of)),
  removeTenant: repeatable((store, ...of: Of<'removeTenant'>) => store.removeTenant(...of)),
  insertRole: repeatable((store, ...of: Of<'insertRole'>) => store.insertRole(...of)),
  role: repeatable((store, ...of: Of<'role'>) => store.role(...of)),
  unitState: repeatable((store, ...of: Of<'unitState'>) => store.unitState(...of)),
  // It compares: sent again after it was done it is refused with the row that it made itself.
  compareAndSet: repeatable((store, ...[id, ...of]: OfRole<'compareAndSet'>) =>
    rolesOf(store, id).compareAndSet(...of),
  ),
  writeJournal: repeatable((store, ...[id, ...of]: OfRole<'writeJournal'>) =>
    rolesOf(store, id).writeJournal(...of),
  ),
  readJournal: repeatable((store, ...[id, ...of]: OfRole<'readJournal'>) =>
    rolesOf(store, id).readJournal(...of),
  ),
  setRestoreSource: repeatable((store, ...of: Of<'setRestoreSource'>) => store.setRestoreSource(...of)),
  setSourceEnd: repeatable((store, ...of: Of<'setSourceEnd'>) => store.setSourceEnd(...of)),
  setArchiveDest: repeatable((store, ...of: Of<'setArchiveDest'>) => store.setArchiveDest(...of)),
  followers: repeatable((store, ...of: Of<'followers'>) => store.followers(...of)),
  rememberFollower: repeatable((store, ...of: Of<'rememberFollower'>) => store.rememberFollower(...of)),
  forgetFollower: repeatable((store, ...of: Of<'forgetFollower'>) => store.forgetFollower(...of)),
  addEvent: { run: (store: SysStore, ...of: Of<'addEvent'>) => store.addEvent(...of), repeatable: false },
  events: repeatable((store, ...of: Of<'events'>) => store.events(...of)),
} as const;

export type SysMethod = keyof typeof calls;

type Run<Method extends SysMethod> = (typeof calls)[Method]['run'];
export type SysParameters<Method extends SysMethod> =
  Parameters<Run<Method>> extends [unknown, ...infer Rest] ? Rest : never;
export type SysValue<Method extends SysMethod> = Awaited<ReturnType<Run<Method>>>;

export const isRepeatable = (method: SysMethod): boolean => calls[method].repeatable;

/** Runs a call on a store of this process. */
export function runSysCall<Method extends SysMethod>(
  store: SysStore,
  method: Method,
  parameters: SysParameters<Method>,
): Promise<SysValue<Method>> {
  const run = calls[method].run as unknown as (
    store: SysStore,
    ...parameters: readonly unknown[]
  ) => Promise<SysValue<Method>>;
  return run(store, ...(parameters as readonly unknown[]));
}

const envelope = z.object({ sealed: z.base64() });
const request = z.object({
  method: z.string().refine((name): name is SysMethod => Object.hasOwn(calls, name)),
  parameters: z.array(z.unknown()),
});

/** The body of a call. */
export const sealSysRequest = <Method extends SysMethod>(
  box: SecretBox,
  method: Method,
  parameters: SysParameters<Method>,
): object => seal(box, 'sys request', { method, parameters });

/** What the call answered. */
export const openSysReply = (box: SecretBox, body: unknown): unknown => open(box, 'sys reply', body);

/** Serves one call; `body` is unchecked JSON. Throws OBS_NODE_BAD_REQUEST, and what the store throws. */
export async function serveSysCall(store: SysStore, box: SecretBox, body: unknown): Promise<object> {
  const asked = request.safeParse(open(box, 'sys request', body));
  if (!asked.success) throw new ObError('OBS_NODE_BAD_REQUEST', { what: 'no call of the sys store' });
  const { method, parameters } = asked.data;
  const value = await runSysCall(store, method, parameters as never);
  return seal(box, 'sys reply', value ?? null);
}

const seal = (box: SecretBox, context: string, value: unknown): object => ({
  sealed: sealJson(box, context, value, bytesAsText),
});

function open(box: SecretBox, context: string, body: unknown): unknown {
  const sealed = envelope.safeParse(body);
  if (!sealed.success) throw new ObError('OBS_NODE_BAD_REQUEST', { what: 'nothing sealed in it' });
  return openJson(box, context, sealed.data.sealed, textAsBytes);
}

/** Keys of credentials are bytes; JSON has none. */
const bytesAsText = (_key: string, value: unknown): unknown =>
  value instanceof Uint8Array ? { $bytes: Buffer.from(value).toString('base64') } : value;

const textAsBytes = (_key: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && '$bytes' in value && typeof value.$bytes === 'string'
    ? new Uint8Array(Buffer.from(value.$bytes, 'base64'))
    : value;
