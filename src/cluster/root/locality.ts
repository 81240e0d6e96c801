/**
 * The texts of LOCALITY and PRIMARY_ZONE: which replicas a tenant has in which zone, and where its leader should be. Pure.
 *
 * `replica[{count}]@zone [, …]`, replica = F or FULL (votes, may lead) / R or READONLY (a learner, serves weak reads); several types of one zone
 * may share its name (`F,R@zone1`). PRIMARY_ZONE: `;` separates falling priority, `,` equal priority; RANDOM prefers none.
 */
import { ObError } from '../../base/errors.ts';
import { fullReplicasMax, localityLengthMax, readonlyReplicasMax } from '../../base/limits.ts';

export type ReplicaType = 'F' | 'R';

export interface LocalityItem {
  readonly type: ReplicaType;
  readonly count: number;
  readonly zone: string;
}

/** At most one item per zone and type, by zone, F before R: equal localities are equal texts. */
export type Locality = readonly LocalityItem[];

/** Groups of zones, most wanted first; empty: no zone is preferred. */
export type PrimaryZone = readonly (readonly string[])[];

const typeNames: Readonly<Record<string, ReplicaType>> = { F: 'F', FULL: 'F', R: 'R', READONLY: 'R' };
const typeTexts: Readonly<Record<ReplicaType, string>> = { F: 'FULL', R: 'READONLY' };
const replicasMax: Readonly<Record<ReplicaType, number>> = { F: fullReplicasMax, R: readonlyReplicasMax };
const zonePattern = /^[A-Za-z0-9_.-]{1,64}$/;

const isZoneName = (text: string): boolean => zonePattern.test(text);

/** Throws OBS_LOCALITY_SYNTAX, OBS_LOCALITY_REPLICA_TYPE, OBS_LOCALITY_NO_FULL, OBS_LOCALITY_TOO_LARGE. */
export function parseLocality(text: string): Locality {
  if (text.length > localityLengthMax) throw syntax(`it is longer than ${localityLengthMax} characters`);
  const items: LocalityItem[] = [];
  let waiting: Omit<LocalityItem, 'zone'>[] = [];
  for (const part of text.split(',')) {
    const [replica = '', zone, ...rest] = part.split('@').map(word => word.trim());
    if (rest.length > 0) throw syntax(`'${part.trim()}' names two zones`);
    waiting.push(replicaOf(replica));
    if (zone === undefined) continue;
    if (!isZoneName(zone)) throw syntax(`'${zone}' is no zone name`);
    for (const one of waiting) addItem(items, { ...one, zone });
    waiting = [];
  }
  if (waiting.length > 0) throw syntax(`'${text.slice(text.lastIndexOf(',') + 1).trim()}' names no zone`);
  checkSize(items);
  return items.sort((one, other) => (keyOf(one) < keyOf(other) ? -1 : 1));
}

const keyOf = ({ zone, type }: LocalityItem): string => `${zone} ${type}`;

function replicaOf(text: string): Omit<LocalityItem, 'zone'> {
  const match = /^([A-Za-z_]+)\s*(?:\{\s*(\d{1,4})\s*\})?$/.exec(text);
  if (match === null) throw syntax(text === '' ? 'a replica is missing' : `'${text}' is no replica`);
  const [, name = '', count = '1'] = match;
  const type = typeNames[name.toUpperCase()];
  if (type === undefined) throw new ObError('OBS_LOCALITY_REPLICA_TYPE', { type: name });
  if (Number(count) === 0) throw syntax(`'${text}' is a replica that is not there`);
  return { type, count: Number(count) };
}

function addItem(items: LocalityItem[], item: LocalityItem): void {
  if (items.some(({ zone, type }) => zone === item.zone && type === item.type))
    throw syntax(`zone ${item.zone} has two entries of ${typeTexts[item.type]} replicas`);
  items.push(item);
}

function checkSize(locality: Locality): void {
  if (countOf(locality, 'F') === 0) throw new ObError('OBS_LOCALITY_NO_FULL');
  for (const type of ['F', 'R'] as const) {
    const [count, max] = [countOf(locality, type), replicasMax[type]];
    if (count > max) throw new ObError('OBS_LOCALITY_TOO_LARGE', { count, type: typeTexts[type], max });
  }
}

/** `FULL{1}@zone1, READONLY{1}@zone4`: what the views show, and `parseLocality` reads. */
export const localityText = (locality: Locality): string =>
  locality.map(({ type, count, zone }) => `${typeTexts[type]}{${count}}@${zone}`).join(', ');

export const countOf = (locality: Locality, type: ReplicaType): number =>
  locality.filter(item => item.type === type).reduce((sum, { count }) => sum + count, 0);

/**
 * Whether the cluster's zones can hold it. `serversOf`: how many servers of each zone may hold a replica. Throws OBS_LOCALITY_ZONE,
 * OBS_LOCALITY_TOO_FEW_SERVERS.
 */
export function checkZones(locality: Locality, serversOf: ReadonlyMap<string, number>): void {
  for (const { zone } of locality) {
    const servers = serversOf.get(zone);
    if (servers === undefined)
      throw new ObError('OBS_LOCALITY_ZONE', { zone, zones: [...serversOf.keys()].sort().join(', ') });
    const replicas = locality.filter(item => item.zone === zone).reduce((sum, { count }) => sum + count, 0);
    if (replicas > servers) throw new ObError('OBS_LOCALITY_TOO_FEW_SERVERS', { zone, replicas, servers });
  }
}

/**
 * One F in every zone, then further ones, until there are `max`: what a tenant gets that asks for nothing. `zones`: of each server that may hold
 * one.
 */
export function defaultLocality(zones: readonly string[], max: number): Locality {
  const names = [...new Set(zones)].sort();
  const counts = new Map<string, number>();
  for (let round = 1, placed = 0; placed < Math.min(max, zones.length); round += 1)
    for (const zone of names) {
      if (placed === max || zones.filter(each => each === zone).length < round) continue;
      counts.set(zone, round);
      placed += 1;
    }
  return [...counts].map(([zone, count]) => ({ type: 'F', count, zone }));
}

/** Throws OBS_PRIMARY_ZONE_INVALID; `zones`: those of the cluster. */
export function parsePrimaryZone(text: string, zones: ReadonlySet<string>): PrimaryZone {
  const wrong = (why: string): ObError => new ObError('OBS_PRIMARY_ZONE_INVALID', { why });
  if (text.length > localityLengthMax) throw wrong(`it is longer than ${localityLengthMax} characters`);
  if (text.trim().toUpperCase() === 'RANDOM' || text.trim() === '') return [];
  const groups = text.split(';').map(group => group.split(',').map(zone => zone.trim()));
  const named = new Set<string>();
  for (const zone of groups.flat()) {
    if (zone === '') throw wrong('a zone is missing');
    if (!zones.has(zone)) throw wrong(`there is no zone '${zone}' (${[...zones].sort().join(', ')})`);
    if (named.has(zone)) throw wrong(`zone '${zone}' is there twice`);
    named.add(zone);
  }
  return groups;
}

/** `zone1;zone2,zone3`, or RANDOM. */
export const primaryZoneText = (primaryZone: PrimaryZone): string =>
  primaryZone.length === 0 ? 'RANDOM' : primaryZone.map(group => group.join(',')).join(';');

/** What an election compares: lower is better, zones that are not named come last. */
export function zonePriority(primaryZone: PrimaryZone, zone: string): number {
  const group = primaryZone.findIndex(zones => zones.includes(zone));
  return group < 0 ? primaryZone.length : group;
}

const syntax = (why: string): ObError => new ObError('OBS_LOCALITY_SYNTAX', { why });
