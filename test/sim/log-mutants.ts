/** Mistakes of logs with one member, for the simulation of two sites. */
import type { Mutant } from './mutation.ts';

export const logMutants: readonly Mutant[] = [
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
      ['palf/leader-requests.ts', 'if (cut.lsn < base) return', 'if (cut.lsn < 0) return'],
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
        'if (!rest.isZero && !(await hasHole(store, walk.end)))',
        'if (rest.isZero && !(await hasHole(store, walk.end)))',
      ],
      ['logstream/log-scanner.ts', 'if (rest.provenBy !== undefined)', 'if (rest.provenBy === lsn(1))'],
      ['logstream/log-scanner.ts', 'if (blockId < last) return', 'if (blockId < 0) return'],
    ],
    caughtBy: /L5|L8|S1|damaged|missing|invariant broken/,
  },
  {
    mistake: 'lets a mode act before it is durable',
    changes: [
      [
        'palf/view.ts',
        'const governing = leadership?.agreed ?? meta.durable.config;',
        'const governing = meta.wanted.config;',
      ],
    ],
    caughtBy: /M2/,
  },
  {
    mistake: 'recycles above the base',
    changes: [['logstream/log-room.ts', 'end > this.holds.lowest(base.lsn) || end', 'end']],
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
    changes: [
      ['logstream/recovery.ts', 'await store.sync(meta.base.lsn, end.lsn);', ''],
      ['logstream/recovery.ts', 'await store.rewrite(end.lsn, scan.last);', ''],
    ],
    caughtBy: /L4|L5|L8/,
  },
  {
    mistake: 'trusts a sync after a write that failed',
    changes: [['logstream/recovery.ts', 'await store.rewrite(end.lsn, scan.last);', '']],
    caughtBy: /L4|L5|L8/,
  },
  {
    mistake: 'keeps another site’s committed end in raw groups',
    fromSeed: 135,
    changes: [
      ['palf/window.ts', 'adoptGroup(group, committedEnd)', 'group.bytes.slice()'],
      [
        'palf/window.ts',
        'committedEndOf(group.bytes) <= first.start.lsn',
        'committedEndOf(group.bytes) >= 0',
      ],
    ],
    caughtBy: /CORRUPT/,
  },
  {
    mistake: 'forgets the eras of a snapshot’s source',
    fromSeed: 480,
    changes: [['logstream/log-stream-options.ts', 'history: options.initialHistory ?? []', 'history: []']],
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
