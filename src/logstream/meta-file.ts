/**
 * The file of a log stream's meta image: two copies at fixed places, written one after the other, so that a crash can
 * hurt at most one and the other is good. Two bad copies are corruption, never "no meta yet" (L10).
 *
 * An image is in both copies before anybody acts on it, also one that is found after a crash: the copy that is behind
 * would else be what is left when the other one is hurt, and what was promised since would be forgotten (E5).
 */
import { metaImageBytesMax } from '../base/limits.ts';
import { isProblem } from '../codec/clog.ts';
import { type DecodedMeta, decodeMeta, encodeMeta, type MetaImage } from '../codec/meta-image.ts';
import type { Disk, DiskFile } from '../platform/disk.ts';

export const metaCopies = 2;
const copies = [0, 1];
const metaFileName = 'meta';

export type FoundMeta =
  | { readonly kind: 'found'; readonly image: MetaImage }
  /** never written, or a crash came before the first image was whole */
  | { readonly kind: 'blank' }
  /** written by a newer program, at least in one copy */
  | { readonly kind: 'newer'; readonly version: number }
  | { readonly kind: 'corrupt'; readonly what: string };

export class MetaFile {
  readonly #disk: Disk;
  readonly #path: string;
  #sequence = 0;

  constructor(disk: Disk, directory: string) {
    this.#disk = disk;
    this.#path = `${directory}/${metaFileName}`;
  }

  /** The newest good copy; the other one is made good. Call once, before `write`. */
  async read(): Promise<FoundMeta> {
    const bytes = await this.#disk.readFile(this.#path);
    if (bytes === undefined) return { kind: 'blank' };
    const found: { readonly copy: number; readonly meta: DecodedMeta }[] = [];
    let what = 'the file is empty';
    for (let copy = 0; copy < metaCopies; copy++) {
      const meta = decodeMeta(bytes.subarray(copy * metaImageBytesMax, (copy + 1) * metaImageBytesMax));
      if (meta.kind === 'newer-meta') return { kind: 'newer', version: meta.version };
      if (isProblem(meta)) what = meta.what;
      else found.push({ copy, meta });
    }
    const newest = found.map(({ meta }) => meta).sort((a, b) => b.sequence - a.sequence)[0];
    if (newest === undefined) {
      const secondCopy = bytes.subarray(metaImageBytesMax);
      return secondCopy.every(byte => byte === 0) ? { kind: 'blank' } : { kind: 'corrupt', what };
    }
    this.#sequence = newest.sequence;
    const good = found.filter(({ meta }) => meta.sequence === newest.sequence).map(({ copy }) => copy);
    const others = copies.filter(copy => !good.includes(copy));
    // What was read may be in the page cache alone, called clean by the kernel after a write that failed. So it is written again,
    // what looks good first: at most one copy was being written then, and the other is whole whatever happens now.
    await this.#put(newest.image, [...good, ...others]);
    return { kind: 'found', image: newest.image };
  }

  /** Makes an image durable in both copies. */
  async write(image: MetaImage): Promise<void> {
    this.#sequence += 1;
    await this.#put(image, copies);
  }

  async #put(image: MetaImage, order: readonly number[]): Promise<void> {
    // Always the whole place: the file never grows, so that a full disk does not stop a write.
    const bytes = new Uint8Array(metaImageBytesMax);
    bytes.set(encodeMeta(image, this.#sequence));
    const file: DiskFile = await this.#disk.open(this.#path, { create: true });
    try {
      for (const copy of order) await file.writeDurable(copy * metaImageBytesMax, [bytes]);
    } finally {
      await file.close();
    }
  }
}
