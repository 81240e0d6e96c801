/**
 * How the demo's two sites are joined: over TCP, or over an archive alone (a directory, or an S3 bucket that the demo
 * makes). The steps of a role change differ: over TCP one command drives both sites, over an archive each site runs its half.
 */
import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { ObError } from '../../base/errors.ts';
import type { LocalCluster } from '../../client/local-cluster.ts';

export type TransportKind = 'tcp' | 'file' | 's3';

export interface DemoTransport {
  readonly kind: TransportKind;
  /** before the standby exists: what the primary must do */
  preparePrimary(primary: LocalCluster): Promise<void>;
  createStandby(standby: LocalCluster, primary: LocalCluster): Promise<void>;
  switchover(from: LocalCluster, to: LocalCluster): Promise<void>;
}

export interface TransportOptions {
  readonly kind: TransportKind;
  readonly tenant: string;
  readonly password: string;
  readonly directory: string;
  readonly progress: (report: {
    step: string;
    site: string;
    state: 'planned' | 'running' | 'done' | 'failed';
    detail: string;
    ms: number;
  }) => void;
}

export function createTransport(options: TransportOptions): DemoTransport {
  return options.kind === 'tcp' ? tcpTransport(options) : archiveTransport(options);
}

function tcpTransport({ tenant, password, progress }: TransportOptions): DemoTransport {
  return {
    kind: 'tcp',
    async preparePrimary() {},
    async createStandby(standby, primary) {
      const source = `SERVICE=${primary.peerAddresses} USER=root@${tenant} PASSWORD=${password}`;
      await standby.call('standby-create', { name: tenant, source }, progress);
    },
    async switchover(_from, to) {
      await to.call('switchover', { name: tenant }, progress);
    },
  };
}

function archiveTransport({ kind, tenant, directory, progress }: TransportOptions): DemoTransport {
  const uri = kind === 'file' ? `file://${join(directory, 'archive')}?create=true` : s3Uri();
  const dest = `LOCATION=${uri}`;
  return {
    kind,
    async preparePrimary(primary) {
      await primary.call('archive-dest', { name: tenant, dest });
      await primary.call('archive-start', { name: tenant });
      await primary.call('backup', { name: tenant }, progress);
    },
    async createStandby(standby) {
      await standby.call('standby-create', { name: tenant, source: `LOCATION=${uri}` }, progress);
      // Takes effect when this site is primary: it goes on in the same chain.
      await standby.call('archive-dest', { name: tenant, dest });
      await standby.call('archive-start', { name: tenant });
    },
    async switchover(from, to) {
      await from.call('switchover-to-standby', { name: tenant }, progress);
      await to.call('switchover-to-primary', { name: tenant }, progress);
      await from.call('standby-source', { name: tenant, source: `LOCATION=${uri}` });
    },
  };
}

/** The endpoint and keys are AWS's standard variables, which the servers inherit. */
function s3Uri(): string {
  if (process.env['AWS_ACCESS_KEY_ID'] === undefined) {
    throw new ObError('OBS_CLI_USAGE', {
      what: '--archive s3 needs AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and, for other stores than AWS, AWS_ENDPOINT_URL_S3',
    });
  }
  return `s3://obstandby-demo-${randomUUID().slice(0, 8)}/demo?create=true`;
}
