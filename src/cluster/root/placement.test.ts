import { expect, test } from 'vitest';
import { nodeId } from '../../base/scalars.ts';
import { parseLocality } from './locality.ts';
import { type Assignment, type PlacementServer, placeReplicas } from './placement.ts';

const server = (name: string, zone: string, differences: Partial<PlacementServer> = {}): PlacementServer => ({
  node: nodeId(name),
  zone,
  takes: true,
  keeps: true,
  load: 0,
  ...differences,
});

/** `a:F b:R` */
const text = (assignments: readonly Assignment[]): string =>
  assignments
    .map(({ node, type }) => `${node}:${type}`)
    .sort()
    .join(' ');
const current = (shown: string): Assignment[] =>
  shown.split(' ').map(word => {
    const [node = '', type = 'F'] = word.split(':');
    return { node: nodeId(node), type: type as 'F' | 'R' };
  });
const place = (locality: string, servers: readonly PlacementServer[], now = ''): string =>
  text(placeReplicas(parseLocality(locality), servers, now === '' ? [] : current(now)));

test('a new replica goes to the least loaded server of its zone', () => {
  const servers = [server('a', 'z1', { load: 2 }), server('b', 'z1', { load: 1 }), server('c', 'z2')];
  expect(place('F@z1, R@z2', servers)).toBe('b:F c:R');
  expect(place('F{2}@z1', servers)).toBe('a:F b:F');
});

test('replicas stay where they are, whatever the load', () => {
  const servers = [server('a', 'z1', { load: 9 }), server('b', 'z1'), server('c', 'z2', { load: 9 })];
  expect(place('F@z1, F@z2', servers, 'a:F c:F')).toBe('a:F c:F');
});

test('a replica changes its type before another one is made', () => {
  const servers = [server('a', 'z1', { load: 1 }), server('b', 'z1')];
  expect(place('F@z2, R@z1', [server('a', 'z1'), server('b', 'z1'), server('c', 'z2')], 'a:F')).toBe(
    'a:R c:F',
  );
  expect(place('F@z1, R@z1', servers, 'a:R')).toBe('a:R b:F');
});

test('a stopped server keeps what it has and gets nothing; one that leaves keeps nothing', () => {
  const stopped = server('a', 'z1', { takes: false });
  const spare = server('b', 'z1', { load: 5 });
  expect(place('F@z1', [stopped, spare], 'a:F')).toBe('a:F');
  expect(place('F@z1', [stopped, spare])).toBe('b:F');
  expect(place('F@z1', [server('a', 'z1', { keeps: false }), spare], 'a:F')).toBe('b:F');
});

test('a zone without a server to take the replica is named', () => {
  const servers = [server('a', 'z1'), server('b', 'z2', { takes: false })];
  expect(() => place('F@z1, F@z2', servers)).toThrow(
    'zone z2 is to hold 1 replica(s) and has 0 server(s) for them',
  );
});
