/** Waiting for a tenant that is led here to open for writes. */
import { ObError } from '../base/errors.ts';
import { tenantOpenMs } from '../base/limits.ts';
import { isUnfinished } from '../role/row.ts';
import type { TenantUnit } from './tenant-unit.ts';
import type { UnitHost } from './unit-host.ts';

/** Throws why it does not open, and OBS_TENANT_NOT_LEADER when it is led elsewhere. */
export async function untilWritable({ clock }: UnitHost, unit: TenantUnit): Promise<void> {
  const deadline = clock.now() + tenantOpenMs;
  for (;;) {
    const { leadership } = unit;
    if (leadership === null && !unit.replica.leads) unit.lead();
    if (leadership !== null) {
      const { local, role } = leadership;
      const { row, running } = role.view();
      if (local.writable && row.role === 'PRIMARY') return;
      // An opening that failed stays where it stopped: running it again tells why.
      if (running === null && isUnfinished(row)) await role.command({ kind: 'resume' });
    }
    if (clock.now() > deadline) {
      const refused = leadership?.role.view().writesRefused ?? unit.replica.problem;
      throw refused ?? new ObError('OBS_SERVER_TENANT_BUSY', { tenant: unit.record.name });
    }
    await new Promise<void>(resolve => clock.after(1, resolve));
  }
}
