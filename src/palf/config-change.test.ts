import { expect, test } from 'vitest';
import { nodeId, scn } from '../base/scalars.ts';
import { assert } from '../base/assert.ts';
import { type ConfigRecord, firstRecord } from '../codec/config-record.ts';
import { applyStep, isRefusal, stepsOf } from './config-change.ts';
import type { ConfigChange } from './inputs.ts';

const nodesOf = (names: string) => names.split('').map(nodeId);

/** "members|learners|degraded|arbiter", nodes of one letter. */
function recordOf(shape: string): ConfigRecord {
  const [members = '', learners = '', degraded = '', arbiter = ''] = shape.split('|');
  return {
    ...firstRecord({
      members: nodesOf(members),
      learners: nodesOf(learners),
      accessMode: 'APPEND',
      referenceScn: scn(0),
    }),
    degraded: nodesOf(degraded),
    arbiter: arbiter === '' ? null : nodeId(arbiter),
  };
}

const shapeOf = ({ members, learners, degraded, arbiter }: ConfigRecord): string =>
  [members.join(''), learners.join(''), degraded.join(''), arbiter ?? ''].join('|');

/** At the leader a: what becomes of a record, or why nothing. */
const cases: readonly [string, ConfigChange['kind'], string, string][] = [
  ['abc|||', 'add-learner', 'd', 'abc|d||'],
  ['abc|d||', 'add-learner', 'd', 'already'],
  ['abc|||', 'add-learner', 'b', 'already'],
  ['ab|||z', 'add-learner', 'z', 'already'],
  ['a||b|z', 'add-learner', 'b', 'already'],
  ['ab|||z', 'add-learner', 'd', 'ab|d||z'],
  ['abc|d||', 'promote', 'd', 'abcd|||'],
  ['abc|||', 'promote', 'd', 'unknown-node'],
  ['abc|||', 'promote', 'c', 'already'],
  ['abcdefghi|j||', 'promote', 'j', 'too-many'],
  ['ab|d||z', 'promote', 'd', 'arbitrated'],
  ['abc|||', 'demote', 'c', 'ab|c||'],
  ['abc|d||', 'demote', 'd', 'already'],
  ['abc|||', 'demote', 'd', 'unknown-node'],
  ['abc|||', 'demote', 'a', 'is-leader'],
  ['a|||', 'demote', 'a', 'last-member'],
  ['ab|||z', 'demote', 'b', 'arbitrated'],
  ['abc|||', 'remove', 'c', 'ab|||'],
  ['abc|d||', 'remove', 'd', 'abc|||'],
  ['abc|||', 'remove', 'd', 'unknown-node'],
  ['abc|||', 'remove', 'a', 'is-leader'],
  ['a|b||', 'remove', 'a', 'last-member'],
  ['ab|||z', 'remove', 'b', 'arbitrated'],
  ['ab||cd|z', 'remove', 'c', 'arbitrated'],
  ['ab|c||z', 'remove', 'c', 'ab|||z'],
  ['ab|||', 'set-arbiter', 'z', 'ab|||z'],
  ['abcd|e||', 'set-arbiter', 'z', 'abcd|e||z'],
  ['abc|||', 'set-arbiter', 'z', 'replica-count'],
  ['a|||', 'set-arbiter', 'z', 'replica-count'],
  ['ab|||', 'set-arbiter', 'b', 'already'],
  ['ab|c||', 'set-arbiter', 'c', 'already'],
  ['ab|||z', 'set-arbiter', 'z', 'already'],
  ['ab|||z', 'set-arbiter', 'y', 'arbitrated'],
  ['ab|||z', 'remove-arbiter', 'z', 'ab|||'],
  ['ab|||z', 'remove-arbiter', 'y', 'unknown-node'],
  ['ab|||', 'remove-arbiter', 'z', 'unknown-node'],
  ['a||b|z', 'remove-arbiter', 'z', 'degraded'],
];

test.each(cases)('%s, %s %s: %s', (before, kind, node, expected) => {
  const record = recordOf(before);
  assert(kind !== 'replace', 'a case has one node');
  const after = applyStep(record, { kind, node: nodeId(node) }, nodeId('a'));
  expect(isRefusal(after) ? after.why : shapeOf({ ...record, ...after })).toBe(expected);
});

test('a replacement is a promotion and a removal, one after the other', () => {
  const steps = stepsOf({ kind: 'replace', old: nodeId('b'), new: nodeId('d') }, recordOf('abc|d||'));
  expect(steps.map(({ kind, node }) => `${kind} ${node}`)).toEqual(['promote d', 'remove b']);
});

test('a degraded replica that never comes back gives its place to a learner, and no quorum changes', () => {
  const record = recordOf('a|d|b|z');
  const [step, ...more] = stepsOf({ kind: 'replace', old: nodeId('b'), new: nodeId('d') }, record);
  assert(step !== undefined && more.length === 0, 'it is one step');
  const after = applyStep(record, step, nodeId('a'));
  assert(!isRefusal(after), 'it is possible');
  expect(shapeOf({ ...record, ...after })).toBe('a||d|z');
  expect(applyStep(recordOf('a||b|z'), step, nodeId('a'))).toEqual({ why: 'unknown-node', node: 'd' });
});
