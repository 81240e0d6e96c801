/**
 * The certificates and keys that the configuration names, read and tried before anything is opened: a bad one is a
 * problem of the configuration, told by its key.
 */
import { readFileSync } from 'node:fs';
import { createSecureContext } from 'node:tls';
import type { ClientTls, ServerTls } from '../platform/net.ts';
import { invalidConfig } from './config-file.ts';
import type { ServerConfig } from './config-schema.ts';

export interface Certificates {
  /** null: no TLS at that door */
  readonly sql: ServerTls | null;
  readonly peer: ServerTls | null;
  /** towards other sites */
  readonly peerClient: ClientTls | null;
  /** between the servers of the cluster */
  readonly cluster: { readonly server: ServerTls; readonly client: ClientTls } | null;
}

type TlsFiles = Readonly<Record<'tlsCertFile' | 'tlsKeyFile', string | null>>;
type TlsDoor = TlsFiles & { readonly tlsCaFile: string | null };

/** Throws OBS_CONFIG_INVALID with every file that cannot be read or used. */
export function readCertificates({
  sql,
  peer,
  cluster,
}: Pick<ServerConfig, 'sql' | 'peer' | 'cluster'>): Certificates {
  const files = new CertificateFiles();
  const peerTls = files.bothEnds('peer', peer);
  const certificates: Certificates = {
    sql: files.serverEnd('sql', sql),
    peer: peerTls?.server ?? null,
    peerClient: peerTls?.client ?? null,
    cluster: files.bothEnds('cluster', cluster),
  };
  files.finish();
  return certificates;
}

/** The same of an arbiter's one door. */
export function readDoorCertificates(door: string, listen: TlsDoor): Certificates['cluster'] {
  const files = new CertificateFiles();
  const tls = files.bothEnds(door, listen);
  files.finish();
  return tls;
}

class CertificateFiles {
  readonly #problems: string[] = [];

  serverEnd(door: string, { tlsCertFile, tlsKeyFile }: TlsFiles): ServerTls | null {
    const certificate = this.#read(`${door}.tlsCertFile`, tlsCertFile);
    const key = this.#read(`${door}.tlsKeyFile`, tlsKeyFile);
    if (certificate === undefined || key === undefined) return null;
    try {
      createSecureContext({ cert: certificate, key });
    } catch {
      // The library's words may quote the file; the key stays unsaid.
      this.#problems.push(
        `${door}.tlsCertFile, ${door}.tlsKeyFile: are no PEM certificate with its private key`,
      );
    }
    return { certificate, key };
  }

  /** Both ends of what connects servers: each shows its certificate where authorities are asked about it. */
  bothEnds(door: string, files: TlsDoor): Certificates['cluster'] {
    const own = this.serverEnd(door, files);
    const authorities = this.#read(`${door}.tlsCaFile`, files.tlsCaFile);
    const trusted = authorities === undefined ? {} : { authorities };
    return own === null ? null : { server: { ...own, ...trusted }, client: { own, ...trusted } };
  }

  /** Throws OBS_CONFIG_INVALID. */
  finish(): void {
    if (this.#problems.length > 0) throw invalidConfig(this.#problems);
  }

  #read(key: string, path: string | null): string | undefined {
    if (path === null) return undefined;
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      const why = (error as NodeJS.ErrnoException).code ?? 'unknown';
      this.#problems.push(`${key}: cannot read ${path}: ${why}`);
      return undefined;
    }
  }
}
