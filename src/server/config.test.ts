import { expect, test } from 'vitest';
import { isObError } from '../base/errors.ts';
import { parseConfig, sampleConfig } from './config.ts';

const problemsOf = (source: string): string => {
  try {
    parseConfig(source, '/etc/obstandby');
  } catch (error) {
    if (isObError(error, 'OBS_CONFIG_INVALID')) return error.message;
    throw error;
  }
  throw new Error('the configuration was accepted');
};

test('the sample file is itself a valid configuration with every default', () => {
  expect(parseConfig(sampleConfig(), '/etc/obstandby')).toEqual(
    parseConfig('dataDirectory: ./data', '/etc/obstandby'),
  );
});

test('relative paths are relative to the file', () => {
  expect(parseConfig('dataDirectory: d', '/etc/obstandby').dataDirectory).toBe('/etc/obstandby/d');
});

test('every problem is listed at once, each with its path', () => {
  const message = problemsOf('sql: { port: 70000, colour: red }\nlogLevel: loud\nhttp: { host: 7 }');
  for (const path of [
    'dataDirectory:',
    'sql.port:',
    'sql.colour: there is no such key',
    'logLevel:',
    'http.host:',
  ])
    expect(message).toContain(path);
  expect(message).toContain('5 problem(s)');
});

test('relations between keys are checked', () => {
  const message = problemsOf(
    'dataDirectory: d\nsql: { port: 4000, tlsCertFile: c.pem }\nhttp: { port: 4000 }\nlog: { blockBytes: 1073741824, diskBytesMax: 1073741824 }',
  );
  expect(message).toContain('3 problem(s)');
});

test('timing that could not keep the promise of a leader in 8 s is refused with the sum', () => {
  expect(problemsOf('dataDirectory: d\npalf: { leaseMs: 4000 }')).toContain(
    'palf: replacing a dead leader could take 14160 ms',
  );
  expect(problemsOf('dataDirectory: d\npalf: { leaseMs: 800 }')).toContain('palf.renewMs: at most a third');
});

test('a server of a cluster has a port of its own for the others', () => {
  expect(problemsOf('dataDirectory: d\ncluster: { secretFile: s, port: 2882 }')).toContain('must differ');
  expect(problemsOf('dataDirectory: d\ncluster: { secretFile: s, port: 0 }')).toContain('cluster.port:');
  expect(parseConfig('dataDirectory: d\ncluster: { secretFile: s }', '/etc/o').cluster.secretFile).toBe(
    '/etc/o/s',
  );
});

test('a file that is not YAML is an invalid configuration, not a crash', () => {
  expect(problemsOf('sql: [')).toContain('(file)');
});
