/**
 * The configuration: one schema from which come the parser, the sample file and the reference table.
 *
 * Every key has a default or is required, a range, a unit in its name, a description, and says whether a running
 * server takes a new value (`reloadable`). Unknown keys are errors: a typing mistake must not become a default.
 */
import { z } from 'zod';
import { leaseMsMax } from '../base/limits.ts';
import {
  address,
  type ConfigKey,
  filePath,
  host,
  keysOf,
  notes,
  place,
  port,
  section,
  text,
  whole,
} from './config-keys.ts';

export const configSchema = z.strictObject({
  clusterName: z
    .string()
    .regex(/^[A-Za-z0-9_.-]{1,64}$/, 'letters, digits, "_", "." and "-", at most 64')
    .default('obstandby')
    .register(notes, { description: 'Name of this cluster, shown to peers and accepted after # in logins.' }),
  zone: place(
    'zone1',
    'Where this server stands: servers of one zone may fail together. LOCALITY names zones.',
  ),
  region: place('default_region', 'Where its zone stands; shown in the views.'),
  dataDirectory: text('Where everything lives; made with mode 0700. One server a directory.'),

  sql: section(
    {
      host: host('Address the MySQL protocol listens on.'),
      port: port(2881, 'Port of the MySQL protocol; 0 picks a free one.'),
      tlsCertFile: filePath('PEM certificate; with it clients may use TLS.'),
      tlsKeyFile: filePath('PEM private key of the certificate.'),
      connectionsPerTenantMax: whole(1, 100_000, 1000, 'Client connections a tenant may have.', true),
      resultRowsMax: whole(1, 100_000_000, 1_000_000, 'Rows one statement may return.', true),
      statementBytesMax: whole(1024, 1_073_741_824, 67_108_864, 'Bytes one statement may have.', true),
      idleInTransactionMs: whole(
        100,
        86_400_000,
        60_000,
        'A write transaction idle for longer is rolled back.',
        true,
      ),
      lockWaitMs: whole(1, 3_600_000, 50_000, 'How long a writer waits for its turn (error 1205).'),
    },
    'Clients: the MySQL protocol.',
  ),

  peer: section(
    {
      host: host('Address other sites connect to for log and role changes.'),
      port: port(2882, 'Port for other sites; 0 picks a free one.'),
      advertise: address('host:port under which other sites reach this one, if it differs.'),
      tlsCertFile: filePath('PEM certificate; with it every connection between sites is TLS.'),
      tlsKeyFile: filePath('PEM private key of the certificate.'),
      tlsCaFile: filePath('PEM authorities that peers must be signed by, whichever side connects.'),
    },
    'Other sites: log shipping and role changes.',
  ),

  cluster: section(
    {
      host: host('Address the other servers of this cluster connect to.'),
      port: port(2885, 'Port for the other servers of this cluster; 0 picks a free one.'),
      advertise: address('host:port under which they reach this server, if it differs. It names the server.'),
      secretFile: filePath(
        'What proves that a server belongs to the cluster; mode 0600, made by: obstandby cluster secret. Without it the server is a cluster of its own.',
      ),
      tlsCertFile: filePath('PEM certificate; with it every connection between the servers is TLS.'),
      tlsKeyFile: filePath('PEM private key of the certificate.'),
      tlsCaFile: filePath('PEM authorities that the servers must be signed by, whichever of them connects.'),
    },
    'The other servers of this cluster.',
  ),

  palf: section(
    {
      leaseMs: whole(
        200,
        leaseMsMax,
        1200,
        'How long a leader may lead without hearing from a majority. The same on every server of the cluster; a new value may go from server to server, one restart after another.',
      ),
      renewMs: whole(20, 1000, 300, 'A leader renews its lease this often.'),
      canvassMs: whole(10, 1000, 40, 'Candidates come forward this long after each other.'),
    },
    'Consensus: how fast a dead leader is replaced.',
  ),

  http: section(
    {
      host: host('Address of the operators’ API and metrics.'),
      port: port(2886, 'Port of the operators’ API; 0 picks a free one.'),
    },
    'Operators: JSON API (bearer token from <dataDirectory>/http.token) and /metrics.',
  ),

  log: section(
    {
      blockBytes: whole(262_144, 1_073_741_824, 16_777_216, 'Size of one clog block file.'),
      diskBytesMax: whole(
        1_048_576,
        1_099_511_627_776,
        8_589_934_592,
        'Clog a tenant may keep on disk; writes stop above it.',
        true,
      ),
      keepAliveMs: whole(10, 60_000, 500, 'An idle primary advances its SCN this often.'),
    },
    'The commit log.',
  ),

  tenant: section(
    {
      workerThreads: whole(1, 64, 2, 'Threads that run SQLite; tenants are pinned to one.'),
      checkpointWalBytes: whole(
        65_536,
        1_073_741_824,
        4_194_304,
        'A checkpoint starts when the WAL is this long.',
      ),
      checkpointIntervalMs: whole(
        100,
        3_600_000,
        30_000,
        'And at least this often, if anything was written.',
      ),
      pageBytes: z
        .union([512, 1024, 2048, 4096, 8192, 16_384, 32_768, 65_536].map(size => z.literal(size)))
        .default(4096)
        .register(notes, {
          description: 'SQLite page size of new tenants: a power of two from 512 to 65536.',
        }),
    },
    'The SQLite engine.',
  ),

  archive: section(
    {
      lagTargetMs: whole(10, 7_200_000, 1000, 'How far the archive may be behind by default.'),
    },
    'Log archiving.',
  ),

  role: section(
    {
      restartFencing: z.enum(['strict', 'off']).default('strict').register(notes, {
        description:
          'strict: a restarted primary takes writes only after its standbys or its archive confirmed that nobody was promoted. off: it trusts itself.',
      }),
      drainMs: whole(10, 600_000, 5000, 'How long a switchover lets running transactions finish.', true),
      catchUpMs: whole(
        100,
        3_600_000,
        30_000,
        'How long a switchover waits for the standby to catch up.',
        true,
      ),
      probeMs: whole(50, 60_000, 2000, 'How long a failover tries to reach the primary.', true),
    },
    'Role changes.',
  ),

  logLevel: z
    .enum(['debug', 'info', 'warn', 'error', 'silent'])
    .default('info')
    .register(notes, { description: 'What goes to standard error, as JSON lines.', reloadable: true }),
});

export type ServerConfig = z.output<typeof configSchema>;

/** Every key of the schema, sections before their keys, in the order of the file. */
export const configKeys = (): ConfigKey[] => keysOf(configSchema.shape);
