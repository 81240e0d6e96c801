/**
 * Watches the configuration file. Keys marked reloadable take effect; a change of any other is said, and waits for a
 * restart; an invalid file changes nothing.
 */
import { watch } from 'chokidar';
import { isObError } from '../base/errors.ts';
import type { Logger } from '../platform/logger.ts';
import { readConfig } from './config.ts';
import { configKeys, type ServerConfig } from './config-schema.ts';

const settleMs = 200;

/** Returns the function that stops watching. `onChange` gets the new values of reloadable keys. */
export function watchConfig(
  path: string,
  initial: ServerConfig,
  logger: Logger,
  onChange: (config: ServerConfig) => void = () => {},
): () => Promise<void> {
  let current = initial;
  const watcher = watch(path, {
    ignoreInitial: true,
    awaitWriteFinish: { stabilityThreshold: settleMs, pollInterval: 50 },
  });
  const reload = (): void => {
    let next: ServerConfig;
    try {
      next = readConfig(path);
    } catch (error) {
      if (!isObError(error)) throw error;
      logger.error({ code: error.code, path }, `the changed configuration is not used: ${error.message}`);
      return;
    }
    const changed = configKeys().filter(
      key => !key.isSection && !Object.is(valueAt(current, key.path), valueAt(next, key.path)),
    );
    const waiting = changed.filter(key => !key.reloadable).map(key => key.path);
    if (waiting.length > 0)
      logger.warn({ keys: waiting }, 'these changed keys take effect at the next start');
    const taken = changed.filter(key => key.reloadable).map(key => key.path);
    if (taken.length > 0) {
      logger.info({ keys: taken }, 'changed keys take effect');
      onChange(next);
    }
    current = next;
  };
  watcher.on('change', reload).on('add', reload);
  return () => watcher.close();
}

const valueAt = (config: object, path: string): unknown =>
  path.split('.').reduce<unknown>((value, name) => (value as Record<string, unknown>)[name], config);
