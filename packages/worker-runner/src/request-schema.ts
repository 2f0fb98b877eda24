/**
 * The door for requests: checks what came in and fills every default, so that the rest of the package never asks.
 * Invariant: nothing is touched on disk before a request has passed here.
 */
import { isAbsolute } from 'node:path';

import { z } from 'zod';

import { messageOf, WorkerRunnerError } from './errors.ts';
import { canonicalDirectory } from './files.ts';
import type { StepIdentity, StepJob, StepRequest, StepSecret } from './request.ts';
import { whyRefusedVariable } from './step-env.ts';

/** A request with every default filled in. `undefined` stands for "no bound". */
export interface CheckedRequest extends StepIdentity {
  /** As in `StepRequest`. */
  readonly job?: StepJob | undefined;
  /** As in `StepRequest`. */
  readonly command: readonly string[] | string;
  /** In seconds; `undefined` for no bound. */
  readonly timeoutSec?: number | undefined;
  /** As `StepRuntime`, with empty defaults. */
  readonly runtime: {
    readonly repoRoot?: string | undefined;
    readonly worktreePath: string;
    readonly runsRootDir: string;
    readonly env: Readonly<Record<string, string>>;
    readonly passEnv: readonly string[];
  };
  /** As in `StepRequest`. */
  readonly promptSummary?: string | undefined;
  /** As in `StepRequest`. */
  readonly stdin?: string | undefined;
  /** As in `StepRequest`. */
  readonly inheritStdin: boolean;
  /** As `CheckpointRequest`, with its defaults. */
  readonly checkpoint: {
    readonly mode: 'capture' | 'disabled';
    readonly resumeFromSeq?: number | undefined;
    readonly summaryHint?: string | undefined;
    readonly logTailLines: number;
    readonly everySec?: number | undefined;
    readonly onLines?: number | undefined;
    readonly baseRef?: string | undefined;
    readonly testReport?: string | undefined;
  };
  /** As `StepLimits`, with their defaults. */
  readonly limits: {
    readonly idleTimeoutSec?: number | undefined;
    readonly startTimeoutSec?: number | undefined;
    readonly killGraceSec: number;
    readonly stragglerGraceSec: number;
    readonly resultDrainSec?: number | undefined;
    readonly maxBytesPerStream?: number | undefined;
    readonly onLimit?: 'truncate' | 'fail' | undefined;
    readonly blockedExitCodes: readonly number[];
    readonly maxEventBytes: number;
  };
  /** As in `StepRequest`. */
  readonly secrets: readonly StepSecret[];
  /** As in `StepRequest`. */
  readonly createdAt?: number | undefined;
}

/**
 * Checks a request.
 *
 * @param request - whatever the caller handed over
 * @throws {@link WorkerRunnerError} with code `invalid-request`, naming the first bad field
 */
export function checkRequest(request: StepRequest): CheckedRequest {
  const parsed = requestSchema.safeParse(request);
  if (parsed.success) return withOneSpelling(parsed.data);
  const issue = parsed.error.issues[0];
  const path = issue === undefined || issue.path.length === 0 ? 'request' : issue.path.join('.');
  throw new WorkerRunnerError(
    'invalid-request',
    `Cannot run step, field "${path}": ${issue?.message ?? 'unreadable'}`,
    { cause: parsed.error },
  );
}

/** What a run's processes are known by is made of its path: whoever looks for them must spell it the same. */
function withOneSpelling(request: CheckedRequest): CheckedRequest {
  const { runtime } = request;
  try {
    const runsRootDir = canonicalDirectory(runtime.runsRootDir);
    if (runsRootDir.includes('\n')) throw new TypeError(`it is "${runsRootDir}", with a line break`);
    return { ...request, runtime: { ...runtime, runsRootDir } };
  } catch (error) {
    throw new WorkerRunnerError(
      'invalid-request',
      `Cannot run step, field "runtime.runsRootDir": ${messageOf(error)}, expected a directory or a place for one`,
      { cause: error },
    );
  }
}

/** Ids become parts of paths and of git refs: the stricter rule of both. */
const ID_PATTERN = /^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$/u;
const id = z
  .string()
  .regex(ID_PATTERN, 'expected 1 to 100 letters, digits, ".", "_" or "-", first a letter or digit')
  .refine(
    (value) => !value.includes('..') && !/(?:\.|\.lock)$/u.test(value),
    'expected no ".." and no "." or ".lock" at the end',
  );
const noNul = z.string().refine((value) => !value.includes('\0'), 'expected no NUL character');
const absolutePath = noNul.refine((value) => isAbsolute(value), 'expected an absolute path');
const seconds = z.number().positive().finite();
const variableName = z.string().superRefine((name, context) => {
  const reason = whyRefusedVariable(name);
  if (reason !== undefined) context.addIssue({ code: 'custom', message: `"${name}" is ${reason}` });
});

const runtimeSchema = z.strictObject({
  repoRoot: absolutePath.optional(),
  worktreePath: absolutePath,
  // The guard's list has a line for each run.
  runsRootDir: absolutePath.refine((value) => !value.includes('\n'), 'expected no line break'),
  env: z.record(variableName, noNul).default({}),
  passEnv: z.array(variableName).readonly().default([]),
});

const checkpointSchema = z.strictObject({
  mode: z.enum(['capture', 'disabled']).default('capture'),
  resumeFromSeq: z.int().min(1).optional(),
  summaryHint: z.string().optional(),
  logTailLines: z.int().min(1).max(10_000).default(20),
  everySec: z.number().min(1).finite().optional(),
  onLines: z.int().min(1).optional(),
  baseRef: noNul.min(1).optional(),
  testReport: noNul.min(1).optional(),
});

const limitsSchema = z.strictObject({
  idleTimeoutSec: seconds.optional(),
  startTimeoutSec: seconds.optional(),
  killGraceSec: z.number().min(0).finite().default(10),
  stragglerGraceSec: z.number().min(0).finite().default(2),
  resultDrainSec: seconds.optional(),
  maxBytesPerStream: z.int().positive().optional(),
  onLimit: z.enum(['truncate', 'fail']).optional(),
  blockedExitCodes: z.array(z.int().min(1).max(255)).readonly().default([75]),
  maxEventBytes: z
    .int()
    .positive()
    .default(64 * 1024 * 1024),
});

const requestSchema = z
  .strictObject({
    taskId: id,
    stepId: id,
    runId: id,
    attempt: z.int().min(1),
    stepName: z.string().min(1),
    stepKind: z.string().min(1),
    workerKind: z.enum(['shell', 'agent', 'git', 'function']),
    job: z.strictObject({ name: noNul, key: noNul, watermark: z.int().min(0) }).optional(),
    command: z.union([z.array(noNul).readonly(), noNul]),
    timeoutSec: seconds.optional(),
    runtime: runtimeSchema,
    promptSummary: z.string().optional(),
    stdin: z.string().optional(),
    inheritStdin: z.boolean().default(false),
    checkpoint: checkpointSchema.default(() => checkpointSchema.parse({})),
    limits: limitsSchema.default(() => limitsSchema.parse({})),
    secrets: z
      .array(z.strictObject({ name: z.string().min(1), value: z.string().min(6) }))
      .refine(
        (list) => new Set(list.map(({ name }) => name)).size === list.length,
        'expected a name of its own for each',
      )
      .readonly()
      .default([]),
    createdAt: z.int().nonnegative().optional(),
  })
  .superRefine((request, context) => {
    const isEmpty = request.command.length === 0 || request.command[0] === '';
    if (isEmpty && request.workerKind !== 'function') {
      context.addIssue({ code: 'custom', path: ['command'], message: 'expected a program or a shell line' });
    }
  });
