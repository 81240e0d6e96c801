/** Who the explorer looks at: two replicas and an arbiter, how patient they are, and the links between them. */
import { lsn, type NodeId, nodeId, scn } from '../../../src/base/scalars.ts';
import { palfSettingsDefault, type PalfSettings } from '../../../src/palf/settings.ts';

export const settings: PalfSettings = {
  ...palfSettingsDefault,
  // Multiples of the parts of a renewal, and so are all times at which anything happens.
  leaseMs: 360,
  renewMs: 120,
  canvassMs: 20,
  arbitrationTimeoutMs: 380,
};
export const [a, b, z] = [nodeId('a'), nodeId('b'), nodeId('z')];
export const replicas = [a, b] as const;
export const nodes: readonly NodeId[] = [a, b, z];
/** the arbiter's place among them */
export const arbiterAt = 2;
export const start = { lsn: lsn(0), scn: scn(0), checksum: 0 };
