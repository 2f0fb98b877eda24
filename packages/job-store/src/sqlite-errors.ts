/** Turns what SQLite throws into this package's error, and tells a busy file from a broken one. */
import Database from 'better-sqlite3';
import { ZodError } from 'zod';
import { JobStoreError, type JobStoreErrorCode } from './errors.ts';

/** @internal True when another connection holds the write lock; worth another try. */
export function isBusy(error: unknown): boolean {
  return error instanceof Database.SqliteError && error.code.startsWith('SQLITE_BUSY');
}

/** @internal The error to throw for what SQLite threw; anything else is passed on as it is. */
export function toJobStoreError(verb: string, path: string, error: unknown): unknown {
  if (!(error instanceof Database.SqliteError)) return error;
  const [code, state] = describe(error.code);
  return new JobStoreError(code, `Cannot ${verb} job store "${path}": ${state} (${error.code})`, {
    cause: error,
  });
}

/** @internal The same where no caller's code runs: there a value that does not parse came from the file. */
export function toStoreError(verb: string, path: string, error: unknown): unknown {
  if (!(error instanceof ZodError)) return toJobStoreError(verb, path, error);
  return new JobStoreError(
    'corrupt',
    `Cannot ${verb} job store "${path}": a row holds what no version writes, expected a sound store`,
    { cause: error },
  );
}

function describe(code: string): [JobStoreErrorCode, string] {
  if (code.startsWith('SQLITE_BUSY')) {
    return ['busy', 'another writer holds the file, expected it to let go in time'];
  }
  if (code.startsWith('SQLITE_FULL')) return ['disk-full', 'the disk is full, expected room to write'];
  if (code.startsWith('SQLITE_CORRUPT') || code.startsWith('SQLITE_NOTADB')) {
    return ['corrupt', 'the file is damaged or no database, expected a SQLite file'];
  }
  if (code.startsWith('SQLITE_READONLY'))
    return ['read-only', 'the file is read-only, expected a writable one'];
  if (code.startsWith('SQLITE_IOERR') || code.startsWith('SQLITE_CANTOPEN')) {
    return ['io', 'the file system refused, expected a readable and writable file'];
  }
  return ['unexpected', 'SQLite refused, expected the statement to run'];
}
