/**
 * Mistakes of arbitration, for the simulation of one log stream with an arbiter. Each names the invariants that may notice it
 * first, and the seeds within which one of them must.
 */
import type { Mutant } from '../mutation.ts';

export const arbitrationMutants: readonly Mutant[] = [
  {
    mistake: 'a member is degraded while another is not known to be alive or dead',
    changes: [
      [
        'palf/arbitration.ts',
        "if (node === undefined || judgements.includes('unknown')) return undefined;",
        'if (node === undefined) return undefined;',
      ],
      [
        'palf/arbitration.ts',
        'if (alive !== fullCount / 2) return undefined;',
        'if (alive > fullCount / 2) return undefined;',
      ],
    ],
    seedsMax: 300,
    caughtBy: /A2/,
  },
  {
    mistake: 'a silent member is taken for a dead one',
    isQuick: true,
    changes: [
      [
        'palf/arbitration.ts',
        "case 'unknown':\n        return 'unknown';",
        "case 'unknown':\n        return now - (this.#heardAt.get(node) ?? this.#startedAt) >= arbitrationTimeoutMs ? 'dead' : 'unknown';",
      ],
    ],
    seedsMax: 200,
    caughtBy: /A2/,
  },
  {
    mistake: 'a member is degraded as soon as it is known to be dead',
    isQuick: true,
    changes: [
      [
        'palf/arbitration.ts',
        "return now - heardAt >= arbitrationTimeoutMs ? 'dead' : 'unknown';",
        "return now - heardAt >= 0 ? 'dead' : 'unknown';",
      ],
    ],
    seedsMax: 100,
    caughtBy: /A2/,
  },
  {
    mistake: 'silence is counted from the election, not from the last answer',
    changes: [
      [
        'palf/arbitration.ts',
        'const heardAt = this.#heardAt.get(node) ?? this.#startedAt;',
        'const heardAt = Math.max(this.#heardAt.get(node) ?? this.#startedAt, this.#progress.get(node)?.since ?? now);',
      ],
    ],
    seedsMax: 300,
    caughtBy: /A2|V1/,
  },
  {
    mistake: 'the arbiter takes the records of both sides',
    changes: [
      [
        'palf/arbiter.ts',
        "if (proposal < promised) {\n      this.#send(from, { kind: 'reject', proposal, promised });\n      return false;\n    }",
        '',
      ],
      ['palf/arbiter.ts', 'if (order < 0) return;\n', ''],
    ],
    seedsMax: 50,
    caughtBy: /A[1-48]|L[134]|E5|C[13]/,
  },
  {
    mistake: 'two sides degrade: the arbiter need not take the record',
    changes: [
      [
        'palf/leadership.ts',
        'const hasTaken = (voter: NodeId): boolean => {\n      if (voter === this.#replica.self) return true;',
        'const hasTaken = (voter: NodeId): boolean => {\n      if (voter === this.#replica.self || voter === record.arbiter) return true;',
      ],
      [
        'palf/lease.ts',
        'voter === self ? Number.POSITIVE_INFINITY',
        'voter === self || records.some(record => record.arbiter === voter) ? Number.POSITIVE_INFINITY',
      ],
    ],
    seedsMax: 300,
    caughtBy: /A[34]|C3|L[134]|E2|E10|M2/,
  },
  {
    mistake: 'a leader commits by a list that nobody else has taken yet',
    isQuick: true,
    changes: [
      [
        'palf/leadership.ts',
        'if (this.#isStartAgreed && reached >= this.#start.lsn) log.commit(lsn(reached));',
        'if (reached >= this.#start.lsn) log.commit(lsn(reached));',
      ],
    ],
    seedsMax: 300,
    caughtBy: /L[134]/,
  },
  {
    mistake: 'the arbiter acknowledges log, and is counted for it',
    isQuick: true,
    changes: [
      [
        'palf/arbiter.ts',
        "case 'config':\n        return this.#onConfig(from, message);",
        "case 'config':\n        return this.#onConfig(from, message);\n      case 'commit':\n        return this.#thenSend(from, { kind: 'ack', proposal: message.proposal, flushed: message.committed, received: message.committed, ...health });",
      ],
      [
        'palf/leadership.ts',
        'return this.#records.every(record => record.arbiter !== node);',
        'return node.length > 0;',
      ],
    ],
    seedsMax: 50,
    caughtBy: /A1/,
  },
  {
    mistake: 'the arbiter is counted in the quorum of the log',
    isQuick: true,
    changes: [
      [
        'palf/quorum.ts',
        'majorityValue(record.members.map(valueOf))',
        'majorityValue([...record.members.map(valueOf), ...(record.arbiter === null ? [] : [Number.MAX_SAFE_INTEGER])])',
      ],
    ],
    seedsMax: 50,
    caughtBy: /L4|L3|A8/,
  },
  {
    mistake: 'a degraded replica stands for election, counts itself, and the arbiter votes for it',
    changes: [
      [
        'palf/replica.ts',
        'return this.config.members.includes(this.self);',
        'return [...this.config.members, ...this.config.degraded].includes(this.self);',
      ],
      [
        'palf/arbiter.ts',
        'return this.#wanted.config?.members.includes(node) ?? false;',
        'return [...(this.#wanted.config?.members ?? []), ...(this.#wanted.config?.degraded ?? [])].includes(node);',
      ],
      // Without those that are left, which vote for members only, it must count itself.
      [
        'palf/elector.ts',
        'if (this.#round === 0 || !hasVoteQuorum([config], isFor)) return;',
        'const all = { ...config, members: [...config.members, ...config.degraded] };\n    if (this.#round === 0 || !hasVoteQuorum([all], isFor)) return;',
      ],
    ],
    seedsMax: 100,
    caughtBy: /E6|A[38]|L[13]/,
  },
  {
    mistake: 'the arbiter votes for who does not know that it is degraded',
    changes: [
      [
        'palf/arbiter.ts',
        'this.#lease.isBound(now, from) ||\n      order < 0 ||\n      (order === 0 && !this.#isMember(from)) ||',
        'this.#lease.isBound(now, from) ||',
      ],
      [
        'palf/arbiter.ts',
        'this.#lease.isBound(now, from) || order < 0 || (order === 0 && !isMember);',
        'this.#lease.isBound(now, from);',
      ],
    ],
    seedsMax: 300,
    caughtBy: /E6|A[348]|L3/,
  },
  {
    mistake: 'the arbiter keeps to itself the record that it alone holds',
    changes: [['palf/arbiter.ts', 'if (order < 0) this.#handRecord(from);', '']],
    seedsMax: 500,
    caughtBy: /V1/,
  },
  {
    mistake: 'a record that the arbiter hands on is taken without the log up to its barrier',
    changes: [
      [
        'palf/record-acceptor.ts',
        'return this.#holdsBasis(message) || this.#missesNothing(message);',
        'return this.#holdsBasis(message) || message.start.lsn >= 0;',
      ],
      [
        'palf/record-acceptor.ts',
        'meta.wanted.accepted < proposal && this.#holdsBasis(message);',
        'meta.wanted.accepted < proposal;',
      ],
    ],
    seedsMax: 500,
    caughtBy: /A[58]|C[35]|L3/,
  },
  {
    mistake: 'a record that the arbiter hands on is taken, and log that is not of its leader is kept',
    changes: [
      [
        'palf/record-acceptor.ts',
        'if (isNewLeader && log.tail.lsn > keep.lsn) this.#begin(keep, false, decide);\n    else decide();',
        'if (keep.lsn >= 0) decide();',
      ],
    ],
    seedsMax: 1000,
    caughtBy: /L[1-4]/,
  },
  {
    mistake: 'log that is being cut off with a record of the arbiter is taken for its leader’s',
    changes: [
      [
        'palf/receiver.ts',
        'Math.min(log.tail.lsn, cutter.endsAt?.lsn ?? log.tail.lsn)',
        'Math.max(log.tail.lsn, cutter.endsAt?.lsn ?? log.tail.lsn)',
      ],
      // Most cuts are over before the leader itself is heard.
      ['test/sim/group/swarm.ts', '[0.05, 0.5],', '[3, 20],'],
    ],
    fromSeed: 100,
    seedsMax: 50,
    caughtBy: /L[148]/,
  },
  {
    mistake: 'a replica is taken back before it has the log',
    changes: [
      [
        'palf/arbitration.ts',
        "each => this.#freshVerdict(each) === 'alive' && leadership.isReadyToCount(each),",
        "each => this.#freshVerdict(each) === 'alive',",
      ],
      [
        'palf/leadership.ts',
        'const barrier = log.committed.lsn;',
        'const barrier = lsn(log.committed.lsn * 0);',
      ],
    ],
    seedsMax: 300,
    caughtBy: /A5|C[35]/,
  },
  {
    mistake: 'a replica is taken back for log that had only arrived there',
    changes: [
      ['palf/leadership.ts', 'return peer.flushed >= needed &&', 'return peer.received >= needed &&'],
    ],
    fromSeed: 7_175,
    seedsMax: 20,
    caughtBy: /A5/,
  },
  {
    mistake: 'commits are counted on the old list while a replica comes back',
    changes: [
      [
        'palf/leadership.ts',
        'return previous === null ? [record] : [previous, record];',
        'return previous === null ? [record] : [previous];',
      ],
    ],
    seedsMax: 500,
    caughtBy: /A[58]|L[34]|C3|E10/,
  },
  {
    mistake: 'commits are counted on the new list before it is agreed on',
    changes: [
      ['palf/leadership.ts', 'return previous === null ? [record] : [previous, record];', 'return [record];'],
    ],
    seedsMax: 500,
    caughtBy: /L[34]|A8|E10|C3/,
  },
  {
    mistake: 'under CLUSTER_POLICY a leader on an island degrades the others',
    changes: [
      [
        'palf/arbitration.ts',
        "settings.degradationPolicy === 'CLUSTER_POLICY' && !this.#isRootReachable",
        "settings.degradationPolicy === 'CLUSTER_POLICY' && settings.leaseMs < 0",
      ],
    ],
    seedsMax: 300,
    caughtBy: /A9/,
  },
  {
    mistake: 'a leader that let go for want of the root service stands again',
    changes: [['palf/core.ts', 'replica.isMuted = true;', '']],
    seedsMax: 300,
    caughtBy: /A9/,
  },
  {
    mistake: 'a restarted arbiter is not silent',
    changes: [
      [
        'palf/arbiter.ts',
        'this.#silentUntil = image.promised > 0 ? forgotten : monoMs(0);',
        'this.#silentUntil = monoMs(0);',
      ],
    ],
    seedsMax: 100,
    caughtBy: /E4/,
  },
  {
    mistake: 'the arbiter promises before it is durable',
    isQuick: true,
    changes: [
      [
        'palf/arbiter.ts',
        'if (this.#wanted === this.#durable) this.#send(to, message);',
        'if (this.#wanted.promised > 0) this.#send(to, message);',
      ],
    ],
    seedsMax: 20,
    caughtBy: /E5|L8/,
  },
  {
    mistake: 'two of four are degraded by one record',
    changes: [
      [
        'palf/core.ts',
        'term.leadership.propose(Arbitration.apply(step, term.leadership.agreed), () => {});',
        "const all = term.leadership.agreed; const gone = all.members.filter(id => id !== replica.self && !term.leadership.answers(id)); term.leadership.propose(what === 'degrade' ? { members: all.members.filter(id => !gone.includes(id)), degraded: [...all.degraded, ...gone] } : Arbitration.apply(step, all), () => {});",
      ],
    ],
    seedsMax: 500,
    caughtBy: /C2/,
  },
  {
    mistake: 'who is degraded is forgotten',
    isQuick: true,
    changes: [
      [
        'palf/arbitration.ts',
        '{ members: without(members), degraded: [...degraded, node] }',
        '{ members: without(members), degraded: [...degraded] }',
      ],
    ],
    seedsMax: 100,
    caughtBy: /A6/,
  },
  {
    mistake: 'the only member takes its log for committed, though an arbiter votes as well',
    changes: [
      [
        'logstream/recovery.ts',
        'const isAlone = votersOf(meta.config).join() === self;',
        'const isAlone = meta.config.members.join() === self;',
      ],
    ],
    seedsMax: 150,
    caughtBy: /L[1-4]|A8|K[12]|CORRUPT/,
  },
];
