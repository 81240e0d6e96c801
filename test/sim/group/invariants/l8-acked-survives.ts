/** L8: what is acknowledged, to a leader or to a client, survives the loss of power in the same instant. */
import { compareVersions } from '../../../../src/codec/config-record.ts';
import { hold, type MakeInvariant } from './invariant.ts';

export const l8: MakeInvariant = world => ({
  afterEvent() {
    for (const { node, to, message } of world.facts.sends) {
      // One for an older proposal says what was true when a newer one was promised, and that knows it.
      if (message.kind === 'ack')
        hold(
          'L8',
          node.platter.end().lsn >= message.flushed ||
            message.proposal < (node.platter.meta()?.promised ?? 0),
          () => `${node.id} acked ${message.flushed} to ${to}, its platter ends at ${node.platter.end().lsn}`,
        );
      if (message.kind === 'promise')
        hold(
          'L8',
          node.platter.holds(message.end),
          () =>
            `${node.id} told ${to} it has LSN ${message.end.lsn}, its platter ends at ${node.platter.end().lsn}`,
        );
      if (message.kind === 'config-ack') {
        const held = node.platter.meta()?.config.version;
        hold(
          'L8',
          held !== undefined && compareVersions(held, message.version) >= 0,
          () =>
            `${node.id} acked record ${message.version.proposalId}.${message.version.sequence}, its platter has ${held?.proposalId}.${held?.sequence}`,
        );
      }
    }
    for (const { arbiter, to, message } of world.facts.arbiterSends) {
      if (message.kind !== 'config-ack') continue;
      const held = arbiter.image.config?.version;
      hold(
        'L8',
        held !== undefined && compareVersions(held, message.version) >= 0,
        () =>
          `${arbiter.id} acked record ${message.version.proposalId}.${message.version.sequence} to ${to}, it has ${held?.proposalId}.${held?.sequence}`,
      );
    }
    for (const { node, endLsn } of world.facts.acks) {
      const branch = world.branchOf(node);
      hold(
        'L8',
        branch.end.lsn >= endLsn,
        () => `${node.id} acked ${endLsn}, committed is ${branch.end.lsn}`,
      );
    }
  },
});
