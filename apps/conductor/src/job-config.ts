/** The `jobs:` part of the config file: what a user writes, and the plain definition the app works with. */
import path from 'node:path';

import { parseSchedule, type ScheduleSpec, TimedJobsError } from '@conductor-run/timed-jobs';
import { z } from 'zod';

import { parseDuration } from './duration.ts';
import { command, name, variableName } from './job-parts.ts';
import { type NotifyDefinition, notifySchema, toNotify } from './notify-config.ts';
import { findJobWatchTroubles, toWatch, type WatchDefinition, watchSchema } from './watch-config.ts';

/** One step of a job, defaults filled in. */
export interface StepDefinition {
  readonly name: string;
  /** A shell line, or the program and its arguments. */
  readonly command: string | readonly string[];
  readonly timeoutMs: number | undefined;
  readonly idleTimeoutMs: number | undefined;
  /** Path of a test report the step leaves, relative to its working directory. */
  readonly testReport: string | undefined;
}

/** One job, defaults filled in. */
export interface JobDefinition {
  readonly name: string;
  readonly description: string | undefined;
  /** What ARCP clients pin as `name@version`; says when the agent has become another one. */
  readonly version: string;
  readonly steps: readonly StepDefinition[];
  /** When it becomes due by itself; named after the job. */
  readonly schedule: ScheduleSpec | undefined;
  /** What makes it due when it changes. */
  readonly watch: WatchDefinition | undefined;
  /** Whom it tells how its attempts end. */
  readonly notify: NotifyDefinition | undefined;
  /** Commit-ish each task gets a work tree of its own from; `undefined` runs in the config file's folder. */
  readonly worktreeBase: string | undefined;
  readonly retry: {
    readonly max: number;
    readonly backoff: 'fixed' | 'exponential';
    readonly delayMs: number;
    readonly maxDelayMs: number;
  };
  /** Tasks of this job that may run at once, over all nodes. */
  readonly concurrency: number;
  /** Where its steps run, relative to the config's folder or the work tree; `undefined` runs them there. */
  readonly cwd: string | undefined;
  /** Higher ones start first when there is not room for all. */
  readonly priority: number;
  /** What limits it together with other jobs, and how many tasks of them all may run at once; `undefined` for nothing. */
  readonly concurrencyKey: { readonly name: string; readonly max: number } | undefined;
  readonly checkpoint: {
    readonly everyMs: number | undefined;
    readonly gitDiff: boolean;
    readonly logTailLines: number;
  };
  readonly env: {
    readonly pass: readonly string[];
    readonly set: Readonly<Record<string, string>>;
    readonly secrets: readonly string[];
  };
}

const DURATION = 'expected a duration such as 90s, 30m or 1h30m';
const duration = z.string({ error: DURATION }).transform((text, context) => {
  const durationMs = parseDuration(text);
  if (durationMs === undefined) {
    context.addIssue({ code: 'custom', message: DURATION });
    return z.NEVER;
  }
  return durationMs;
});
/** A limit of 0 would end what it limits before it began. */
const limit = duration.refine((durationMs) => durationMs > 0, { error: 'expected a duration above 0' });
/** As timed-jobs has it. */
const LEAST_EVERY_MS = 100;
const limits = {
  timeout: limit.optional().describe('Wall time a step may take, above 0'),
  idleTimeout: limit.optional().describe('How long a step may be silent, above 0'),
};
const testReport = z.string().min(1).optional().describe('Path of a test report the step leaves');
const step = z.strictObject({
  name: name.describe('Unique within the job'),
  command: command.describe('A shell line, or the program and its arguments'),
  testReport,
  ...limits,
});

const schedule = z
  .strictObject({
    cron: z.string().min(1).optional().describe('Five or six fields; one of cron, every and at'),
    every: duration
      .refine((everyMs) => everyMs >= LEAST_EVERY_MS, {
        error: `expected a duration of at least ${LEAST_EVERY_MS}ms`,
      })
      .optional()
      .describe('A fixed interval, at least 100ms'),
    at: z.string().min(1).optional().describe('One instant, ISO 8601'),
    timezone: z.string().min(1).optional().describe('IANA name, for cron'),
    catchUp: z
      .enum(['latest', 'all', 'none'])
      .optional()
      .describe('What becomes of slots nobody was there for'),
    overlap: z.enum(['skip', 'queue-one']).optional().describe('When the work before is not done'),
    jitter: duration.optional().describe('Spreads the start over this long, the same for each slot'),
  })
  .superRefine((value, context) => {
    if (value.every !== undefined && value.every < LEAST_EVERY_MS) return;
    const given = [value.cron, value.every, value.at].filter((each) => each !== undefined);
    if (given.length !== 1) {
      const message = `expected exactly one of cron, every and at, not ${given.length}`;
      context.addIssue({ code: 'custom', message });
      return;
    }
    try {
      parseSchedule(toScheduleSpec('schedule', value));
    } catch (error) {
      if (!(error instanceof TimedJobsError)) throw error;
      // The field and what was expected of it; which schedule it is, the path tells.
      const message = error.message.replace(/^Cannot read schedule "schedule": /, '');
      context.addIssue({ code: 'custom', message });
    }
  });

const job = z
  .strictObject({
    description: z.string().optional().describe('For people'),
    version: z
      .string()
      .regex(/^[a-zA-Z0-9.+_-]{1,64}$/, { error: 'expected up to 64 letters, digits or . + _ -' })
      .default('1.0.0')
      .describe('What ARCP clients pin as name@version'),
    command: command.optional().describe('The one step; one of command and steps'),
    steps: z.array(step).min(1).optional().describe('Steps in order; the first that fails ends the task'),
    testReport,
    cwd: z
      .string()
      .min(1)
      .refine(isBelow, { error: 'expected a relative path that stays below its folder' })
      .optional()
      .describe('Where its steps run, below the config’s folder or the work tree'),
    schedule: schedule.optional().describe('When it becomes due by itself'),
    watch: watchSchema.optional().describe('What makes it due when it changes'),
    notify: notifySchema.optional().describe('Whom to tell how attempts end'),
    worktree: z
      .strictObject({
        base: z.string().min(1).default('HEAD').describe('The commit it starts from'),
      })
      .optional()
      .describe('A git work tree of its own for each task'),
    retry: z
      .strictObject({
        max: z.int().min(0).max(1_000).default(0).describe('Retries after the first failure'),
        backoff: z.enum(['fixed', 'exponential']).default('exponential').describe('How waits grow'),
        delay: duration.prefault('10s').describe('The first wait'),
        maxDelay: duration.prefault('10m').describe('The longest wait'),
      })
      .prefault({}),
    concurrency: z.int().min(1).max(1_000).default(1).describe('Tasks at once, over all nodes'),
    priority: z
      .int()
      .min(-1_000)
      .max(1_000)
      .default(0)
      .describe('Whose tasks start first when there is not room for all: the higher one, -1000 to 1000'),
    concurrencyKey: name
      .optional()
      .describe('Jobs that share it share the limit that the file gives it in concurrencyKeys'),
    checkpoint: z
      .strictObject({
        every: limit.optional().describe('Also while a step runs, this often, above 0'),
        gitDiff: z.boolean().default(true).describe('Whether what changed in git is kept'),
        logTailLines: z.int().min(1).max(10_000).default(20).describe('Last lines kept with it'),
      })
      .prefault({}),
    env: z
      .strictObject({
        pass: z.array(variableName).default([]).describe('Variables to pass on'),
        set: z.record(variableName, z.string()).default({}).describe('Variables to set'),
        secrets: z.array(variableName).default([]).describe('Variables to pass on whose values are redacted'),
      })
      .prefault({}),
    ...limits,
  })
  .refine((value) => (value.command === undefined) !== (value.steps === undefined), {
    error: 'expected exactly one of command and steps',
  })
  .refine((value) => new Set(value.steps?.map((each) => each.name)).size === (value.steps?.length ?? 0), {
    error: 'expected step names that differ',
    path: ['steps'],
  })
  .refine((value) => value.testReport === undefined || value.command !== undefined, {
    error: 'expected testReport on the step that leaves it',
    path: ['testReport'],
  });

/** The `jobs:` part of the file; names of jobs are what the CLI calls them. Gives the definitions by name, defaults filled in. */
export const jobsSchema: z.ZodType<ReadonlyMap<string, JobDefinition>> = z
  .record(name, job)
  .default({})
  .superRefine((jobs, context) => {
    for (const { job: jobName, message } of findJobWatchTroubles(jobs))
      context.addIssue({ code: 'custom', path: [jobName, 'watch', 'job'], message });
  })
  .transform(
    (jobs) =>
      new Map(Object.entries(jobs).map(([jobName, input]) => [jobName, toJobDefinition(jobName, input)])),
  );

/**
 * Gives shared concurrency keys the limits of the file.
 *
 * @param jobs - by name
 * @param limits - by concurrency key; 1 for a key that is not in there
 */
export function limitConcurrencyKeys(
  jobs: ReadonlyMap<string, JobDefinition>,
  limits: Readonly<Record<string, number>>,
): ReadonlyMap<string, JobDefinition> {
  return new Map(
    [...jobs].map(([jobName, definition]) => {
      const key = definition.concurrencyKey;
      if (key === undefined) return [jobName, definition];
      return [jobName, { ...definition, concurrencyKey: { ...key, max: limits[key.name] ?? key.max } }];
    }),
  );
}

/** Neither absolute nor above where it starts. */
function isBelow(folder: string): boolean {
  const normal = path.posix.normalize(folder);
  return !path.isAbsolute(folder) && normal !== '..' && !normal.startsWith('../');
}

/** A `command` becomes the one step `main`; a job's time limits are those of its steps. */
function toJobDefinition(jobName: string, input: z.output<typeof job>): JobDefinition {
  const steps = input.steps ?? [{ name: 'main', command: input.command ?? [], testReport: input.testReport }];
  return {
    name: jobName,
    description: input.description,
    version: input.version,
    steps: steps.map((each) => ({
      name: each.name,
      command: each.command,
      timeoutMs: ('timeout' in each ? each.timeout : undefined) ?? input.timeout,
      idleTimeoutMs: ('idleTimeout' in each ? each.idleTimeout : undefined) ?? input.idleTimeout,
      testReport: each.testReport,
    })),
    schedule: input.schedule && toScheduleSpec(jobName, input.schedule),
    watch: input.watch && toWatch(input.watch),
    notify: input.notify && toNotify(input.notify),
    worktreeBase: input.worktree?.base,
    retry: {
      max: input.retry.max,
      backoff: input.retry.backoff,
      delayMs: input.retry.delay,
      maxDelayMs: input.retry.maxDelay,
    },
    concurrency: input.concurrency,
    cwd: input.cwd,
    priority: input.priority,
    concurrencyKey: input.concurrencyKey === undefined ? undefined : { name: input.concurrencyKey, max: 1 },
    checkpoint: {
      everyMs: input.checkpoint.every,
      gitDiff: input.checkpoint.gitDiff,
      logTailLines: input.checkpoint.logTailLines,
    },
    env: input.env,
  };
}

/** The file's words for a schedule in those of timed-jobs, which checks that exactly one of cron, every and at is there. */
function toScheduleSpec(scheduleName: string, input: ScheduleInput): ScheduleSpec {
  const policy = {
    name: scheduleName,
    ...(input.timezone !== undefined && { timezone: input.timezone }),
    ...(input.catchUp !== undefined && { catchUp: input.catchUp }),
    ...(input.overlap !== undefined && { overlap: input.overlap }),
    ...(input.jitter !== undefined && { jitterMs: input.jitter }),
  };
  if (input.cron !== undefined) return { ...policy, cron: input.cron };
  if (input.every !== undefined) return { ...policy, everyMs: input.every };
  return { ...policy, at: input.at ?? '' };
}

interface ScheduleInput {
  readonly cron?: string | undefined;
  readonly every?: number | undefined;
  readonly at?: string | undefined;
  readonly timezone?: string | undefined;
  readonly catchUp?: 'latest' | 'all' | 'none' | undefined;
  readonly overlap?: 'skip' | 'queue-one' | undefined;
  readonly jitter?: number | undefined;
}
