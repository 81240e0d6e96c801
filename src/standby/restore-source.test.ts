import fc from 'fast-check';
import { expect, test } from 'vitest';
import { isObError } from '../base/errors.ts';
import {
  parseRestoreSource,
  publicLocation,
  restoreSourceSecretText,
  restoreSourceText,
} from './restore-source.ts';

const problemsOf = (text: string): string => {
  try {
    parseRestoreSource(text);
  } catch (error) {
    if (isObError(error, 'OBS_STANDBY_SOURCE_INVALID')) return error.message;
    throw error;
  }
  throw new Error('it was taken');
};

test('SERVICE, USER and PASSWORD are read in any order and case', () => {
  const expected = {
    service: {
      addresses: [
        { host: '10.0.0.1', port: 2882 },
        { host: 'db.example', port: 2883 },
      ],
      user: 'standby',
      tenant: 'shop',
      password: 'p=w;d',
    },
    location: null,
    delayMs: 0,
  };
  expect(
    parseRestoreSource('SERVICE=10.0.0.1:2882;db.example:2883 USER=standby@shop PASSWORD=p=w;d'),
  ).toEqual(expected);
  expect(
    parseRestoreSource('  user=standby@shop#paris  password=p=w;d service=10.0.0.1:2882,db.example:2883 '),
  ).toEqual(expected);
});

test('LOCATION stands alone or beside SERVICE, DELAY beside either', () => {
  expect(parseRestoreSource('LOCATION=file:///mnt/archive DELAY=10m')).toEqual({
    service: null,
    location: 'file:///mnt/archive',
    delayMs: 600_000,
  });
  expect(
    parseRestoreSource("SERVICE=[::1]:2882 USER=u@t PASSWORD='' LOCATION=s3://b/p?endpoint=http://s3:9000"),
  ).toEqual({
    service: { addresses: [{ host: '::1', port: 2882 }], user: 'u', tenant: 't', password: '' },
    location: 's3://b/p?endpoint=http://s3:9000',
    delayMs: 0,
  });
});

test('a blank text is no source', () => {
  expect(parseRestoreSource('')).toBeNull();
  expect(parseRestoreSource('  \t')).toBeNull();
  expect(restoreSourceText(null)).toBe('');
});

test('an error lists everything that is wrong', () => {
  const problems = problemsOf('SERVICE=nowhere;x:99999 USER=nobody LOCATION=ftp://x DELAY=soon');
  for (const part of ['address 1', 'address 2', 'user@tenant', 'PASSWORD is missing', 'LOCATION', 'DELAY']) {
    expect(problems).toContain(part);
  }
  expect(problemsOf('USER=u@t')).toContain('SERVICE');
  expect(problemsOf('SERVICE = a:1')).toContain('at character 1');
  expect(problemsOf('SERVICE=a:1 USER=u@t PASSWORD="x')).toContain('does not end');
  expect(problemsOf('LOCATION=file:///a LOCATION=file:///b')).toContain('twice');
  expect(problemsOf('x'.repeat(5_000))).toContain('longer');
});

test('no error repeats a password', () => {
  for (const text of [
    'SERVICE=a:1 USER=u PASSWORD=hunter2',
    'SERVICE=root:hunter2@a USER=u@t PASSWORD=hunter2',
    'PASSWORD=hunter2',
    'PASSWORD="hunter2',
    'SERVICE=a:1 USER=u@t PASSWORD=hunter2 rest',
  ]) {
    expect(problemsOf(text)).not.toContain('hunter2');
  }
});

test('the text for people hides passwords and keys', () => {
  const source = parseRestoreSource(
    'SERVICE=a:1 USER=u@t PASSWORD=hunter2 LOCATION=s3://b/p?access_id=abc&access_key=hunter2&region=x',
  );
  const text = restoreSourceText(source);
  expect(text).toBe(
    'SERVICE=a:1 USER=u@t PASSWORD=****** LOCATION=s3://b/p?access_id=******&access_key=******&region=x',
  );
  expect(publicLocation('s3://id:key@bucket/p')).not.toContain('key@');
});

test('what is printed with secrets reads back as it was', () => {
  const source = fc.record({
    service: fc.option(
      fc.record({
        addresses: fc.array(
          fc.record({
            host: fc.constantFrom('10.1.2.3', 'db-1.example', 'fe80::1'),
            port: fc.integer({ min: 1, max: 65_535 }),
          }),
          { minLength: 1, maxLength: 3 },
        ),
        user: fc.string({ minLength: 1, maxLength: 10 }),
        tenant: fc.stringMatching(/^[a-z_"' \\]{1,10}$/),
        password: fc.string({ maxLength: 20 }),
      }),
    ),
    location: fc.constant('file:///mnt/a b'.replace(' ', '_')),
    delayMs: fc.nat(1_000_000),
  });
  fc.assert(
    fc.property(source, value => {
      expect(parseRestoreSource(restoreSourceSecretText(value))).toEqual(value);
    }),
  );
});
