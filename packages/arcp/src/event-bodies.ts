/**
 * The ten kinds of job events and their bodies (section 8.2). Invariant: a reserved kind never leaves with a body of
 * another shape; a kind the draft does not know passes through untouched.
 */
import { z } from 'zod';
import { ARCP_WIRE_CODES, ArcpError, type ArcpErrorPayload } from './errors.ts';
import type { Lease, LeaseConstraints } from './lease.ts';

/** `log`: a line for people. */
export interface LogBody {
  /** `trace`, `debug`, `info`, `warn`, `error` or `critical`. */
  readonly level: string;
  /** The line. */
  readonly message: string;
}

/** `thought`: what the agent says it is thinking. */
export interface ThoughtBody {
  /** Free text. */
  readonly text: string;
}

/** `tool_call`: a tool is about to be asked. */
export interface ToolCallBody {
  /** Its name. */
  readonly tool: string;
  /** What it is given. */
  readonly args?: unknown;
  /** Joins call and result. */
  readonly call_id: string;
}

/** `tool_result`: what came of it, one of `result` and `error`. */
export interface ToolResultBody {
  /** Of the call. */
  readonly call_id: string;
  /** What the tool gave. */
  readonly result?: unknown;
  /** Why it gave nothing. */
  readonly error?: ArcpErrorPayload;
}

/** `status`: the job entered a phase. */
export interface StatusBody {
  /** Free form; `back_pressure` and `credential_rotated` are the runtime's. */
  readonly phase: string;
  /** For people. */
  readonly message?: string;
}

/** `metric`: a number. Names that begin with `cost.` are money, see section 9.6. */
export interface MetricBody {
  /** Dotted. */
  readonly name: string;
  /** Finite. */
  readonly value: number;
  /** For `cost.*` the currency. */
  readonly unit?: string;
  /** Free form. */
  readonly dimensions?: Readonly<Record<string, unknown>>;
}

/** `artifact_ref`: where a product of the job lies. */
export interface ArtifactRefBody {
  /** Where. */
  readonly uri: string;
  /** What, as a media type. */
  readonly content_type: string;
  /** How much. */
  readonly byte_size?: number;
  /** Its digest, hex. */
  readonly sha256?: string;
}

/** `delegate`: part of the work goes to a child job (section 10). */
export interface DelegateBody {
  /** Joins request and outcome. */
  readonly delegate_id: string;
  /** `name` or `name@version`. */
  readonly agent: string;
  /** What it is given. */
  readonly input?: unknown;
  /** What it may do. */
  readonly lease_request?: Lease;
  /** Until when. */
  readonly lease_constraints?: LeaseConstraints;
  /** The child job, added by the runtime. */
  readonly job_id?: string;
}

/** `progress`: how far. */
export interface ProgressBody {
  /** At least 0. */
  readonly current: number;
  /** At least 0; absent when nobody knows. */
  readonly total?: number;
  /** Of what. */
  readonly units?: string;
  /** For people. */
  readonly message?: string;
}

/** `result_chunk`: a piece of a streamed result (section 8.4). */
export interface ResultChunkBody {
  /** Of all pieces. */
  readonly result_id: string;
  /** From 0. */
  readonly chunk_seq: number;
  /** At most 1 MiB decoded. */
  readonly data: string;
  /** How to read `data`. */
  readonly encoding: 'utf8' | 'base64';
  /** False on the last piece. */
  readonly more: boolean;
}

/** The body by kind. */
export interface EventBodies {
  /** Of `log`. */
  readonly log: LogBody;
  /** Of `thought`. */
  readonly thought: ThoughtBody;
  /** Of `tool_call`. */
  readonly tool_call: ToolCallBody;
  /** Of `tool_result`. */
  readonly tool_result: ToolResultBody;
  /** Of `status`. */
  readonly status: StatusBody;
  /** Of `metric`. */
  readonly metric: MetricBody;
  /** Of `artifact_ref`. */
  readonly artifact_ref: ArtifactRefBody;
  /** Of `delegate`. */
  readonly delegate: DelegateBody;
  /** Of `progress`. */
  readonly progress: ProgressBody;
  /** Of `result_chunk`. */
  readonly result_chunk: ResultChunkBody;
}

/** A kind the draft defines. */
export type EventKind = keyof EventBodies;

/** Every kind of the draft. */
export const EVENT_KINDS: readonly EventKind[] = [
  'log',
  'thought',
  'tool_call',
  'tool_result',
  'status',
  'metric',
  'artifact_ref',
  'delegate',
  'progress',
  'result_chunk',
];

/**
 * Checks an event's body.
 *
 * @param kind - one of {@link EVENT_KINDS}, or any other name, whose body is free
 * @param body - what the agent gave
 * @throws ArcpError with code INVALID_REQUEST when a reserved kind has another body
 */
export function requireEventBody(kind: string, body: unknown): void {
  if (!isEventKind(kind)) return;
  const parsed = BODIES[kind].safeParse(body);
  if (parsed.success) return;
  const [issue] = parsed.error.issues;
  const where = issue?.path.join('.') ?? '';
  throw new ArcpError(
    'INVALID_REQUEST',
    `Cannot emit ${kind} event: body "${where}" is wrong (${issue?.message ?? 'unknown'}), expected the draft's shape`,
  );
}

/** Whether the draft defines the kind. */
export function isEventKind(kind: string): kind is EventKind {
  return Object.hasOwn(BODIES, kind);
}

/** @internal The error object; shared by both doors. */
export const errorSchema: z.ZodType<ArcpErrorPayload> = z.object({
  code: z.enum(ARCP_WIRE_CODES),
  message: z.string(),
  retryable: z.boolean(),
  details: z.record(z.string(), z.unknown()).exactOptional(),
});

/** @internal Grants by namespace; shared by both doors. */
export const leaseSchema: z.ZodType<Lease> = z.record(z.string().min(1), z.array(z.string().min(1)));

/** @internal Bounds of a lease; shared by both doors. */
export const leaseConstraintsSchema: z.ZodType<LeaseConstraints> = z.object({
  expires_at: z.string().exactOptional(),
});

const text = z.string().min(1);
const count = z.number().nonnegative();

const BODIES: Readonly<Record<EventKind, z.ZodType>> = {
  log: z.object({ level: text, message: z.string() }),
  thought: z.object({ text: z.string() }),
  tool_call: z.object({ tool: text, call_id: text }),
  tool_result: z
    .object({ call_id: text, result: z.unknown().optional(), error: errorSchema.optional() })
    .refine((body) => body.result === undefined || body.error === undefined, 'not both result and error'),
  status: z.object({ phase: text, message: z.string().optional() }),
  metric: z.object({ name: text, value: z.number(), unit: text.optional() }),
  artifact_ref: z.object({ uri: text, content_type: text, byte_size: count.optional() }),
  delegate: z.object({ delegate_id: text, agent: text }),
  progress: z.object({ current: count, total: count.optional(), units: z.string().optional() }),
  result_chunk: z.object({
    result_id: text,
    chunk_seq: z.int().nonnegative(),
    data: z.string(),
    encoding: z.enum(['utf8', 'base64']),
    more: z.boolean(),
  }),
};
