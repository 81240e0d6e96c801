/**
 * Tells in one look whether a statement means the same in MySQL and in SQLite, so that it may pass untouched. Fails closed: whatever
 * it does not know takes the slow way. The slow way must give the same statement (a test holds both to it).
 */

/** Words that are read differently, or ask for something, wherever they stand. */
const wordsWithMeaning = [
  'binary|collate|current_user|date|default|delayed|distinctrow|div|dual|dumpfile|except|for|force|high_priority',
  'ignore|indexed|intersect|interval|into|lateral|localtime|localtimestamp|lock|low_priority|mod|natural|notnull|of|outfile',
  'partition|quick|regexp|replace|returning|rlike|rollup|separator|share|skip|sounds|sql_\\w+|straight_join',
  'time|timestamp|transaction|autoincrement|deferrable|union|use|using|utc_\\w+|values|window|with|xor|join|select|escape',
].join('|');

/** Calls that are the same in both. */
const sameCalls =
  'count|sum|min|max|avg|coalesce|ifnull|lower|upper|abs|in|and|or|not|where|between|when|then|else|by|exists';

const piece = [
  // a word, not a literal's prefix and not a call
  `(?!(?:${wordsWithMeaning})\\b)[A-Za-z][A-Za-z0-9_]*+(?!['(.]|\\s+[(.])`,
  `(?:${sameCalls})\\s*(?=\\()`,
  // whole numbers
  '\\d+(?![\\w.])',
  // a string that needs no reading and has no neighbour
  "'[^'\\\\\\0]*'(?!\\s*')",
  '\\s+',
  '[,()*+%?]',
  '<(?!=>)|[>=]|-(?!-)',
].join('|');

// JavaScript has no possessive quantifier: a word is followed by what ends it.
const body = `(?:${piece.replace('*+', '*(?![A-Za-z0-9_])')})*`;

/** a string literal in a select list would be named differently, so FROM must come before the first one */
const plain = new RegExp(
  `^(?:SELECT\\s+(?=[^']*(?:\\sFROM\\s|$))${body}|UPDATE\\s+[A-Za-z]\\w*\\s+SET\\s${body}|DELETE\\s+FROM\\s+[A-Za-z]\\w*(?:\\s+WHERE\\s${body})?)$`,
  'i',
);

/** longer texts gain nothing */
const plainLength = 4_096;

export const isPlain = (text: string): boolean => text.length <= plainLength && plain.test(text);
