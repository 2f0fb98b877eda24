/**
 * The messages of ARCP 1.1 as they travel. Invariant: these are the protocol's names, snake_case included; nothing
 * here is ours to rename.
 */
import type { AgentInventoryEntry } from './agent-ref.ts';
import type { ArcpErrorPayload } from './errors.ts';
import type { FinalStatus, JobStatus } from './job-state.ts';
import type { Lease, LeaseConstraints } from './lease.ts';

/** What the `arcp` field of every message says. */
export const PROTOCOL_VERSION = '1.1';

/** Something both peers must know before either uses it. */
export type Feature =
  | 'heartbeat'
  | 'ack'
  | 'list_jobs'
  | 'subscribe'
  | 'lease_expires_at'
  | 'cost.budget'
  | 'model.use'
  | 'provisioned_credentials'
  | 'progress'
  | 'result_chunk'
  | 'agent_versions';

/** Every feature of the draft. */
export const FEATURES: readonly Feature[] = [
  'heartbeat',
  'ack',
  'list_jobs',
  'subscribe',
  'lease_expires_at',
  'cost.budget',
  'model.use',
  'provisioned_credentials',
  'progress',
  'result_chunk',
  'agent_versions',
];

/** One message. Unknown top-level fields are ignored on the way in and never sent. */
export interface Envelope {
  /** `1.1`. */
  readonly arcp: string;
  /** Unique among the sender's messages of this session. */
  readonly id: string;
  /** Such as `job.submit`. */
  readonly type: string;
  /** On everything after the welcome. */
  readonly session_id?: string;
  /** 32 hex digits; a `traceparent` is accepted. */
  readonly trace_id?: string;
  /** The job the message is about. */
  readonly job_id?: string;
  /** On `job.event`, `job.result` and `job.error` only; from 1, gap-free in a session. */
  readonly event_seq?: number;
  /** By type. */
  readonly payload?: unknown;
}

/** How a lost session is taken up again. */
export interface ResumeRequest {
  /** The session. */
  readonly session_id: string;
  /** From its latest welcome. */
  readonly resume_token: string;
  /** The highest `event_seq` that was received; 0 for none. */
  readonly last_event_seq: number;
}

/** The payload of `session.hello`, and of `session.resume` with `resume` set. */
export interface SessionHello {
  /** Who calls. */
  readonly client: { readonly name: string; readonly version: string };
  /** A bearer token. */
  readonly auth: { readonly scheme: string; readonly token: string };
  /** What the client understands. */
  readonly features: readonly string[];
  /** Present when a session is taken up again. */
  readonly resume?: ResumeRequest;
}

/** The payload of `session.welcome`. */
export interface SessionWelcome {
  /** Who answers. */
  readonly runtime: { readonly name: string; readonly version: string };
  /** A secret, new in every welcome. */
  readonly resume_token: string;
  /** How long a lost session can be taken up again. */
  readonly resume_window_sec: number;
  /** How often each side says something. */
  readonly heartbeat_interval_sec?: number;
  /** What the runtime understands, and its agents. */
  readonly capabilities: {
    readonly encodings?: readonly string[] | undefined;
    readonly features?: readonly string[] | undefined;
    readonly agents?: readonly AgentInventoryEntry[] | undefined;
  };
}

/** The payload of `job.submit`. */
export interface JobSubmit {
  /** `name` or `name@version`. */
  readonly agent: string;
  /** Whatever the agent takes. */
  readonly input?: unknown;
  /** What the job shall be allowed to do. */
  readonly lease_request?: Lease;
  /** Until when. */
  readonly lease_constraints?: LeaseConstraints;
  /** Makes submitting again harmless. */
  readonly idempotency_key?: string;
  /** Seconds until TIMEOUT. */
  readonly max_runtime_sec?: number;
}

/** A key for something that costs money, good for one job (section 9.8). */
export interface Credential {
  /** Stable within the job. */
  readonly id: string;
  /** `bearer`, or something the client may not know and then ignores. */
  readonly scheme: string;
  /** The secret. */
  readonly value: string;
  /** The only base URL to show it to. */
  readonly endpoint: string;
  /** A hint which API to speak. */
  readonly profile?: string;
  /** What the upstream enforces. */
  readonly constraints?: Readonly<Record<string, unknown>>;
}

/** The payload of `job.accepted`. */
export interface JobAccepted {
  /** The job's name from now on. */
  readonly job_id: string;
  /** `name@version`, resolved. */
  readonly agent: string;
  /** The effective grants. */
  readonly lease: Lease;
  /** Present when the authority ends. */
  readonly lease_constraints?: LeaseConstraints;
  /** Initial counters, when the lease has a budget. */
  readonly budget?: Readonly<Record<string, number>>;
  /** Keys issued for the job. */
  readonly credentials?: readonly Credential[];
  /** When. */
  readonly accepted_at: string;
  /** The delegating job. */
  readonly parent_job_id?: string;
  /** 32 hex digits. */
  readonly trace_id: string;
}

/** One line of `session.jobs`. */
export interface JobListEntry {
  /** The job. */
  readonly job_id: string;
  /** `name@version`. */
  readonly agent: string;
  /** Where it stands. */
  readonly status: JobStatus;
  /** The effective grants. */
  readonly lease: Lease;
  /** The delegating job. */
  readonly parent_job_id: string | null;
  /** When it was accepted. */
  readonly created_at: string;
  /** 32 hex digits. */
  readonly trace_id: string;
  /** The `event_seq` of its latest event in the session that submitted it; 0 for none. */
  readonly last_event_seq: number;
}

/** The payload of `session.jobs`. */
export interface SessionJobs {
  /** The `id` of the request. */
  readonly request_id: string;
  /** At most `limit` of them, oldest first. */
  readonly jobs: readonly JobListEntry[];
  /** Where to go on; `null` at the end. */
  readonly next_cursor: string | null;
}

/** The payload of `session.list_jobs`. */
export interface ListJobsRequest {
  /** All optional, joined by and. */
  readonly filter?: {
    readonly status?: readonly string[] | undefined;
    readonly agent?: string | undefined;
    readonly created_after?: string | undefined;
    readonly created_before?: string | undefined;
  };
  /** 1 to 1,000. */
  readonly limit?: number;
  /** From the page before. */
  readonly cursor?: string | null;
}

/** The payload of `job.subscribed`. */
export interface JobSubscribed {
  /** The job. */
  readonly job_id: string;
  /** Where it stands. */
  readonly current_status: JobStatus;
  /** `name@version`. */
  readonly agent: string;
  /** The effective grants. */
  readonly lease: Lease;
  /** Present when the authority ends. */
  readonly lease_constraints?: LeaseConstraints;
  /** The counters now. */
  readonly budget?: Readonly<Record<string, number>>;
  /** Only for the principal that submitted the job, and only while it runs. */
  readonly credentials?: readonly Credential[];
  /** The delegating job. */
  readonly parent_job_id: string | null;
  /** 32 hex digits. */
  readonly trace_id: string;
  /** The job's latest `event_seq` in the session that submitted it. */
  readonly subscribed_from: number;
  /** Whether history follows. */
  readonly replayed: boolean;
}

/** The payload of `job.event`. */
export interface JobEvent {
  /** Such as `log`. */
  readonly kind: string;
  /** When it happened, ISO 8601. */
  readonly ts: string;
  /** By kind. */
  readonly body?: unknown;
}

/** The payload of `job.result`. */
export interface JobResult {
  /** Always `success`. */
  readonly final_status: 'success';
  /** The result, unless it was streamed. */
  readonly result?: unknown;
  /** The streamed result. */
  readonly result_id?: string;
  /** Its size in decoded bytes. */
  readonly result_size?: number;
  /** A line for people. */
  readonly summary?: string;
}

/** The payload of `job.error`. */
export interface JobErrorPayload extends ArcpErrorPayload {
  /** How the job ended. */
  readonly final_status: Exclude<FinalStatus, 'success'>;
}
