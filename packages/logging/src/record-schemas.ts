/**
 * The door for files we read back: JSON text in, plain interfaces out.
 * Unknown fields are dropped, so that an older reader gets along with a newer writer of the same layout.
 */
import { z } from 'zod';

import { LoggingError } from './errors.ts';
import {
  LAYOUT_VERSION,
  type LifecycleEvent,
  type RunMeta,
  type RunState,
  type TimelineRecord,
} from './run-records.ts';
import { RUN_STATUSES } from './run-status.ts';

/** @internal Reads meta.json; throws LoggingError `record-unreadable` or `layout-unsupported`. */
export function parseRunMeta(path: string, text: string): RunMeta {
  const value = parseRecord(metaSchema, path, text);
  if (value.layoutVersion > LAYOUT_VERSION) {
    throw new LoggingError(
      'layout-unsupported',
      `Cannot read run directory "${path}": layout version ${value.layoutVersion}, expected at most ${LAYOUT_VERSION}`,
    );
  }
  return value;
}

/** @internal Reads state.json; throws LoggingError `record-unreadable`. */
export function parseRunState(path: string, text: string): RunState {
  return parseRecord(stateSchema, path, text);
}

/** @internal Reads one line of worker.log; `undefined` when it is torn or no event. */
export function parseEventLine(line: string): LifecycleEvent | undefined {
  return parseLine(eventSchema, line);
}

/** @internal Reads one line of timeline.ndjson; `undefined` when it is torn or no record. */
export function parseTimelineLine(line: string): TimelineRecord | undefined {
  return parseLine(timelineSchema, line);
}

function parseRecord<T>(schema: z.ZodType<T>, path: string, text: string): T {
  const json = parseJson(text);
  const result = schema.safeParse(json.value);
  if (result.success) return result.data;
  const reason = json.error === undefined ? z.prettifyError(result.error) : json.error.message;
  throw new LoggingError(
    'record-unreadable',
    `Cannot read record "${path}": ${reason.replaceAll('\n', '; ')}, expected the JSON this package writes`,
    { cause: json.error ?? result.error },
  );
}

function parseLine<T>(schema: z.ZodType<T>, line: string): T | undefined {
  const result = schema.safeParse(parseJson(line).value);
  return result.success ? result.data : undefined;
}

function parseJson(text: string): { readonly value: unknown; readonly error?: Error } {
  try {
    return { value: JSON.parse(text) as unknown };
  } catch (error) {
    return { value: undefined, error: error instanceof Error ? error : new Error(String(error)) };
  }
}

const count = z.number().int().nonnegative();
const identity = z.object({ pid: count, startTime: z.number(), bootId: z.string().exactOptional() });
const droppedRange = z.object({ offset: count, bytes: count });

const metaSchema = z.object({
  layoutVersion: z.number().int().positive(),
  taskId: z.string(),
  runId: z.string(),
  stepId: z.string(),
  stepName: z.string(),
  stepKind: z.string(),
  workerKind: z.string(),
  attempt: count,
  repoRoot: z.string().exactOptional(),
  worktreePath: z.string().exactOptional(),
  command: z.array(z.string()).exactOptional(),
  promptSummary: z.string().exactOptional(),
  checkpointMode: z.string().exactOptional(),
  versions: z.record(z.string(), z.string()).exactOptional(),
  createdAt: z.number().int(),
  host: z.string(),
  pid: count,
});

const stateSchema = z.object({
  status: z.enum(RUN_STATUSES),
  attempt: count,
  startedAt: z.number().int().exactOptional(),
  updatedAt: z.number().int(),
  finishedAt: z.number().int().exactOptional(),
  lastEventSeq: count,
  checkpointSeq: count,
  summary: z.string().exactOptional(),
  exitCode: z.number().int().exactOptional(),
  signal: z.string().exactOptional(),
  stdoutBytes: count,
  stderrBytes: count,
  droppedBytes: count,
  dropped: z
    .object({ stdout: droppedRange.exactOptional(), stderr: droppedRange.exactOptional() })
    .exactOptional(),
  process: identity.exactOptional(),
  supervisor: identity.exactOptional(),
});

const eventSchema = z.object({
  seq: count,
  createdAt: z.number().int(),
  level: z.enum(['debug', 'info', 'warn', 'error']),
  type: z.string(),
  message: z.string(),
  data: z.record(z.string(), z.unknown()).exactOptional(),
});

const timelineSchema = z.object({
  seq: count,
  atMs: z.number().int(),
  channel: z.enum(['stdout', 'stderr']),
  offset: count,
  bytes: count,
  spool: count.exactOptional(),
});
