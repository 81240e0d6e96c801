import { expect, test } from 'vitest';
import { siteAddressesMax, siteAddressLengthMax } from '../base/limits.ts';
import { isSameSite, joinAddresses, parseSiteAddress, siteAddressText } from './site-address.ts';

const at = (port: number, host = '127.0.0.1') => ({ host, port });

test('the nodes of a site come back from its text', () => {
  const nodes = [at(2882), at(2882, 'node-b.example'), at(1, '::1')];
  const text = siteAddressText(nodes);
  expect(text).toBe('127.0.0.1:2882;node-b.example:2882;[::1]:1');
  expect(parseSiteAddress(text ?? '')).toEqual(nodes);
});

test('one address is a site of one node, none is no site', () => {
  expect(parseSiteAddress('a:1')).toEqual([at(1, 'a')]);
  expect(siteAddressText([])).toBeNull();
});

test.each(['', 'a', 'a:1;', 'a:1;;b:2', 'a:0', 'a:1,b:2', `${'a'.repeat(siteAddressLengthMax)}:1`])(
  'no list of addresses: %s',
  text => {
    expect(parseSiteAddress(text)).toBeUndefined();
  },
);

test('a list with more nodes, or longer than the bound, is cut at a whole address', () => {
  const many = Array.from({ length: siteAddressesMax + 5 }, (_, index) => at(index + 1));
  expect(parseSiteAddress(siteAddressText(many) ?? '')).toEqual(many.slice(0, siteAddressesMax));
  const long = Array.from({ length: siteAddressesMax }, (_, index) => at(index + 1, 'n'.repeat(200)));
  const text = siteAddressText(long) ?? '';
  expect(text.length).toBeLessThanOrEqual(siteAddressLengthMax);
  expect(parseSiteAddress(text)).toEqual(long.slice(0, parseSiteAddress(text)?.length));
});

test('sites that share a node are one; a joined list names each node once', () => {
  expect(isSameSite([at(1), at(2)], [at(2), at(3)])).toBe(true);
  expect(isSameSite([at(1)], [at(1, 'localhost')])).toBe(false);
  expect(joinAddresses([at(2)], [at(1), at(2), at(3)])).toEqual([at(2), at(1), at(3)]);
});
