/** The event store of a runtime that may forget everything when its process ends. Same rules, no file. */
import { ArcpError } from '../errors.ts';
import { isFinal } from '../job-state.ts';
import type {
  EventQuery,
  EventStore,
  JobQuery,
  StoreBatch,
  StoredCredential,
  StoredEvent,
  StoredJob,
  StoredRuntime,
  StoredSession,
} from './event-store.ts';

/**
 * Makes an empty store in memory. A second runtime may be started on it after the first has stopped, as a test of
 * restarting does.
 */
export function createMemoryEventStore(): EventStore {
  const sessionsById = new Map<string, StoredSession>();
  const streamsById = new Map<string, Stream>();
  const jobsById = new Map<string, StoredJob>();
  const jobIdsByKey = new Map<string, string>();
  const credentials = new Map<string, StoredCredential>();
  let isClosed = false;

  const requireOpen = (): void => {
    if (isClosed) throw new ArcpError('closed', 'Cannot use store: it is closed, expected an open one');
  };
  const keepSession = (session: StoredSession): void => {
    sessionsById.set(session.sessionId, session);
    const stream = streamsById.get(session.sessionId);
    if (stream === undefined) {
      streamsById.set(session.sessionId, { events: [], evicted: 0, firstSeq: session.lastSeq + 1 });
    } else evict(stream, session.evictedSeq);
  };
  const keepJob = (job: StoredJob): void => {
    jobsById.set(job.jobId, job);
    if (job.idempotencyKey !== undefined)
      jobIdsByKey.set(keyOf(job.principal, job.idempotencyKey), job.jobId);
  };
  const dropJob = (job: StoredJob): void => {
    jobsById.delete(job.jobId);
    if (job.idempotencyKey !== undefined) jobIdsByKey.delete(keyOf(job.principal, job.idempotencyKey));
  };

  return {
    load(): StoredRuntime {
      requireOpen();
      return {
        sessions: [...sessionsById.values()].map((session) => ({
          session,
          bufferedBytes: sizeOf(streamsById.get(session.sessionId)),
        })),
        jobs: [...jobsById.values()].filter((job) => !isFinal(job.status)),
        credentials: [...credentials.values()],
      };
    },
    commit(batch: StoreBatch) {
      requireOpen();
      // Streams first: a session row that evicts must not meet events it has not seen.
      for (const session of batch.sessions) if (!streamsById.has(session.sessionId)) keepNewSession(session);
      for (const event of batch.events) streamsById.get(event.sessionId)?.events.push(event);
      for (const session of batch.sessions) keepSession(session);
      for (const job of batch.jobs) keepJob(job);
      for (const credential of batch.credentials) credentials.set(credential.handle, credential);
      for (const handle of batch.revokedHandles) credentials.delete(handle);
      for (const sessionId of batch.removedSessionIds) {
        sessionsById.delete(sessionId);
        streamsById.delete(sessionId);
      }
    },
    readEvents({ sessionId, afterSeq, limit, jobId }: EventQuery) {
      requireOpen();
      const stream = streamsById.get(sessionId);
      if (stream === undefined) return [];
      const found: StoredEvent[] = [];
      const start = Math.max(stream.evicted, afterSeq + 1 - stream.firstSeq);
      for (let at = start; at < stream.events.length && found.length < limit; at += 1) {
        const event = stream.events[at];
        if (event !== undefined && (jobId === undefined || event.jobId === jobId)) found.push(event);
      }
      return found;
    },
    readJob(jobId) {
      requireOpen();
      return jobsById.get(jobId);
    },
    readJobByKey(principal, key) {
      requireOpen();
      const jobId = jobIdsByKey.get(keyOf(principal, key));
      return jobId === undefined ? undefined : jobsById.get(jobId);
    },
    listJobs(query) {
      requireOpen();
      return [...jobsById.values()]
        .filter((job) => isListed(job, query))
        .sort(byAge)
        .slice(0, query.limit);
    },
    pruneJobs(finishedBeforeMs, keyedBeforeMs) {
      requireOpen();
      let dropped = 0;
      for (const job of jobsById.values()) {
        const limitMs = job.idempotencyKey === undefined ? finishedBeforeMs : keyedBeforeMs;
        if (job.finishedAtMs === undefined || job.finishedAtMs >= limitMs) continue;
        dropJob(job);
        dropped += 1;
        if (dropped === PRUNE_LIMIT) break;
      }
      return dropped;
    },
    close() {
      isClosed = true;
    },
  };

  function keepNewSession(session: StoredSession): void {
    streamsById.set(session.sessionId, { events: [], evicted: 0, firstSeq: 1 });
  }
}

/** Events by position: `events[n]` has `seq` `firstSeq + n`; those below `evicted` are gone. */
interface Stream {
  readonly events: (StoredEvent | undefined)[];
  evicted: number;
  firstSeq: number;
}

/** Lets events go. The array is cut only when half of it is empty, so that eviction costs no copy per event. */
function evict(stream: Stream, upToSeq: number): void {
  const wanted = Math.min(stream.events.length, upToSeq + 1 - stream.firstSeq);
  for (; stream.evicted < wanted; stream.evicted += 1) stream.events[stream.evicted] = undefined;
  if (stream.evicted * 2 <= stream.events.length) return;
  stream.events.splice(0, stream.evicted);
  stream.firstSeq += stream.evicted;
  stream.evicted = 0;
}

function sizeOf(stream: Stream | undefined): number {
  return stream?.events.reduce((sum, event) => sum + (event?.payloadJson.length ?? 0), 0) ?? 0;
}

function isListed(job: StoredJob, query: JobQuery): boolean {
  const { principals, statuses, agent, createdAfterMs, createdBeforeMs, after } = query;
  if (principals !== undefined && !principals.includes(job.principal)) return false;
  if (statuses !== undefined && !statuses.includes(job.status)) return false;
  if (agent !== undefined && job.agent !== agent && !job.agent.startsWith(`${agent}@`)) return false;
  if (createdAfterMs !== undefined && job.createdAtMs <= createdAfterMs) return false;
  if (createdBeforeMs !== undefined && job.createdAtMs >= createdBeforeMs) return false;
  if (after === undefined || job.createdAtMs > after.createdAtMs) return true;
  return job.createdAtMs === after.createdAtMs && job.jobId > after.jobId;
}

function byAge(left: StoredJob, right: StoredJob): number {
  if (left.createdAtMs !== right.createdAtMs) return left.createdAtMs - right.createdAtMs;
  return left.jobId < right.jobId ? -1 : 1;
}

/** Principals may hold any character, so the two parts are kept apart by length. */
function keyOf(principal: string, key: string): string {
  return `${principal.length}:${principal}${key}`;
}

const PRUNE_LIMIT = 1_000;
