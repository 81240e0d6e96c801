/**
 * The newest durable log in memory, so that whoever follows closely reads no disk. Bounded in bytes; an idle stream keeps
 * a few KiB. Holds whole groups, oldest first, without a gap.
 *
 * Must never: keep a large buffer alive for a little group in it, such as what a socket read at once or what a process shares
 * among its little buffers. Those are copied to memory of this stream.
 */
import { must } from '../base/assert.ts';
import { tailBytesIdle, tailBytesMax, tailKeepMs } from '../base/limits.ts';
import type { LogChunk } from '../base/log-access.ts';
import type { Lsn, MonoMs } from '../base/scalars.ts';
import type { ClosedGroup } from '../codec/group-builder.ts';

interface TailGroup {
  readonly group: ClosedGroup;
  readonly at: MonoMs;
}

/** Dead slots at the front are dropped when there are this many of them, and they are half of all. */
const compactAt = 256;
/** Memory for little groups is made in pieces of this size. */
const slabBytes = 4_096;

export class LogTail {
  #groups: (TailGroup | undefined)[] = [];
  #head = 0;
  #bytes = 0;
  /** what is left of the newest slab */
  #slab = new Uint8Array(0);

  push(groups: readonly ClosedGroup[], now: MonoMs): void {
    for (const group of groups) {
      this.#groups.push({ group: this.#own(group), at: now });
      this.#bytes += group.bytes.length;
    }
    const isTooOld = (oldest: TailGroup) => this.#bytes > tailBytesIdle && now - oldest.at > tailKeepMs;
    for (let oldest = this.#groups[this.#head]; oldest !== undefined; oldest = this.#groups[this.#head]) {
      if (this.#bytes <= tailBytesMax && !isTooOld(oldest)) break;
      this.#bytes -= oldest.group.bytes.length;
      this.#groups[this.#head] = undefined;
      this.#head += 1;
    }
    const isHalfDead = this.#head >= compactAt && this.#head * 2 >= this.#groups.length;
    if (isHalfDead || this.#head === this.#groups.length) {
      this.#groups = this.#groups.slice(this.#head);
      this.#head = 0;
    }
  }

  /** The group, in memory that ends with the groups around it. */
  #own(group: ClosedGroup): ClosedGroup {
    const { bytes } = group;
    if (bytes.length > slabBytes || bytes.buffer.byteLength <= 2 * bytes.length) return group;
    if (this.#slab.length < bytes.length) this.#slab = new Uint8Array(slabBytes);
    const own = this.#slab.subarray(0, bytes.length);
    own.set(bytes);
    this.#slab = this.#slab.subarray(bytes.length);
    return { ...group, bytes: own };
  }

  /** Forgets what lies behind `to`. */
  cut(to: Lsn): void {
    while (this.#groups.length > this.#head) {
      const last = must(this.#groups.at(-1), 'last group').group;
      if (last.end.lsn <= to) return;
      this.#bytes -= last.bytes.length;
      this.#groups.pop();
    }
  }

  /**
   * Groups from the one that holds byte `from` on, up to `bytesMax` (at least one group), none beyond `end`.
   * Undefined if `from` is not in memory.
   */
  read(from: Lsn, bytesMax: number, end: Lsn): LogChunk | undefined {
    const first = this.#find(from);
    if (first === undefined) return undefined;
    const { count, bytes } = this.#measure(first, bytesMax, end);
    if (count === 0) return undefined;
    const { start, ...only } = this.#at(first);
    if (count === 1) return { start, end: only.end, bytes: only.bytes };
    const joined = new Uint8Array(bytes);
    let offset = 0;
    for (let index = first; index < first + count; index++) {
      const group = this.#at(index);
      joined.set(group.bytes, offset);
      offset += group.bytes.length;
    }
    return { start, end: this.#at(first + count - 1).end, bytes: joined };
  }

  /** As `read`, the groups themselves. */
  groups(from: Lsn, bytesMax: number, end: Lsn): readonly ClosedGroup[] | undefined {
    const first = this.#find(from);
    if (first === undefined) return undefined;
    const { count } = this.#measure(first, bytesMax, end);
    if (count === 0) return undefined;
    return Array.from({ length: count }, (_, index) => this.#at(first + index));
  }

  #measure(first: number, bytesMax: number, end: Lsn): { count: number; bytes: number } {
    let count = 0;
    let bytes = 0;
    for (let index = first; index < this.#groups.length; index++) {
      const group = this.#at(index);
      if (group.end.lsn > end || (count > 0 && bytes + group.bytes.length > bytesMax)) break;
      count += 1;
      bytes += group.bytes.length;
    }
    return { count, bytes };
  }

  #at(index: number): ClosedGroup {
    return must(this.#groups[index], 'tail group').group;
  }

  /** Index of the group that holds byte `from`. */
  #find(from: Lsn): number | undefined {
    let low = this.#head;
    let high = this.#groups.length - 1;
    while (low <= high) {
      const middle = (low + high) >>> 1;
      const group = this.#at(middle);
      if (from < group.start.lsn) high = middle - 1;
      else if (from >= group.end.lsn) low = middle + 1;
      else return middle;
    }
    return undefined;
  }
}
