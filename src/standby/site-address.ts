/**
 * Where a site is reached: one text, `host:port` of each of its nodes with `;` between, in every place that names a site.
 * Which of the nodes leads a tenant changes; the list is tried until one does.
 */
import { siteAddressesMax, siteAddressLengthMax } from '../base/limits.ts';
import type { NetAddress } from '../platform/net.ts';
import { addressText, parseAddress } from './restore-source.ts';

/** As many of the nodes as the bounds allow; null when there is none. */
export function siteAddressText(addresses: readonly NetAddress[]): string | null {
  let text = '';
  for (const address of addresses.slice(0, siteAddressesMax)) {
    const longer = text === '' ? addressText(address) : `${text};${addressText(address)}`;
    if (longer.length > siteAddressLengthMax) break;
    text = longer;
  }
  return text === '' ? null : text;
}

/** Undefined for a text that is no list of addresses. */
export function parseSiteAddress(text: string): readonly NetAddress[] | undefined {
  if (text.length > siteAddressLengthMax) return undefined;
  const addresses = text.split(';').map(part => parseAddress(part.trim()));
  if (addresses.length > siteAddressesMax) return undefined;
  const known = addresses.filter(address => address !== undefined);
  return known.length === addresses.length ? known : undefined;
}

/** One node in common makes it the same site: its list grows and shrinks with its cluster. */
export function isSameSite(one: readonly NetAddress[], other: readonly NetAddress[]): boolean {
  return one.some(address => isAmong(address, other));
}

/** Those of both, each once, in that order. */
export function joinAddresses(
  first: readonly NetAddress[],
  then: readonly NetAddress[],
): readonly NetAddress[] {
  const joined = [...first];
  for (const address of then) if (!isAmong(address, joined)) joined.push(address);
  return joined.slice(0, siteAddressesMax);
}

export const isAmong = (address: NetAddress, list: readonly NetAddress[]): boolean =>
  list.some(({ host, port }) => host === address.host && port === address.port);
