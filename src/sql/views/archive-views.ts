/** Views of the log archive: destination, round, piece, progress. One destination a tenant, so its id is always 1001. */
import type { TenantInfo } from '../../cluster/operations.ts';
import type { Cell } from '../../tenant/engine.ts';
import { scnCell, timeCell } from './scn-cells.ts';
import { streamOf } from './tenant-views.ts';
import type { ViewDefinition, ViewInput } from './view-definitions.ts';

type Archive = NonNullable<TenantInfo['archive']>;

const destinationId = 1001;
const incarnation = 1;

const archived = (input: ViewInput): readonly (readonly [TenantInfo, Archive])[] =>
  input.tenants.flatMap(tenant => (tenant.archive === null ? [] : [[tenant, tenant.archive] as const]));

/** The attributes of a destination text, lower case: location, binding, piece_switch_interval. */
function attributesOf(dest: string): ReadonlyMap<string, string> {
  const attributes = new Map<string, string>();
  for (const part of dest.trim().split(/\s+/)) {
    const equals = part.indexOf('=');
    if (equals > 0 && !part.slice(0, equals).includes('/'))
      attributes.set(part.slice(0, equals).toLowerCase(), part.slice(equals + 1));
  }
  if (!attributes.has('location')) attributes.set('location', dest.trim());
  return attributes;
}

const pathOf = (archive: Archive): string => attributesOf(archive.dest).get('location') ?? archive.dest;

function destinationRows(tenant: TenantInfo, archive: Archive): readonly (readonly Cell[])[] {
  const attributes = attributesOf(archive.dest);
  const values: readonly (readonly [string, string | undefined])[] = [
    ['binding', attributes.get('binding')?.toUpperCase()],
    ['dest_id', String(destinationId)],
    ['path', attributes.get('location')],
    ['piece_switch_interval', attributes.get('piece_switch_interval')],
    ['state', archive.state === 'SUSPEND' || archive.state === 'SUSPENDING' ? 'DEFER' : 'ENABLE'],
  ];
  return values.flatMap(([name, value]) => (value === undefined ? [] : [[tenant.tenantId, 0, name, value]]));
}

const roundColumns = [
  'DEST_ID BIGINT',
  'ROUND_ID BIGINT',
  'INCARNATION BIGINT',
  'DEST_NO BIGINT',
  'STATUS VARCHAR(64)',
  'START_SCN BIGINT',
  'START_SCN_DISPLAY TIMESTAMP(6)',
  'CHECKPOINT_SCN BIGINT',
  'CHECKPOINT_SCN_DISPLAY TIMESTAMP(6)',
  'COMPATIBLE VARCHAR(64)',
  'BASE_PIECE_ID BIGINT',
  'USED_PIECE_ID BIGINT',
  'PIECE_SWITCH_INTERVAL BIGINT',
  'UNIT_SIZE BIGINT',
  'COMPRESSION VARCHAR(64)',
  'INPUT_BYTES BIGINT',
  'INPUT_BYTES_DISPLAY VARCHAR(64)',
  'OUTPUT_BYTES BIGINT',
  'OUTPUT_BYTES_DISPLAY VARCHAR(64)',
  'COMPRESSION_RATIO DOUBLE',
  'DELETED_INPUT_BYTES BIGINT',
  'DELETED_INPUT_BYTES_DISPLAY VARCHAR(64)',
  'DELETED_OUTPUT_BYTES BIGINT',
  'DELETED_OUTPUT_BYTES_DISPLAY VARCHAR(64)',
  'COMMENT VARCHAR(4096)',
  'PATH VARCHAR(4096)',
];

const roundRows = (input: ViewInput): readonly (readonly Cell[])[] =>
  archived(input).map(([tenant, archive]) => [
    tenant.tenantId,
    destinationId,
    archive.roundId,
    incarnation,
    0,
    archive.state,
    null,
    null,
    scnCell(archive.checkpointScn),
    timeCell(archive.checkpointScn),
    null,
    1,
    archive.pieceId,
    null,
    null,
    'zstd',
    ...Array<null>(9).fill(null),
    archive.comment,
    pathOf(archive),
  ]);

export const archiveViews: readonly ViewDefinition[] = [
  {
    name: 'DBA_OB_ARCHIVE_DEST',
    perTenant: true,
    columns: ['DEST_NO BIGINT', 'NAME VARCHAR(128)', 'VALUE VARCHAR(4096)'],
    rows: input => archived(input).flatMap(([tenant, archive]) => destinationRows(tenant, archive)),
  },
  { name: 'DBA_OB_ARCHIVELOG', perTenant: true, columns: roundColumns, rows: roundRows },
  { name: 'DBA_OB_ARCHIVELOG_SUMMARY', perTenant: true, columns: roundColumns, rows: roundRows },
  {
    name: 'DBA_OB_ARCHIVELOG_PIECE_FILES',
    perTenant: true,
    columns: [
      'DEST_ID BIGINT',
      'ROUND_ID BIGINT',
      'PIECE_ID BIGINT',
      'INCARNATION BIGINT',
      'DEST_NO BIGINT',
      'CREATE_TIMESTAMP TIMESTAMP(6)',
      'STATUS VARCHAR(64)',
      'START_SCN BIGINT',
      'START_SCN_DISPLAY TIMESTAMP(6)',
      'CHECKPOINT_SCN BIGINT',
      'CHECKPOINT_SCN_DISPLAY TIMESTAMP(6)',
      'MAX_SCN BIGINT',
      'MAX_SCN_DISPLAY TIMESTAMP(6)',
      'END_SCN BIGINT',
      'END_SCN_DISPLAY TIMESTAMP(6)',
      'COMPATIBLE VARCHAR(64)',
      'UNIT_SIZE BIGINT',
      'COMPRESSION VARCHAR(64)',
      'INPUT_BYTES BIGINT',
      'OUTPUT_BYTES BIGINT',
      'COMPRESSION_RATIO DOUBLE',
      'FILE_STATUS VARCHAR(64)',
      'PATH VARCHAR(4096)',
    ],
    rows: input =>
      archived(input).map(([tenant, archive]) => [
        tenant.tenantId,
        destinationId,
        archive.roundId,
        archive.pieceId,
        incarnation,
        0,
        null,
        'ACTIVE',
        null,
        null,
        scnCell(archive.checkpointScn),
        timeCell(archive.checkpointScn),
        scnCell(archive.checkpointScn),
        timeCell(archive.checkpointScn),
        null,
        null,
        null,
        null,
        'zstd',
        null,
        null,
        null,
        'AVAILABLE',
        pathOf(archive),
      ]),
  },
  {
    name: 'V$OB_ARCHIVE_DEST_STATUS',
    perTenant: false,
    columns: [
      'TENANT_ID BIGINT',
      'DEST_ID BIGINT',
      'PATH VARCHAR(4096)',
      'STATUS VARCHAR(64)',
      'CHECKPOINT_SCN BIGINT',
      'SYNCHRONIZED VARCHAR(3)',
      'COMMENT VARCHAR(4096)',
    ],
    rows: input =>
      archived(input).map(([tenant, archive]) => [
        tenant.tenantId,
        destinationId,
        pathOf(archive),
        archive.state,
        scnCell(archive.checkpointScn),
        archive.archivedLsn >= tenant.log.endLsn ? 'YES' : 'NO',
        archive.comment,
      ]),
  },
  {
    name: 'DBA_OB_LS_LOG_ARCHIVE_PROGRESS',
    perTenant: true,
    columns: [
      'DEST_ID BIGINT',
      'LS_ID BIGINT',
      'ROUND_ID BIGINT',
      'PIECE_ID BIGINT',
      'INCARNATION BIGINT',
      'START_SCN BIGINT',
      'MIN_LSN BIGINT',
      'MAX_LSN BIGINT',
      'CHECKPOINT_SCN BIGINT',
      'STATUS VARCHAR(64)',
      'FILE_ID BIGINT',
      'FILE_OFFSET BIGINT',
      'INPUT_BYTES BIGINT',
      'OUTPUT_BYTES BIGINT',
    ],
    rows: input =>
      archived(input).map(([tenant, archive]) => [
        tenant.tenantId,
        destinationId,
        streamOf(tenant),
        archive.roundId,
        archive.pieceId,
        incarnation,
        null,
        null,
        archive.archivedLsn,
        scnCell(archive.checkpointScn),
        archive.state,
        null,
        null,
        null,
        null,
      ]),
  },
];
