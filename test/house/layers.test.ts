import { expect, test } from 'vitest';
import { layers } from './layers.ts';
import { filesBelow, type LayerEdge, layerEdges, readSource } from './source-tree.ts';

const violations = (edges: readonly LayerEdge[]): string[] =>
  edges
    .filter(({ from, to }) => layers[from]?.includes(to) !== true)
    .map(({ from, to, file }) => `${file}: ${from} may not import ${to}`);

const sources = filesBelow('src')
  .filter(path => !path.endsWith('.test.ts'))
  .map(path => ({ path, source: readSource(path) }));

test('imports between folders follow the layer table', () => {
  const edges = layerEdges(sources);
  expect(edges.length).toBeGreaterThan(20);
  expect(violations(edges)).toEqual([]);
});

test('the check finds a deliberate violation, type-only and dynamic imports included', () => {
  const bad = [
    { path: 'src/palf/a.ts', source: "import type { Clock } from '../platform/clock.ts';" },
    { path: 'src/base/b.ts', source: "const x = await import('../sql/front-end.ts');" },
    { path: 'src/role/c.ts', source: "export { x } from '../cluster/operations.ts';" },
    { path: 'src/role/d.ts', source: "import {\n  a,\n  b,\n} from '../codec/clog.ts';" },
  ];
  expect(violations(layerEdges(bad))).toEqual([
    'src/palf/a.ts: palf may not import platform',
    'src/base/b.ts: base may not import sql',
    'src/role/c.ts: role may not import cluster',
  ]);
});

test('every folder of src has a row in the table', () => {
  const folders = new Set(sources.map(({ path }) => path.split('/')[1] ?? ''));
  expect([...folders].filter(folder => layers[folder] === undefined)).toEqual([]);
});
