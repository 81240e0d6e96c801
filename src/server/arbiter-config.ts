/** The configuration of an arbiter: its door, its directory, and the clusters it votes for. */
import { dirname, resolve } from 'node:path';
import { z } from 'zod';
import { arbiterClustersMax } from '../base/limits.ts';
import { invalidConfig, parseYaml, readSource, sampleText } from './config-file.ts';
import { filePath, host, keysOf, notes, port, section, text } from './config-keys.ts';

const cluster = z.strictObject({
  name: z.string().regex(/^[A-Za-z0-9_.-]{1,64}$/, 'letters, digits, "_", "." and "-", at most 64'),
  secretFile: z.string().min(1).max(4096),
});

const arbiterSchema = z.strictObject({
  dataDirectory: text('Where its journal lives; made with mode 0700. One arbiter a directory.'),
  clusters: z.array(cluster).min(1).max(arbiterClustersMax).register(notes, {
    description:
      'The clusters it votes for: name (their clusterName) and secretFile (a copy of their cluster.secretFile, mode 0600).',
    sample: '[{ name: obstandby, secretFile: ./cluster.secret }]',
  }),

  listen: section(
    {
      host: host('Address the servers of the clusters connect to.'),
      port: port(2887, 'Port for them; 0 picks a free one. The arbiter itself connects to nobody.'),
      tlsCertFile: filePath(
        'PEM certificate; with it every connection is TLS, as the servers must have it too.',
      ),
      tlsKeyFile: filePath('PEM private key of the certificate.'),
      tlsCaFile: filePath('PEM authorities that the servers must be signed by.'),
    },
    'The servers of the clusters.',
  ),

  http: section(
    {
      host: host('Address of /health, /status and /metrics.'),
      port: port(2888, 'Port of them; 0 picks a free one.'),
    },
    'Operators: JSON and /metrics (bearer token from <dataDirectory>/http.token).',
  ),

  logLevel: z
    .enum(['debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .register(notes, { description: 'What goes to standard error, as JSON lines.' }),
});

export type ArbiterConfig = z.output<typeof arbiterSchema>;

/** Relative paths are relative to `baseDirectory`. Throws OBS_CONFIG_INVALID. */
export function parseArbiterConfig(source: string, baseDirectory: string): ArbiterConfig {
  const config = parseYaml(source, arbiterSchema);
  const problems: string[] = [];
  const names = config.clusters.map(({ name }) => name);
  if (new Set(names).size !== names.length)
    problems.push('clusters: two of them have one name, and a connection says only that');
  const { listen, http } = config;
  if ((listen.tlsCertFile === null) !== (listen.tlsKeyFile === null))
    problems.push('listen.tlsKeyFile: a certificate and its key go together');
  if (listen.port !== 0 && listen.port === http.port) problems.push('listen.port, http.port: must differ');
  if (problems.length > 0) throw invalidConfig(problems);
  const absolute = (path: string | null): string | null =>
    path === null ? null : resolve(baseDirectory, path);
  return {
    ...config,
    dataDirectory: resolve(baseDirectory, config.dataDirectory),
    clusters: config.clusters.map(({ name, secretFile }) => ({
      name,
      secretFile: resolve(baseDirectory, secretFile),
    })),
    listen: {
      ...listen,
      tlsCertFile: absolute(listen.tlsCertFile),
      tlsKeyFile: absolute(listen.tlsKeyFile),
      tlsCaFile: absolute(listen.tlsCaFile),
    },
  };
}

/** Throws OBS_CONFIG_UNREADABLE, OBS_CONFIG_INVALID. */
export const readArbiterConfig = (path: string): ArbiterConfig =>
  parseArbiterConfig(readSource(path), dirname(resolve(path)));

export const sampleArbiterConfig = (): string => sampleText('obstandby arbiter', keysOf(arbiterSchema.shape));
