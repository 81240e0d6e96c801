/**
 * The text form of an archive location, as LOG_ARCHIVE_DEST and LOG_RESTORE_SOURCE carry it:
 *
 *     file:///absolute/directory[?create=true]
 *     s3://bucket/prefix?endpoint=http://host:port&region=us-east-1[&access_id=…&access_key=…][&create=true]
 *
 * `host=` is OceanBase's word for the endpoint. Keys may come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead.
 * `tenant=` picks one of several tenants of an archive. Printing never shows keys.
 */
import { ObError } from '../base/errors.ts';

interface S3Credentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | null;
}

export type StoreLocation =
  | {
      readonly kind: 'file';
      readonly directory: string;
      readonly create: boolean;
      readonly tenant: string | null;
    }
  | {
      readonly kind: 's3';
      readonly bucket: string;
      /** without slashes at its ends; may be empty */
      readonly prefix: string;
      readonly endpoint: string | null;
      readonly region: string;
      /** null: whatever the SDK finds on this machine (instance role, shared file) */
      readonly credentials: S3Credentials | null;
      readonly create: boolean;
      readonly tenant: string | null;
    };

const fileKeys = new Set(['create', 'tenant']);
const s3Keys = new Set([
  ...fileKeys,
  'endpoint',
  'host',
  'region',
  's3_region',
  'access_id',
  'access_key',
  'delete_mode',
]);

/** Throws OBS_ARCHIVE_URI_INVALID; the error text shows the location without its keys. */
export function parseStoreLocation(
  text: string,
  environment: Readonly<Record<string, string | undefined>>,
): StoreLocation {
  const invalid = (why: string): ObError =>
    new ObError('OBS_ARCHIVE_URI_INVALID', { location: withoutKeys(text), why });
  const split = /^(file|s3):\/\/([^?]*)(?:\?(.*))?$/s.exec(text.trim());
  if (split === null) throw invalid('it starts with neither file:/// nor s3://');
  const [, scheme = '', rest = '', query = ''] = split;
  const parameters = parseQuery(query);
  const known = scheme === 'file' ? fileKeys : s3Keys;
  const unknown = [...parameters.keys()].filter(name => !known.has(name));
  if (unknown.length > 0) throw invalid(`unknown parameter ${unknown.join(', ')}`);
  const create = parameters.get('create') === 'true';
  const tenant = parameters.get('tenant') ?? null;
  if (scheme === 'file') {
    const directory = `/${rest.replaceAll(/^\/+|\/+$/g, '')}`;
    if (!rest.startsWith('/') || directory === '/')
      throw invalid('the directory must be absolute, and not the root');
    if (directory.split('/').includes('..')) throw invalid('the directory must not contain ..');
    return { kind: 'file', directory, create, tenant };
  }
  const [bucket = '', ...parts] = rest.split('/');
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket))
    throw invalid('a bucket name has 3 to 63 of a-z, 0-9, dot and hyphen');
  const prefix = parts.filter(part => part !== '').join('/');
  if (prefix !== '' && !/^[A-Za-z0-9._=/-]+$/.test(prefix))
    throw invalid('the prefix may contain A-Z, a-z, 0-9 and . _ = - /');
  const endpoint = endpointOf(parameters.get('endpoint') ?? parameters.get('host'), environment);
  if (endpoint !== null && !URL.canParse(endpoint)) throw invalid('the endpoint is not a URL');
  if (endpoint !== null && new URL(endpoint).username !== '')
    throw invalid('the endpoint must not contain a user name');
  return {
    kind: 's3',
    bucket,
    prefix,
    endpoint,
    region:
      parameters.get('region') ?? parameters.get('s3_region') ?? environment['AWS_REGION'] ?? 'us-east-1',
    credentials: credentialsOf(parameters, environment, invalid),
    create,
    tenant,
  };
}

/** For people: without keys. */
export const printStoreLocation = (location: StoreLocation): string =>
  location.kind === 'file'
    ? `file://${location.directory}`
    : `s3://${location.bucket}${location.prefix === '' ? '' : `/${location.prefix}`}${
        location.endpoint === null ? '' : `?endpoint=${location.endpoint}`
      }`;

/** The text with the values of key parameters replaced. */
export const withoutKeys = (text: string): string =>
  text.replaceAll(/\b(access_id|access_key|secret[a-z_]*)=[^&\s]*/gi, '$1=***');

function parseQuery(query: string): Map<string, string> {
  const parameters = new Map<string, string>();
  for (const pair of query.split('&')) {
    if (pair === '') continue;
    const at = pair.indexOf('=');
    const name = at < 0 ? pair : pair.slice(0, at);
    // a plus is part of a key here, not a blank
    parameters.set(name, decode(at < 0 ? '' : pair.slice(at + 1)));
  }
  return parameters;
}

const decode = (value: string): string => {
  try {
    return decodeURIComponent(value);
  } catch {
    return value;
  }
};

function endpointOf(
  given: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): string | null {
  const endpoint = given ?? environment['AWS_ENDPOINT_URL_S3'] ?? environment['AWS_ENDPOINT_URL'];
  if (endpoint === undefined || endpoint === '') return null;
  return /^https?:\/\//.test(endpoint) ? endpoint : `https://${endpoint}`;
}

function credentialsOf(
  parameters: ReadonlyMap<string, string>,
  environment: Readonly<Record<string, string | undefined>>,
  invalid: (why: string) => ObError,
): S3Credentials | null {
  const [id, key] = [parameters.get('access_id'), parameters.get('access_key')];
  if ((id === undefined) !== (key === undefined)) throw invalid('access_id and access_key belong together');
  if (id !== undefined && key !== undefined)
    return { accessKeyId: id, secretAccessKey: key, sessionToken: null };
  const [envId, envKey] = [environment['AWS_ACCESS_KEY_ID'], environment['AWS_SECRET_ACCESS_KEY']];
  if (envId === undefined || envKey === undefined) return null;
  return {
    accessKeyId: envId,
    secretAccessKey: envKey,
    sessionToken: environment['AWS_SESSION_TOKEN'] ?? null,
  };
}
