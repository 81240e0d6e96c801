/** The SQLite connection as this folder uses it. One connection lives in one thread and is never handed to another. */
import type Database from 'better-sqlite3';

export type Connection = Database.Database;
