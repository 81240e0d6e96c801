/**
 * The text of LOG_ARCHIVE_DEST: `LOCATION=uri [BINDING=Optional|Mandatory] [PIECE_SWITCH_INTERVAL=1d] [LAG_TARGET=1s]`.
 * As in OceanBase the text is whole: what it does not name goes back to its default. '' is no destination.
 */
import { ObError } from '../base/errors.ts';
import { archiveDestLengthMax, archiveLagTargetMsMax } from '../base/limits.ts';

export interface ArchiveDest {
  readonly location: string;
  readonly binding: 'Optional' | 'Mandatory';
  readonly pieceSwitchIntervalMs: number;
  /** null: the server's configured default */
  readonly lagTargetMs: number | null;
}

const secondMs = 1000;
const dayMs = 86_400 * secondMs;
const unitsMs: Readonly<Record<string, number>> = {
  ms: 1,
  s: secondMs,
  m: 60 * secondMs,
  h: 3600 * secondMs,
  d: dayMs,
};

/** Null for a blank text. Throws OBS_ARCHIVE_DEST_INVALID, which lists everything that is wrong. */
export function parseArchiveDest(text: string): ArchiveDest | null {
  if (text.trim() === '') return null;
  const problems: string[] = [];
  if (text.length > archiveDestLengthMax)
    problems.push(`it is longer than ${archiveDestLengthMax} characters`);
  const items = new Map<string, string>();
  for (const word of text.trim().split(/\s+/)) {
    const split = word.indexOf('=');
    const key = word.slice(0, Math.max(split, 0)).toUpperCase();
    if (!['LOCATION', 'BINDING', 'PIECE_SWITCH_INTERVAL', 'LAG_TARGET'].includes(key)) {
      problems.push(
        `'${split < 0 ? word : key}' is not one of LOCATION=, BINDING=, PIECE_SWITCH_INTERVAL=, LAG_TARGET=`,
      );
    } else if (items.has(key)) problems.push(`${key} is there twice`);
    else items.set(key, word.slice(split + 1));
  }
  const location = items.get('LOCATION') ?? '';
  if (!/^(file:\/\/\/|s3:\/\/)\S+$/.test(location))
    problems.push('LOCATION is not a file:///… or s3://… uri');
  const bindingText = (items.get('BINDING') ?? 'Optional').toLowerCase();
  if (bindingText !== 'optional' && bindingText !== 'mandatory')
    problems.push('BINDING is Optional or Mandatory');
  const pieceSwitchIntervalMs = duration(items, 'PIECE_SWITCH_INTERVAL', dayMs, 7 * dayMs, problems) ?? dayMs;
  const lagTargetMs = duration(items, 'LAG_TARGET', 10, archiveLagTargetMsMax, problems);
  if (problems.length > 0) throw new ObError('OBS_ARCHIVE_DEST_INVALID', { problems: problems.join('; ') });
  return {
    location,
    binding: bindingText === 'mandatory' ? 'Mandatory' : 'Optional',
    pieceSwitchIntervalMs,
    lagTargetMs,
  };
}

function duration(
  items: ReadonlyMap<string, string>,
  key: string,
  min: number,
  max: number,
  problems: string[],
): number | null {
  const text = items.get(key);
  if (text === undefined) return null;
  const match = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text);
  const value = match === null ? Number.NaN : Number(match[1]) * (unitsMs[match[2] ?? ''] ?? Number.NaN);
  if (value >= min && value <= max) return value;
  problems.push(`${key} is a time like 500ms, 1s or 1d, from ${min} ms to ${max} ms`);
  return null;
}
