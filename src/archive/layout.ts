/**
 * Where things lie in an archive. A tenant's directory is named after its incarnation, which is the same on every site
 * for ever, so that sites that call the tenant differently still meet in one chain.
 *
 *     tenants/<name>/<incarnation>                     pointer for people and for readers that know only a name
 *     tenant-<incarnation>/format                      what this directory is
 *     tenant-<incarnation>/head                        hint: number of a recent manifest
 *     tenant-<incarnation>/manifest/<20 digits>        the chain
 *     tenant-<incarnation>/round-…/piece-…/stream-…/<start LSN>-<end LSN>.<hash>   segments
 *     tenant-<incarnation>/backup/<start SCN>-<nonce>/{record,piece-…}             base backups
 *
 * Segment and backup piece names carry a hash of their content: writing one twice, or late, writes the same bytes.
 */
import { assert } from '../base/assert.ts';
import type { LogStreamId, Lsn, Scn } from '../base/scalars.ts';

const digits = (value: number, width: number): string => {
  const text = String(value);
  assert(Number.isSafeInteger(value) && value >= 0 && text.length <= width, 'a number fits its name');
  return text.padStart(width, '0');
};

/** Any text as a part of a key: what is not `[A-Za-z0-9._-]` becomes `=XX` per UTF-8 byte. */
export const keyPart = (text: string): string => {
  assert(text !== '', 'a part of a key is not empty');
  return [...new TextEncoder().encode(text)]
    .map(byte => {
      const character = String.fromCharCode(byte);
      return /[A-Za-z0-9_-]/.test(character) ? character : `=${digits16(byte)}`;
    })
    .join('');
};

const digits16 = (byte: number): string => byte.toString(16).toUpperCase().padStart(2, '0');

/** The text that `keyPart` made this of. */
export const keyPartText = (part: string): string => {
  const bytes: number[] = [];
  for (let at = 0; at < part.length; at += 1) {
    if (part[at] === '=') {
      bytes.push(Number.parseInt(part.slice(at + 1, at + 3), 16) & 0xff);
      at += 2;
    } else bytes.push(part.charCodeAt(at));
  }
  return new TextDecoder().decode(Uint8Array.from(bytes));
};

export const tenantsPrefix = 'tenants/';
export const tenantPointerKey = (name: string, incarnation: string): string =>
  `${tenantsPrefix}${keyPart(name)}/${keyPart(incarnation)}`;

/** Keys of one tenant's archive. */
export class TenantLayout {
  readonly directory: string;

  constructor(incarnation: string) {
    this.directory = `tenant-${keyPart(incarnation)}/`;
  }

  get format(): string {
    return `${this.directory}format`;
  }

  get head(): string {
    return `${this.directory}head`;
  }

  manifest(number: number): string {
    assert(number >= 1, 'manifests are numbered from 1');
    return `${this.directory}manifest/${digits(number, 20)}`;
  }

  segment(where: {
    roundId: number;
    pieceId: number;
    stream: LogStreamId;
    start: Lsn;
    end: Lsn;
    sha256: string;
  }): string {
    const piece = `round-${digits(where.roundId, 6)}/piece-${digits(where.pieceId, 6)}/stream-${where.stream}`;
    const range = `${digits(where.start, 16)}-${digits(where.end, 16)}`;
    return `${this.directory}${piece}/${range}.${where.sha256.slice(0, 16)}`;
  }

  get backups(): string {
    return `${this.directory}backup/`;
  }

  backupId(startScn: Scn, nonce: string): string {
    return `${digits(startScn, 16)}-${nonce.slice(0, 8)}`;
  }

  backupRecord(id: string): string {
    return `${this.backups}${keyPart(id)}/record`;
  }

  backupPiece(id: string, index: number, sha256: string): string {
    return `${this.backups}${keyPart(id)}/piece-${digits(index, 7)}.${sha256.slice(0, 16)}`;
  }
}
