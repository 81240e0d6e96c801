/**
 * What commands print. Results go to standard output, everything else to standard error, so that `--json` output can
 * be piped; progress is drawn only on a terminal.
 */
import { isObError, ObError } from '../base/errors.ts';
import type { ApiProgress } from '../client/api-client.ts';

export interface Output {
  readonly json: boolean;
  /** the command's result: `value` as JSON, or `text` for people */
  result(value: unknown, text: string): void;
  progress(report: ApiProgress): void;
  note(text: string): void;
  error(error: unknown): void;
}

export function createOutput(json: boolean): Output {
  const isTerminal = process.stderr.isTTY === true;
  return {
    json,
    result: (value, text) => console.log(json ? JSON.stringify(value, bigintText) : text),
    progress(report) {
      if (json) return;
      if (isTerminal || report.state === 'done' || report.state === 'failed')
        console.error(progressLine(report));
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
        console.error(`${error.code}: ${error.message}\n  → ${error.hint}`);
      } else {
        console.error(error instanceof Error ? (error.stack ?? error.message) : String(error));
      }
    },
  };
}

const marks = { planned: '·', running: '…', done: '✓', failed: '✗' } as const;

const progressLine = (report: ApiProgress): string => {
  const time = report.ms >= 1 ? ` (${Math.round(report.ms)} ms)` : '';
  return `  ${marks[report.state]} ${report.site === '' ? '' : `${report.site}: `}${report.step}${report.detail === '' ? '' : ` — ${report.detail}`}${time}`;
};

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
