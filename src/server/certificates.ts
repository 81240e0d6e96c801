/**
 * The certificates and keys that the configuration names, read and tried before anything is opened: a bad one is a
 * problem of the configuration, told by its key.
 */
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { ClientTls, ServerTls } from '../platform/net.ts';
import { invalidConfig } from './config.ts';
import type { ServerConfig } from './config-schema.ts';

export interface Certificates {
  /** null: no TLS at that door */
  readonly sql: ServerTls | null;
  readonly peer: ServerTls | null;
  /** towards other sites */
  readonly peerClient: ClientTls | null;
}

/** Throws OBS_CONFIG_INVALID with every file that cannot be read or used. */
export function readCertificates({ sql, peer }: Pick<ServerConfig, 'sql' | 'peer'>): Certificates {
  const problems: string[] = [];
  const read = (key: string, path: string | null): string | undefined => {
    if (path === null) return undefined;
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      problems.push(`${key}: cannot read ${path}: ${(error as NodeJS.ErrnoException).code ?? 'unknown'}`);
      return undefined;
    }
  };
  const serverTls = (door: string, files: Record<'tlsCertFile' | 'tlsKeyFile', string | null>) => {
    const certificate = read(`${door}.tlsCertFile`, files.tlsCertFile);
    const key = read(`${door}.tlsKeyFile`, files.tlsKeyFile);
    if (certificate === undefined || key === undefined) return null;
    try {
      createSecureContext({ cert: certificate, key });
    } catch {
      // The library's words may quote the file; the key stays unsaid.
      problems.push(`${door}.tlsCertFile, ${door}.tlsKeyFile: are no PEM certificate with its private key`);
    }
    return { certificate, key };
  };
  const authorities = read('peer.tlsCaFile', peer.tlsCaFile);
  const trusted = authorities === undefined ? {} : { authorities };
  const peerTls = serverTls('peer', peer);
  const certificates: Certificates = {
    sql: serverTls('sql', sql),
    peer: peerTls === null ? null : { ...peerTls, ...trusted },
    peerClient: peerTls === null ? null : trusted,
  };
  if (problems.length > 0) throw invalidConfig(problems);
  return certificates;
}
