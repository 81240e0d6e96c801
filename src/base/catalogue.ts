/**
 * The error catalogue: every code of the project, merged from one file an area. A test proves that names are unique,
 * that each row has a hint, and that the README's table is this one.
 */
import { arbitrationErrors } from './catalogue/arbitration.ts';
import { archiveErrors } from './catalogue/archive.ts';
import { cliErrors } from './catalogue/cli.ts';
import { clusterErrors } from './catalogue/cluster.ts';
import { configErrors } from './catalogue/config.ts';
import { generalErrors } from './catalogue/general.ts';
import { logErrors } from './catalogue/log.ts';
import { peerErrors } from './catalogue/peer.ts';
import { roleErrors } from './catalogue/role.ts';
import { rootErrors } from './catalogue/root.ts';
import { serverErrors } from './catalogue/server.ts';
import { sqlErrors } from './catalogue/sql.ts';
import { standbyErrors } from './catalogue/standby.ts';
import { tenantErrors } from './catalogue/tenant.ts';

export const catalogue = {
  ...generalErrors,
  ...logErrors,
  ...tenantErrors,
  ...archiveErrors,
  ...peerErrors,
  ...clusterErrors,
  ...standbyErrors,
  ...roleErrors,
  ...sqlErrors,
  ...serverErrors,
  ...rootErrors,
  ...arbitrationErrors,
  ...configErrors,
  ...cliErrors,
} as const;

export type ErrorCode = keyof typeof catalogue;
