/**
 * Whether a history of one register is linearizable: whether its operations can be put into one order, each at an
 * instant between its call and its return, in which every read returns the last write. The search of Wing and Gong
 * with Lowe's cache. A write whose outcome nobody knows returns never, so that it may stand anywhere, or nowhere.
 */
import { assert, must } from '../../../src/base/assert.ts';

export interface RegisterOperation {
  readonly kind: 'read' | 'write';
  /** what was written, or what was read; null: nothing yet */
  readonly value: string | number | null;
  readonly calledAt: number;
  /** Infinity: no answer came */
  readonly returnedAt: number;
}

/** `gaveUp`: more states than the budget. */
export type LinearizableVerdict = 'yes' | 'no' | 'gaveUp';

interface Node {
  /** index of the operation */
  readonly operation: number;
  /** the return of a call; undefined for a return */
  match: Node | undefined;
  previous: Node | undefined;
  next: Node | undefined;
}

type Value = RegisterOperation['value'];

export function isLinearizable(
  operations: readonly RegisterOperation[],
  initial: Value = null,
  statesMax = 1_000_000,
): LinearizableVerdict {
  // A read without an answer says nothing.
  const known = operations.filter(({ kind, returnedAt }) => kind === 'write' || Number.isFinite(returnedAt));
  const head = timeline(known);
  const done = new Uint32Array((known.length + 31) >> 5);
  const cache = new Set<string>();
  const placed: { readonly node: Node; readonly before: Value; readonly isForced: boolean }[] = [];
  const isAnswered = (index: number) => Number.isFinite(must(known[index], 'operation').returnedAt);
  let answered = known.filter(({ returnedAt }) => Number.isFinite(returnedAt)).length;
  let value = initial;
  const place = (node: Node, after: Value, isForced: boolean): void => {
    placed.push({ node, before: value, isForced });
    value = after;
    mark(done, node.operation, true);
    lift(node);
    if (isAnswered(node.operation)) answered -= 1;
  };
  const takeBack = (): Node | undefined => {
    for (;;) {
      const last = placed.pop();
      if (last === undefined) return undefined;
      value = last.before;
      mark(done, last.node.operation, false);
      unlift(last.node);
      if (isAnswered(last.node.operation)) answered += 1;
      if (!last.isForced) return last.node;
    }
  };
  let states = 0;
  let entry = head.next;
  // When only writes without an answer are left to place, they may have never been.
  while (answered > 0) {
    // A read that fits now loses nothing by its place here: it changes nothing.
    const fitting = entry === head.next ? fittingRead(head, known, value) : undefined;
    if (fitting !== undefined) {
      place(fitting, value, true);
      entry = head.next;
      continue;
    }
    if (entry?.match !== undefined) {
      const operation = must(known[entry.operation], 'operation');
      if (operation.kind === 'write') {
        mark(done, entry.operation, true);
        const state = `${done.join(',')}|${String(operation.value)}`;
        mark(done, entry.operation, false);
        if (!cache.has(state)) {
          states += 1;
          if (states > statesMax) return 'gaveUp';
          cache.add(state);
          place(entry, operation.value, false);
          entry = head.next;
          continue;
        }
      }
      entry = entry.next;
      continue;
    }
    // A return whose call could not be placed before it: the last choice was wrong.
    const last = takeBack();
    if (last === undefined) return 'no';
    entry = last.next;
  }
  return 'yes';
}

/** A read that may come next and returns what is there. */
function fittingRead(head: Node, operations: readonly RegisterOperation[], value: Value): Node | undefined {
  for (let node = head.next; node?.match !== undefined; node = node.next) {
    const operation = must(operations[node.operation], 'operation');
    if (operation.kind === 'read' && operation.value === value) return node;
  }
  return undefined;
}

/** Calls and returns in order of time, as a list behind a head. A call at the instant of a return may precede it. */
function timeline(operations: readonly RegisterOperation[]): Node {
  const moments = operations.flatMap((operation, index) => {
    assert(operation.calledAt <= operation.returnedAt, 'a call comes before its return');
    return [
      { at: operation.calledAt, isReturn: 0, index },
      { at: operation.returnedAt, isReturn: 1, index },
    ];
  });
  moments.sort((a, b) =>
    a.at === b.at ? a.isReturn - b.isReturn || a.index - b.index : a.at < b.at ? -1 : 1,
  );
  const head: Node = { operation: -1, match: undefined, previous: undefined, next: undefined };
  const calls = new Map<number, Node>();
  let last = head;
  for (const { isReturn, index } of moments) {
    const node: Node = { operation: index, match: undefined, previous: last, next: undefined };
    last.next = node;
    last = node;
    if (isReturn === 0) calls.set(index, node);
    else must(calls.get(index), 'call').match = node;
  }
  return head;
}

function mark(done: Uint32Array, index: number, isDone: boolean): void {
  const word = must(done[index >> 5], 'word');
  const bit = 1 << (index & 31);
  done[index >> 5] = isDone ? word | bit : word & ~bit;
}

function lift(call: Node): void {
  for (const node of [call, must(call.match, 'return')]) {
    const { previous, next } = node;
    must(previous, 'node before').next = next;
    if (next !== undefined) next.previous = previous;
  }
}

function unlift(call: Node): void {
  for (const node of [must(call.match, 'return'), call]) {
    must(node.previous, 'node before').next = node;
    if (node.next !== undefined) node.next.previous = node;
  }
}
