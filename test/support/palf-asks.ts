/** What tests of a few cores ask of one of them, and wait for. */
import { scn } from '../../src/base/scalars.ts';
import type { ConfigChange } from '../../src/palf/inputs.ts';
import { PalfRig, type RigNode } from './palf-rig.ts';

export const three = (): PalfRig => new PalfRig(1, ['a', 'b', 'c']).bootAll();

export const change = (rig: PalfRig, node: RigNode, what: ConfigChange) => {
  const token = rig.ask(node, given => ({
    kind: 'changeConfig',
    change: what,
    expectedVersion: node.view.governing.version,
    token: given,
  }));
  rig.until(() => node.replies.has(token), 'an answer');
  return node.replies.get(token);
};

export const mode = (rig: PalfRig, node: RigNode, to: 'APPEND' | 'RAW_WRITE' | 'FLASHBACK') => {
  const token = rig.ask(node, given => ({
    kind: 'changeMode',
    to,
    expectedModeVersion: node.view.modeVersion,
    referenceScn: scn(0),
    token: given,
  }));
  rig.until(() => node.replies.has(token), 'an answer');
  return node.replies.get(token);
};
