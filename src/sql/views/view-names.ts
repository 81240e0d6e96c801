/** Which virtual schemas a statement names, told from its words before it is rewritten. */
import type { StatementText } from '../dialect/statement-text.ts';
import { viewNames } from './view-definitions.ts';

export interface MentionedViews {
  /** `oceanbase`: the statement runs on the views; the other is part of the tenant's own schema */
  readonly kind: 'oceanbase' | 'information_schema' | null;
  /** the client has chosen that schema, so names without a qualifier may be its tables */
  readonly unqualified: boolean;
}

const nothing: MentionedViews = { kind: null, unqualified: false };

export function mentionedViews(statement: StatementText, schema: string | null): MentionedViews {
  let information = false;
  for (let at = 0; at < statement.tokens.length; at++) {
    const token = statement.tokens[at];
    if (token?.kind !== 'word' && token?.kind !== 'quoted') continue;
    const name = token.text.toLowerCase();
    const qualifies = statement.symbol(at + 1) === '.';
    if (name === 'oceanbase' && qualifies) return { kind: 'oceanbase', unqualified: schema === 'oceanbase' };
    if (name === 'information_schema' && qualifies) information = true;
    if (schema === 'oceanbase' && viewNames.has(name)) return { kind: 'oceanbase', unqualified: true };
  }
  if (information) return { kind: 'information_schema', unqualified: schema === 'information_schema' };
  return schema === 'information_schema' ? { kind: 'information_schema', unqualified: true } : nothing;
}
