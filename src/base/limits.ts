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
/** Commands a client may send ahead of its answers before its socket is paused. */
export const pipelinedCommandsMax = 256;
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
/** Statements in one multi-statement text. */
export const statementsPerTextMax = 10_000;
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
/** Bytes of one part of a redo body; a bigger body has several parts. */
export const redoPartBytesMax = 1_048_576;
/** Page images held while a group of redo records is applied; a bigger group is written in several pieces. */
export const pageImageBytesMax = 16_777_216;
/** A varint of a redo body is one of 32 bits. */
export const redoVarintBytesMax = 5;
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
/** A chunk or snapshot piece on the wire: the largest group with its headers. */
export const peerChunkFrameBytesMax = 33_554_432;
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
export const followerHoldBytesMax = 1_073_741_824;
/** Followers remembered per tenant. */
export const followersMax = 64;
/** Eras of a proposal history on the wire. */
export const peerErasMax = 4_096;

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
/** Fragments one entry may be handed in. */
export const entryFragmentsMax = 1_048_576;
/** A group, header included. */
export const groupBytesMax = 1_048_576;
/** A body is split over groups rather than padded when at least this many payload bytes are left. */
export const splitBytesMin = 2_048;
/** Size of a block file. The lower bound is for tests; a server's configuration starts higher. */
export const blockBytesMin = 16_384;
export const blockBytesMax = 1_073_741_824;
export const blockBytesDefault = 16_777_216;
/** Groups closed but not yet durable. */
export const windowGroupsMax = 2_048;
/** Bytes ordered but not yet durable; a single larger entry passes when the window is empty. */
export const windowBytesMax = 33_554_432;
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
/** A meta image of a log stream; two copies of it are on disk. */
export const metaImageBytesMax = 16_384;
/** Body of a role entry. */
export const roleEntryBytesMax = 65_536;
/** Log operations other than appends waiting for their durable write. */
export const metaRepliesMax = 1_024;
