/**
 * Tells the hooks of jobs how their attempts end: after each task of this node, and, on the leader, of attempts that
 * nobody is left to tell of.
 * Invariant: whatever happens here, the task's result and record stay what they are.
 */
import type { Attempt, JobStore, Lease } from '@conductor-run/job-store';
import type { Logger } from '@conductor-run/logging';
import type { RunContext, Runner, RunnerAnswer } from '@conductor-run/timed-jobs';
import { ulid } from 'ulid';

import { allJobs } from '../all-jobs.ts';
import type { Config } from '../config.ts';
import { ConductorError } from '../errors.ts';
import type { CliIo } from '../io.ts';
import type { JobDefinition, NotifyEvent } from '../job-config.ts';
import { isAttemptLeft, type TaskOutcome, taskDirOf } from '../task.ts';
import { eventOfTask, lostBefore, type Notification } from './notification.ts';
import { createNotifier } from './notifier.ts';

/** What notifications work with. */
export interface NotificationsOptions {
  readonly config: Config;
  readonly io: CliIo;
  readonly store: JobStore;
  readonly logger: Logger;
}

/** The notifications of a daemon; whoever makes them stops them. */
export interface Notifications {
  /**
   * Runs a task and tells how it ended; gives and throws what the task does.
   *
   * @param lease - the claim
   * @param task - what to run
   * @param isAdopted - whether a former daemon claimed it, and told what came before
   */
  around(lease: Lease, task: () => Promise<TaskOutcome>, isAdopted: boolean): Promise<TaskOutcome>;
  /** Finds attempts that were lost with their node and are not tried again; nobody else would tell. */
  readonly runner: Runner;
  /** Delivers what waits, for a few seconds at most. */
  stop(): Promise<void>;
}

/**
 * Makes the notifications of a daemon.
 *
 * @param options - what they work with
 * @throws ConductorError with code `config-invalid` when a webhook's secret has no value
 */
export function createNotifications(options: NotificationsOptions): Notifications {
  const { config, io, store, logger } = options;
  for (const job of config.jobs.values()) requireSecret(job, io.env);
  const { rootDir, settings } = config;
  const notifier = createNotifier({ rootDir, env: io.env, clock: io.clock, logger });

  const tell = (job: JobDefinition, event: NotifyEvent, about: About): void => {
    const nowMs = io.clock.nowMs();
    const notification: Notification = {
      event,
      deliveryId: ulid(nowMs),
      atMs: nowMs,
      job: job.name,
      node: settings.nodeId,
      ...about,
    };
    notifier.tell(job, notification);
  };
  /** What came before; telling less is better than failing a task. */
  const lookBack = async (
    job: JobDefinition,
    lease: Lease,
    isAdopted: boolean,
  ): Promise<readonly Attempt[]> => {
    try {
      const attempts = await store.attempts(lease.kind, lease.key, { limit: MAX_LOOK_BACK });
      const lost = isAdopted ? undefined : lostBefore(lease, attempts);
      if (lost !== undefined && !(await isTold(store, job, lease.key, lost)))
        tell(job, 'lost', aboutLost(lease.key, lost));
      return attempts.filter((each) => each.attempt < lease.attempt);
    } catch (error) {
      logger.error({ err: error, job: lease.kind, key: lease.key }, 'notification.uninformed');
      return [];
    }
  };

  return {
    async around(lease, task, isAdopted) {
      const job = config.jobs.get(lease.kind);
      if (job?.notify === undefined) return task();
      const { key, attempt } = lease;
      const earlier = await lookBack(job, lease, isAdopted);
      try {
        const outcome = await task();
        const event = eventOfTask(outcome, earlier);
        const { summary, taskId } = outcome;
        const taskDir = taskDirOf(settings, taskId);
        if (event !== undefined) tell(job, event, { key, attempt, summary, taskDir });
        return outcome;
      } catch (error) {
        // Not ended: whoever goes on with it tells how it ends.
        if (isAttemptLeft(error)) throw error;
        const summary = error instanceof Error ? error.message : String(error);
        tell(job, 'failed', { key, attempt, summary, taskDir: null });
        throw error;
      }
    },
    runner: {
      name: 'lost-attempts',
      description: 'Tells of attempts that were lost with their node and are not tried again',
      run: (context) => tellOfLost(context, options, tell),
    },
    stop: () => notifier.stop(GRACE_MS),
  };
}

type About = Pick<Notification, 'key' | 'attempt' | 'summary' | 'taskDir'>;

function aboutLost(key: string, { attempt, node, workerId, runDir }: Attempt): About {
  const summary = `Lost: ${node ?? workerId} stopped renewing the lease of attempt ${attempt}`;
  return { key, attempt, summary, taskDir: runDir ?? null };
}

/** Each lost attempt is told of once, by whoever leads: the store remembers it as a slot at the attempt's end. */
async function tellOfLost(
  { term }: RunContext<unknown>,
  { config, store }: NotificationsOptions,
  tell: (job: JobDefinition, event: NotifyEvent, about: About) => void,
): Promise<RunnerAnswer> {
  let told = 0;
  for (const job of config.jobs.values()) {
    if (job.notify?.on.includes('lost') !== true) continue;
    for (const { key, isExhausted } of await allJobs(store, { kind: job.name, status: 'error' })) {
      const last = isExhausted ? (await store.attempts(job.name, key, { limit: 1 })).at(-1) : undefined;
      if (last?.outcome !== 'lost') continue;
      const answer = await store.decideSlot({
        schedule: lostSlotName(job, key),
        slotMs: endOf(last),
        term,
        decision: 'told',
      });
      if (answer.outcome !== 'decided') continue;
      tell(job, 'lost', aboutLost(key, last));
      told += 1;
    }
  }
  return told === 0 ? 'idle' : { result: 'worked', details: { told } };
}

async function isTold(store: JobStore, job: JobDefinition, key: string, attempt: Attempt): Promise<boolean> {
  const told = await store.slots(lostSlotName(job, key), { limit: 1_000 });
  return told.some(({ slotMs }) => slotMs === endOf(attempt));
}

function lostSlotName(job: JobDefinition, key: string): string {
  return `lost:${job.name}:${key}`;
}

/** Attempts of one job end one after another, and slots are forgotten by their time. */
function endOf({ finishedAtMs, startedAtMs }: Attempt): number {
  return finishedAtMs ?? startedAtMs;
}

/** A hook that cannot sign is found out at the start, not in the night. */
function requireSecret(job: JobDefinition, env: CliIo['env']): void {
  if (job.notify?.target.kind !== 'webhook') return;
  const { secretEnv } = job.notify.target;
  if ((job.env.set[secretEnv] ?? env[secretEnv] ?? '') !== '') return;
  throw new ConductorError(
    'config-invalid',
    `Cannot sign notifications of job "${job.name}": the variable ${secretEnv} has no value, expected the secret`,
    { hint: `Set ${secretEnv} in the environment of conductor start.` },
  );
}

/** Attempts: a job may have run for years. */
const MAX_LOOK_BACK = 1_000;
const GRACE_MS = 5_000;
