/**
 * What the parts of a runtime share: the shapes of a live session, job and connection, and the tables that hold them.
 * Invariant: sessions own streams, connections only carry them; an event is in its session before anybody sees it.
 */
import type { Timer } from '@conductor-run/clock';
import type { Budget } from '../budget.ts';
import type { Deferred } from '../deferred.ts';
import type { ArcpErrorPayload } from '../errors.ts';
import type { JobStatus } from '../job-state.ts';
import type { CompiledLease } from '../lease.ts';
import type { Credential, JobSubmit } from '../wire.ts';
import type { AgentOutcome } from './agent-host.ts';
import type { Ledger } from './ledger.ts';
import type { UnreadPace } from './unread-pace.ts';
import type { Settings } from './options.ts';
import type { Span } from './ports.ts';
import type { StoredCredential, StoredEvent, StoredJob, StoredSession } from './event-store.ts';

/** A run of events that is evicted as one, so that bookkeeping costs nothing per event. */
export interface Segment {
  /** The last `event_seq` in it. */
  upToSeq: number;
  count: number;
  bytes: number;
  /** Monotonic time of the last event. */
  atMs: number;
}

/** A live session. */
export interface Session {
  readonly id: string;
  readonly principal: string;
  readonly createdAtMs: number;
  features: ReadonlySet<string>;
  tokenHash: string;
  previousTokenHash: string | undefined;
  lastSeq: number;
  evictedSeq: number;
  ackedSeq: number;
  /** UTC milliseconds; `undefined` while connected. */
  detachedAtMs: number | undefined;
  isClosed: boolean;
  link: Link | undefined;
  readonly jobs: Set<Job>;
  readonly subscriptions: Map<string, Subscription>;
  readonly segments: Segment[];
  bufferedBytes: number;
  bufferedEvents: number;
  /** Whether the client has been told that it is behind. */
  isPressured: boolean;
  /** Agents that wait for room. */
  readonly waiting: (() => void)[];
  toStored(): StoredSession;
}

/** A connection that carries a session. */
export interface Link {
  /** The highest `event_seq` handed to the transport, or to this turn's batch. */
  cursor: number;
  /** Whether the next event may go straight into the batch. */
  isLive(): boolean;
  /** Adds a message to this turn's batch. It leaves after the commit. */
  push(frame: string): void;
  /** A message outside the stream of events. */
  reply(type: string, payload: unknown, about?: ReplyAbout): void;
  /** The same with a payload that is JSON text already. */
  replyJson(type: string, payloadJson: string, about?: ReplyAbout): void;
  /** Called after each commit of a turn that pushed something or appended events. */
  committed(): void;
  /** Says why, then closes. */
  cut(error: ArcpErrorPayload | undefined, code: number, reason: string): void;
}

/** What a reply is about. */
export interface ReplyAbout {
  /** Only on the welcome; afterwards the connection knows. */
  readonly sessionId?: string | undefined;
  readonly jobId?: string | undefined;
  readonly traceId?: string | undefined;
}

/** A session that observes a job of another one. */
export interface Subscription {
  readonly jobId: string;
  readonly session: Session;
  /** The owner's `event_seq` up to which everything is copied. */
  copiedSeq: number;
  /** Whether history is still being copied; live events then wait in the owner's stream. */
  isReplaying: boolean;
}

/** A streamed result in progress. */
export interface ResultStream {
  readonly resultId: string;
  nextChunk: number;
  size: number;
  isDone: boolean;
  /** The pieces, for a client that does not know chunks; `undefined` for others. */
  joined: Buffer[] | undefined;
  /** Whether any piece was bytes. */
  isBinary: boolean;
}

/** A live job. */
export interface Job {
  readonly id: string;
  readonly session: Session;
  readonly principal: string;
  readonly agentName: string;
  readonly agentVersion: string;
  readonly submit: JobSubmit;
  readonly submitJson: string;
  readonly lease: CompiledLease;
  readonly budget: Budget;
  readonly expiresAtMs: number | undefined;
  /** Monotonic time at which the lease ends, grace included. */
  readonly expiresMonotonicMs: number;
  readonly deadlineAtMs: number | undefined;
  readonly parent: Job | undefined;
  readonly children: Set<Job>;
  readonly depth: number;
  readonly traceId: string;
  readonly traceparent: string;
  readonly createdAtMs: number;
  readonly idempotencyKey: string | undefined;
  readonly requestHash: string;
  acceptedJson: string;
  status: JobStatus;
  finishedAtMs: number | undefined;
  lastEventSeq: number;
  position: string | undefined;
  stream: ResultStream | undefined;
  credentials: readonly Credential[];
  readonly abort: AbortController;
  readonly observers: Set<Subscription>;
  timeLimit: Timer | undefined;
  watchdog: Timer | undefined;
  /** Watchdog looks since the last sign of life. */
  misses: number;
  /** Why it ended, once it has. */
  end: ArcpErrorPayload | undefined;
  readonly span: Span | undefined;
  toStored(): StoredJob;
  /** Tells a delegating agent how it ended. */
  readonly settled: Deferred<AgentOutcome>;
}

/** What a principal holds. */
export interface Account {
  readonly sessions: Set<Session>;
  jobs: number;
  bufferedBytes: number;
}

/** The runtime's tables. */
export interface Core {
  readonly settings: Settings;
  readonly ledger: Ledger;
  readonly unreadPace: UnreadPace;
  readonly sessionsById: Map<string, Session>;
  readonly jobsById: Map<string, Job>;
  /** Live jobs, and those that ended in this turn, by {@link keySlot}. */
  readonly jobsByKey: Map<string, Job>;
  /** Keys whose job waits for its credentials. */
  readonly reservedKeys: Set<string>;
  readonly accounts: Map<string, Account>;
  /** Keys that may be alive upstream, by handle. */
  readonly credentials: Map<string, StoredCredential>;
  /** Handles that are being taken back, so that no key is revoked twice at the same time. */
  readonly revoking: Set<string>;
  /** True once `stop` was called: what agents do from then on is not recorded. */
  isStopping: boolean;
}

/** What is appended to a stream. */
export type NewEvent = Pick<StoredEvent, 'jobId' | 'type' | 'traceId' | 'payloadJson'>;

/** A principal's account, made on first use. */
export function accountOf(core: Core, principal: string): Account {
  const known = core.accounts.get(principal);
  if (known !== undefined) return known;
  const account: Account = { sessions: new Set(), jobs: 0, bufferedBytes: 0 };
  core.accounts.set(principal, account);
  return account;
}

/** Forgets an account nobody uses, so that strangers leave nothing behind. */
export function releaseAccount(core: Core, principal: string): void {
  const account = core.accounts.get(principal);
  if (account !== undefined && account.sessions.size === 0 && account.jobs === 0)
    core.accounts.delete(principal);
}

/** One name for a principal's key. Both may hold any character, so the parts are kept apart by length. */
export function keySlot(principal: string, key: string): string {
  return `${principal.length}:${principal}${key}`;
}
