/**
 * Mistakes that the explorer must find, so that it is known to look. Each names the invariants that may notice
 * it first, and bounds within which one of them must.
 */
import { must } from '../../../src/base/assert.ts';
import { arbitrationMutants } from '../group/arbitration-mutants.ts';
import type { Mutant, TextChange } from '../mutation.ts';

interface ExplorerMutant {
  readonly mistake: string;
  readonly changes: readonly TextChange[];
  readonly options: readonly string[];
  readonly caughtBy: RegExp;
}

const changesOf = (mistake: string): readonly TextChange[] =>
  must(
    arbitrationMutants.find((mutant: Mutant) => mutant.mistake === mistake),
    mistake,
  ).changes;

const known = (mistake: string, caughtBy: RegExp, ...options: readonly string[]): ExplorerMutant => ({
  mistake,
  changes: changesOf(mistake),
  options,
  caughtBy,
});

export const explorerMutants: readonly ExplorerMutant[] = [
  known('the arbiter acknowledges log, and is counted for it', /A1/, '--crashes', '0'),
  known('the arbiter is counted in the quorum of the log', /L[134]/, '--crashes', '1'),
  known('a replica is taken back before it has the log', /A5|L3/, '--crashes', '1'),
  known('the arbiter votes for who does not know that it is degraded', /A[34]|L[13]/, '--crashes', '2'),
  known('a restarted arbiter is not silent', /E2/, '--crashes', '1', '--writes', '0', '--losses', '3'),
  known('the arbiter promises before it is durable', /E5/, '--boot', '--crashes', '0'),
  known(
    'two sides degrade: the arbiter need not take the record',
    /A[34]|E2|L[134]/,
    '--crashes',
    '1',
    '--partings',
    '1',
  ),
  {
    mistake: 'a member that lives is degraded while it is not known whether it takes part',
    changes: [
      [
        'palf/arbitration.ts',
        "return leadership.isSound(node) ? 'alive' : 'unknown';",
        "return leadership.isSound(node) ? 'alive' : 'dead';",
      ],
    ],
    options: ['--crashes', '1'],
    caughtBy: /A2/,
  },
];
