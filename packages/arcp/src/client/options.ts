/** What a client can be told, and what it hands out. */
import type { Clock } from '@conductor-run/clock';
import type { ArcpErrorPayload } from '../errors.ts';
import type { FinalStatus } from '../job-state.ts';
import type { Lease, LeaseConstraints } from '../lease.ts';
import type { Logger } from '../logger.ts';
import type { Transport } from '../transport.ts';
import type {
  Feature,
  JobAccepted,
  JobEvent,
  JobSubscribed,
  ListJobsRequest,
  SessionJobs,
  SessionWelcome,
} from '../wire.ts';

/** Where to come back to: enough to take up a session in another process. A secret. */
export interface SessionTicket {
  /** The session. */
  readonly sessionId: string;
  /** From the latest welcome. */
  readonly resumeToken: string;
  /** The highest `event_seq` that was received. */
  readonly lastEventSeq: number;
}

/** What a client can be told. */
export interface ClientOptions {
  /** Makes a connection; called again for every reconnect. See `connectWebSocket`. */
  readonly connect: () => Transport;
  /** The bearer token. */
  readonly token: string;
  /** Shown to the runtime. @defaultValue conductor-arcp-client */
  readonly name?: string;
  /** Shown to the runtime. @defaultValue 1.1.0 */
  readonly version?: string;
  /** What the client asks for. @defaultValue every feature of the draft */
  readonly features?: readonly Feature[];
  /** Takes up a session of an earlier process. @defaultValue none: a new session */
  readonly resume?: SessionTicket;
  /** Reconnects in a row until the client gives up; 0 for never again. @defaultValue 10 */
  readonly maxReconnects?: number;
  /** Milliseconds before the first reconnect; doubles each time, less a random part of up to half. @defaultValue 200 */
  readonly reconnectDelayMs?: number;
  /** Milliseconds before a reconnect at most. @defaultValue 10,000 */
  readonly maxReconnectDelayMs?: number;
  /** Milliseconds until a welcome must have come. @defaultValue 10,000 */
  readonly welcomeTimeoutMs?: number;
  /** Milliseconds between acknowledgements. @defaultValue 250 */
  readonly ackIntervalMs?: number;
  /** Events an iterator of one job holds for a consumer that does not take them; beyond, the oldest are dropped and counted in `droppedEvents`. @defaultValue 100,000 */
  readonly maxQueuedEvents?: number;
  /** Bytes of a streamed result that are put together. @defaultValue 67,108,864 */
  readonly maxResultBytes?: number;
  /** Called after every welcome, with what a later process needs to take the session up. */
  readonly onTicket?: (ticket: SessionTicket) => void;
  /** Between 0 and 1, for the delays. @defaultValue a random source */
  readonly random?: () => number;
  /** Where it writes. @defaultValue silence */
  readonly logger?: Logger;
  /** Where time and timers come from. @defaultValue the real clock */
  readonly clock?: Clock;
}

/** What to run. */
export interface SubmitOptions {
  /** `name` or `name@version`. */
  readonly agent: string;
  /** Whatever the agent takes. */
  readonly input?: unknown;
  /** What the job shall be allowed to do. @defaultValue nothing */
  readonly lease?: Lease;
  /** Until when, ISO 8601 with a final `Z`. @defaultValue no end */
  readonly expiresAt?: string;
  /** Makes the submit safe to repeat: with it, a submit whose connection is lost is sent again by itself. */
  readonly idempotencyKey?: string;
  /** Seconds until TIMEOUT. @defaultValue none */
  readonly maxRuntimeSec?: number;
  /** 32 hex digits. @defaultValue a new trace */
  readonly traceId?: string;
}

/** How a job ended. */
export type JobEnd =
  | {
      readonly status: 'success';
      /** Inline, or put together from chunks: text, or bytes when any chunk was base64. */
      readonly result: unknown;
      readonly summary: string | undefined;
    }
  | { readonly status: Exclude<FinalStatus, 'success'>; readonly error: ArcpErrorPayload };

/** An event with its place in the session. */
export interface ReceivedEvent extends JobEvent {
  /** Its `event_seq`. */
  readonly eventSeq: number;
}

/** A job of this session. */
export interface ClientJob {
  /** The job's name. */
  readonly jobId: string;
  /** What the runtime promised. */
  readonly accepted: JobAccepted;
  /** Events as they come, each once, ending with the job. One consumer; what came before iterating is kept. */
  readonly events: AsyncIterable<ReceivedEvent>;
  /** How it ends. Rejects with an `ArcpError` (connection-lost, closed, RESUME_WINDOW_EXPIRED) only when that cannot be known any more. */
  readonly end: Promise<JobEnd>;
  /** Events that were dropped because nobody took them. */
  droppedEvents(): number;
  /** Asks for its end; `end` then says `cancelled`, unless it was faster. */
  cancel(reason?: string): void;
}

/** A job somebody else submitted. */
export interface ObservedJob extends Omit<ClientJob, 'accepted' | 'cancel'> {
  /** What may be seen of it. */
  readonly subscribed: JobSubscribed;
  /** Stops watching; `events` ends. */
  unsubscribe(): void;
}

/** What to watch. */
export interface SubscribeOptions {
  /** Whether buffered events come first. @defaultValue false */
  readonly history?: boolean;
  /** Only later ones, in the numbers of the session that submitted. @defaultValue 0 */
  readonly fromEventSeq?: number;
}

/** A connection that mends itself. */
export interface ArcpClient {
  /** The session's name. */
  readonly sessionId: string;
  /** What the latest welcome said. */
  welcome(): SessionWelcome;
  /** Enough to take the session up in another process. */
  ticket(): SessionTicket;
  /**
   * Submits a job and waits until it is accepted.
   *
   * @throws ArcpError with the code of the refusal; connection-lost when the connection broke before an answer and there was no key
   */
  submit(options: SubmitOptions): Promise<ClientJob>;
  /**
   * Watches a job.
   *
   * @throws ArcpError with the code of the refusal, or connection-lost
   */
  subscribe(jobId: string, options?: SubscribeOptions): Promise<ObservedJob>;
  /**
   * Lists jobs, one page.
   *
   * @throws ArcpError with the code of the refusal, or connection-lost
   */
  listJobs(request?: ListJobsRequest): Promise<SessionJobs>;
  /** Ends the session; jobs run on. What is still awaited rejects with code closed. Idempotent. */
  close(): Promise<void>;
}

/** @internal What a submit sends. */
export function submitPayload(options: SubmitOptions): object {
  const constraints: LeaseConstraints | undefined =
    options.expiresAt === undefined ? undefined : { expires_at: options.expiresAt };
  return {
    agent: options.agent,
    input: options.input ?? null,
    ...(options.lease === undefined ? {} : { lease_request: options.lease }),
    ...(constraints === undefined ? {} : { lease_constraints: constraints }),
    ...(options.idempotencyKey === undefined ? {} : { idempotency_key: options.idempotencyKey }),
    ...(options.maxRuntimeSec === undefined ? {} : { max_runtime_sec: options.maxRuntimeSec }),
  };
}
