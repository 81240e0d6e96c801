/** Loads the Chinook sample database through the MySQL protocol, statement by statement, as a client would. */
import { readFileSync } from 'node:fs';
import { createConnection } from 'mysql2/promise';

const file = new URL('../../../config/demo/chinook.sql', import.meta.url);

/** Resolves with the number of statements that ran. */
export async function loadChinook(
  port: number,
  credentials: { user: string; password: string },
): Promise<number> {
  const connection = await createConnection({ host: '127.0.0.1', port, ...credentials });
  try {
    // Every statement of this file ends a line with its semicolon.
    const statements = readFileSync(file, 'utf8')
      .replaceAll(/\/\*[\s\S]*?\*\//g, '')
      .split(/;[ \t]*\r?\n/)
      .map(statement => withBackticks(statement.trim()))
      .filter(statement => statement !== '');
    for (const statement of statements) await connection.query(statement);
    return statements.length;
  } finally {
    await connection.end();
  }
}

/** The file names things as `[Album]`; MySQL clients write backticks. What is between quotes stays. */
const withBackticks = (statement: string): string =>
  statement
    .split("'")
    .map((part, index) => (index % 2 === 0 ? part.replaceAll(/\[(\w+)\]/g, '`$1`') : part))
    .join("'");
