/**
 * What commands print. Results go to standard output, everything else to standard error, so that `--json` output can
 * be piped; progress is drawn only on a terminal.
 */
import { isObError, ObError } from '../base/errors.ts';
import type { ApiProgress } from '../client/api-client.ts';
import { type NamesOf, withSiteNames } from './site-names.ts';

export interface Output {
  readonly json: boolean;
  /** the command's result: `value` as JSON, or `text` for people */
  result(value: unknown, text: string): void;
  progress(report: ApiProgress): void;
  note(text: string): void;
  error(error: unknown): void;
  /** From now on people read the names of these sites in place of their ids; JSON keeps the ids. */
  nameSites(names: NamesOf): void;
}

export function createOutput(json: boolean): Output {
  const isTerminal = process.stderr.isTTY === true;
  let names: NamesOf = { siteNames: {} };
  const named = (text: string): string => withSiteNames(names, text);
  return {
    json,
    result: (value, text) => console.log(json ? JSON.stringify(value, bigintText) : named(text)),
    progress(report) {
      if (json) return;
      const isEnd = report.state === 'done' || report.state === 'failed';
      // A terminal shows what runs now on one line, which the end of the step replaces.
      if (isTerminal) process.stderr.write(`\r\u001b[K${named(progressLine(report))}${isEnd ? '\n' : ''}`);
      else if (isEnd) console.error(named(progressLine(report)));
    },
    note: text => {
      if (!json) console.error(text);
    },
    error(error) {
      if (json) {
        // Whoever reads the line gets a row of the catalogue, whatever went wrong.
        const known = isObError(error) ? error : new ObError('OBS_BUG', { what: String(error) }, error);
        console.log(JSON.stringify({ ok: false, error: known.toJSON() }));
      } else if (isObError(error)) {
        if (isTerminal) process.stderr.write('\r\u001b[K');
        console.error(named(`${error.code}: ${error.message}\n  → ${error.hint}`));
      } else {
        console.error(error instanceof Error ? (error.stack ?? error.message) : String(error));
      }
    },
    nameSites(known) {
      names = known;
    },
  };
}

const marks = { planned: '·', running: '…', done: '✓', failed: '✗' } as const;

const progressLine = (report: ApiProgress): string => {
  const time = report.ms >= 1 ? ` (${Math.round(report.ms)} ms)` : '';
  const site = report.site === '' ? '' : `${report.site}: `;
  return `  ${marks[report.state]} ${site}${stepText(report)}${time}`;
};

/** `S3 drain writes and seal the log — what came of it`. */
export const stepText = ({ step, title, detail }: Pick<ApiProgress, 'step' | 'title' | 'detail'>): string =>
  `${step}${title === undefined ? '' : ` ${title}`}${detail === '' ? '' : ` — ${detail}`}`;

const bigintText = (_key: string, value: unknown): unknown =>
  typeof value === 'bigint' ? value.toString() : value;

/** A plain table: header row, columns as wide as their widest cell. */
export function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map(row => (row[column] ?? '').length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
  return [line(header), line(widths.map(width => '─'.repeat(width))), ...rows.map(line)].join('\n');
}

export const bytesText = (bytes: number): string => {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? value : value.toFixed(1)} ${units[unit]}`;
};

export const secondsText = (seconds: number): string =>
  seconds < 1 ? `${Math.round(seconds * 1000)} ms` : `${seconds.toFixed(1)} s`;
