/**
 * What a tenant's directory in an archive is: a small object that names the tenant incarnation and the format version.
 * It is written when the directory is first used and checked whenever it is used again. Readers that know only a name,
 * or nothing, find the directory by the pointers under `tenants/`.
 */
import { z } from 'zod';
import { ObError } from '../base/errors.ts';
import { type LogStreamId, logStreamId } from '../base/scalars.ts';
import type { ObjectStore } from '../platform/object-store.ts';
import { keyPart, keyPartText, TenantLayout, tenantPointerKey, tenantsPrefix } from './layout.ts';

const archiveVersion = 1;

export interface ArchivedTenant {
  /** as the site calls it that writes; sites may differ */
  readonly name: string;
  /** the same on every site of this tenant, for ever */
  readonly incarnation: string;
  readonly stream: LogStreamId;
}

/** What a reader knows of the tenant it wants; with neither, the archive must hold exactly one. */
export interface WantedTenant {
  readonly incarnation?: string;
  readonly name?: string;
}

const schema = z.object({
  magic: z.literal('obstandby archive'),
  version: z.number().int().min(1),
  name: z.string(),
  incarnation: z.string(),
  stream: z.number().int().min(1),
});

/** Makes the directory this tenant's, or checks that it is. Throws OBS_ARCHIVE_FOREIGN, OBS_ARCHIVE_FORMAT_NEWER. */
export async function ensureFormat(store: ObjectStore, tenant: ArchivedTenant): Promise<void> {
  const layout = new TenantLayout(tenant.incarnation);
  const content = { magic: 'obstandby archive', version: archiveVersion, ...tenant };
  const bytes = new TextEncoder().encode(`${JSON.stringify(content)}\n`);
  if ((await store.putIfAbsent(layout.format, bytes)) === 'exists')
    await readFormat(store, tenant.incarnation, tenant.stream);
  await store.put(tenantPointerKey(tenant.name, tenant.incarnation), bytes);
}

/** The tenant of a directory; undefined if there is no archive of that incarnation. */
async function readFormat(
  store: ObjectStore,
  incarnation: string,
  stream?: LogStreamId,
): Promise<ArchivedTenant | undefined> {
  const key = new TenantLayout(incarnation).format;
  const bytes = await store.get(key);
  if (bytes === undefined) return undefined;
  const dest = store.name;
  const parsed = schema.safeParse(parseJson(new TextDecoder().decode(bytes)));
  if (!parsed.success) throw new ObError('OBS_ARCHIVE_CORRUPT', { dest, key, why: 'it is no format object' });
  const found = parsed.data;
  if (found.version > archiveVersion)
    throw new ObError('OBS_ARCHIVE_FORMAT_NEWER', { dest, key, version: found.version });
  if (found.incarnation !== incarnation || (stream !== undefined && found.stream !== stream)) {
    throw new ObError('OBS_ARCHIVE_FOREIGN', {
      dest,
      found: `tenant ${found.name}, incarnation ${found.incarnation}, log stream ${found.stream}`,
      wanted: `incarnation ${incarnation}${stream === undefined ? '' : `, log stream ${stream}`}`,
    });
  }
  return { name: found.name, incarnation, stream: logStreamId(found.stream) };
}

/**
 * The tenant a reader wants. Throws OBS_ARCHIVE_NO_TENANT, OBS_ARCHIVE_FOREIGN (other tenants are there),
 * OBS_ARCHIVE_TENANT_AMBIGUOUS, OBS_ARCHIVE_FORMAT_NEWER.
 */
export async function findTenant(store: ObjectStore, wanted: WantedTenant): Promise<ArchivedTenant> {
  const dest = store.name;
  if (wanted.incarnation !== undefined) {
    const found = await readFormat(store, wanted.incarnation);
    if (found !== undefined) return found;
  }
  const pointers = await listTenants(store);
  const label =
    wanted.name ?? (wanted.incarnation === undefined ? 'any tenant' : `incarnation ${wanted.incarnation}`);
  if (pointers.length === 0) throw new ObError('OBS_ARCHIVE_NO_TENANT', { dest, wanted: label });
  const all = pointers.map(({ name, incarnation }) => `${name} (${incarnation})`).join(', ');
  if (wanted.incarnation !== undefined)
    throw new ObError('OBS_ARCHIVE_FOREIGN', { dest, found: all, wanted: label });
  const matching = pointers.filter(({ name }) => wanted.name === undefined || name === wanted.name);
  const [first] = matching;
  if (first === undefined) throw new ObError('OBS_ARCHIVE_FOREIGN', { dest, found: all, wanted: label });
  if (new Set(matching.map(({ incarnation }) => incarnation)).size > 1)
    throw new ObError('OBS_ARCHIVE_TENANT_AMBIGUOUS', { dest, found: all });
  const found = await readFormat(store, first.incarnation);
  if (found === undefined) throw new ObError('OBS_ARCHIVE_NO_TENANT', { dest, wanted: label });
  return found;
}

/** Tenants of an archive, by LIST: may miss very new ones. */
async function listTenants(
  store: ObjectStore,
): Promise<readonly { readonly name: string; readonly incarnation: string }[]> {
  const keys = await store.list(tenantsPrefix);
  return keys.flatMap(key => {
    const [name, incarnation, ...more] = key.slice(tenantsPrefix.length).split('/');
    if (name === undefined || incarnation === undefined || more.length > 0) return [];
    const pointer = { name: keyPartText(name), incarnation: keyPartText(incarnation) };
    return keyPart(pointer.name) === name ? [pointer] : [];
  });
}

const parseJson = (text: string): unknown => {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
};
