/**
 * Loads the cores with their private fields open, so that the explorer can see all of their state: `#field` becomes `_field` in
 * the sources of `src/palf` as they are read. To be imported before them, in a process of its own.
 */
import { registerHooks } from 'node:module';

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    if (!url.includes('/src/palf/')) return loaded;
    const text =
      typeof loaded.source === 'string' ? loaded.source : Buffer.from(loaded.source as Uint8Array).toString();
    return { ...loaded, source: text.replaceAll(/(?<![\w'"`$])#(?=[a-z])/g, '_') };
  },
});
