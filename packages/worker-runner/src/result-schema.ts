/** The door for envelopes read back from disk, and their published JSON Schema. Invariant: both come from one source. */
import { join } from 'node:path';

import { z } from 'zod';

import { WorkerRunnerError } from './errors.ts';
import { readIfThere } from './files.ts';
import type { EndReason, StepResult } from './result.ts';

/** The envelope's file name inside a run directory. */
export const RESULT_FILE = 'result.json';

/** Why a step can end otherwise than by itself with exit code 0. */
export const END_REASONS: readonly [EndReason, ...EndReason[]] = [
  'cancelled',
  'lease_cancelled',
  'timeout',
  'idle_timeout',
  'start_timeout',
  'result_drain',
  'output_limit',
  'lease_lost',
  'exit_code',
  'signal',
  'blocked',
  'needs_human',
  'not_startable',
  'function_failed',
  'runner_failed',
  'wrapper_lost',
  'killed_from_outside',
  'never_started',
  'reboot',
];

/** JSON Schema (draft 2020-12) of `result.json`. */
export function stepResultJsonSchema(): Readonly<Record<string, unknown>> {
  return z.toJSONSchema(resultSchema, { io: 'input' });
}

/**
 * Checks an envelope.
 *
 * @param value - parsed JSON
 * @throws {@link WorkerRunnerError} with code `record-unreadable`
 */
export function parseStepResult(value: unknown): StepResult {
  const parsed = resultSchema.safeParse(value);
  if (parsed.success) return value as StepResult;
  const issue = parsed.error.issues[0];
  throw new WorkerRunnerError(
    'record-unreadable',
    `Cannot read step result, field "${issue?.path.join('.') ?? ''}": ${issue?.message ?? 'unreadable'}`,
    { cause: parsed.error },
  );
}

/**
 * The result of a run that has ended.
 *
 * @param runDir - the run's directory
 * @returns `undefined` while there is none
 * @throws {@link WorkerRunnerError} with code `record-unreadable`
 */
export function readStepResult(runDir: string): StepResult | undefined {
  const content = readIfThere(join(runDir, RESULT_FILE));
  return content === undefined ? undefined : parseStepResult(parseJson(content.toString('utf8'), runDir));
}

function parseJson(text: string, runDir: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new WorkerRunnerError('record-unreadable', `Cannot read result of "${runDir}": not JSON`, {
      cause: error,
    });
  }
}

const count = z.int().min(0);
const text = z.string();
const bag = z.record(text, z.unknown());
const processSchema = z.object({ pid: count, startTime: z.number(), bootId: text.optional() });
const stragglerSchema = z.object({ pid: count, groupId: count });

const stateSchema = z.looseObject({
  status: z.enum(['prepared', 'running', 'completed', 'failed', 'blocked', 'cancelled', 'timed_out', 'lost']),
  attempt: z.int().min(1),
  updatedAt: count,
  lastEventSeq: count,
  stdoutBytes: count,
  stderrBytes: count,
  droppedBytes: count,
  process: processSchema.optional(),
});

const lifecycleEventSchema = z.object({
  seq: count,
  createdAt: count,
  level: z.enum(['debug', 'info', 'warn', 'error']),
  type: text,
  message: text,
  data: bag.optional(),
});

const artifactSchema = z.object({
  path: text,
  kind: z.enum(['log', 'file', 'reference']),
  bytes: count.optional(),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/u)
    .optional(),
  title: text.optional(),
});

const metricsSchema = z.object({
  durationMs: z.number().min(0),
  lifecycleEventCount: count,
  stepEventCount: count,
  rejectedEventCount: count,
  stdoutChunkCount: count,
  stderrChunkCount: count,
  stdoutBytes: count,
  stderrBytes: count,
  checkpointCount: count,
  maxRssBytes: count.optional(),
  cpuMs: count.optional(),
});

const resultSchema = z.object({
  schemaVersion: z.literal(1),
  ok: z.boolean(),
  outcome: z.enum(['prepared', 'completed', 'failed', 'blocked', 'cancelled', 'timed_out', 'lost']),
  summary: text.min(1),
  needsHuman: z.boolean(),
  blocked: z.boolean(),
  taskId: text,
  stepId: text,
  runId: text,
  attempt: z.int().min(1),
  stepName: text,
  stepKind: text,
  workerKind: z.enum(['shell', 'agent', 'git', 'function']),
  startedAt: count.optional(),
  finishedAt: count,
  durationMs: z.number().min(0),
  exitCode: z.int().min(0).max(255).optional(),
  signal: text.optional(),
  reason: z.enum(END_REASONS).optional(),
  reasonText: text.optional(),
  metadata: bag,
  state: stateSchema,
  paths: z.object({
    runDir: text,
    resultPath: text,
    workerLogPath: text,
    stdoutPath: text,
    stderrPath: text,
    stepEventsPath: text,
    checkpointsDir: text,
    artifactsDir: text,
  }),
  logSummary: z.object({ tail: z.array(text), droppedBytes: count }),
  lifecycleEvents: z.array(lifecycleEventSchema),
  checkpoint: z.object({
    mode: z.enum(['capture', 'disabled']),
    lastSeq: count,
    failedCount: count,
    startSeq: count.optional(),
    resumedFromSeq: count.optional(),
  }),
  artifacts: z.array(artifactSchema),
  suggestedFollowup: text.optional(),
  metrics: metricsSchema,
  usage: z.object({ costs: z.record(text, text), tokens: z.record(text, z.number()) }),
  stragglers: z.array(stragglerSchema),
  survivors: z.array(stragglerSchema),
  adopted: z.boolean(),
});
