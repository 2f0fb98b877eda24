/**
 * The runner that looks at what jobs watch and raises their watermarks.
 * Invariants: a value is acted on once, in the transaction that remembers it, under a term that is still current; a slow
 * or broken watch holds up neither the tick nor the other watches.
 */
import { createHash } from 'node:crypto';

import type { Clock } from '@conductor-run/clock';
import type { JobStore } from '@conductor-run/job-store';
import type { Logger } from '@conductor-run/logging';
import type { RunContext, Runner, RunnerAnswer } from '@conductor-run/timed-jobs';

import type { JobDefinition } from '../job-config.ts';
import { toEnqueueRequest } from '../enqueue-request.ts';
import type { WatchDefinition } from '../watch-config.ts';
import { DEFAULT_KEY } from '../wire.ts';
import { look, type Look } from './watch-look.ts';

/** What watchers work with. */
export interface WatchersOptions {
  readonly store: JobStore;
  readonly rootDir: string;
  readonly stateDir: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The runner, and what ends the looks under way. */
export interface Watchers {
  readonly runner: Runner;
  /** Watches for these jobs from now on. A look at what is watched as before goes on; what others have found counts no more. */
  replace(jobs: ReadonlyMap<string, JobDefinition>): void;
  /** Ends programs that are still being asked. Idempotent. */
  stop(): Promise<void>;
}

/**
 * The name under which the store remembers what a job's watch has seen. Another definition counts from another start,
 * even in another unit, so it has a name of its own.
 */
export function watchSlotName(job: string, watch: WatchDefinition): string {
  const digest = createHash('sha256').update(JSON.stringify(watch)).digest('hex').slice(0, DIGEST_LENGTH);
  return `watch:${job}:${watch.kind}:${digest}`;
}

/**
 * Makes the runner.
 *
 * @param jobs - what watches
 * @param options - where the jobs and their watermarks are
 */
export function createWatchers(jobs: ReadonlyMap<string, JobDefinition>, options: WatchersOptions): Watchers {
  let watches: readonly Watch[] = [];
  /** Looks of watches that are gone, until they have ended. */
  const ending = new Set<Promise<void>>();
  const end = (watch: Watch): void => {
    watch.abort.abort(new Error('conductor watches this no more'));
    const { looking } = watch;
    if (looking === undefined) return;
    ending.add(looking);
    void looking.finally(() => ending.delete(looking));
  };
  const replace: Watchers['replace'] = (next) => {
    const former = new Map(watches.map((watch) => [watch.fingerprint, watch]));
    watches = [...next.values()].flatMap((job) => {
      if (job.watch === undefined) return [];
      const fingerprint = fingerprintOf(job);
      const kept = former.get(fingerprint);
      former.delete(fingerprint);
      if (kept === undefined) return [createWatch(job, job.watch, fingerprint, options)];
      kept.job = job;
      return [kept];
    });
    for (const gone of former.values()) end(gone);
  };
  replace(jobs);
  return {
    runner: {
      name: 'watchers',
      description: 'Looks at what jobs watch and raises their watermarks',
      run: (context) => runWatches(() => watches, context, options),
    },
    replace,
    async stop() {
      for (const watch of watches) end(watch);
      await Promise.all(ending);
    },
  };
}

/** What a look depends on. */
function fingerprintOf({ name, watch, env }: JobDefinition): string {
  return JSON.stringify([name, watch, env]);
}

/** One job's watch and what is known of it. */
interface Watch {
  /** As it is in the config now. */
  job: JobDefinition;
  readonly fingerprint: string;
  /** Ends the look under way, and every later one. */
  readonly abort: AbortController;
  readonly definition: WatchDefinition;
  readonly start: (settleDelayMs: number) => void;
  /** The look under way; `undefined` when there is none. */
  looking: Promise<void> | undefined;
  /** What the last look came to, until it has been acted on. */
  found: Look | undefined;
  /** What was wrong the last time, told once. */
  trouble: string | undefined;
}

function createWatch(
  job: JobDefinition,
  definition: WatchDefinition,
  fingerprint: string,
  { logger, ...options }: WatchersOptions,
): Watch {
  const abort = new AbortController();
  const { signal } = abort;
  const lookOnce = async (settleDelayMs: number): Promise<void> => {
    try {
      watch.found = await look(job, definition, { ...options, settleDelayMs, signal });
      if (watch.trouble !== undefined) logger.info({ job: job.name }, 'watch.mended');
      watch.trouble = undefined;
    } catch (error) {
      const trouble = error instanceof Error ? error.message : String(error);
      // The same trouble every tick is one warning, not a thousand.
      if (!signal.aborted && trouble !== watch.trouble)
        logger.warn({ job: job.name, err: error }, 'watch.failed');
      watch.trouble = trouble;
    } finally {
      watch.looking = undefined;
    }
  };
  const watch: Watch = {
    job,
    fingerprint,
    abort,
    definition,
    start(settleDelayMs) {
      watch.looking ??= lookOnce(settleDelayMs);
    },
    looking: undefined,
    found: undefined,
    trouble: undefined,
  };
  return watch;
}

async function runWatches(
  current: () => readonly Watch[],
  context: RunContext<unknown>,
  options: WatchersOptions,
): Promise<RunnerAnswer> {
  const watches = current();
  for (const watch of watches) watch.start(context.settleDelayMs);
  const looks = Promise.all(watches.map(async (watch) => watch.looking));
  // Whoever ticks by hand wants to know now; a loop comes by again, and the schedules must not wait.
  if (context.trigger === 'manual') await looks;
  else await Promise.race([looks, options.clock.sleep(PATIENCE_MS, { keepAlive: false })]);

  let raised = 0;
  let settledAtMs = Number.POSITIVE_INFINITY;
  for (const watch of watches) {
    const { found } = watch;
    if (found === undefined) continue;
    if (context.signal.aborted) break;
    // Taken out of the config since this tick began.
    if (!current().includes(watch)) continue;
    if (found.value !== undefined && (await raise(watch, found.value, context, options))) raised += 1;
    watch.found = undefined;
    settledAtMs = Math.min(settledAtMs, found.settledAtMs ?? settledAtMs);
  }
  if (settledAtMs < Number.POSITIVE_INFINITY) context.wakeAt(settledAtMs);
  return raised === 0 ? 'idle' : { result: 'worked', details: { raised } };
}

/** Raises the watermark when the value is newer than the last one that was acted on; true when it did. */
async function raise(
  { job, definition }: Watch,
  value: number,
  { term }: RunContext<unknown>,
  { store, logger }: WatchersOptions,
): Promise<boolean> {
  const schedule = watchSlotName(job.name, definition);
  const seen = (await store.slotCursor(schedule)) ?? 0;
  if (value <= seen) return false;
  const base = toEnqueueRequest(job, DEFAULT_KEY);
  const answer = await store.decideSlot({
    schedule,
    slotMs: value,
    term,
    decision: 'raised',
    reason: definition.kind,
    // To the value where it is ahead, and in any case by one: a run by hand may have taken the number already.
    effect: [base, { ...base, watermark: value }],
  });
  if (answer.outcome !== 'decided') return false;
  logger.info({ job: job.name, value }, 'watch.raised');
  return true;
}

const DIGEST_LENGTH = 12;
/** How long a tick of the loop waits for looks; later ones are acted on in the next tick. */
const PATIENCE_MS = 1_000;
