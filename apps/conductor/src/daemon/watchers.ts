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

import type { JobDefinition, WatchDefinition } from '../job-config.ts';
import { DEFAULT_KEY } from '../wire.ts';
import { look, type Look } from './watch-look.ts';

/** What watchers work with. */
export interface WatchersOptions {
  readonly jobs: ReadonlyMap<string, JobDefinition>;
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
 * @param options - the jobs, where they are, and where their watermarks are
 */
export function createWatchers(options: WatchersOptions): Watchers {
  const stopped = new AbortController();
  const watches = [...options.jobs.values()].flatMap((job) =>
    job.watch === undefined ? [] : [createWatch(job, job.watch, options, stopped.signal)],
  );
  return {
    runner: {
      name: 'watchers',
      description: 'Looks at what jobs watch and raises their watermarks',
      run: (context) => runWatches(watches, context, options),
    },
    async stop() {
      stopped.abort(new Error('conductor is stopping'));
      await Promise.all(watches.map(async (watch) => watch.looking));
    },
  };
}

/** One job's watch and what is known of it. */
interface Watch {
  readonly job: JobDefinition;
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
  { rootDir, stateDir, env, clock, logger }: WatchersOptions,
  signal: AbortSignal,
): Watch {
  const lookOnce = async (settleDelayMs: number): Promise<void> => {
    try {
      watch.found = await look(job, definition, { rootDir, stateDir, env, clock, settleDelayMs, signal });
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
  watches: readonly Watch[],
  context: RunContext<unknown>,
  options: WatchersOptions,
): Promise<RunnerAnswer> {
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
  const base = { kind: job.name, key: DEFAULT_KEY, retries: job.retry.max };
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
