/** Errors of the MySQL front-end: protocol, login, statements. */
import type { CatalogueRow } from '../errors.ts';

export const sqlErrors = {
  OBS_SQL_ACCESS_DENIED: {
    kind: 'invalid',
    message: "Access denied for user '{user}'@'{host}' (using password: {password})",
    hint: 'Check user@tenant and the password.',
    mysql: { number: 1045, sqlState: '28000' },
  },

  // --- front-end: connections, packets, login ---
  OBS_SQL_MALFORMED_PACKET: {
    kind: 'invalid',
    message: 'Malformed communication packet: {what}',
    hint: 'Check the client library: its packets do not follow the protocol.',
    mysql: { number: 1835, sqlState: 'HY000' },
  },
  OBS_SQL_PACKETS_OUT_OF_ORDER: {
    kind: 'invalid',
    message: 'Got packets out of order',
    hint: 'Check the client library: its packet numbers do not follow the protocol.',
    mysql: { number: 1156, sqlState: '08S01' },
  },
  OBS_SQL_PACKET_TOO_LARGE: {
    kind: 'invalid',
    message: "Got a packet bigger than 'max_allowed_packet' bytes ({bytes} of {max})",
    hint: 'Send smaller statements, or raise the statement size limit of the server.',
    mysql: { number: 1153, sqlState: '08S01' },
  },
  OBS_SQL_BAD_HANDSHAKE: {
    kind: 'invalid',
    message: 'Bad handshake: {what}',
    hint: 'Use a MySQL client of protocol 4.1 or newer that knows {plugins}.',
    mysql: { number: 1043, sqlState: '08S01' },
  },
  OBS_SQL_TLS_REQUIRED: {
    kind: 'invalid',
    message: 'Connections using insecure transport are prohibited',
    hint: 'Connect with TLS (--ssl-mode=REQUIRED).',
    mysql: { number: 3159, sqlState: 'HY000' },
  },
  OBS_SQL_TOO_MANY_CONNECTIONS: {
    kind: 'unavailable',
    message: 'Too many connections',
    hint: 'Close idle connections, or raise the connection limit of the server.',
    mysql: { number: 1040, sqlState: '08004' },
  },
  OBS_SQL_TENANT_CONNECTIONS: {
    kind: 'unavailable',
    message: "Tenant '{tenant}' has exceeded the 'max_connections' resource (current value: {max})",
    hint: 'Close idle connections, or raise the connection limit of the tenant.',
    mysql: { number: 1226, sqlState: '42000' },
  },
  OBS_SQL_SERVER_SHUTDOWN: {
    kind: 'unavailable',
    message: 'Server shutdown in progress',
    hint: 'Connect again, to another server of the cluster.',
    mysql: { number: 1053, sqlState: '08S01' },
  },
  OBS_SQL_IDLE_TIMEOUT: {
    kind: 'unavailable',
    message: 'The client was disconnected by the server because of inactivity',
    hint: 'Connect again; wait_timeout is the limit.',
    mysql: { number: 4031, sqlState: 'HY000' },
  },
  OBS_SQL_UNKNOWN_COMMAND: {
    kind: 'invalid',
    message: 'Unknown command {command}',
    hint: 'Use SQL statements: this protocol command is not served here.',
    mysql: { number: 1047, sqlState: '08S01' },
  },
  OBS_SQL_UNKNOWN_DATABASE: {
    kind: 'invalid',
    message: "Unknown database '{schema}'",
    hint: 'A tenant has one database, named as the tenant.',
    mysql: { number: 1049, sqlState: '42000' },
  },
  OBS_SQL_PRIVILEGE: {
    kind: 'invalid',
    message: 'Access denied; you need (at least one of) the {privilege} privilege(s) for this operation',
    hint: 'Ask root of this tenant for: GRANT {privilege} ON *.* TO the user.',
    mysql: { number: 1227, sqlState: '42000' },
  },
  OBS_SQL_NO_SUCH_CONNECTION: {
    kind: 'invalid',
    message: 'Unknown thread id: {connection}',
    hint: 'SHOW PROCESSLIST lists the connections.',
    mysql: { number: 1094, sqlState: 'HY000' },
  },

  // --- front-end: statements and results ---
  OBS_SQL_UNKNOWN_PREPARED: {
    kind: 'invalid',
    message: 'Unknown prepared statement handler ({statement}) given to {command}',
    hint: 'Prepare the statement on this connection first.',
    mysql: { number: 1243, sqlState: 'HY000' },
  },
  OBS_SQL_TOO_MANY_PREPARED: {
    kind: 'invalid',
    message: "Can't create more than max_prepared_stmt_count statements (current value: {max})",
    hint: 'Close prepared statements that are not needed any more.',
    mysql: { number: 1461, sqlState: '42000' },
  },
  OBS_SQL_MULTIPLE_IN_PREPARE: {
    kind: 'invalid',
    message: 'This command is not supported in the prepared statement protocol yet: several statements',
    hint: 'Prepare one statement at a time.',
    mysql: { number: 1295, sqlState: 'HY000' },
  },
  OBS_SQL_PARAMETER_COUNT: {
    kind: 'invalid',
    message: 'Incorrect arguments to {command}: {given} parameters for {wanted} markers',
    hint: 'Bind one value to each question mark.',
    mysql: { number: 1210, sqlState: 'HY000' },
  },
  OBS_SQL_LONG_DATA: {
    kind: 'invalid',
    message:
      'Parameter data of a prepared statement is longer than {max} bytes, or for a parameter it has not',
    hint: 'Send smaller values, or raise the statement size limit of the server.',
    mysql: { number: 1301, sqlState: 'HY000' },
  },
  OBS_SQL_RESULT_BYTES: {
    kind: 'invalid',
    message: 'the result is larger than {max} bytes',
    hint: 'Read it in parts (LIMIT), or raise the result size limit of the server.',
    mysql: { number: 1301, sqlState: 'HY000' },
  },
  OBS_SQL_VARIABLE: {
    kind: 'invalid',
    message: "Variable '{name}' can't be set to the value of '{value}'",
    hint: 'Use a value the variable takes; SHOW VARIABLES lists them.',
    mysql: { number: 1231, sqlState: '42000' },
  },
  OBS_SQL_TOO_MANY_VARIABLES: {
    kind: 'invalid',
    message: 'a session may set at most {max} variables',
    hint: 'Open a new connection.',
  },
  OBS_SQL_STATEMENT_UNSETTLED: {
    kind: 'invalid',
    message: 'the tables this statement names changed while it was read',
    hint: 'Run it again.',
  },
  OBS_SQL_USER_EXISTS: {
    kind: 'invalid',
    message: "Operation CREATE USER failed for '{user}': it exists",
    hint: 'Use ALTER USER to change it, or CREATE USER IF NOT EXISTS.',
    mysql: { number: 1396, sqlState: 'HY000' },
  },
  OBS_SQL_NO_SUCH_USER: {
    kind: 'invalid',
    message: "Operation {operation} failed for '{user}': there is no such user",
    hint: 'CREATE USER makes it.',
    mysql: { number: 1396, sqlState: 'HY000' },
  },
  OBS_SQL_USER_INVALID: {
    kind: 'invalid',
    message: 'this user cannot be stored: {what}',
    hint: 'Names have 1 to 96 characters, passwords up to 256, a tenant up to 10000 users; root stays.',
    mysql: { number: 1396, sqlState: 'HY000' },
  },
  OBS_SQL_INTERNAL: {
    kind: 'unavailable',
    message: 'the server failed to run this statement',
    hint: 'Look into the log of the server at this time.',
    mysql: { number: 1815, sqlState: 'HY000' },
  },
} as const satisfies Record<string, CatalogueRow>;
