/**
 * The port behind which everything lives that must survive the process: sessions, jobs, buffered events, idempotency
 * keys, outstanding credentials. Invariant: `commit` is atomic, and what it has returned from is there after a crash.
 */
import type { StoredCounter } from '../budget.ts';
import type { JobStatus } from '../job-state.ts';

/** A session at rest. */
export interface StoredSession {
  /** The public name. */
  readonly sessionId: string;
  /** Who authenticated. Nobody else may resume it. */
  readonly principal: string;
  /** What both peers understand. */
  readonly features: readonly string[];
  /** SHA-256 of the current resume token, hex. */
  readonly tokenHash: string;
  /** That of the token before, until the client has shown that it received the current one. */
  readonly previousTokenHash: string | undefined;
  /** The highest `event_seq` given out. */
  readonly lastSeq: number;
  /** Events up to here are gone. */
  readonly evictedSeq: number;
  /** The highest `event_seq` the client said it processed. */
  readonly ackedSeq: number;
  /** When it began, UTC milliseconds. */
  readonly createdAtMs: number;
  /** When its last connection ended, UTC milliseconds; `undefined` while it has one. */
  readonly detachedAtMs: number | undefined;
  /** Whether the client closed it. */
  readonly isClosed: boolean;
  /** The jobs of other sessions it observes, and how far each has been copied in the owner's numbers. */
  readonly subscriptions: readonly StoredSubscription[];
}

/** One observed job. */
export interface StoredSubscription {
  /** The job. */
  readonly jobId: string;
  /** The owner's `event_seq` up to which everything is copied. */
  readonly copiedSeq: number;
}

/** A job at rest. */
export interface StoredJob {
  /** The public name. */
  readonly jobId: string;
  /** The session that submitted it. */
  readonly sessionId: string;
  /** Whose job it is. */
  readonly principal: string;
  /** `name@version`. */
  readonly agent: string;
  /** Where it stands. */
  readonly status: JobStatus;
  /** When it was accepted, UTC milliseconds. */
  readonly createdAtMs: number;
  /** When it ended, UTC milliseconds. */
  readonly finishedAtMs: number | undefined;
  /** The `event_seq` of its latest event; 0 for none. */
  readonly lastEventSeq: number;
  /** The delegating job. */
  readonly parentJobId: string | undefined;
  /** 32 hex digits. */
  readonly traceId: string;
  /** What makes submitting again harmless. Unique within the principal. */
  readonly idempotencyKey: string | undefined;
  /** SHA-256 of the submitted parameters, hex; empty without a key. */
  readonly requestHash: string;
  /** The payload of `job.accepted` as JSON text. */
  readonly acceptedJson: string;
  /** The payload of `job.submit` as JSON text, for an agent that goes on after a restart. */
  readonly submitJson: string;
  /** The budget counters by currency. */
  readonly budget: Readonly<Record<string, StoredCounter>>;
  /** When its authority ends, UTC milliseconds. */
  readonly expiresAtMs: number | undefined;
  /** When its time is up, UTC milliseconds. */
  readonly deadlineAtMs: number | undefined;
  /** Where its agent stands, in the agent's own words; see `AgentJob.emit`. */
  readonly position: string | undefined;
  /** The streamed result so far, if there is one. */
  readonly stream: StoredResultStream | undefined;
}

/** A streamed result at rest. */
export interface StoredResultStream {
  /** The `result_id`. */
  readonly resultId: string;
  /** The next `chunk_seq`. */
  readonly nextChunk: number;
  /** Decoded bytes so far. */
  readonly size: number;
  /** Whether the last chunk has been sent. */
  readonly isDone: boolean;
}

/** A buffered event. */
export interface StoredEvent {
  /** The session whose stream it is in. */
  readonly sessionId: string;
  /** Its place there. */
  readonly seq: number;
  /** The job. */
  readonly jobId: string;
  /** Its message type. */
  readonly type: 'job.event' | 'job.result' | 'job.error';
  /** 32 hex digits. */
  readonly traceId: string;
  /** The payload as JSON text. */
  readonly payloadJson: string;
}

/** A credential that may still be alive upstream. */
export interface StoredCredential {
  /** The provider's name for one issue of it; chosen before it is issued. */
  readonly handle: string;
  /** The job it is for. */
  readonly jobId: string;
  /** Its `id` on the wire. */
  readonly credentialId: string;
  /** How often revoking it has failed. */
  readonly failedRevocations: number;
}

/** What one turn of the loop changed. All of it is kept, or none. */
export interface StoreBatch {
  /** New or changed sessions. */
  readonly sessions: readonly StoredSession[];
  /** Sessions that are over; their events go with them. */
  readonly removedSessionIds: readonly string[];
  /** New or changed jobs. */
  readonly jobs: readonly StoredJob[];
  /** New events. */
  readonly events: readonly StoredEvent[];
  /** New or changed credentials. */
  readonly credentials: readonly StoredCredential[];
  /** Handles of credentials that are revoked. */
  readonly revokedHandles: readonly string[];
}

/** What a runtime continues with. */
export interface StoredRuntime {
  /** Every session, with the size of its buffered events. */
  readonly sessions: readonly { readonly session: StoredSession; readonly bufferedBytes: number }[];
  /** Every job that has not ended. */
  readonly jobs: readonly StoredJob[];
  /** Every credential that may be alive. */
  readonly credentials: readonly StoredCredential[];
}

/** Which events to read. */
export interface EventQuery {
  /** The stream. */
  readonly sessionId: string;
  /** Only later ones. */
  readonly afterSeq: number;
  /** At most so many. */
  readonly limit: number;
  /** Only this job's. */
  readonly jobId?: string;
}

/** Which jobs to list. Oldest first, by time and then by id. */
export interface JobQuery {
  /** Whose; several when a policy allows it. `undefined` for everybody's. */
  readonly principals: readonly string[] | undefined;
  /** Only these states. */
  readonly statuses?: readonly string[] | undefined;
  /** Only this agent, by `name` or `name@version`. */
  readonly agent?: string | undefined;
  /** Only accepted later than this, UTC milliseconds. */
  readonly createdAfterMs?: number | undefined;
  /** Only accepted earlier than this, UTC milliseconds. */
  readonly createdBeforeMs?: number | undefined;
  /** Only those behind this one. */
  readonly after?: { readonly createdAtMs: number; readonly jobId: string } | undefined;
  /** At most so many. */
  readonly limit: number;
}

/** Where a runtime keeps what must survive it. Calls are synchronous; a runtime commits once per turn of its loop. */
export interface EventStore {
  /** Everything unfinished. Called once, first. */
  load(): StoredRuntime;
  /** Keeps a turn's changes. Throwing means that nothing of it was kept. */
  commit(batch: StoreBatch): void;
  /** Buffered events, by `seq`. */
  readEvents(query: EventQuery): readonly StoredEvent[];
  /** One job, finished or not. */
  readJob(jobId: string): StoredJob | undefined;
  /** The job a key belongs to. */
  readJobByKey(principal: string, key: string): StoredJob | undefined;
  /** Jobs, finished or not. */
  listJobs(query: JobQuery): readonly StoredJob[];
  /**
   * Forgets finished jobs.
   *
   * @param finishedBeforeMs - those without a key that ended earlier, UTC milliseconds
   * @param keyedBeforeMs - those with one; `-Infinity` keeps them all
   * @returns how many were forgotten, at most 1,000 a call
   */
  pruneJobs(finishedBeforeMs: number, keyedBeforeMs: number): number;
  /** Gives files back. Afterwards every call throws. */
  close(): void;
}
