/**
 * Sites by the name of their cluster where it is known: people read names, the API and `--json` have the ids. A name that two
 * sites share is told apart by the first part of the id.
 */
import { ObError } from '../base/errors.ts';
import type { ServerFacts } from '../client/api-client.ts';

export type NamesOf = Pick<ServerFacts, 'siteNames'>;

/** Replaces every known site id in a text by the site's name. */
export function withSiteNames({ siteNames }: NamesOf, text: string): string {
  let named = text;
  for (const [site, name] of Object.entries(siteNames))
    named = named.replaceAll(site, nameOf(siteNames, site, name));
  return named;
}

/** The id for an id or a name. Throws OBS_CLI_USAGE for a name that several sites have. */
export function siteIdOf({ siteNames }: NamesOf, idOrName: string): string {
  const sites = Object.entries(siteNames).filter(([, name]) => name === idOrName);
  if (sites.length > 1) {
    const ids = sites.map(([site]) => site).join(', ');
    throw new ObError('OBS_CLI_USAGE', {
      what: `several sites are called '${idOrName}': name one by its id (${ids})`,
    });
  }
  return sites[0]?.[0] ?? idOrName;
}

const nameOf = (names: Readonly<Record<string, string>>, site: string, name: string): string =>
  Object.values(names).filter(other => other === name).length === 1 ? name : `${name}/${site.slice(0, 8)}`;
