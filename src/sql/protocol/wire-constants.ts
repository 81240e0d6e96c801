/** The numbers of MySQL's client/server protocol 4.1 that this server speaks. Names are the protocol's own. */

/** First byte of a command packet. */
export const command = {
  quit: 0x01,
  initDb: 0x02,
  query: 0x03,
  fieldList: 0x04,
  statistics: 0x09,
  ping: 0x0e,
  changeUser: 0x11,
  statementPrepare: 0x16,
  statementExecute: 0x17,
  statementSendLongData: 0x18,
  statementClose: 0x19,
  statementReset: 0x1a,
  setOption: 0x1b,
  statementFetch: 0x1c,
  resetConnection: 0x1f,
} as const;

export const capability = {
  longPassword: 1 << 0,
  foundRows: 1 << 1,
  longFlag: 1 << 2,
  connectWithDb: 1 << 3,
  odbc: 1 << 6,
  ignoreSpace: 1 << 8,
  protocol41: 1 << 9,
  interactive: 1 << 10,
  ssl: 1 << 11,
  transactions: 1 << 13,
  reserved: 1 << 14,
  secureConnection: 1 << 15,
  multiStatements: 1 << 16,
  multiResults: 1 << 17,
  psMultiResults: 1 << 18,
  pluginAuth: 1 << 19,
  connectAttributes: 1 << 20,
  pluginAuthLenencData: 1 << 21,
  deprecateEof: 1 << 24,
} as const;

/** What this server offers; `ssl` is added when it has a certificate. */
export const serverCapabilities =
  capability.longPassword |
  capability.foundRows |
  capability.longFlag |
  capability.connectWithDb |
  capability.odbc |
  capability.ignoreSpace |
  capability.protocol41 |
  capability.interactive |
  capability.transactions |
  capability.reserved |
  capability.secureConnection |
  capability.multiStatements |
  capability.multiResults |
  capability.psMultiResults |
  capability.pluginAuth |
  capability.connectAttributes |
  capability.pluginAuthLenencData |
  capability.deprecateEof;

/** Status flags of OK and EOF packets. */
export const status = {
  inTransaction: 0x0001,
  autocommit: 0x0002,
  moreResults: 0x0008,
  noBackslashEscapes: 0x0200,
  inReadOnlyTransaction: 0x2000,
} as const;

/** Column and parameter types. */
export const type = {
  decimal: 0,
  tiny: 1,
  short: 2,
  long: 3,
  float: 4,
  double: 5,
  null: 6,
  timestamp: 7,
  longlong: 8,
  int24: 9,
  date: 10,
  time: 11,
  datetime: 12,
  year: 13,
  varchar: 15,
  bit: 16,
  json: 245,
  newDecimal: 246,
  enum: 247,
  set: 248,
  tinyBlob: 249,
  mediumBlob: 250,
  longBlob: 251,
  blob: 252,
  varString: 253,
  string: 254,
  geometry: 255,
} as const;

export const columnFlag = {
  notNull: 1,
  blob: 16,
  unsigned: 32,
  binary: 128,
} as const;

/** Character set ids: utf8mb4_general_ci, and binary. */
export const charset = { utf8mb4: 45, binary: 63 } as const;

/** A packet of exactly this many bytes is continued by the next one. */
export const packetPartBytes = 0xff_ff_ff;

/** The statement id with which some drivers mean "the one just prepared". */
export const lastPreparedId = 0xff_ff_ff_ff;
