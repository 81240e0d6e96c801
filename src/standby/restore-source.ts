/**
 * The text of LOG_RESTORE_SOURCE: `SERVICE=host:port;host:port USER=user@tenant PASSWORD=secret` pulls over the network,
 * `LOCATION=uri` from an archive, both together from the network with the archive to fall back on; '' is no source.
 * `DELAY=10m` on either keeps what is applied that far behind.
 *
 * Items are separated by blanks; a value with blanks, quotes or backslashes is written in double quotes with backslash
 * escapes. Printing never shows the password, nor the keys in a location.
 */
import { ObError } from '../base/errors.ts';
import { restoreSourceAddressesMax, restoreSourceLengthMax } from '../base/limits.ts';
import type { NetAddress } from '../platform/net.ts';

interface ServiceSource {
  readonly addresses: readonly NetAddress[];
  readonly user: string;
  readonly tenant: string;
  readonly password: string;
}

export interface RestoreSource {
  readonly service: ServiceSource | null;
  /** URI of an archive destination */
  readonly location: string | null;
  readonly delayMs: number;
}

type Key = 'SERVICE' | 'USER' | 'PASSWORD' | 'LOCATION' | 'DELAY';
const keys: readonly Key[] = ['SERVICE', 'USER', 'PASSWORD', 'LOCATION', 'DELAY'];

/**
 * Reads the text. Null for a blank one: no source. Throws OBS_STANDBY_SOURCE_INVALID, which lists everything that is
 * wrong and repeats no value of PASSWORD.
 */
export function parseRestoreSource(text: string): RestoreSource | null {
  if (text.length > restoreSourceLengthMax) {
    throw invalid([`it is longer than ${restoreSourceLengthMax} characters`]);
  }
  const problems: string[] = [];
  const items = readItems(text, problems);
  if (items.size === 0 && problems.length === 0) return null;

  const serviceText = items.get('SERVICE');
  const userText = items.get('USER');
  const password = items.get('PASSWORD');
  const location = items.get('LOCATION');
  let service: ServiceSource | null = null;
  if (serviceText !== undefined) {
    const addresses = readAddresses(serviceText, problems);
    const { user, tenant } = readUser(userText, problems);
    if (password === undefined) problems.push("PASSWORD is missing (PASSWORD='' for an empty one)");
    service = { addresses, user, tenant, password: password ?? '' };
  } else {
    if (userText !== undefined) problems.push('USER belongs to SERVICE, which is missing');
    if (password !== undefined) problems.push('PASSWORD belongs to SERVICE, which is missing');
    if (location === undefined) problems.push('SERVICE or LOCATION is missing');
  }
  if (location !== undefined && !/^(file:\/\/\/|s3:\/\/)[^\s]+$/.test(location)) {
    problems.push('LOCATION is not a file:///… or s3://… uri');
  }
  const delayMs = readDelay(items.get('DELAY'), problems);
  if (problems.length > 0) throw invalid(problems);
  return { service, location: location ?? null, delayMs };
}

/** The text with secrets: for storage under encryption only. `parseRestoreSource` reads it back. */
export const restoreSourceSecretText = (source: RestoreSource | null): string =>
  print(source, 'with secrets');

/** The text for people: passwords and keys are `******`. */
export const restoreSourceText = (source: RestoreSource | null): string => print(source, 'without secrets');

/** A URI without the secrets that its query or its authority may carry. */
export const publicLocation = (uri: string): string =>
  uri
    .replace(/([?&](?:access_key|secret|secret_key|access_id|token|password)=)[^&]*/gi, '$1******')
    .replace(/^(\w+:\/\/)[^/@?]*@/, '$1******@');

function print(source: RestoreSource | null, secrets: 'with secrets' | 'without secrets'): string {
  if (source === null) return '';
  const items: string[] = [];
  const { service, location, delayMs } = source;
  if (service !== null) {
    items.push(
      `SERVICE=${service.addresses.map(addressText).join(';')}`,
      `USER=${quoted(`${service.user}@${service.tenant}`)}`,
      `PASSWORD=${secrets === 'with secrets' ? quoted(service.password) : '******'}`,
    );
  }
  if (location !== null) {
    items.push(`LOCATION=${quoted(secrets === 'with secrets' ? location : publicLocation(location))}`);
  }
  if (delayMs > 0) items.push(`DELAY=${delayMs}ms`);
  return items.join(' ');
}

/** An address as people write it; IPv6 in brackets. */
export const addressText = (address: NetAddress): string =>
  `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`;

/** Reads `host:port` or `[v6]:port`; undefined if it is neither. */
export function parseAddress(text: string): NetAddress | undefined {
  const match = /^(?:\[([0-9A-Fa-f:.%\w]+)\]|([A-Za-z0-9._-]+)):(\d{1,5})$/.exec(text);
  if (match === null) return undefined;
  const port = Number(match[3]);
  if (port < 1 || port > 65_535) return undefined;
  return { host: match[1] ?? match[2] ?? '', port };
}

const quoted = (value: string): string =>
  value !== '' && !/[\s"'\\]/.test(value) ? value : `"${value.replaceAll(/[\\"]/g, '\\$&')}"`;

/** Splits KEY=value items. Problems name the key or the place, never a value. */
function readItems(text: string, problems: string[]): Map<Key, string> {
  const items = new Map<Key, string>();
  let at = 0;
  while (at < text.length) {
    if (/\s/.test(text.charAt(at))) {
      at += 1;
      continue;
    }
    const equals = text.indexOf('=', at);
    const name = equals < 0 ? '' : text.slice(at, equals).toUpperCase();
    const key = keys.find(candidate => candidate === name);
    if (key === undefined) {
      problems.push(
        `at character ${at + 1}: expected SERVICE=, USER=, PASSWORD=, LOCATION= or DELAY=, without blanks around =`,
      );
      return items;
    }
    const value = readValue(text, equals + 1);
    if (value === undefined) {
      problems.push(`the quoted value of ${key} does not end`);
      return items;
    }
    if (items.has(key)) problems.push(`${key} is given twice`);
    items.set(key, value.text);
    at = value.end;
  }
  return items;
}

function readValue(text: string, from: number): { text: string; end: number } | undefined {
  const quote = text.charAt(from);
  if (quote !== '"' && quote !== "'") {
    const end = /\s|$/.exec(text.slice(from))?.index ?? 0;
    return { text: text.slice(from, from + end), end: from + end };
  }
  let value = '';
  for (let at = from + 1; at < text.length; at += 1) {
    const character = text.charAt(at);
    if (character === quote) return { text: value, end: at + 1 };
    if (character === '\\' && at + 1 < text.length) at += 1;
    value += text.charAt(at);
  }
  return undefined;
}

function readAddresses(text: string, problems: string[]): NetAddress[] {
  const addresses: NetAddress[] = [];
  const parts = text.split(/[;,]/).filter(part => part !== '');
  if (parts.length === 0) problems.push('SERVICE names no address');
  if (parts.length > restoreSourceAddressesMax) {
    problems.push(`SERVICE names more than ${restoreSourceAddressesMax} addresses`);
  }
  for (const [index, part] of parts.entries()) {
    const address = parseAddress(part);
    if (address === undefined) problems.push(`address ${index + 1} of SERVICE is not host:port`);
    else addresses.push(address);
  }
  return addresses;
}

function readUser(text: string | undefined, problems: string[]): { user: string; tenant: string } {
  if (text === undefined) {
    problems.push('USER is missing');
    return { user: '', tenant: '' };
  }
  const at = text.lastIndexOf('@');
  // OceanBase's clients write user@tenant#cluster; the addresses say which cluster it is.
  const tenant = at < 0 ? '' : (text.slice(at + 1).split('#')[0] ?? '');
  const user = at < 0 ? text : text.slice(0, at);
  if (user === '' || tenant === '') problems.push('USER is not user@tenant');
  return { user, tenant };
}

const unitMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

function readDelay(text: string | undefined, problems: string[]): number {
  if (text === undefined) return 0;
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text);
  const unit = unitMs[match?.[2] ?? ''];
  if (match === null || unit === undefined) {
    problems.push('DELAY is not a number with ms, s, m, h or d');
    return 0;
  }
  return Number(match[1]) * unit;
}

const invalid = (problems: readonly string[]): ObError =>
  new ObError('OBS_STANDBY_SOURCE_INVALID', { problems: problems.join('; ') });
