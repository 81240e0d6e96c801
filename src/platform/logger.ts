/**
 * The logging port. Structured: context first, one line per state change of roles, members, epochs; nothing per
 * entry. No secrets, no SQL text of clients.
 */
import { pino } from 'pino';

export interface Logger {
  debug(context: object, message: string): void;
  info(context: object, message: string): void;
  warn(context: object, message: string): void;
  error(context: object, message: string): void;
  child(context: object): Logger;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent';

/** A logger whose level a running server may change, for itself and all its children. */
export interface LevelledLogger extends Logger {
  setLevel(level: LogLevel): void;
}

/** JSON lines on standard error. */
export function nodeLogger(level: LogLevel): LevelledLogger {
  const root = pino(
    { level: 'debug', base: null, timestamp: pino.stdTimeFunctions.isoTime },
    pino.destination({ dest: 2, sync: true }),
  );
  // One level for the whole family: pino's own children keep the level they were born with.
  let least = severity[level];
  const around = (lines: pino.Logger): Logger => ({
    debug: (context, message) => {
      if (severity.debug >= least) lines.debug(context, message);
    },
    info: (context, message) => {
      if (severity.info >= least) lines.info(context, message);
    },
    warn: (context, message) => {
      if (severity.warn >= least) lines.warn(context, message);
    },
    error: (context, message) => {
      if (severity.error >= least) lines.error(context, message);
    },
    child: context => around(lines.child(context)),
  });
  return {
    ...around(root),
    setLevel: next => {
      least = severity[next];
    },
  };
}

const severity: Readonly<Record<LogLevel, number>> = { debug: 1, info: 2, warn: 3, error: 4, silent: 5 };

export const silentLogger: Logger = {
  debug() {},
  info() {},
  warn() {},
  error() {},
  child: () => silentLogger,
};
