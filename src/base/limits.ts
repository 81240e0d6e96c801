/**
 * Every bound of a queue, window, loop, frame or message that is no configuration, by part. Each says what it bounds, and in
 * which unit.
 */

// --- server ---
/** A configuration file larger than this is not one. */
export const configBytesMax = 1_048_576;
/** An operators' API request body. */
export const httpBodyBytesMax = 1_048_576;
/** One line of an operators' API answer. */
export const apiLineBytesMax = 67_108_864;

// --- MySQL front-end ---
/** Bytes a client may send before it has logged in. */
export const loginBytesMax = 131_072;
/** From connect to a finished login. */
export const loginTimeoutMs = 10_000;
/** A whole client packet, joined from its 16 MB parts (MySQL's max_allowed_packet, its default). */
export const statementBytesMaxDefault = 67_108_864;
/** Bytes of commands a client may send ahead of its answers before its socket is paused. */
export const pipelinedBytesMax = 1_048_576;
/** Answer bytes waiting in a socket before the connection stops taking commands. */
export const answerBacklogBytesMax = 4_194_304;
/** A client that takes no byte of its answers for this long is cut (MySQL's net_write_timeout). */
export const answerStallMsMax = 60_000;
/** Rows and encoded bytes of one result set; more is an error, never a cut. */
export const resultRowsMaxDefault = 1_000_000;
export const resultBytesMaxDefault = 268_435_456;
/** Prepared statements a connection may hold. */
export const preparedStatementsMax = 16_384;
/** COM_STMT_SEND_LONG_DATA bytes a connection may pile up. */
export const longDataBytesMax = 67_108_864;
/** Warnings kept for SHOW WARNINGS (MySQL's max_error_count). */
export const warningsMax = 1_024;
/** Session and user variables a client may set. */
export const sessionVariablesMax = 1_024;
/** Users of one tenant. */
export const usersMax = 10_000;
/** Characters of a user name: OceanBase allows 64; drivers were seen to pass 96. */
export const userNameLengthMax = 96;
export const passwordLengthMax = 256;
/** Times the dialect may ask for table shapes before a statement is given up. */
export const tableRequestsMax = 4;
/** Table shapes kept per tenant. */
export const tableShapesMax = 4_096;
/** PBKDF2 rounds of SCRAM-SHA-256 verifiers (RFC 7677's minimum). */
export const scramIterations = 4_096;

// --- archive ---
/** Log bytes gathered for one segment before it is sent without waiting for the lag target. */
export const segmentTargetBytes = 8_388_608;
/** Log bytes of one segment: the target, plus a largest group that did not fit, or a compacted block. */
export const segmentRawBytesMax = 134_217_728;
/** Segments on their way at once; one manifest then names them all. */
export const segmentsInFlightMax = 4;
/** Neighbouring small segments that are merged into one. */
export const compactionRunMin = 32;
/** Log bytes of a merged segment. */
export const compactedBytesMax = 16_777_216;
/** A merged segment stays readable under its old names for this long. */
export const retiredKeepMs = 600_000;
/** Objects removed in one go. */
export const deletionsMax = 256;
/** A manifest, decompressed. */
export const manifestBytesMax = 268_435_456;
/** Manifests a reader walks from the last full state. */
export const manifestWalkMin = 64;
export const manifestWalkMax = 1_024;
/** Attempts to win the next manifest number before the media is called unavailable. */
export const manifestRaceMax = 64;
/** Round, epoch and gap records kept in a state. */
export const archiveRoundsMax = 128;
export const archiveEpochsMax = 128;
/** Segments of cut-off histories kept for inspection. */
export const forkedSegmentsMax = 65_536;
/** One request to a store, and one operation with its retries. */
export const storeRequestMsDefault = 15_000;
export const storeOperationMsDefault = 45_000;
/** The same while a person waits for the answer: a destination is tried before it is set. */
export const storePreflightRequestMs = 5_000;
export const storePreflightMs = 10_000;
export const storeBackoffMsMin = 50;
export const storeBackoffMsMax = 5_000;
/** Answer of a store that is no object: a listing, an error. */
export const storeObjectBytesMax = 268_435_456;
/** Log kept for an Optional archive that is behind, before it is let go. */
export const optionalHoldBytesDefault = 1_073_741_824;
/** How long log without any change (keep-alives) may wait. */
export const idleArchiveMsDefault = 10_000;
/** Pauses of an archiver whose media fails. */
export const archiverRetryMsMin = 200;
export const archiverRetryMsMax = 10_000;
/** A failing archiver is shown as INTERRUPTED after this long. */
export const archiverInterruptedMs = 15_000;
/** Callers that wait for an archiver at once. */
export const archiverWaitersMax = 1_024;
/** How long STOP and DEFER wait for the media to take their record. */
export const archiverStopMs = 5_000;
/** One piece of a base backup, before compression. */
export const backupPieceBytes = 8_388_608;
export const backupPiecesMax = 1_048_576;

// --- pages: capture, redo, WAL injection (all per worker thread, shared by its tenants) ---
/** Bytes of WAL frames or database pages read by one call. */
export const pageReadBytesMax = 1_048_576;
/** Commits captured from their frames alone before SQLite's count of them is compared. */
export const uncountedCapturesMax = 64;
/** Frames of a commit that may prove it by themselves: they are read before it is known that they are there. */
export const provenFramesMax = 16;
/** Bytes of one part of a redo body; a bigger body has several parts. */
export const redoPartBytesMax = 1_048_576;
/** Page images held while a group of redo records is applied; a bigger group is written in several pieces. */
export const pageImageBytesMax = 16_777_216;
/** Page images kept by capture to compare with (a power of two). */
export const imageCacheBytes = 33_554_432;
/** Reads of a wal-index header that another program may be changing, before it counts as damaged. */
export const indexHeaderReadsMax = 1_000;
/** A reader of another process holds SQLite's write lock for microseconds; longer than this is a writer. */
export const writeLockWaitMsMax = 5_000;
/** A piece of a database snapshot. */
export const snapshotPieceBytesMax = 1_048_576;

// --- peers ---
/** A frame before the peer has proven who it is. */
export const peerHandshakeFrameBytesMax = 4_096;
/** From accept to a finished login. */
export const peerHandshakeTimeoutMs = 10_000;
/** Connections that have not logged in yet; the next one is closed at once. */
export const peerHandshakesMax = 64;
/** Connections of peers in all. */
export const peerConnectionsMax = 1_024;
/** A control request or answer, or another message in JSON. */
export const peerControlBytesMax = 1_048_576;
/** Requests of one connection that wait for their answer. */
export const peerRequestsMax = 16;
/** How long an answer to a request is waited for, if the caller does not say. */
export const peerRequestTimeoutMs = 15_000;
/** Log bytes read for one chunk; a single group may be larger. */
export const peerChunkBytes = 1_048_576;
/** A chunk or snapshot piece on the wire: one read, or one group, with its head. */
export const peerChunkFrameBytesMax = 2_097_152;
/** Snapshots under way at once. */
export const peerSnapshotsMax = 4;
/** A connection that asks for nothing is closed after this long. */
export const peerIdleMs = 300_000;
/** Log bytes a source may send ahead of what the standby has made durable. */
export const peerCreditBytes = 8_388_608;
/** The most credit that a source believes in. */
export const peerCreditBytesMax = 268_435_456;
/** An idle source tells its end this often; a standby answers with its positions. */
export const peerHeartbeatMs = 500;
/** A link without a byte from the other end for this long is cut. */
export const peerSilenceMs = 5_000;
/** Log kept for a follower that is gone, so that a short interruption needs no archive. */
export const followerHoldMs = 60_000;
/** Log kept for a new standby between the end of its snapshot and its first pull. */
export const snapshotHoldMs = 600_000;
/** A follower further behind than this no longer holds the source's log. */
export const followerHoldBytesDefault = 1_073_741_824;
/** Sites that follow a tenant, or once did and may come back; not above `roleProbesMax`. */
export const followersMax = 64;
/** Eras of a proposal history on the wire. */
export const peerErasMax = 4_096;
/** Nodes named in the address of a site, and characters of that text. */
export const siteAddressesMax = 16;
export const siteAddressLengthMax = 1_024;
/** Nodes of a site asked in one attempt to reach the leader of a tenant, by list or by what another one told. */
export const leaderHopsMax = 32;

// --- connections ---
/** TLS handshakes under way at one door, of which the oldest makes room, and how long each may take. */
export const tlsHandshakesMax = 64;
export const tlsHandshakeMs = 3_000;

// --- nodes of one cluster ---
/** A frame before a node has proven that it belongs to the cluster. */
export const nodeHandshakeFrameBytesMax = 4_096;
/** From connect to connected, and from there to a finished handshake; a request that waits for less gives its connection less. */
export const nodeConnectMs = 1_000;
export const nodeHandshakeMs = 3_000;
/** Connections that have not finished their handshake; the oldest makes room. */
export const nodeHandshakesMax = 64;
/** Connections of nodes in all. */
export const nodeConnectionsMax = 1_024;
/** Pauses before a node that is gone is tried again. */
export const nodeRetryMsMin = 20;
export const nodeRetryMsMax = 500;
/** A connection over which nothing was sent for this long carries a sign of life. */
export const nodePingMs = 500;
/** A connection over which nothing came for this long is cut. */
export const nodeSilenceMs = 3_000;
/** One message of a log stream to a member. */
export const nodeMessageBytesMax = 4_194_304;
/** Messages are put into one frame up to this many bytes; a larger message has a frame of its own. */
export const nodeFrameBytes = 1_048_576;
/** Messages of one frame. */
export const nodeFrameMessagesMax = 16_384;
/** Bytes that wait for one node, in the kernel's buffer or before it; further messages are dropped. */
export const nodeQueueBytesMax = 67_108_864;
/** Parts up to this size are copied into their neighbours: cheaper than a fragment of their own. */
export const nodeCopyBytesMax = 2_048;
/** A request, an answer, or a word of progress, in JSON. */
export const nodeJsonBytesMax = 1_048_576;
/** Requests of one connection in progress, at each end. */
export const nodeRequestsMax = 256;
/** Connections made for single requests at once. */
export const nodeCallsMax = 64;
/** How long an answer is waited for, if the caller does not say. */
export const nodeRequestMsDefault = 15_000;
/** Byte streams served at once. */
export const nodeStreamsMax = 16;
/** How long the reader of one may take nothing, or its sender send nothing. */
export const nodeStreamStillMs = 120_000;
/** Bytes of one frame of a byte stream, and bytes a sender may be ahead of its reader. */
export const nodePieceBytes = 262_144;
export const nodeCreditBytes = 8_388_608;
/** Kinds of refused connections remembered, and how often one of them is logged. */
export const nodeRefusalsMax = 64;
export const nodeRefusalLogMs = 60_000;

// --- standby ---
/** Text of a LOG_RESTORE_SOURCE. */
export const restoreSourceLengthMax = 4_096;
/** Addresses in a LOG_RESTORE_SOURCE. */
export const restoreSourceAddressesMax = 16;
/** Log bytes of one raw write; a single group may be larger. */
export const rawWriteBytes = 4_194_304;
/** Log bytes read from an archive at once. */
export const archiveReadBytes = 4_194_304;
/** Log bytes handed to one apply, and how many applies may be under way. */
export const applyBytes = 2_097_152;
export const appliesMax = 2;
/** Callers that wait for a standby to catch up. */
export const catchUpWaitersMax = 64;

// --- clog: entries, groups, blocks, streams ---
/** One entry's whole body (a transaction's redo); it may span many groups. */
export const entryBodyBytesMax = 268_435_456;
/** A group, header included. */
export const groupBytesMax = 1_048_576;
/** A body is split over groups rather than padded when at least this many payload bytes are left. */
export const splitBytesMin = 2_048;
/** Size of a block file. The lower bound is for tests; a server's configuration starts higher. */
export const blockBytesMin = 16_384;
export const blockBytesMax = 1_073_741_824;
/** Groups closed but not yet durable. */
export const windowGroupsMax = 2_048;
/** Bytes ordered but not yet durable; a single larger entry passes when the window is empty. */
export const windowBytesMax = 134_217_728;
/** The longest lease that a leader may ask for. */
export const leaseMsMax = 4_000;
/** Bytes of one durable write. */
export const flushBytesMax = 4_194_304;
/** Fragments of one vectored write (the kernel takes 1024). */
export const writeFragmentsMax = 1_000;
/** Newest committed log kept in memory per stream, and how long the part above the floor is kept. */
export const tailBytesMax = 2_097_152;
export const tailBytesIdle = 4_096;
export const tailKeepMs = 5_000;
/** Steps in which a block file is zero-filled ahead of the log. */
export const zeroFillBytesMin = 65_536;
export const zeroFillBytesMax = 4_194_304;
/** Eras of the proposal history kept; the oldest are forgotten first. */
export const proposalErasMax = 128;
/** Bytes read from a block file by one call. */
export const blockReadBytes = 1_048_576;
/** Positions in the middle of the log remembered so that a reader need not scan a block. */
export const readPositionsMax = 32;
/** Bytes one read may ask for. */
export const readBytesMax = 67_108_864;
/** Named holds on a log stream. */
export const logHoldsMax = 256;
/** Callers that wait for a committed end, and listeners of it, per stream. */
export const committedWaitersMax = 65_536;
export const committedListenersMax = 256;
/** Share of the log disk above which recyclable blocks go, and above which writes are refused. */
export const recycleAtShare = 0.8;
export const refuseAtShare = 0.95;
/** Pause before a full disk is tried again. */
export const diskFullRetryMs = 500;
/** Log bytes asked of another replica at once to mend damage; a single larger group passes. */
export const repairChunkBytes = 262_144;
/** How long, and how often, replicas are asked for it. */
export const repairRoundMs = 700;
export const repairRoundsMax = 3;
/** Asks of one log stream that wait for answers, and answers that it prepares for others, at once. */
export const repairAsksMax = 16;
export const repairServesMax = 4;
/** Wake-ups of log streams are rounded up to multiples of this, so that streams wake together. */
export const streamTickMs = 10;
/** A meta image of a log stream; two copies of it are on disk. */
export const metaImageBytesMax = 16_384;
/** Body of a role entry. */
export const roleEntryBytesMax = 65_536;
/** Log operations other than appends waiting for their durable write. */
export const metaRepliesMax = 1_024;
/** F and R replicas of one log stream. */
export const configMembersMax = 9;
export const configLearnersMax = 32;
/** F replicas that a log stream with an arbiter has. */
export const arbitratedReplicas: readonly number[] = [2, 4];
/** What an arbiter remembers of one log stream; with short names and few replicas it is about 1 KiB. */
export const arbiterImageBytesMax = 16_384;
/** Flashbacks that a record tells of: a replica that was away for more of them may need a copy. */
export const configCutsMax = 8;
/** Groups, and their bytes, on their way to one replica before it has said that they are durable. */
export const pushGroupsMax = 1_024;
export const pushBytesInFlightMax = 33_554_432;
/** Log bytes of one message between replicas; a single larger group goes alone. */
export const pushBytesMax = 1_048_576;
/** A message between the replicas of a log stream: its log, or one largest group, and its head. */
export const palfMessageBytesMax = 2_162_688;
/** Ends of committed groups a replica remembers, to compare its log with another's. */
export const committedEndsMax = 64;
/** Members and learners of one record fit a message of this size. */
export const palfRecordBytesMax = 16_384;
/** Keys of one listing of a store, unless asked for another number. */
export const listedKeysMaxDefault = 1_000;

// --- role manager and sys store ---
/** Cancelled operations a role row remembers; an older one is refused by its epoch as well. */
export const roleCancelledMax = 64;
/** Epochs of a log whose start a role row and a site's description name. */
export const roleOpeningsMax = 64;
/** Effects one role change may take before it is called a loop. */
export const roleEffectsMax = 10_000;
/** Times a change of the role row is rebased on somebody else's before it gives up. */
export const roleRebaseMax = 8;
/** Role commands and peer requests of one tenant in progress at once. */
export const roleProceduresMax = 64;
/** Characters of one text field of a control request. */
export const controlTextLengthMax = 1_024;
/** How long a call of the sys store is tried while its leader changes, and the pause between tries. */
export const sysCallMs = 10_000;
export const sysCallRetryMs = 100;
/** Sites asked in one restart check or probe. */
export const roleProbesMax = 64;
/** Role operations whose journal is kept per tenant. */
export const roleJournalsMax = 100;

// --- tenant engine ---
/** Prepared statements kept per connection, and texts remembered that came once. */
export const statementsCachedMax = 256;
/** Longer texts are prepared each time. */
export const statementTextCachedMax = 8_192;
/** Results up to this many rows are fetched by one call into SQLite. */
export const fastRowsMax = 512;
/** Memory one result may take in a worker. */
export const engineResultBytesMax = 536_870_912;
/** Sessions of one tenant, internal ones included. */
export const engineSessionsMax = 65_536;
/** Read transactions of one tenant open at once: each holds a connection and keeps the WAL from starting over. */
export const readTransactionsMax = 64;
/** Writes and write transactions waiting for a tenant's writer. */
export const writersWaitingMax = 65_536;
/** Turns of the event loop that requests to an idle worker wait at most for others that come with them. */
export const gatherTurnsMax = 8;
/** Statements that may share one SQLite commit. */
export const batchStatementsMax = 1_024;
/** Bytes of SQL and parameters in one batch; a larger statement runs by itself. */
export const batchBytesMax = 8_388_608;
/** Captured commits handed to the log and not committed yet; further writes wait. */
export const commitsInFlightMax = 64;
export const commitBytesInFlightMax = 33_554_432;
/** Log bytes handed to a worker by one message, in recovery and apply. */
export const applyChunkBytesMax = 4_194_304;
/** Worker threads of a process. */
export const workersMax = 64;
/** Messages to or from one worker in flight before the sender is at fault. */
export const workerRequestsMax = 1_048_576;
/** Page caches of the writers of one worker thread, shared equally within the bounds of one; memory is taken as pages are used. */
export const writerCachesKibibytes = 262_144;
export const writerCacheKibibytesMin = 16_384;
export const writerCacheKibibytesMax = 65_536;
/** Page cache of a reader. */
export const readerCacheKibibytes = 4_096;
/** Undo marks of captured commits kept in a worker; older ones are undone by recovery. */
export const undoMarksMax = 4_096;
/** An archiver hears of new commits at most this often. */
export const archiverNoticeMs = 5;
/** How often a reader asks for the next manifest. */
export const archivePollMs = 250;

// --- cluster ---
/** The text of LOG_ARCHIVE_DEST. */
export const archiveDestLengthMax = 4_096;
/** The largest archive lag target: two hours, as in OceanBase. */
export const archiveLagTargetMsMax = 7_200_000;
/** How long a switchover waits for the sealed end to be archived. */
export const archiveSealMs = 30_000;
/** Pauses of a replica that leads and cannot serve yet: somebody does not answer, or somebody must change something. */
export const leadRetryMs = 100;
export const leadRetryHopelessMs = 5_000;
/** How long a statement waits for the replica that leads to open, and how often it looks. */
export const admitWaitMs = 5_000;
export const admitPollMs = 5;
/** A leader of the same log that served so shortly before has done the restart check. */
export const heardLeaderMs = 10_000;
/** How often a follower asks its leader what it needs to know, and how soon again at first. */
export const guideMs = 2_000;
export const guideRetryMs = 100;
/** Pause of a replica whose rebuild failed. */
export const rebuildRetryMs = 1_000;
/** The log that a copied replica needs is kept so long, and looked after so often. */
export const rebuildHoldMs = 600_000;
export const rebuildWatchMs = 1_000;
/** How much log is read at a time when a lost suffix is counted. */
export const suffixReadBytes = 4_194_304;

// --- sql dialect and views ---
/** Words, names, literals and symbols of one text; a bulk INSERT of 64 MiB has fewer. */
export const dialectTokensMax = 8_388_608;
/** Brackets inside brackets of one statement. */
export const dialectNestingMax = 200;
/** Statements of one multi-statement text. */
export const dialectStatementsMax = 10_000;
/** Translated statements kept by text; a longer text is translated each time. */
export const dialectTemplatesMax = 2_048;
export const dialectTemplateTextMax = 8_192;
/** Queries over the views that wait for the view thread. */
export const viewQueriesWaitingMax = 256;
/** View threads given up because a query did not end, before new queries are refused. */
export const viewThreadsGivenUpMax = 2;
/** Rows of one answer of the sys tenant. */
export const sysRowsMax = 100_000;
/** Events kept for DBA_OB_TENANT_EVENT_HISTORY. */
export const sysEventsMax = 10_000;
/** How long a new standby may take to pull the log that its copy needs. */
export const standbyPullMs = 3_600_000;
/** How long a new tenant may take to open for writes. */
export const tenantOpenMs = 30_000;
/** A file that `dump` reads whole. */
export const dumpFileBytesMax = 2_147_483_647;

// --- cluster names ---

/** Names of other sites that are remembered for people to read. */
export const siteNamesMax = 1024;

// --- root service: servers, locality, bootstrap ---

/** The secret file of a cluster. */
export const clusterSecretBytesMin = 32;
export const clusterSecretBytesMax = 4_096;
/** How often a server reports to the root service, and how long its silence may last. */
export const heartbeatMs = 1_000;
export const serverSilenceMs = 3_000;
/** How often it is logged that a server has another lease than the leader of the root service. */
export const leaseDiffersLogMs = 60_000;
/** A server whose disk has less room than this leads only what nobody else can, until it has twice as much. */
export const leaderDiskRoomBytes = 33_554_432;
/** How often the root service looks after servers and tasks, and after servers that are silent. */
export const rootTickMs = 500;
export const silentServerProbeMs = 2_000;
/** One question or order of the root service to a server. */
export const rootCallMs = 2_000;
export const rootOrderMs = 30_000;
/** A verb that another server runs for this one: a copy of a large tenant takes hours. */
export const routedVerbMs = 86_400_000;
/** How long a verb looks for the server that must run it, while an election may be under way. */
export const routedFindMs = 10_000;
/** Tenants of one answer, when servers are asked for what they have. */
export const nodeTenantsMax = 200;
/** Bytes of what every server is told of the whole cluster, up to which a tenant is added: one message, with room for what tenants grow by. */
export const pictureBytesMax = 786_432;
/** How long a command waits for a leadership to come to the server that was named, and when it is handed there again. */
export const leaderTransferMs = 30_000;
export const leaderTransferPauseMs = 1_000;
/** How long STOP SERVER waits for its leaders to move, and ALTER TENANT for its task, before they say that it goes on. */
export const stopServerMs = 20_000;
export const localityWaitMs = 600_000;
/** Pause before all servers of a tenant are asked for its leader again. */
export const leaderCallPauseMs = 100;
/** The texts of LOCALITY and PRIMARY_ZONE. */
export const localityLengthMax = 4_096;
/**
 * Replicas that a locality may ask for. On the way from one to another a log stream has those of both: twice the latter and once the former are
 * learners then (`configLearnersMax`), and one or two more than the former vote (`configMembersMax`).
 */
export const fullReplicasMax = 7;
export const readonlyReplicasMax = 12;
/** Full replicas of the sys tenant that a bootstrap makes, and of a tenant whose locality is not given. */
export const sysReplicasMax = 5;
export const defaultReplicasMax = 3;
/** How often a locality task looks whether a learner has caught up, and how long it waits after a refusal. */
export const localityCatchUpPollMs = 200;
export const localityRetryMs = 1_000;
/** Tasks that are over, kept for the views. */
export const rootJobsMax = 200;
/** A learner whose log is no further behind its leader's may be promoted. */
export const promoteLagBytesMax = 1_048_576;
/** How long a command waits for the arbiter to be set or removed, before it says that it goes on. */
export const arbitrationWaitMs = 60_000;
/** The longest `arbitration_timeout`: nothing is degraded by itself, as for maintenance. */
export const arbitrationTimeoutMsMax = 2_592_000_000;
/** Tasks that are over, and events of servers, kept for the views. */
export const arbitrationTasksMax = 200;
export const serverEventsMax = 10_000;
/** Events of a server that wait for the root service, and of one report or answer. */
export const serverEventsWaitingMax = 1_000;
export const serverEventsReportMax = 100;
/** How often the other servers are probed by one with a log stream that has an arbiter, and how long a probe may take. */
export const arbitrationProbeMs = 500;
export const arbitrationProbeTimeoutMs = 1_000;
/** A server that did not answer for so long is dead, if anybody else says that it is not this server that is cut off. */
export const probeSilenceMs = 2_000;
/** How often an arbiter that did not answer is told again whose it is. */
export const readoptMs = 5_000;

// --- arbiter ---

/** Changes of one durable write of an arbiter's journal. */
export const arbiterBatchBytesMax = 4_194_304;
/** A journal shorter than this is not written anew. */
export const arbiterCompactBytesMin = 4_194_304;
/** A journal that is longer was not written by an arbiter. */
export const arbiterJournalBytesMax = 2_147_483_647;
/** Clusters and log streams that one arbiter serves. */
export const arbiterClustersMax = 256;
export const arbiterStreamsMax = 100_000;
/** Streams of one answer of an arbiter that is asked what it knows. */
export const arbiterPageStreams = 200;
