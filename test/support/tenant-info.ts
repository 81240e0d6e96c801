/** A tenant as `Operations` tells of it, idle and healthy unless said otherwise. */
import { lsn, roleEpoch, scn, tenantId, wallMicros } from '../../src/base/scalars.ts';
import type { TenantInfo } from '../../src/cluster/operations.ts';

export const tenantInfo = (differences: Partial<TenantInfo> = {}): TenantInfo => ({
  tenantId: tenantId(1002),
  name: 't1',
  incarnation: '00000000-0000-4000-8000-000000000000',
  createTime: wallMicros(1_600_000_000_000_000),
  status: 'NORMAL',
  role: 'PRIMARY',
  switchoverStatus: 'NORMAL',
  roleEpoch: roleEpoch(1),
  syncScn: scn(1_700_000_000_000_000),
  replayableScn: scn(1_700_000_000_000_000),
  readableScn: scn(1_700_000_000_000_000),
  recoveryUntilScn: scn(Number.MAX_SAFE_INTEGER),
  logMode: 'NOARCHIVELOG',
  failure: null,
  writesRefused: null,
  nextStep: null,
  log: {
    accessMode: 'APPEND',
    proposalId: 1,
    beginLsn: lsn(0),
    endLsn: lsn(4096),
    endScn: scn(1_700_000_000_000_000),
    checksum: 0,
    proposalHistory: [],
  },
  applied: { lsn: lsn(4096), checkpointLsn: lsn(0) },
  standby: null,
  archive: null,
  placement: null,
  followers: [],
  ...differences,
});
