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
