/** The source tree as the house tests see it: files, their imports, and the layer each belongs to. */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Files below `folder` (relative to the root) with the ending, as paths relative to the root. */
export function filesBelow(folder: string, ending = '.ts'): string[] {
  return readdirSync(join(root, folder), { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && entry.name.endsWith(ending))
    .map(entry => relative(root, join(entry.parentPath, entry.name)))
    .sort();
}

export const readSource = (path: string): string => readFileSync(join(root, path), 'utf8');

/** Specifiers of static and dynamic imports and re-exports in a source text. */
function importsOf(source: string): string[] {
  const found: string[] = [];
  const pattern =
    /(?:^|\n)\s*(?:import|export)\s[^;'"]*?from\s*['"]([^'"]+)['"]|(?:^|\n)\s*import\s*['"]([^'"]+)['"]|import\(\s*['"]([^'"]+)['"]\s*\)/g;
  for (const match of source.matchAll(pattern)) found.push(match[1] ?? match[2] ?? match[3] ?? '');
  return found;
}

export interface LayerEdge {
  readonly from: string;
  readonly to: string;
  readonly file: string;
}

const layerOf = (path: string): string | undefined => /^src\/([^/]+)\//.exec(path)?.[1];

/** Imports that cross from one folder of `src` to another. */
export function layerEdges(files: readonly { path: string; source: string }[]): LayerEdge[] {
  const edges: LayerEdge[] = [];
  for (const { path, source } of files) {
    const from = layerOf(path);
    if (from === undefined) continue;
    for (const specifier of importsOf(source)) {
      if (!specifier.startsWith('.')) continue;
      const to = layerOf(relative(root, resolve(root, dirname(path), specifier)));
      if (to !== undefined && to !== from) edges.push({ from, to, file: path });
    }
  }
  return edges;
}
