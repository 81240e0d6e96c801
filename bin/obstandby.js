#!/usr/bin/env node
// Runs the sources where they are present (a checkout), the compiled files where they are not (the published package).
import { existsSync } from 'node:fs';
import { enableCompileCache } from 'node:module';

if (Number(process.versions.node.split('.')[0]) < 24) {
  console.error(
    `obstandby needs Node 24 or newer; this is ${process.version}.\n  → In a checkout, "npm ci" brings one: put node_modules/.bin first in PATH, or use "npm run".`,
  );
  process.exit(2);
}
// What was compiled once is not compiled again: an arbiter is there in a third of the time.
enableCompileCache();
const source = new URL('../src/cli/main.ts', import.meta.url);
await import(existsSync(source) ? source.href : new URL('../dist/cli/main.js', import.meta.url).href);
