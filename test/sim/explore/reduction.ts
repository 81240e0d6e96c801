/**
 * Which of the things that can happen in a world are tried first, when the others may as well come later.
 *
 * What happens to one node touches that node, takes from the links to it, and adds behind what is on the links from it; what
 * happens to two nodes commutes. So it is enough to try what can happen to one node X (its messages, that one is lost, its
 * writes, its death, a write to it), and the rest afterwards, if nothing that happens to others first could change what can
 * happen to X. In the words of the theory: the moves of X are a stubborn set, with something other than a death or a loss as
 * its key. Asked for is all of this:
 *
 * - Something is under way for X, so that X's turn comes before time goes on and before any process starts. Where nothing is
 *   under way everything is tried, so nothing is put off for ever; nor is it where all that X makes was there before.
 * - A link to X that is empty stays empty until X acts: its sender has nothing under way and can get nothing without X. An
 *   arbiter sends to those alone who asked it (asserted in `node-states`). Order within a link does not change by waiting.
 * - Neither replica is to be woken while one may die: who is woken is told whether the other is alive.
 * - What others agree on does not move: no commit, election, degrade, upgrade or record of a new kind comes of it (`history`).
 * - Nobody else can tell: X neither gets nor loses a lease (E2); by its death it may, for a run in which others act while
 *   X still has it is also a run in which X acts otherwise, first.
 * - Nothing that X does is beyond the bounds: what is put off would never be tried.
 *
 * A death of Y commutes with what X sends to Y: it is lost either way. That X dies instead is part of X's moves; that deaths,
 * writes and losses are bounded together takes nothing away, for what is used up first is used up in both orders. A process
 * that starts would not commute with what is sent to it, so this is used only where processes start at rest.
 *
 * It keeps every world at rest, and every world that breaks an invariant is reached with what broke it in another order.
 */
import type { Move, World, Worlds } from './world.ts';
import { arbiterAt, nodes } from './trio.ts';

/** The moves of a node that may be tried without the others, or undefined. */
export function chosen(
  worlds: Worlds,
  world: World,
  moves: readonly Move[],
  proposalsMax: number,
): readonly Move[] | undefined {
  let best: readonly Move[] | undefined;
  for (let node = nodes.length - 1; node >= 0; node--) {
    const own = moves.filter(move => move.node === node);
    if (own.length === moves.length || (best !== undefined && best.length <= own.length)) continue;
    if (isStubborn(worlds, world, node, own, proposalsMax)) best = own;
  }
  return best;
}

function isStubborn(
  worlds: Worlds,
  world: World,
  node: number,
  own: readonly Move[],
  proposalsMax: number,
): boolean {
  const isUnderWay = own.some(({ kind }) => kind === 'deliver' || kind === 'complete' || kind === 'wake');
  if (!isUnderWay) return false;
  const other = 1 - node;
  if (
    node !== arbiterAt &&
    (worlds.isDue(world, node) || worlds.isDue(world, other)) &&
    worlds.isUp(world, other) &&
    worlds.deaths(world) > 0
  )
    return false;
  for (let from = 0; from < nodes.length; from++)
    if (from !== node && worlds.link(world, from, node) === 0 && maySend(worlds, world, from, node))
      return false;
  return own.every(({ outcomes }) =>
    outcomes.every(
      outcome =>
        !worlds.mayBe(world, outcome) ||
        (!outcome.isVisible &&
          worlds.isUntold(world, outcome) &&
          worlds.states(node).promised(outcome.to) <= proposalsMax),
    ),
  );
}

/** Whether `from` may send to `node` before that one acts. */
function maySend(worlds: Worlds, world: World, from: number, node: number): boolean {
  if (!worlds.isUp(world, from)) return false;
  if (from === arbiterAt) return worlds.link(world, node, from) !== 0 || worlds.isWriting(world, from);
  if (isActive(worlds, world, from)) return true;
  // The third one may make it act.
  const third = nodes.length - from - node;
  if (!worlds.isUp(world, third)) return false;
  if (third === arbiterAt) return worlds.link(world, from, third) !== 0 || worlds.isWriting(world, third);
  return isActive(worlds, world, third);
}

/** Something is under way for this replica. */
function isActive(worlds: Worlds, world: World, node: number): boolean {
  if (worlds.isDue(world, node) || worlds.isWriting(world, node) || worlds.mayBeWritten(world, node))
    return true;
  for (let from = 0; from < nodes.length; from++)
    if (from !== node && worlds.link(world, from, node) !== 0) return true;
  return false;
}
