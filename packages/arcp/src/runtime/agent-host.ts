/**
 * The port an app fills with its agents: functions, subprocesses, whatever runs. Invariant: a job handed to the host is
 * settled exactly once, by the promise `start` or `adopt` returned or by the runtime, whichever is first.
 */
import type { AgentInventoryEntry } from '../agent-ref.ts';
import type { ArcpErrorPayload } from '../errors.ts';
import type { EventBodies } from '../event-bodies.ts';
import type { Lease } from '../lease.ts';
import type { Credential } from '../wire.ts';

/** Whatever runs the jobs. */
export interface AgentHost {
  /** The agents on offer, asked for every welcome and every submit. */
  inventory(): readonly AgentInventoryEntry[];
  /**
   * Runs a job. Called once per job, after the job is stored and the client has been told.
   *
   * @param job - what to do, and how to report
   * @returns settles when the work is over; rejecting with an `ArcpError` ends the job with its code, with anything else INTERNAL_ERROR
   */
  start(job: AgentJob): Promise<AgentOutcome>;
  /**
   * Takes up, in a new process, a job that `start` or `adopt` got in an earlier one. `job.position` says how far the
   * stored events go. Without this method, or when it returns `undefined`, the job ends with INTERNAL_ERROR.
   *
   * @param job - the same job
   */
  adopt?(job: AgentJob): Promise<AgentOutcome> | undefined;
}

/** How a job succeeded. */
export interface AgentOutcome {
  /** Sent inline, unless chunks were streamed: then it must be absent. JSON. */
  readonly result?: unknown;
  /** A line for people. */
  readonly summary?: string;
}

/** May it, and if not, why. */
export type Authorization =
  | { readonly isAllowed: true }
  | { readonly isAllowed: false; readonly error: ArcpErrorPayload };

/** What an event may carry beside its body. */
export interface EmitOptions {
  /**
   * Where the agent stands after this event, in its own words: a byte offset, a line number. Stored together with the
   * event, so that `adopt` continues without a gap and without a duplicate.
   */
  readonly position?: string;
}

/** A part of the work for another agent. */
export interface DelegateRequest {
  /** `name` or `name@version`. */
  readonly agent: string;
  /** What it is given. */
  readonly input?: unknown;
  /**
   * What it may do, within what this job may.
   *
   * @defaultValue nothing
   */
  readonly lease?: Lease;
  /** Until when, ISO 8601; not later than this job's own end, which it inherits when absent. */
  readonly expiresAt?: string;
}

/** A child job. */
export interface DelegatedJob {
  /** Its name. */
  readonly jobId: string;
  /** Resolves with its result, rejects with an `ArcpError` when it ended otherwise. A rejection nobody awaits is no fault. */
  readonly outcome: Promise<AgentOutcome>;
}

/** A tool call, made through the lease. */
export interface ToolRequest {
  /** The tool's name. */
  readonly tool: string;
  /** What it is given. */
  readonly args?: unknown;
}

/** What came of a tool call. */
export type ToolOutcome<T> =
  | { readonly isOk: true; readonly result: T }
  | { readonly isOk: false; readonly error: ArcpErrorPayload };

/** A job as its agent sees it. */
export interface AgentJob {
  /** The job's name. */
  readonly jobId: string;
  /** The agent asked for. */
  readonly name: string;
  /** Its version. Never changes. */
  readonly version: string;
  /** Who submitted it. */
  readonly principal: string;
  /** The session that submitted it. */
  readonly sessionId: string;
  /** The delegating job. */
  readonly parentJobId: string | undefined;
  /** What the client gave. Not checked. */
  readonly input: unknown;
  /** The effective grants. */
  readonly lease: Lease;
  /** When the authority ends, UTC milliseconds. */
  readonly expiresAtMs: number | undefined;
  /** W3C trace context to hand on to tools and children. */
  readonly traceparent: string;
  /** Keys issued for this job. Empty after a restart: they are the agent's to keep. */
  readonly credentials: readonly Credential[];
  /** What the last stored event said; `undefined` at first. */
  readonly position: string | undefined;
  /** Aborted when the job ends otherwise than by the agent's own result, with an `ArcpError` as its reason, or when the runtime stops (code closed). */
  readonly signal: AbortSignal;
  /**
   * Reports something. Counts as a sign of life.
   *
   * @param kind - of the draft, or any other name
   * @param body - by kind
   * @param options - where the agent stands
   * @returns resolves at once as a rule, later when the runtime wants the agent to slow down: await it
   * @throws ArcpError with code INVALID_REQUEST for a wrong body, and with the code that ended the job once it is over
   */
  emit<K extends keyof EventBodies>(kind: K, body: EventBodies[K], options?: EmitOptions): Promise<void>;
  /** Reports something of a kind the draft does not know, or checked elsewhere. */
  emit(kind: string, body: unknown, options?: EmitOptions): Promise<void>;
  /** Says that the agent is alive, to the watchdog alone. */
  heartbeat(): void;
  /**
   * Asks the lease, right before the operation. An expired lease ends the job.
   *
   * @param namespace - such as `fs.read`
   * @param resource - path, URL or name
   */
  authorize(namespace: string, resource: string): Authorization;
  /**
   * Makes a tool call: asks the lease, reports call and result, passes the refusal on as the result.
   *
   * @param request - which tool, with what
   * @param run - calls the tool; what it throws becomes the result's error
   * @returns the tool's result, or why there is none
   */
  callTool<T>(request: ToolRequest, run: () => Promise<T> | T): Promise<ToolOutcome<T>>;
  /**
   * Hands part of the work to another agent.
   *
   * @throws ArcpError with code PERMISSION_DENIED, LEASE_SUBSET_VIOLATION, BUDGET_EXHAUSTED, LEASE_EXPIRED, AGENT_NOT_AVAILABLE, AGENT_VERSION_NOT_AVAILABLE or INVALID_REQUEST
   */
  delegate(request: DelegateRequest): Promise<DelegatedJob>;
  /**
   * Sends a piece of the result. After the first one the outcome must not carry a result.
   *
   * @param data - text, or bytes; at most 1 MiB decoded
   * @param options - `isLast` on the last piece (an empty last piece is added when it is missing), and where the agent stands
   * @throws ArcpError with code INTERNAL_ERROR when a piece or the whole is too large: the job is over then
   */
  writeResult(
    data: string | Uint8Array,
    options?: EmitOptions & { readonly isLast?: boolean },
  ): Promise<void>;
}

/** An agent that is a function in this process. */
export type AgentFunction = (job: AgentJob) => Promise<AgentOutcome> | AgentOutcome;

/** The functions of one name. */
export interface FunctionAgent {
  /** `[a-z0-9][a-z0-9._-]*`. */
  readonly name: string;
  /** At least one. */
  readonly versions: Readonly<Record<string, AgentFunction>>;
  /**
   * What a bare name means.
   *
   * @defaultValue the first of `versions`
   */
  readonly defaultVersion?: string;
}

/**
 * Makes a host of functions. They end with the process, so after a restart their jobs end with INTERNAL_ERROR.
 *
 * @param agents - each name once
 * @throws RangeError when an agent has no version, or its default is none of them
 */
export function createFunctionHost(agents: readonly FunctionAgent[]): AgentHost {
  const functions = new Map<string, AgentFunction>();
  const inventory = agents.map((agent): AgentInventoryEntry => {
    const versions = Object.keys(agent.versions);
    const preferred = agent.defaultVersion ?? versions[0];
    if (preferred === undefined || !versions.includes(preferred)) {
      throw new RangeError(`Cannot offer agent "${agent.name}": it has no version "${preferred ?? ''}"`);
    }
    for (const [version, run] of Object.entries(agent.versions))
      functions.set(`${agent.name}@${version}`, run);
    return { name: agent.name, versions, default: preferred };
  });
  return {
    inventory: () => inventory,
    async start(job) {
      const run = functions.get(`${job.name}@${job.version}`);
      if (run === undefined)
        throw new Error(`Cannot run agent "${job.name}@${job.version}": it is not offered`);
      return run(job);
    },
  };
}
