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
import type { JobDefinition } from '../job-config.ts';
import type { NotifyEvent } from '../notify-config.ts';
import { isAttemptLeft, type TaskOutcome, taskDirOf } from '../task.ts';
import { eventsOfEnd, eventsOfTask, lostBefore, type Notification } from './notification.ts';
import { createNotifier } from './notifier.ts';
import type { Observer } from './observer.ts';

/** What notifications work with. */
export interface NotificationsOptions {
  /** In use now. */
  readonly config: Config;
  readonly io: CliIo;
  readonly store: JobStore;
  readonly logger: Logger;
  readonly observer: Pick<Observer, 'notificationEnded'>;
}

/** The notifications of a daemon; whoever makes them stops them. */
export interface Notifications {
  /**
   * Runs a task and tells how it ended; gives and throws what the task does.
   *
   * @param lease - the claim
   * @param job - whose hook is told, as it was when the task began; `undefined` tells nobody
   * @param task - what to run
   * @param isAdopted - whether a former daemon claimed it, and told what came before
   */
  around(
    lease: Lease,
    job: JobDefinition | undefined,
    task: () => Promise<TaskOutcome>,
    isAdopted: boolean,
  ): Promise<TaskOutcome>;
  /** Finds attempts that were lost with their node and are not tried again; nobody else would tell. */
  readonly runner: Runner;
  /** Delivers what waits, for a few seconds at most. */
  stop(): Promise<void>;
}

/**
 * Makes the notifications of a daemon.
 *
 * @param options - what they work with
 */
export function createNotifications(options: NotificationsOptions): Notifications {
  const { io, store, logger, observer } = options;
  const { rootDir, settings } = options.config;
  const notifier = createNotifier({
    rootDir,
    env: io.env,
    clock: io.clock,
    logger,
    onEnded: (job, outcome) => observer.notificationEnded(job, outcome),
  });

  /** Tells the first event that the job asks for. */
  const tell: Tell = (job, events, about) => {
    const event = events.find((each) => job.notify?.on.includes(each));
    if (event === undefined) return;
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
        tell(job, ['lost'], { ...aboutLost(lease.key, lost), ...(await rowAfter(lease, lost.attempt)) });
      return attempts.filter((each) => each.attempt < lease.attempt);
    } catch (error) {
      logger.error({ err: error, job: lease.kind, key: lease.key }, 'notification.uninformed');
      return [];
    }
  };

  /** How the row stands once an attempt has ended; a row that cannot be read must not fail the task. */
  const rowAfter = async (
    lease: Lease,
    attempt: number,
  ): Promise<Pick<About, 'willRetry' | 'retriesLeft'>> => {
    try {
      const row = await store.get(lease.kind, lease.key);
      // A later attempt is the retry itself, or newer input.
      const isTriedAgain = row !== undefined && row.attempt > attempt;
      const isWaiting = row?.status === 'error' ? !row.isExhausted : row?.status === 'pending';
      return { willRetry: isTriedAgain || isWaiting, retriesLeft: row?.retriesLeft ?? 0 };
    } catch (error) {
      logger.error({ err: error, job: lease.kind, key: lease.key }, 'notification.uninformed');
      return { willRetry: false, retriesLeft: 0 };
    }
  };

  return {
    async around(lease, job, task, isAdopted) {
      if (job?.notify === undefined) return task();
      const { key, attempt } = lease;
      const earlier = await lookBack(job, lease, isAdopted);
      try {
        const outcome = await task();
        const row = await rowAfter(lease, attempt);
        const willRetry = row.willRetry && outcome.recorded !== 'succeeded';
        const { summary, taskId } = outcome;
        const taskDir = taskDirOf(settings, taskId);
        const events = eventsOfTask(outcome, earlier, willRetry);
        tell(job, events, { key, attempt, summary, taskDir, ...row, willRetry });
        return outcome;
      } catch (error) {
        // Not ended: whoever goes on with it tells how it ends.
        if (isAttemptLeft(error)) throw error;
        const summary = error instanceof Error ? error.message : String(error);
        const row = await rowAfter(lease, attempt);
        tell(job, eventsOfEnd('failed', row.willRetry), { key, attempt, summary, taskDir: null, ...row });
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

type About = Pick<Notification, 'key' | 'attempt' | 'summary' | 'taskDir' | 'willRetry' | 'retriesLeft'>;
type Tell = (job: JobDefinition, events: readonly NotifyEvent[], about: About) => void;

function aboutLost(
  key: string,
  { attempt, node, workerId, runDir }: Attempt,
): Omit<About, 'willRetry' | 'retriesLeft'> {
  const summary = `Lost: ${node ?? workerId} stopped renewing the lease of attempt ${attempt}`;
  return { key, attempt, summary, taskDir: runDir ?? null };
}

/** Each lost attempt is told of once, by whoever leads: the store remembers it as a slot at the attempt's end. */
async function tellOfLost(
  { term }: RunContext<unknown>,
  { config, store }: NotificationsOptions,
  tell: Tell,
): Promise<RunnerAnswer> {
  let told = 0;
  const events = eventsOfEnd('lost', false);
  for (const job of config.jobs.values()) {
    if (!events.some((event) => job.notify?.on.includes(event))) continue;
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
      tell(job, events, { ...aboutLost(key, last), willRetry: false, retriesLeft: 0 });
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

/**
 * Finds a hook that cannot sign at the start, or when the config is read again, and not in the night.
 *
 * @param jobs - whose hooks
 * @param env - where the secrets are
 * @throws ConductorError with code `config-invalid` when a webhook's secret has no value
 */
export function requireSecrets(jobs: ReadonlyMap<string, JobDefinition>, env: CliIo['env']): void {
  for (const job of jobs.values()) requireSecret(job, env);
}

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
