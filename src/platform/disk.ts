/**
 * The disk port of everything durable outside SQLite: clog blocks, meta images, journals. Asynchronous, so that a
 * stalled disk is seen by the caller and not a frozen process.
 *
 * Any failed durable write poisons its file: the owner must stop the process (kind `disk`), never retry.
 */

export interface DiskFile {
  readonly path: string;
  read(position: number, length: number): Promise<Uint8Array>;
  /** Resolves when the bytes are on stable storage (O_DSYNC, or write + fdatasync). At most one at a time. */
  writeDurable(position: number, parts: readonly Uint8Array[]): Promise<void>;
  /** Ordinary write; durable only after `sync`. */
  write(position: number, bytes: Uint8Array): Promise<void>;
  sync(): Promise<void>;
  truncate(length: number): Promise<void>;
  size(): Promise<number>;
  close(): Promise<void>;
}

export interface Disk {
  /** Opens, creating with mode 0600 if asked. A created file's directory entry is durable when this resolves. */
  open(path: string, options: { create: boolean }): Promise<DiskFile>;
  readFile(path: string): Promise<Uint8Array | undefined>;
  /** tmp + fsync + rename + fsync of the directory: old or new content after any crash, never a mixture. */
  replaceFile(path: string, bytes: Uint8Array): Promise<void>;
  /** Names in a directory, sorted; empty if there is no such directory. */
  list(directory: string): Promise<string[]>;
  /** Durable removal of a file; no error if it is gone. */
  remove(path: string): Promise<void>;
  /** Durable rename inside one directory. */
  rename(from: string, to: string): Promise<void>;
  /** mkdir -p with mode 0700, durable. */
  makeDirectory(path: string): Promise<void>;
  removeDirectory(path: string): Promise<void>;
  freeBytes(path: string): Promise<number>;
}
