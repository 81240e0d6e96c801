import { expect, test } from 'vitest';
import { keyPart, keyPartText } from '../../../src/archive/layout.ts';
import { parseStoreLocation, printStoreLocation, withoutKeys } from '../../../src/archive/store-location.ts';

test('a directory is absolute, not the root, and may be created', () => {
  expect(parseStoreLocation('file:///backup/archive/?create=true', {})).toEqual({
    kind: 'file',
    directory: '/backup/archive',
    create: true,
    tenant: null,
  });
});

test("OceanBase's words for endpoint and keys are understood", () => {
  const text = 's3://bucket/a/b?host=s3.example.com&access_id=AK&access_key=a+b/c%3D&s3_region=eu-1';
  const location = parseStoreLocation(text, {});
  expect(location).toEqual({
    kind: 's3',
    bucket: 'bucket',
    prefix: 'a/b',
    endpoint: 'https://s3.example.com',
    region: 'eu-1',
    credentials: { accessKeyId: 'AK', secretAccessKey: 'a+b/c=', sessionToken: null },
    create: false,
    tenant: null,
  });
  expect(printStoreLocation(location)).toBe('s3://bucket/a/b?endpoint=https://s3.example.com');
  expect(withoutKeys(text)).not.toMatch(/AK|a\+b/);
});

test('keys and region come from the environment where the location has none', () => {
  const location = parseStoreLocation('s3://bucket', {
    AWS_ACCESS_KEY_ID: 'AK',
    AWS_SECRET_ACCESS_KEY: 'SK',
    AWS_REGION: 'eu-2',
  });
  expect(location).toMatchObject({
    region: 'eu-2',
    credentials: { accessKeyId: 'AK', secretAccessKey: 'SK' },
  });
});

test.each([
  'ftp://x/y',
  'file://relative/dir',
  'file:///',
  'file:///a/../b',
  'file:///a?color=red',
  's3://B',
  's3://bucket/pre fix',
  's3://bucket?access_id=only',
  's3://bucket?endpoint=http://user:password@host',
])('%s is refused with a reason', text => {
  expect(() => parseStoreLocation(text, {})).toThrow(
    expect.objectContaining({ code: 'OBS_ARCHIVE_URI_INVALID' }),
  );
});

test('a refused location is shown without its keys', () => {
  expect(() => parseStoreLocation('s3://B?access_id=AK1&access_key=SK1', {})).toThrow(
    expect.objectContaining({ message: expect.not.stringMatching(/AK1|SK1/) as unknown }),
  );
});

test('any tenant name makes a key part and comes back from it', () => {
  for (const name of ['t1', 'Größe', 'a/b', '..', 'x=y z', '租户'])
    expect([/^[A-Za-z0-9=_-]+$/.test(keyPart(name)), keyPartText(keyPart(name))]).toEqual([true, name]);
});
