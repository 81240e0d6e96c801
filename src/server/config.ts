/**
 * Reads the configuration file. All problems are reported at once, each with its path; nothing is guessed.
 */
import { dirname, resolve } from 'node:path';
import { degradedTakeoverMs, palfSettingsDefault, takeoverMsMax } from '../palf/settings.ts';
import { invalidConfig, parseYaml, readSource, sampleText } from './config-file.ts';
import { configKeys, configSchema, type ServerConfig } from './config-schema.ts';

/** Parses YAML text. Relative paths are relative to `baseDirectory`. Throws OBS_CONFIG_INVALID. */
export function parseConfig(source: string, baseDirectory: string): ServerConfig {
  const config = parseYaml(source, configSchema);
  const problems = relations(config);
  if (problems.length > 0) throw invalidConfig(problems);
  const absolute = (path: string | null): string | null =>
    path === null ? null : resolve(baseDirectory, path);
  return {
    ...config,
    dataDirectory: resolve(baseDirectory, config.dataDirectory),
    sql: {
      ...config.sql,
      tlsCertFile: absolute(config.sql.tlsCertFile),
      tlsKeyFile: absolute(config.sql.tlsKeyFile),
    },
    peer: {
      ...config.peer,
      tlsCertFile: absolute(config.peer.tlsCertFile),
      tlsKeyFile: absolute(config.peer.tlsKeyFile),
      tlsCaFile: absolute(config.peer.tlsCaFile),
    },
    cluster: {
      ...config.cluster,
      secretFile: absolute(config.cluster.secretFile),
      tlsCertFile: absolute(config.cluster.tlsCertFile),
      tlsKeyFile: absolute(config.cluster.tlsKeyFile),
      tlsCaFile: absolute(config.cluster.tlsCaFile),
    },
  };
}

/** Reads and parses a file. Throws OBS_CONFIG_UNREADABLE or OBS_CONFIG_INVALID. */
export const readConfig = (path: string): ServerConfig =>
  parseConfig(readSource(path), dirname(resolve(path)));

/** Relations between keys, which no single key can state. */
function relations(config: ServerConfig): string[] {
  const problems: string[] = [];
  for (const section of ['sql', 'peer', 'cluster'] as const) {
    const { tlsCertFile, tlsKeyFile } = config[section];
    if ((tlsCertFile === null) !== (tlsKeyFile === null)) {
      problems.push(`${section}.tlsKeyFile: a certificate and its key go together`);
    }
  }
  if (config.log.diskBytesMax < 4 * config.log.blockBytes) {
    problems.push('log.diskBytesMax: at least four blocks (log.blockBytes) must fit');
  }
  const doors = [
    config.sql,
    config.peer,
    config.http,
    ...(config.cluster.secretFile === null ? [] : [config.cluster]),
  ];
  const ports = doors.map(({ port }) => port).filter(port => port !== 0);
  if (new Set(ports).size !== ports.length)
    problems.push('sql.port, peer.port, http.port, cluster.port: must differ');
  if (config.cluster.secretFile !== null && config.cluster.port === 0)
    problems.push('cluster.port: a server is known by it, so it cannot be picked anew at each start');
  problems.push(...palfProblems(config.palf));
  return problems;
}

/** What the timing of consensus allows at worst must keep the promise of how soon a dead leader is replaced. */
function palfProblems(palf: ServerConfig['palf']): string[] {
  const problems: string[] = [];
  if (palf.renewMs * 3 > palf.leaseMs)
    problems.push('palf.renewMs: at most a third of palf.leaseMs, so that two lost renewals cost nothing');
  const settings = { ...palfSettingsDefault, ...palf };
  const worstMs = degradedTakeoverMs(settings);
  if (worstMs >= takeoverMsMax)
    problems.push(
      `palf: replacing a dead leader could take ${worstMs} ms; leaseMs and canvassMs must allow less than ${takeoverMsMax}`,
    );
  return problems;
}

/** The sample file: every key with its description, range and default, commented out unless required. */
export const sampleConfig = (): string => sampleText('obstandby server', configKeys());
