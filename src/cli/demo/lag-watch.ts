/** Samples the standby's apply lag while the demo runs, shows it on a terminal, and gives its percentiles. */
import type { TenantInfo } from '../../server/entry.ts';
import type { LocalCluster } from '../../client/local-cluster.ts';

const sampleMs = 100;

export class LagWatch {
  readonly #samplesMs: number[] = [];
  readonly #show: (text: string) => void;
  readonly #tenant: string;
  #site: LocalCluster | undefined;
  #timer: NodeJS.Timeout | undefined;
  #busy = false;

  constructor(tenant: string, show: (text: string) => void) {
    this.#tenant = tenant;
    this.#show = show;
  }

  /** Watches this site, which is the standby now; undefined watches nobody. */
  watch(site: LocalCluster | undefined): void {
    this.#site = site;
    this.#timer ??= setInterval(() => this.#sample(), sampleMs);
  }

  stop(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#site = undefined;
  }

  percentiles(): { p50Ms: number; p99Ms: number } {
    const sorted = this.#samplesMs.toSorted((a, b) => a - b);
    const at = (share: number): number =>
      Math.round((sorted[Math.floor(share * (sorted.length - 1))] ?? 0) * 10) / 10;
    return { p50Ms: at(0.5), p99Ms: at(0.99) };
  }

  #sample(): void {
    const site = this.#site;
    if (site === undefined || this.#busy) return;
    this.#busy = true;
    site
      .call<TenantInfo>('tenant-show', { name: this.#tenant })
      .then(info => {
        if (info.standby === null || site !== this.#site) return;
        const { apply } = info.standby.lag;
        this.#samplesMs.push(apply.seconds * 1000);
        this.#show(
          `lag of ${site.name}: ${(apply.seconds * 1000).toFixed(0).padStart(5)} ms, ${apply.bytes} bytes`,
        );
      })
      // The site may be in the middle of a kill; the next sample says so by being there or not.
      .catch(() => {})
      .finally(() => {
        this.#busy = false;
      });
  }
}
