/**
 * Mistakes of the consensus protocol, for the simulation of one log stream on several nodes. Each names the invariants
 * that may notice it first, and the seeds within which one of them must.
 */
import type { Mutant } from '../mutation.ts';

export const groupMutants: readonly Mutant[] = [
  // --- election ---
  {
    mistake: 'a candidate takes its own log for the best',
    changes: [['palf/candidacy.ts', 'if (isMore > 0) best =', 'if (isMore > 1e300) best =']],
    seedsMax: 200,
    caughtBy: /L3|L1|L7|L10|M[23]|K[12]|invariant broken/,
  },
  {
    mistake: 'one voter votes for two in one proposal',
    changes: [
      [
        'palf/elector.ts',
        '(proposal === promised && this.#votedFor !== from);',
        '(proposal === promised && this.#votedFor === null);',
      ],
      ['palf/elector.ts', 'lease.isBound(now, from) ||\n      order', 'order'],
    ],
    seedsMax: 300,
    caughtBy: /E1|E2|E10|E11|L[1-3]/,
  },
  {
    mistake: 'a promise is made before it is durable',
    isQuick: true,
    changes: [
      [
        'palf/elector.ts',
        'if (meta.durable.promised !== proposal || meta.sureLeaseMs < leaseMs) return;',
        'if (meta.sureLeaseMs < leaseMs) return;',
      ],
      ['palf/replica.ts', 'return this.meta.durable.promised === this.meta.wanted.promised;', 'return true;'],
    ],
    seedsMax: 50,
    caughtBy: /E5/,
  },
  {
    mistake: 'a restarted voter is not silent',
    isQuick: true,
    changes: [
      [
        'palf/replica.ts',
        'const mayHavePromised = meta.promised > 0 && !this.isSoleVoter;',
        'const mayHavePromised = false;',
      ],
    ],
    seedsMax: 50,
    caughtBy: /E4/,
  },
  {
    mistake: 'a vote goes to a candidate with an older record',
    changes: [
      ['palf/elector.ts', 'lease.isBound(now, from) ||\n      order < 0 ||', 'lease.isBound(now, from) ||'],
    ],
    seedsMax: 200,
    caughtBy: /E6/,
  },
  {
    mistake: 'a voter breaks its word for the next candidate',
    changes: [['palf/elector.ts', 'lease.isBound(now, from) ||\n      order', 'order']],
    seedsMax: 200,
    caughtBy: /E11|E2|E10/,
  },
  {
    mistake: 'a candidate that gives up frees the lease of another',
    changes: [['palf/lease.ts', 'return now < this.#until && this.#to !== node;', 'return false;']],
    seedsMax: 200,
    caughtBy: /E11|E2|E10/,
  },
  {
    mistake: 'a wiped volume keeps its vote',
    changes: [
      [
        'test/sim/group/faults.ts',
        'this.#world.addNode(node.priority);',
        'node.isGone = false;\n    this.#world.loop.after(1, () => node.boot());',
      ],
    ],
    seedsMax: 400,
    caughtBy: /L3|L10|L1|L7|E1|K[12]|invariant broken/,
  },
  {
    mistake: 'a damaged replica votes and leads',
    changes: [
      [
        'palf/replica.ts',
        "this.meta.change({ impaired: meta.impaired ?? 'damaged', mendings: meta.mendings + 1 });",
        'this.meta.change({ mendings: meta.mendings + 1 });',
      ],
    ],
    seedsMax: 1_000,
    caughtBy: /L10|L3|L1|L7|invariant broken/,
  },
  {
    mistake: 'a voter that lost log counts for whoever asks it',
    changes: [
      // Log that others do not have yet must rot often.
      ['test/sim/group/swarm.ts', 'hasRot: random.chance(1, 4)', 'hasRot: true'],
      ['test/sim/group/faults.ts', 'options.chaosMs / 3,', 'options.leaseMs,'],
      ['test/sim/group/faults.ts', 'const isTail = this.#disks.chance(1, 2);', 'const isTail = true;'],
      [
        'palf/candidacy.ts',
        'return !impaired || accepted < this.#replica.meta.durable.accepted;',
        'return !impaired || accepted <= this.#replica.meta.durable.accepted;',
      ],
      [
        'palf/elector.ts',
        'if (meta.wanted.impaired !== null && standing.accepted <= meta.wanted.accepted) return;',
        '',
      ],
    ],
    seedsMax: 1_000,
    caughtBy: /L3|L1|L10|L7|K2|invariant broken/,
  },
  {
    mistake: 'a replica that lost log is whole as soon as it has the record of its leader again',
    changes: [
      // Log that others do not have yet must rot often.
      ['test/sim/group/swarm.ts', 'hasRot: random.chance(1, 4)', 'hasRot: true'],
      ['test/sim/group/faults.ts', 'options.chaosMs / 3,', 'options.leaseMs,'],
      ['test/sim/group/faults.ts', 'const isTail = this.#disks.chance(1, 2);', 'const isTail = true;'],
      [
        'palf/record-acceptor.ts',
        "...(isNewLeader && meta.wanted.impaired === 'damaged' ? { impaired: null } : {}),",
        "...(meta.wanted.impaired === 'damaged' ? { impaired: null } : {}),",
      ],
      [
        'palf/record-acceptor.ts',
        'if (order === 0 && (meta.wanted.accepted >= proposal || !takesPart))',
        'if (order === 0 && ((meta.wanted.accepted >= proposal && meta.wanted.impaired === null) || !takesPart))',
      ],
    ],
    seedsMax: 1_000,
    caughtBy: /L10|L3|L1|L8/,
  },
  // --- lease ---
  {
    mistake: 'a voter keeps its word for its own lease, not for the asker’s',
    changes: [
      [
        'palf/elector.ts',
        'this.#give(to, proposal, monoMs(now + leaseMs));',
        'this.#give(to, proposal, monoMs(now + this.#replica.settings.leaseMs));',
      ],
    ],
    seedsMax: 300,
    caughtBy: /E2|E10|E11/,
  },
  {
    mistake: 'a restarted voter is silent for its own lease, not for the longest that it gave',
    changes: [['palf/replica.ts', 'Math.max(settings.leaseMs, meta.leaseMs)', 'settings.leaseMs']],
    seedsMax: 300,
    caughtBy: /E4|E2|E10|E11/,
  },
  {
    mistake: 'the lease counts from when the answer came',
    changes: [
      [
        'palf/leadership.ts',
        'peer.isHealthy = message.healthy;\n    if (peer.grantedAt === undefined || message.sentAt > peer.grantedAt) peer.grantedAt = message.sentAt;',
        'peer.isHealthy = message.healthy;\n    peer.grantedAt = this.#replica.now;',
      ],
    ],
    fromSeed: 320,
    seedsMax: 50,
    caughtBy: /E2|E10/,
  },
  {
    mistake: 'a leader renews its lease with a stuck disk',
    changes: [
      [
        'palf/leadership.ts',
        "if (ioAgeMs >= settings.leaseMs) return this.#host.giveUp('the disk does not answer', settings.leaseMs);",
        '',
      ],
    ],
    seedsMax: 300,
    caughtBy: /E9/,
  },
  {
    mistake: 'entries are taken outside the lease',
    isQuick: true,
    changes: [
      [
        'palf/leader-requests.ts',
        "if (!this.#leadership.holdsLease) return { why: 'no-lease' };\n    return modeTakesIt",
        'return modeTakesIt',
      ],
    ],
    seedsMax: 300,
    caughtBy: /E10/,
  },
  {
    mistake: 'strong reads are answered outside the lease',
    changes: [['logstream/log-stream.ts', ' && this.#options.clock.now() < leaseUntil;', ';']],
    seedsMax: 300,
    caughtBy: /E10|K1/,
  },
  // --- replication and commit ---
  {
    mistake: 'log is acknowledged before it is flushed',
    isQuick: true,
    changes: [
      [
        'palf/receiver.ts',
        'else this.#replica.askFlush();',
        'else {\n          this.#replica.askFlush();\n          this.#replica.out.send(from, this.#ackOf(log.tail.lsn));\n        }',
      ],
    ],
    seedsMax: 20,
    caughtBy: /L8|L4/,
  },
  {
    mistake: 'what a leader was sent to flush counts as flushed there',
    isQuick: true,
    changes: [
      [
        'palf/leadership.ts',
        '? peer.flushed : 0;\n    });\n    if (this.#isStartAgreed',
        '? log.flushed.lsn : 0;\n    });\n    if (this.#isStartAgreed',
      ],
    ],
    seedsMax: 20,
    caughtBy: /L4/,
  },
  {
    mistake: 'a leader commits the tail of an older proposal before its own start',
    changes: [
      ['palf/leadership.ts', 'if (this.#isStartAgreed && reached >= this.#start.lsn)', 'if (reached > 0)'],
      [
        'palf/leadership.ts',
        'return peer?.hasAccepted === true && !peer.isImpaired ? peer.flushed : 0;',
        'return peer !== undefined && !peer.isImpaired ? peer.flushed : 0;',
      ],
      [
        'palf/receiver.ts',
        'const isAccepted = this.#replica.meta.durable.accepted === this.#proposal;',
        'const isAccepted = this.#proposal > 0;',
      ],
    ],
    seedsMax: 100,
    caughtBy: /L[1347]|L10/,
  },
  {
    mistake: 'acks count from replicas that did not take the leader’s record',
    changes: [
      [
        'palf/leadership.ts',
        'return peer?.hasAccepted === true && !peer.isImpaired ? peer.flushed : 0;',
        'return peer !== undefined && !peer.isImpaired ? peer.flushed : 0;',
      ],
      [
        'palf/receiver.ts',
        'const isAccepted = this.#replica.meta.durable.accepted === this.#proposal;',
        'const isAccepted = this.#proposal > 0;',
      ],
    ],
    seedsMax: 2_000,
    caughtBy: /L[1347]|L10|K[12]/,
  },
  {
    mistake: 'learners count for commit',
    isQuick: true,
    changes: [
      [
        'palf/quorum.ts',
        'majorityValue(record.members.map(valueOf))',
        'majorityValue([...record.members, ...record.learners].map(valueOf))',
      ],
    ],
    seedsMax: 300,
    caughtBy: /L4|L3/,
  },
  {
    mistake: 'a push of a deposed leader is taken',
    changes: [
      [
        'palf/core.ts',
        'if (proposal < promised) {\n      replica.out.send(from',
        'if (proposal < 0) {\n      replica.out.send(from',
      ],
    ],
    fromSeed: 200,
    seedsMax: 300,
    caughtBy: /L[1-478]|L10|E5|E11|C1|invariant broken/,
  },
  // Not that what is before a push is compared: a new leader's record comes before its pushes, and cuts off what it did not send
  // (`record-acceptor`), so a push that is taken for the next one too early is hardly ever met.
  {
    mistake: 'what a push has in common with the log is told by its length alone',
    isQuick: true,
    changes: [
      [
        'palf/replica-log.ts',
        "if (this.holds(group.end) !== true) return { kind: 'parts', at };",
        "if (group.end.lsn > this.tail.lsn) return { kind: 'parts', at };",
      ],
    ],
    seedsMax: 100,
    caughtBy: /L[1-4]/,
  },
  {
    mistake: 'a follower takes its whole log for its leader’s without comparing',
    isQuick: true,
    changes: [
      [
        'palf/receiver.ts',
        'this.#matched = lsn(meta.wanted.accepted === proposal ? end : 0);',
        'this.#matched = log.tail.lsn;',
      ],
    ],
    seedsMax: 100,
    caughtBy: /L[1-4]/,
  },
  {
    mistake: 'a replica that accepts a leader cuts what it acknowledged to it',
    isQuick: true,
    changes: [
      [
        'palf/record-acceptor.ts',
        'const limit = isNewLeader ? this.#receiver.matched : log.tail.lsn;',
        'const limit = isNewLeader ? log.committed.lsn : log.tail.lsn;',
      ],
    ],
    seedsMax: 500,
    caughtBy: /L[378]|L10|invariant broken/,
  },
  {
    mistake: 'the word "accepted" is given with the vote',
    changes: [
      [
        'palf/replica.ts',
        'this.meta.change({ promised: proposal });',
        'this.meta.change({ promised: proposal, accepted: proposal });',
      ],
    ],
    seedsMax: 500,
    caughtBy: /L[1378]|L10|V[12]|invariant broken/,
  },
  {
    mistake: 'a follower keeps the committed end that the leader wrote into its groups',
    changes: [
      [
        'palf/window.ts',
        'committedEndOf(group.bytes) <= first.start.lsn\n        ? group\n        :',
        'committedEndOf(group.bytes) <= group.start.lsn\n        ? group\n        :',
      ],
    ],
    seedsMax: 300,
    // Another replica mends it, so nothing else shows that a write which was cut off passes for rot.
    caughtBy: /L10: \S+ (calls its log damaged|boots with a damaged log)/,
  },
  {
    mistake: 'clients are answered before the commit',
    isQuick: true,
    changes: [
      [
        'logstream/log-stream.ts',
        'if (at <= this.#driver.committed.lsn) return Promise.resolve();',
        'if (at <= this.#now.maxLsn) return Promise.resolve();',
      ],
    ],
    seedsMax: 20,
    caughtBy: /L8|K[12]/,
  },
  {
    mistake: 'a mended replica is whole before it has what it acknowledged',
    changes: [
      ['palf/receiver.ts', 'Math.min(log.flushed.lsn, this.#matched) >= this.#mendAt &&', ''],
      // Most rot is mended as the log is opened: it matters where nobody answers then, and what was written last is hit.
      ['test/sim/group/swarm.ts', 'hasRot: random.chance(1, 4)', 'hasRot: true'],
      ['test/sim/group/faults.ts', 'options.chaosMs / 3,', 'options.leaseMs,'],
    ],
    fromSeed: 340,
    seedsMax: 50,
    caughtBy: /L10|L3|L4|K1/,
  },
  // --- config records ---
  {
    mistake: 'a record is taken without the log up to its barrier',
    isQuick: true,
    changes: [
      [
        'palf/record-acceptor.ts',
        '!isShared || Math.min(log.flushed.lsn, this.#receiver.matched) < Math.max(start.lsn, barrier)',
        '!isShared && start.lsn < 0',
      ],
    ],
    seedsMax: 100,
    caughtBy: /C[35]|L[348]/,
  },
  {
    mistake: 'members are changed again before the last change is agreed',
    changes: [
      [
        'palf/leader-requests.ts',
        'return this.#modeChange !== undefined || this.#changing !== undefined || this.#leadership.isChanging;',
        'return this.#modeChange !== undefined;',
      ],
      [
        'palf/leadership.ts',
        "assert(this.#isStartAgreed && this.#change === undefined, 'one change at a time');",
        "assert(this.#isStartAgreed, 'one change at a time');",
      ],
    ],
    seedsMax: 1_000,
    caughtBy: /C[1-5]|L[34]|invariant broken|missing/,
  },
  {
    mistake: 'a record is agreed as soon as its leader has it',
    changes: [
      [
        'palf/leadership.ts',
        'if (!hasVoteQuorum(isArbitrated ? [previous, record] : [record], hasTaken)) return;',
        'if (!hasTaken(this.#replica.self)) return;',
      ],
    ],
    seedsMax: 300,
    caughtBy: /C3|L[34]|M2/,
  },
  {
    mistake: 'an older record is taken',
    changes: [['palf/record-acceptor.ts', 'if (order < 0) return;', '']],
    seedsMax: 500,
    caughtBy: /C[13]|invariant broken/,
  },
  {
    mistake: 'a node becomes a member without having been a learner',
    changes: [
      [
        'palf/config-change.ts',
        "if (!isLearner) return { why: 'unknown-node', node };\n      if (arbiter",
        'if (arbiter',
      ],
      // Nothing is known of the log of one that is no learner: that alone would keep it out.
      [
        'palf/leader-requests.ts',
        'if (promoted !== undefined && !this.#leadership.isCaughtUp(promoted)) {',
        'if (promoted !== undefined && this.#record.learners.includes(promoted) && !this.#leadership.isCaughtUp(promoted)) {',
      ],
    ],
    seedsMax: 50,
    caughtBy: /C4/,
  },
  {
    mistake: 'a member goes though those who stay do not have the log',
    changes: [
      [
        'palf/leader-requests.ts',
        'const isReady = hasLogQuorum(record, node => this.#leadership.isCaughtUp(node));',
        'const isReady = hasLogQuorum(record, () => true);',
      ],
    ],
    fromSeed: 75,
    seedsMax: 50,
    caughtBy: /C6/,
  },
  // --- flashback ---
  {
    mistake: 'a replica that was away ignores the cut of a flashback',
    changes: [
      [
        'palf/record-acceptor.ts',
        'return this.#receiver.compared >= log.tail.lsn ? null : missedCut(record, meta.wanted.cutApplied);',
        'return missedCut(record, meta.wanted.cutApplied) !== null ? null : (record.cuts.at(-1)?.at ?? null);',
      ],
    ],
    seedsMax: 3_000,
    caughtBy: /M3|L[1-47]|V[12]|V7|invariant broken/,
  },
  {
    mistake: 'damaged log is mended with what a flashback cut off',
    isQuick: true,
    changes: [
      [
        'logstream/range-repair.ts',
        'return own !== null && compareVersions(own, cut) === 0;',
        'return own !== null && cut !== null;',
      ],
      // Rot behind a cut that another replica has not heard of is rare unless there is much of both.
      ['test/sim/group/swarm.ts', 'hasRot: random.chance(1, 4)', 'hasRot: true'],
      ['test/sim/group/swarm.ts', 'modeEveryMs: some(1, 5, 4)', 'modeEveryMs: leaseMs / 2'],
      ['test/sim/group/faults.ts', 'options.chaosMs / 3,', 'options.leaseMs,'],
    ],
    seedsMax: 60,
    caughtBy: /M3: \S+ shows LSN|L4: \S+ starts and calls|L1: /,
  },
  {
    mistake: 'a replica that missed two flashbacks is cut at the last of them',
    changes: [['palf/flashback-cuts.ts', 'return cuts.find(', 'return cuts.findLast(']],
    fromSeed: 130,
    seedsMax: 50,
    caughtBy: /V2|M3|L1|damaged/,
  },
  {
    mistake: 'a renewal tells what the flashback under way cuts off to be committed',
    changes: [
      [
        'palf/leadership.ts',
        'lsn(Math.min(log.committed.lsn, opening?.cut?.lsn ?? log.committed.lsn));',
        'lsn(Math.max(log.committed.lsn, opening === null ? 1 : 0));',
      ],
    ],
    seedsMax: 800,
    caughtBy: /L4/,
  },
];
