import { expect, test } from 'vitest';
import { isObError } from '../base/errors.ts';
import { parseArbiterConfig, sampleArbiterConfig } from './arbiter-config.ts';

const problemsOf = (source: string): string => {
  try {
    parseArbiterConfig(source, '/etc/obstandby');
  } catch (error) {
    if (isObError(error, 'OBS_CONFIG_INVALID')) return error.message;
    throw error;
  }
  throw new Error('the configuration was accepted');
};

test('the sample is a valid configuration with every default; paths are relative to the file', () => {
  const least = 'dataDirectory: ./data\nclusters: [{ name: obstandby, secretFile: cluster.secret }]';
  const config = parseArbiterConfig(sampleArbiterConfig(), '/etc/obstandby');
  expect(config).toEqual(parseArbiterConfig(least, '/etc/obstandby'));
  expect(config.clusters).toEqual([{ name: 'obstandby', secretFile: '/etc/obstandby/cluster.secret' }]);
  expect(config.dataDirectory).toBe('/etc/obstandby/data');
});

test('what no single key can be blamed for is told too', () => {
  const least = 'dataDirectory: d\nclusters: [{ name: a, secretFile: s }';
  expect(problemsOf(`${least}, { name: a, secretFile: t }]`)).toContain(
    'clusters: two of them have one name',
  );
  expect(problemsOf(`${least}]\nlisten: { port: 9, tlsCertFile: c }\nhttp: { port: 9 }`)).toMatch(
    /listen.tlsKeyFile.*listen.port, http.port/,
  );
  expect(problemsOf('dataDirectory: d\nclusters: []')).toContain('clusters');
});
