/** Known mistakes put back into a copy of the sources: the simulation must find each of them. */
import { execFile } from 'node:child_process';
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';

interface Mutant {
  readonly mistake: string;
  /** file below src, the text that is right, the mistake in its place */
  readonly changes: readonly (readonly [string, string, string])[];
  /** where to begin, for mistakes that few seeds meet: a little before one that does */
  readonly fromSeed?: number;
  /** what the first failure says */
  readonly caughtBy: RegExp;
}

const mutants: readonly Mutant[] = [
  {
    mistake: 'acknowledges before the flush',
    changes: [
      [
        'logstream/block-store.ts',
        'await block.file.writeDurable(position, parts);',
        'block.file.writeDurable(position, parts).catch(() => {});',
      ],
    ],
    caughtBy: /L4|L8/,
  },
  {
    mistake: 'cuts the log below what the database holds',
    changes: [
      ['palf/core.ts', 'if (cut.lsn < checkpointLsn) return', 'if (cut.lsn < 0) return'],
      ['logstream/log-stream.ts', 'if (base.scn > to) throw', 'if (base.scn < 0) throw'],
    ],
    caughtBy: /L7|L2/,
  },
  {
    mistake: 'takes entries in RAW_WRITE',
    changes: [
      [
        'palf/access-mode.ts',
        "takesEntries = (mode: AccessMode): boolean => mode === 'APPEND'",
        "takesEntries = (mode: AccessMode): boolean => mode === 'APPEND' || mode === 'RAW_WRITE'",
      ],
    ],
    caughtBy: /M1|DIVERGED/,
  },
  {
    mistake: 'accepts a torn tail',
    changes: [
      ['codec/clog.ts', 'if (expected !== header.checksum)', 'if (expected !== header.checksum && false)'],
    ],
    caughtBy: /L1|L4|L6|S1|S3|without its beginning|malformed|damaged|cannot read/,
  },
  {
    mistake: 'takes damage for "never had"',
    changes: [
      [
        'logstream/log-scanner.ts',
        'if (!rest.isZero && !(await hasHole(store, end)))',
        'if (rest.isZero && !(await hasHole(store, end)))',
      ],
      ['logstream/log-scanner.ts', 'if (rest.provenBy !== undefined)', 'if (rest.provenBy === lsn(1))'],
      ['logstream/log-scanner.ts', 'if (blockId < last)\n', 'if (blockId < 0)\n'],
    ],
    caughtBy: /L5|L8|S1|damaged|missing|invariant broken/,
  },
  {
    mistake: 'lets a mode act before it is durable',
    changes: [
      [
        'palf/core.ts',
        'accessMode: meta.accessMode,\n      modeVersion: meta.modeVersion,\n      modeChanging',
        "accessMode: must(this.#wanted, 'w').accessMode,\n      modeVersion: must(this.#wanted, 'w').modeVersion,\n      modeChanging",
      ],
    ],
    caughtBy: /M2/,
  },
  {
    mistake: 'recycles above the base',
    changes: [['logstream/log-stream.ts', 'end > this.#holds.lowest(base.lsn) || end', 'end']],
    caughtBy: /L7|RECYCLED/,
  },
  {
    mistake: 'keeps the padding of a history that was cut',
    changes: [['logstream/block-reader.ts', 'if (!group.header.padding || position.lsn <= kept) cut', 'cut']],
    caughtBy: /L2|L1|DIVERGED/,
  },
  {
    mistake: 'forgets a cut that a crash interrupted',
    fromSeed: 600,
    changes: [
      ['logstream/recovery.ts', 'if (meta.truncateTo !== null) await store.truncate(meta.truncateTo);', ''],
    ],
    caughtBy: /CORRUPT|M3|L1|S1|invariant broken/,
  },
  {
    mistake: 'trusts the page cache after a killed process',
    changes: [['logstream/recovery.ts', 'await store.sync(end.lsn);', '']],
    caughtBy: /L4|L5|L8/,
  },
  {
    mistake: 'keeps another site’s committed end in raw groups',
    fromSeed: 135,
    changes: [['palf/window.ts', 'adoptGroup(group, committedEnd)', 'group.bytes.slice()']],
    caughtBy: /CORRUPT/,
  },
  {
    mistake: 'forgets the eras of a snapshot’s source',
    fromSeed: 480,
    changes: [['logstream/log-stream.ts', 'history: options.initialHistory ?? []', 'history: []']],
    caughtBy: /DIVERGED/,
  },
  {
    mistake: 'overwrites the only good meta copy first',
    changes: [
      [
        'logstream/meta-file.ts',
        'await file.writeDurable(copy * metaImageBytesMax, [bytes]);',
        'if (copy === 0) await file.writeDurable(0, [bytes, bytes]);',
      ],
    ],
    caughtBy: /meta image|M2|CORRUPT/,
  },
];

const repository = join(import.meta.dirname, '../..');

test.for(mutants)('the simulation finds a log that $mistake', { timeout: 300_000 }, async mutant => {
  const place = mkdtempSync(join(tmpdir(), 'obstandby-mutant-'));
  try {
    for (const folder of ['base', 'codec', 'platform', 'palf', 'logstream'])
      cpSync(join(repository, 'src', folder), join(place, 'src', folder), { recursive: true });
    for (const folder of ['sim', 'support/sim'])
      cpSync(join(repository, 'test', folder), join(place, 'test', folder), { recursive: true });
    cpSync(join(repository, 'package.json'), join(place, 'package.json'));
    symlinkSync(join(repository, 'node_modules'), join(place, 'node_modules'));
    for (const [file, right, wrong] of mutant.changes) {
      const path = join(place, 'src', file);
      const text = readFileSync(path, 'utf8');
      expect(text.split(right).length, `${file} has the line to change once`).toBe(2);
      writeFileSync(
        path,
        text.replace(right, () => wrong),
      );
    }
    const output = await simulate(place, mutant.fromSeed ?? 1);
    expect(output).toMatch(/seed \d+ FAILED/);
    expect(output.slice(output.indexOf('FAILED'), output.indexOf('replay:'))).toMatch(mutant.caughtBy);
  } finally {
    rmSync(place, { recursive: true, force: true });
  }
});

/** Output of seeds run until one fails. */
const simulate = (place: string, from: number): Promise<string> =>
  new Promise(resolve => {
    const options = ['test/sim/run.ts', '--seeds', `${from}..${from + 2_000}`, '--until-failure'];
    execFile(process.execPath, options, { cwd: place }, (_, stdout, stderr) => resolve(stdout + stderr));
  });
