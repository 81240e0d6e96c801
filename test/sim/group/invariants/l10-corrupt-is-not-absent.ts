/**
 * L10: what counted for a commit is never reported as "never had": damage is not an earlier end, and who lost log is whole
 * again when it has it, not before. Nor is what was never
 * written whole reported as damage: a replica whose files are sound needs nobody to mend them, whatever cut its writes off.
 */
import { branchId } from '../world.ts';
import { hold, type MakeInvariant } from './invariant.ts';

export const l10: MakeInvariant = world => ({
  afterEvent() {
    for (const { node, message } of world.facts.sends) {
      // One that lost log says so with its promise, and its end says nothing.
      if (message.kind !== 'promise' || message.impaired) continue;
      const branch = world.truth.branch(branchId(message.cutApplied));
      if (branch === undefined) continue;
      const needed = world.counted.of(node.id, branch);
      hold(
        'L10',
        message.end.lsn >= needed,
        () => `${node.id} says its log ends at ${message.end.lsn}; it counted for LSN ${needed}`,
      );
    }
    for (const { node, self, before, view } of world.facts.steps) {
      if (before?.impaired !== 'damaged' || view.impaired !== null) continue;
      const needed = world.counted.of(node.id, world.branchOf(node));
      hold(
        'L10',
        node.platter.end().lsn >= needed,
        () => `${self} is whole with log to ${node.platter.end().lsn}; it counted for LSN ${needed}`,
      );
    }
    // One whose log is given up, or was lost before, says so in its image.
    for (const { node, at } of world.facts.damages)
      hold(
        'L10',
        node.isRotten || (node.platter.meta()?.impaired ?? null) !== null,
        () => `${node.id} calls its log damaged behind LSN ${at.lsn}, and it is not`,
      );
    for (const { node, self, input } of world.facts.steps)
      hold(
        'L10',
        input.kind !== 'boot' || !input.corrupt || node.isRotten || input.meta.impaired !== null,
        () => `${self} boots with a damaged log, and it is not`,
      );
  },
});
