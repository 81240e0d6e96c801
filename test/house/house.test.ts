/** House rules that no linter states: headers, names, sizes, and a catalogue that is complete and used. */
import { expect, test } from 'vitest';
import { catalogue, type ErrorCode } from '../../src/base/catalogue.ts';
import type { CatalogueRow } from '../../src/base/errors.ts';
import { filesBelow, readSource } from './source-tree.ts';

const sources = filesBelow('src').filter(path => !path.endsWith('.test.ts'));
const everything = [...filesBelow('src'), ...filesBelow('test'), ...filesBelow('bin', '.js')];

test('file names are kebab-case nouns, none of them a drawer', () => {
  const drawers = /(^|[/-])(utils?|helpers?|common|manager|misc|index)\.ts$/;
  expect(everything.filter(path => !/^[a-z0-9/.-]+$/.test(path) || drawers.test(path))).toEqual([]);
});

test('each source file opens by saying what it is for', () => {
  expect(sources.filter(path => !/^(#![^\n]*\n)?\/\*\*/.test(readSource(path)))).toEqual([]);
});

test('no source file is over 600 lines', () => {
  const long = sources
    .map(path => ({ path, lines: readSource(path).split('\n').length }))
    .filter(({ lines }) => lines > 600);
  expect(long).toEqual([]);
});

test('error codes have the form OBS_AREA_WHAT, a message and an instruction', () => {
  const rows = Object.entries(catalogue) as [ErrorCode, CatalogueRow][];
  const bad = rows.filter(
    ([code, row]) => !/^OBS_[A-Z0-9]+(_[A-Z0-9]+)*$/.test(code) || row.message === '' || row.hint.length < 8,
  );
  expect(bad).toEqual([]);
});

test('error codes are defined once', () => {
  const defined = filesBelow('src/base/catalogue').flatMap(path =>
    [...readSource(path).matchAll(/^ {2}(OBS_\w+):/gm)].map(match => match[1]),
  );
  expect(defined.length).toBe(new Set(defined).size);
  expect(defined.length).toBe(Object.keys(catalogue).length);
});

test('each error code is raised somewhere', () => {
  const text = sources
    .filter(path => !path.startsWith('src/base/catalogue'))
    .map(readSource)
    .join('\n');
  expect(Object.keys(catalogue).filter(code => !text.includes(`'${code}'`))).toEqual([]);
});
