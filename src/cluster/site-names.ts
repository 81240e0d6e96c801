/**
 * What the sites of other clusters call themselves: learned at every login, in either direction, and told to people beside
 * the ids that decide. Never decides anything: two clusters may have one name.
 */
import { siteNamesMax } from '../base/limits.ts';

export class SiteNames {
  readonly #names = new Map<string, string>();

  /** `cluster` is the configured name of the cluster that `site` belongs to. The sites heard longest ago are forgotten. */
  learn(site: string, cluster: string): void {
    this.#names.delete(site);
    this.#names.set(site, cluster);
    const [oldest] = this.#names.keys();
    if (this.#names.size > siteNamesMax && oldest !== undefined) this.#names.delete(oldest);
  }

  /** Site id to cluster name. */
  all(): Readonly<Record<string, string>> {
    return Object.fromEntries(this.#names);
  }
}
