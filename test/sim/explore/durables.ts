/**
 * What nodes have made durable, numbered: a replica's image and log, an arbiter's image. Says what a write makes of it, and what a
 * process that starts finds.
 */
import type { LogPosition, ProposalEra } from '../../../src/base/log-access.ts';
import { type Lsn, lsn } from '../../../src/base/scalars.ts';
import type { ArbiterImage } from '../../../src/codec/arbiter-image.ts';
import { committedEndOf } from '../../../src/codec/clog.ts';
import type { ConfigVersion } from '../../../src/base/log-access.ts';
import type { ClosedGroup } from '../../../src/codec/group-builder.ts';
import type { MetaImage } from '../../../src/codec/meta-image.ts';
import type { LogReadResult, PalfInput } from '../../../src/palf/inputs.ts';
import { extendHistory } from '../../../src/palf/proposal-history.ts';
import { must } from '../../../src/base/assert.ts';
import { Interned, textOf } from './site.ts';
import { arbiterAt, nodes } from './trio.ts';

interface Platter {
  readonly meta: MetaImage;
  readonly groups: readonly ClosedGroup[];
}

interface Facts {
  readonly promised: number;
  readonly version: ConfigVersion | undefined;
  readonly end: Lsn;
}

export class Durables {
  readonly #platters = new Interned<Platter>();
  readonly #images = new Interned<ArbiterImage>();
  readonly #positions: string[][] = [];

  take(platter: Platter): number {
    return this.#platters.number(textOf(platter), () => platter);
  }

  takeImage(image: ArbiterImage): number {
    return this.#images.number(textOf(image), () => image);
  }

  image(number: number): ArbiterImage {
    return this.#images.get(number);
  }

  text(node: number, number: number): string {
    return (node === arbiterAt ? this.#images : this.#platters).text(number);
  }

  facts(node: number, number: number): Facts {
    if (node === arbiterAt) {
      const { promised, config } = this.#images.get(number);
      return { promised, version: config?.version, end: lsn(0) };
    }
    const { meta, groups } = this.#platters.get(number);
    return {
      promised: meta.promised,
      version: meta.config.version,
      end: groups.at(-1)?.end.lsn ?? meta.base.lsn,
    };
  }

  /** In a replica's record. */
  isMember(number: number, self: string): boolean {
    return this.#platters.get(number).meta.config.members.some(each => each === self);
  }

  /** Where a replica's log can be cut, as "lsn#checksum". */
  positions(number: number): readonly string[] {
    let known = this.#positions[number];
    if (known === undefined) {
      const { meta, groups } = this.#platters.get(number);
      known = [meta.base, ...groups.map(({ end }) => end)].map(nameOf);
      this.#positions[number] = known;
    }
    return known;
  }

  // --- writes ---

  withMeta(number: number, meta: MetaImage): number {
    return this.take({ ...this.#platters.get(number), meta });
  }

  withGroups(number: number, groups: readonly ClosedGroup[]): number {
    const platter = this.#platters.get(number);
    return this.take({ ...platter, groups: [...platter.groups, ...groups] });
  }

  cutTo(number: number, to: Lsn): number {
    const platter = this.#platters.get(number);
    return this.take({ ...platter, groups: platter.groups.filter(({ end }) => end.lsn <= to) });
  }

  /** When a write of this kind that was to make `written` of what was durable then is done. */
  after(node: number, durable: number, kind: string, written: number): number {
    if (node === arbiterAt) return written;
    const now = this.#platters.get(durable);
    const { meta, groups } = this.#platters.get(written);
    return this.take(kind === 'persistMeta' ? { ...now, meta } : { ...now, groups });
  }

  // --- recovery ---

  /** A cut that was decided is finished before anything else. */
  recovered(node: number, number: number): number {
    if (node === arbiterAt) return number;
    const { truncateTo } = this.#platters.get(number).meta;
    return truncateTo === null ? number : this.cutTo(number, truncateTo.lsn);
  }

  /** What recovery finds. */
  bootOf(number: number, node: number): PalfInput {
    const { meta, groups } = this.#platters.get(number);
    let history: readonly ProposalEra[] = meta.history.filter(era => era.startLsn < meta.base.lsn);
    let proven = meta.base.lsn;
    for (const group of groups) {
      history = extendHistory(history, group.proposalId, group.start.lsn);
      proven = lsn(Math.max(proven, committedEndOf(group.bytes)));
    }
    const ends = [meta.base, ...groups.map(({ end }) => end)];
    const committed = ends.filter(end => end.lsn <= proven).at(-1) ?? meta.base;
    return {
      kind: 'boot',
      self: must(nodes[node], 'node'),
      meta,
      end: ends.at(-1) ?? meta.base,
      history,
      committed,
      tail: ends.filter(end => end.lsn > committed.lsn),
      corrupt: false,
    };
  }

  read(number: number, from: Lsn, to: Lsn): LogReadResult {
    const { groups } = this.#platters.get(number);
    const found = groups.filter(group => group.start.lsn >= from && group.end.lsn <= to);
    const first = found[0];
    return first?.start.lsn === from
      ? { kind: 'groups', start: first.start, groups: found }
      : { kind: 'failed' };
  }
}

const nameOf = ({ lsn: at, checksum }: LogPosition): string => `${at}#${checksum}`;
