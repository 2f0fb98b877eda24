/** `conductor jobs pause, resume, cancel, retry, remove`: what a person decides about jobs. Invariant: 0 only when it was done. */
import type { Command } from 'commander';

import { type CliOptions, createReadingContext, withApiOption, withCommonOptions } from '../context.ts';
import { EXIT } from '../exit-codes.ts';
import type { CliIo } from '../io.ts';
import { keyOption } from '../key-option.ts';
import { requireJob, steerKind } from '../record/jobs.ts';
import { fromRecord, intoRecord } from '../remote.ts';
import { jobOutcomeView, pauseView } from '../views/job-views.ts';
import type { JobOutcomeView } from '../views/types.ts';
import { DEFAULT_KEY } from '../wire.ts';

/** Adds the subcommands of `jobs` that change something. */
export function addSteeringCommands(jobs: Command, io: CliIo, finish: (exitCode: number) => void): void {
  for (const verb of ['pause', 'resume'] as const) addPause(jobs, io, verb);
  for (const verb of ['cancel', 'retry', 'remove'] as const) addSteer(jobs, io, verb, finish);
}

function addPause(jobs: Command, io: CliIo, verb: 'pause' | 'resume'): void {
  withApiOption(
    withCommonOptions(
      jobs
        .command(`${verb} [job]`)
        .description(
          verb === 'pause' ? 'start nothing new, of one job or at all' : 'start again, of one job or at all',
        )
        .addHelpText('after', `\nExample:\n  conductor jobs ${verb} nightly-tests`),
    ),
  ).action(async (name: string | undefined, options: CliOptions) => {
    const context = createReadingContext(io, options);
    const view = await intoRecord(context, {
      here: async (place) => {
        if (name !== undefined) return steerKind(place, verb, name);
        await place.store[verb]();
        return { job: null, isPaused: verb === 'pause' };
      },
      there: (client) => client[verb](name),
    });
    if (context.json) context.printJson(pauseView, view);
    else context.print(`${name ?? 'everything'} ${verb === 'pause' ? 'paused' : 'resumed'}\n`);
  });
}

function addSteer(
  jobs: Command,
  io: CliIo,
  verb: 'cancel' | 'retry' | 'remove',
  finish: (exitCode: number) => void,
): void {
  const descriptions = {
    cancel: 'call a waiting job off, or ask the owner of a running one to stop',
    retry: 'make a failed or exhausted job due again, with its retries reset',
    remove: 'forget a job that is not running, with its attempts',
  };
  withApiOption(
    withCommonOptions(
      jobs
        .command(`${verb} <job>`)
        .description(`${descriptions[verb]}; exits with 1 when there is nothing to ${verb}, 75 while it runs`)
        .addOption(keyOption())
        .addHelpText('after', `\nExample:\n  conductor jobs ${verb} nightly-tests`),
    ),
  ).action(async (name: string, options: CliOptions) => {
    const { key, ...common } = options;
    const context = createReadingContext(io, common);
    const keyed = { key: String(key) };
    const view = await fromRecord(context, {
      here: async (place) => {
        await requireJob(place, name, keyed.key);
        return { job: name, ...keyed, outcome: await place.store[verb](name, keyed.key) };
      },
      there: (client) => client[CLIENT_VERBS[verb]](name, keyed),
    });
    finish(STEER_EXITS[view.outcome]);
    if (context.json) context.printJson(jobOutcomeView, view);
    else context.print(`${describeOutcome(view, verb)}\n`);
  });
}

/** One line: what was done, or why nothing was. */
export function describeOutcome(view: JobOutcomeView, verb: 'cancel' | 'retry' | 'remove'): string {
  const name = view.key === DEFAULT_KEY ? view.job : `${view.job} (${view.key})`;
  return `${name}: ${wordsOf(view.outcome, verb)}`;
}

function wordsOf(outcome: JobOutcomeView['outcome'], verb: 'cancel' | 'retry' | 'remove'): string {
  switch (outcome) {
    case 'cancelled':
    case 'removed':
      return outcome;
    case 'requested':
      return 'its owner is asked to stop';
    case 'due':
      return 'is due again';
    case 'already_running':
      return verb === 'remove'
        ? 'not removed, it runs; `conductor jobs cancel` asks it to stop'
        : 'nothing done, it runs already';
    case 'up_to_date':
      return `nothing to ${verb}, it is up to date`;
    case 'not_found':
      return 'nothing done, it is gone';
  }
}

/** Whether what was asked for was done. */
export const STEER_EXITS: Readonly<Record<JobOutcomeView['outcome'], number>> = {
  cancelled: EXIT.ok,
  requested: EXIT.ok,
  due: EXIT.ok,
  removed: EXIT.ok,
  already_running: EXIT.refused,
  up_to_date: EXIT.failed,
  not_found: EXIT.failed,
};

const CLIENT_VERBS = { cancel: 'cancelJob', retry: 'retryJob', remove: 'removeJob' } as const;
