/**
 * The event store in one SQLite file. Invariant: a turn is one transaction; a process that dies at any instant leaves
 * the last committed turn and nothing of the next.
 */
import { closeSync, openSync } from 'node:fs';
import SqliteDatabase, { type Database } from 'better-sqlite3';
import { ArcpError } from '../errors.ts';
import type { EventStore, StoreBatch, StoredJob, StoredSession } from '../runtime/event-store.ts';
import { EVENT_TYPES, readCredentialRow, readEventRow, readJobRow, readSessionRow } from './rows.ts';
import { SCHEMA_SQL, SCHEMA_VERSION } from './schema.ts';
import { prepareStatements, type Statements } from './statements.ts';

/** Where and how safely. */
export interface SqliteEventStoreOptions {
  /** The file; made, readable by its owner alone, when it is not there. One runtime at a time. */
  readonly file: string;
  /**
   * What a commit survives: the death of the process, or also that of the machine, at one disk flush a turn.
   *
   * @defaultValue process
   */
  readonly durability?: 'process' | 'power';
}

/**
 * Opens a store. Needs the package better-sqlite3.
 *
 * @param options - the file
 * @throws ArcpError with code store-unreadable when the file is no such store, is of a newer version, or is in use
 */
export function openSqliteEventStore(options: SqliteEventStoreOptions): EventStore {
  const db = openDatabase(options);
  const statements = prepareStatements(db);
  const sessionNos = new Map<string, number>();
  const evictedSeqs = new Map<string, number>();

  const sessionNoOf = (sessionId: string): number | undefined => {
    const known = sessionNos.get(sessionId);
    if (known !== undefined) return known;
    const found = statements.sessionNo.get(sessionId);
    if (typeof found !== 'number') return undefined;
    sessionNos.set(sessionId, found);
    return found;
  };
  const evict = (session: StoredSession): void => {
    if ((evictedSeqs.get(session.sessionId) ?? 0) >= session.evictedSeq) return;
    statements.evictEvents.run(sessionNoOf(session.sessionId), session.evictedSeq);
    evictedSeqs.set(session.sessionId, session.evictedSeq);
  };
  const write = db.transaction((batch: StoreBatch) => {
    for (const session of batch.sessions) putSession(statements, session);
    for (const { sessionId, seq, jobId, type, traceId, payloadJson } of batch.events) {
      const sessionNo = sessionNoOf(sessionId);
      // Only a session that ended in this very turn has none; its events go with it.
      if (sessionNo !== undefined) {
        statements.putEvent.run(sessionNo, seq, jobId, EVENT_TYPES.indexOf(type), traceId, payloadJson);
      }
    }
    for (const session of batch.sessions) evict(session);
    for (const job of batch.jobs) putJob(statements, job);
    for (const { handle, jobId, credentialId, failedRevocations } of batch.credentials) {
      statements.putCredential.run(handle, jobId, credentialId, failedRevocations);
    }
    for (const handle of batch.revokedHandles) statements.deleteCredential.run(handle);
    for (const sessionId of batch.removedSessionIds) statements.deleteSession.run(sessionId);
  });

  return {
    load() {
      const sessions = statements.sessions.all().map(readSessionRow);
      for (const { session, sessionNo } of sessions) sessionNos.set(session.sessionId, sessionNo);
      return {
        sessions: sessions.map(({ session, bufferedBytes }) => ({ session, bufferedBytes })),
        jobs: statements.unfinishedJobs.all().map(readJobRow),
        credentials: statements.credentials.all().map(readCredentialRow),
      };
    },
    commit(batch) {
      try {
        write.immediate(batch);
      } catch (error) {
        // Numbers given in a transaction that was rolled back do not exist.
        sessionNos.clear();
        evictedSeqs.clear();
        throw error;
      }
      for (const sessionId of batch.removedSessionIds) {
        sessionNos.delete(sessionId);
        evictedSeqs.delete(sessionId);
      }
    },
    readEvents({ sessionId, afterSeq, limit, jobId }) {
      const sessionNo = sessionNoOf(sessionId);
      if (sessionNo === undefined) return [];
      const rows =
        jobId === undefined
          ? statements.events.all(sessionNo, afterSeq, limit)
          : statements.jobEvents.all(sessionNo, afterSeq, jobId, limit);
      return rows.map((row) => readEventRow(sessionId, row));
    },
    readJob(jobId) {
      const row = statements.job.get(jobId);
      return row === undefined ? undefined : readJobRow(row);
    },
    readJobByKey(principal, key) {
      const row = statements.jobByKey.get(principal, key);
      return row === undefined ? undefined : readJobRow(row);
    },
    listJobs(query) {
      return statements.listJobs
        .all({
          principals: query.principals === undefined ? null : JSON.stringify(query.principals),
          statuses: query.statuses === undefined ? null : JSON.stringify(query.statuses),
          agent: query.agent ?? null,
          createdAfterMs: query.createdAfterMs ?? null,
          createdBeforeMs: query.createdBeforeMs ?? null,
          afterMs: query.after?.createdAtMs ?? null,
          afterJobId: query.after?.jobId ?? null,
          limit: query.limit,
        })
        .map(readJobRow);
    },
    pruneJobs(finishedBeforeMs, keyedBeforeMs) {
      return statements.pruneJobs.run({ finishedBeforeMs, keyedBeforeMs }).changes;
    },
    close() {
      db.close();
    },
  };
}

function openDatabase({ file, durability = 'process' }: SqliteEventStoreOptions): Database {
  // Made here so that nobody else can read it: events and credentials are in it. SQLite gives its side files the same mode.
  if (file !== ':memory:') closeSync(openSync(file, 'a', 0o600));
  let db: Database | undefined;
  try {
    db = new SqliteDatabase(file, { timeout: 5_000 });
    // Before WAL: the lock is then held until the end, so a second runtime cannot continue the same sessions.
    db.pragma('locking_mode = exclusive');
    db.pragma('journal_mode = wal');
    db.pragma(`synchronous = ${durability === 'power' ? 'full' : 'normal'}`);
    db.pragma('foreign_keys = on');
    // A checkpoint every 32 MiB instead of every 4: each one writes every touched page once more and flushes.
    db.pragma('wal_autocheckpoint = 8000');
    migrate(db);
    return db;
  } catch (error) {
    db?.close();
    if (error instanceof ArcpError) throw error;
    throw new ArcpError(
      'store-unreadable',
      `Cannot open store "${file}": it is no SQLite file of ours or in use, expected a free one`,
      {
        cause: error,
      },
    );
  }
}

function migrate(db: Database): void {
  const prepare = db.transaction(() => {
    const version = Number(db.pragma('user_version', { simple: true }));
    if (version === SCHEMA_VERSION) return;
    if (version !== 0) {
      throw new ArcpError(
        'store-unreadable',
        `Cannot open store of version "${version}": expected at most ${SCHEMA_VERSION}`,
      );
    }
    db.exec(SCHEMA_SQL);
    db.pragma(`user_version = ${SCHEMA_VERSION}`);
  });
  prepare.exclusive();
}

function putSession(statements: Statements, session: StoredSession): void {
  statements.putSession.run(
    session.sessionId,
    session.principal,
    JSON.stringify(session.features),
    session.tokenHash,
    session.previousTokenHash ?? null,
    session.lastSeq,
    session.evictedSeq,
    session.ackedSeq,
    session.createdAtMs,
    session.detachedAtMs ?? null,
    session.isClosed ? 1 : 0,
    JSON.stringify(session.subscriptions),
  );
}

function putJob(statements: Statements, job: StoredJob): void {
  statements.putJob.run(
    job.jobId,
    job.sessionId,
    job.principal,
    job.agent,
    job.status,
    job.createdAtMs,
    job.finishedAtMs ?? null,
    job.lastEventSeq,
    job.parentJobId ?? null,
    job.traceId,
    job.idempotencyKey ?? null,
    job.requestHash,
    job.acceptedJson,
    job.submitJson,
    JSON.stringify(job.budget),
    job.expiresAtMs ?? null,
    job.deadlineAtMs ?? null,
    job.position ?? null,
    job.stream === undefined ? null : JSON.stringify(job.stream),
  );
}
