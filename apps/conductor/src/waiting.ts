/**
 * Why a job does not run right now, or that it does.
 * Invariant: the store answers, by a claim that is rolled back; nothing here decides whether a job may start.
 */
import type { Attempt, ClaimRefusal, ClaimResult, Job, SqliteJobStore } from '@conductor-run/job-store';

import { claimUnderLimits } from './claim-limits.ts';
import type { JobDefinition } from './job-config.ts';
import { isConfigCurrent, type NodeState, toNodeState } from './node-state.ts';
import { formatInstant, formatRelative } from './terminal/time.ts';

/** What a job waits for. */
export interface Waiting {
  /** The store's refusal, or why a job that may start has not. */
  readonly state: ClaimRefusal | 'ready' | 'no_daemon' | 'older_config' | 'no_room' | 'not_configured';
  /** One sentence. */
  readonly text: string;
  /** When to look again, UTC ms. */
  readonly untilMs: number | undefined;
  /** What would change it, as one sentence. */
  readonly hint: string | undefined;
}

/**
 * Asks what a job waits for.
 *
 * @param store - changed by nothing here
 * @param name - of the job
 * @param key - which one of its kind
 * @param definition - from the config; `undefined` when it is not in there
 * @param nowMs - UTC ms
 */
export async function explainWaiting(
  store: SqliteJobStore,
  name: string,
  key: string,
  definition: JobDefinition | undefined,
  nowMs: number,
): Promise<Waiting> {
  const job = await store.get(name, key);
  // A job with an owner is explained by its row: a claim would say no more, and end a lease that has run out.
  if (job?.status === 'running') return explainRunning(job, nowMs);
  const answer = await askForClaim(store, name, key, definition);
  if (answer.outcome === 'claimed') {
    const nodes = (await store.nodes()).map((node) => toNodeState(node, nowMs));
    return explainReady(name, definition, nodes);
  }
  const last = (await store.attempts(name, key, { limit: 1 })).at(-1);
  const isAllPaused = answer.reason === 'paused' && (await store.stats()).isPaused;
  return explainRefusal(answer.reason, answer.untilMs, { name, definition, isAllPaused, nowMs, job, last });
}

/** Claims and takes it back in one transaction: the answer is the one a worker would get, and nothing has happened. */
async function askForClaim(
  store: SqliteJobStore,
  name: string,
  key: string,
  definition: JobDefinition | undefined,
): Promise<ClaimResult> {
  const asked: { answer?: ClaimResult } = {};
  const takeBack = new Error('Cannot keep a claim that was only a question');
  try {
    await store.transaction((tx) => {
      const claim = { kind: name, key, workerId: 'why', leaseMs: 1, create: false };
      asked.answer = claimUnderLimits(tx, definition, claim);
      throw takeBack;
    });
  } catch (error) {
    if (error !== takeBack) throw error;
  }
  if (asked.answer === undefined) throw new Error(`Cannot explain job "${name}": the store gave no answer`);
  return asked.answer;
}

function explainRunning(job: Job, nowMs: number): Waiting {
  const where = `on ${job.node ?? job.workerId ?? 'a node that gave no name'}`;
  const since = `since ${formatInstant(job.startedAtMs)} (${formatRelative(job.startedAtMs, nowMs)}), attempt ${job.attempt}`;
  const untilMs = job.leaseUntilMs;
  if (untilMs !== undefined && untilMs <= nowMs) {
    return {
      state: 'already_running',
      text: `its owner ${where} has been silent: the lease ran out ${formatRelative(untilMs, nowMs)}, running ${since}`,
      untilMs,
      hint: 'The next claim of any daemon ends the attempt as lost; conductor start runs a daemon.',
    };
  }
  const cancel = job.isCancelRequested ? ', asked to stop' : '';
  return { state: 'already_running', text: `runs ${where} ${since}${cancel}`, untilMs, hint: undefined };
}

function explainReady(
  name: string,
  definition: JobDefinition | undefined,
  nodes: readonly NodeState[],
): Waiting {
  const live = nodes.filter((node) => node.isLive);
  const full = live.filter(
    (node) =>
      node.running !== undefined && node.maxParallel !== undefined && node.running >= node.maxParallel,
  );
  const base = { untilMs: undefined, hint: undefined };
  if (definition === undefined) {
    return { ...base, state: 'not_configured', text: 'is due, but no job of the config has its name' };
  }
  if (live.length === 0) {
    const hint = `conductor start runs a daemon; conductor run ${name} runs it here.`;
    return { ...base, state: 'no_daemon', text: 'is due, but no daemon is up', hint };
  }
  if (live.every((node) => isConfigCurrent(node) === false)) {
    const text = 'is due, but the daemon runs an older config';
    return { ...base, state: 'older_config', text, hint: 'conductor reload' };
  }
  if (full.length === live.length) {
    const rooms = full.map((node) => `${node.nodeId} ${node.running ?? 0} of ${node.maxParallel ?? 0}`);
    const hint = 'Raise --max-parallel, or start another daemon.';
    return { ...base, state: 'no_room', text: `is due and waits for room: ${rooms.join(', ')}`, hint };
  }
  return { ...base, state: 'ready', text: 'is due: the next free daemon claims it within a second' };
}

interface RefusalFacts {
  readonly name: string;
  readonly definition: JobDefinition | undefined;
  readonly isAllPaused: boolean;
  readonly nowMs: number;
  readonly job: Job | undefined;
  /** Its last attempt. */
  readonly last: Attempt | undefined;
}

function explainRefusal(reason: ClaimRefusal, untilMs: number | undefined, facts: RefusalFacts): Waiting {
  const { name, definition, isAllPaused, nowMs, job, last } = facts;
  const until = untilMs === undefined ? '' : `${formatInstant(untilMs)} (${formatRelative(untilMs, nowMs)})`;
  const explained = (text: string, hint?: string): Waiting => ({ state: reason, text, untilMs, hint });
  switch (reason) {
    case 'paused': {
      const resume = isAllPaused ? 'conductor jobs resume' : `conductor jobs resume ${name}`;
      return explained(isAllPaused ? 'everything is paused' : 'is paused', resume);
    }
    case 'retry_pending':
      return explained(
        `failed (failure ${job?.failedAttempts ?? 1} in a row) and is tried again ${until}; retries left after that: ${job?.retriesLeft ?? 0}`,
        `conductor jobs retry ${name} tries at once.`,
      );
    case 'retry_exhausted':
      if (last?.outcome === 'lost') {
        return explained(
          `was lost with the process that ran it, which costs a retry, and has none left of ${job?.maxRetries ?? 0}`,
          `conductor jobs retry ${name} tries again; with retry: { max: 1 } in the config a lost attempt is tried again by itself.`,
        );
      }
      return explained(
        `failed and has no retry left of ${job?.maxRetries ?? 0}`,
        `Mend the cause, then conductor jobs retry ${name}; newer input makes it due too.`,
      );
    case 'not_due':
      return explained(`is due ${until}`);
    case 'concurrency_limit':
      return explained(describeLimit(definition));
    case 'cancelled':
      return explained('was cancelled', `conductor jobs retry ${name} makes it due again.`);
    case 'up_to_date':
      return explained('is up to date: nothing newer was asked for');
    case 'not_found':
      return explained('was never asked for', `conductor enqueue ${name}, or conductor run ${name}`);
    case 'already_running':
      return explained('runs');
  }
}

/** A store's refusal does not say which of two limits it was. */
function describeLimit(definition: JobDefinition | undefined): string {
  const ofKind = `at most ${definition?.concurrency ?? 1} of its kind run at once`;
  const shared = definition?.concurrencyKey;
  const ofKey = shared === undefined ? '' : `, and ${shared.max} of all with concurrencyKey ${shared.name}`;
  return `waits for another one to end: ${ofKind}${ofKey}`;
}
