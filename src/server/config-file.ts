/** Configuration files as text: read, checked against a schema with all problems told at once, and made as samples. */
import { readFileSync } from 'node:fs';
import { parse, YAMLParseError } from 'yaml';
import type { z } from 'zod';
import { ObError } from '../base/errors.ts';
import { configBytesMax } from '../base/limits.ts';
import type { ConfigKey } from './config-keys.ts';

/** Throws OBS_CONFIG_UNREADABLE, OBS_CONFIG_INVALID. */
export function readSource(path: string): string {
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
  return source;
}

/** Throws OBS_CONFIG_INVALID. */
export function parseYaml<Shape extends z.ZodType>(source: string, schema: Shape): z.output<Shape> {
  let value: unknown;
  try {
    value = parse(source, { prettyErrors: true }) ?? {};
  } catch (error) {
    if (!(error instanceof YAMLParseError)) throw error;
    throw invalidConfig([`(file): ${error.message.split('\n')[0] ?? 'not YAML'}`], error);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw invalidConfig(
    parsed.error.issues.flatMap(issue => {
      const path = issue.path.join('.');
      if (issue.code !== 'unrecognized_keys') return [`${path || '(file)'}: ${issue.message}`];
      return issue.keys.map(key => `${path === '' ? key : `${path}.${key}`}: there is no such key`);
    }),
  );
}

/** What is wrong with a configuration, all of it. */
export function invalidConfig(problems: readonly string[], cause?: unknown): ObError {
  return new ObError('OBS_CONFIG_INVALID', { count: problems.length, problems: problems.join('; ') }, cause);
}

/** Every key with its description, range and default. */
export function sampleText(what: string, keys: readonly ConfigKey[]): string {
  const lines = [
    `# ${what} configuration. Generated from the schema; every key is here with its default.`,
    '',
    ...keys.flatMap(sampleLines),
  ];
  return `${lines.join('\n')}\n`;
}

function sampleLines(key: ConfigKey): string[] {
  const depth = key.path.split('.').length - 1;
  const indent = '  '.repeat(depth);
  const name = key.path.slice(key.path.lastIndexOf('.') + 1);
  if (key.isSection) return ['', `${indent}# ${key.description}`, `${indent}${name}:`];
  const facts = [key.type, key.reloadable ? 'reloadable' : ''].filter(fact => fact !== 'text' && fact !== '');
  const comment = `${indent}# ${key.description}${facts.length > 0 ? ` (${facts.join('; ')})` : ''}`;
  const value = key.sample ?? (key.byDefault === undefined ? './data' : JSON.stringify(key.byDefault));
  return [comment, `${indent}${name}: ${value}`];
}
