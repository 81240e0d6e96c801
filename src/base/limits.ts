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
