/**
 * Reads the configuration file. All problems are reported at once, each with its path; nothing is guessed.
 */
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parse, YAMLParseError } from 'yaml';
import { ObError } from '../base/errors.ts';
import { configBytesMax } from '../base/limits.ts';
import { type ConfigKey, configKeys, configSchema, type ServerConfig } from './config-schema.ts';

/** Parses YAML text. Relative paths are relative to `baseDirectory`. Throws OBS_CONFIG_INVALID. */
export function parseConfig(source: string, baseDirectory: string): ServerConfig {
  let value: unknown;
  try {
    value = parse(source, { prettyErrors: true }) ?? {};
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error;
    throw invalidConfig([`(file): ${error.message.split('\n')[0] ?? 'not YAML'}`], error);
  }
  const parsed = configSchema.safeParse(value);
  if (!parsed.success) {
    throw invalidConfig(
      parsed.error.issues.flatMap(issue => {
        const path = issue.path.join('.');
        if (issue.code !== 'unrecognized_keys') return [`${path || '(file)'}: ${issue.message}`];
        return issue.keys.map(key => `${path === '' ? key : `${path}.${key}`}: there is no such key`);
      }),
    );
  }
  const config = parsed.data;
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
  };
}

/** Reads and parses a file. Throws OBS_CONFIG_UNREADABLE or OBS_CONFIG_INVALID. */
export function readConfig(path: string): ServerConfig {
  let source: string;
  try {
    source = readFileSync(path, 'utf8');
  } catch (error) {
    throw new ObError(
      'OBS_CONFIG_UNREADABLE',
      { path, why: (error as NodeJS.ErrnoException).code ?? 'unknown' },
      error,
    );
  }
  if (source.length > configBytesMax) throw invalidConfig([`(file): longer than ${configBytesMax} bytes`]);
  return parseConfig(source, dirname(resolve(path)));
}

/** Relations between keys, which no single key can state. */
function relations(config: ServerConfig): string[] {
  const problems: string[] = [];
  for (const section of ['sql', 'peer'] as const) {
    const { tlsCertFile, tlsKeyFile } = config[section];
    if ((tlsCertFile === null) !== (tlsKeyFile === null)) {
      problems.push(`${section}.tlsKeyFile: a certificate and its key go together`);
    }
  }
  if (config.log.diskBytesMax < 4 * config.log.blockBytes) {
    problems.push('log.diskBytesMax: at least four blocks (log.blockBytes) must fit');
  }
  const ports = [config.sql.port, config.peer.port, config.http.port].filter(port => port !== 0);
  if (new Set(ports).size !== ports.length) problems.push('sql.port, peer.port, http.port: must differ');
  return problems;
}

/** What is wrong with a configuration, all of it. */
export function invalidConfig(problems: readonly string[], cause?: unknown): ObError {
  return new ObError('OBS_CONFIG_INVALID', { count: problems.length, problems: problems.join('; ') }, cause);
}

/** The sample file: every key with its description, range and default, commented out unless required. */
export function sampleConfig(): string {
  const lines = [
    '# obstandby server configuration. Generated from the schema; every key is here with its default.',
    '',
  ];
  for (const key of configKeys()) lines.push(...sampleLines(key));
  return `${lines.join('\n')}\n`;
}

function sampleLines(key: ConfigKey): string[] {
  const depth = key.path.split('.').length - 1;
  const indent = '  '.repeat(depth);
  const name = key.path.slice(key.path.lastIndexOf('.') + 1);
  if (key.isSection) return ['', `${indent}# ${key.description}`, `${indent}${name}:`];
  const facts = [key.type, key.reloadable ? 'reloadable' : ''].filter(fact => fact !== 'text' && fact !== '');
  const comment = `${indent}# ${key.description}${facts.length > 0 ? ` (${facts.join('; ')})` : ''}`;
  const value = key.byDefault === undefined ? './data' : JSON.stringify(key.byDefault);
  return [comment, `${indent}${name}: ${value}`];
}
