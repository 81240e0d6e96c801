#!/usr/bin/env node
// Runs the sources where they are present (a checkout), the compiled files where they are not (the published package).
import { existsSync } from 'node:fs';

const source = new URL('../src/cli/main.ts', import.meta.url);
await import(existsSync(source) ? source.href : new URL('../dist/cli/main.js', import.meta.url).href);
