/** Ours and its peers behind one face, each used as its documentation says, with its defaults. */

import { CronJob as CronPackageJob } from 'cron';
import { Cron } from 'croner';
import { schedule as scheduleNodeCron } from 'node-cron';
import nodeSchedule from 'node-schedule';
import { AsyncTask, LongIntervalJob, SimpleIntervalJob, ToadScheduler } from 'toad-scheduler';
import {
  createMemorySlotStore,
  createOpenGate,
  createScheduler,
  createTimedJobs,
  parseSchedule,
  type ScheduleSpec,
} from '@conductor-run/timed-jobs';

export interface Peer {
  everySecond(run: () => Promise<void>): void;
  /** Once, at an instant 40 days ahead, or every 40 days where there is nothing else. */
  inFortyDays(at: Date, run: () => Promise<void>): void;
  /** The next fire time after what `Date` says is now; absent where there is no calendar. */
  readonly next?: (pattern: string, timezone: string) => Date | null | undefined;
}

const EVERY_SECOND = '* * * * * *';

/** What an app does with a decision, in its smallest form: dirty work runs, and runs once more when it got dirty meanwhile. */
function ours(spec: ScheduleSpec, run: () => Promise<void>): void {
  let isDirty = false;
  let isRunning = false;
  const work = async (): Promise<void> => {
    if (isRunning) return;
    isRunning = true;
    while (isDirty) {
      isDirty = false;
      // The app records a failure; the watermark stays dirty or not by its retry policy.
      await run().catch(() => undefined);
    }
    isRunning = false;
  };
  const slots = createMemorySlotStore({
    effect() {
      isDirty = true;
      void work();
    },
  });
  const jobs = createTimedJobs({ gate: createOpenGate({ controllerId: 'bench', host: 'bench', term: 1 }) });
  jobs.registerRunner(createScheduler({ schedules: [parseSchedule(spec)], slots }));
  jobs.start();
}

export const PEERS: Readonly<Record<string, Peer>> = {
  'timed-jobs': {
    everySecond: (run) => ours({ name: 'bench', cron: EVERY_SECOND }, run),
    inFortyDays: (at, run) => ours({ name: 'bench', at: at.getTime() }, run),
    next(cron, timezone) {
      const nextMs = parseSchedule({ name: 'bench', cron, timezone }).nextAfter(Date.now());
      return nextMs === undefined ? undefined : new Date(nextMs);
    },
  },
  croner: {
    everySecond: (run) => void new Cron(EVERY_SECOND, run),
    inFortyDays: (at, run) => void new Cron(at, run),
    next: (pattern, timezone) => new Cron(pattern, { timezone }).nextRun(),
  },
  'node-cron': {
    everySecond: (run) => void scheduleNodeCron(EVERY_SECOND, run),
    inFortyDays(at, run) {
      const fields = [at.getUTCMinutes(), at.getUTCHours(), at.getUTCDate(), at.getUTCMonth() + 1, '*'];
      scheduleNodeCron(fields.join(' '), run, { timezone: 'UTC' });
    },
    next(pattern, timezone) {
      const task = scheduleNodeCron(pattern, () => undefined, { timezone });
      const next = task.getNextRun();
      void task.destroy();
      return next;
    },
  },
  cron: {
    everySecond: (run) => void new CronPackageJob(EVERY_SECOND, run, null, true),
    inFortyDays: (at, run) => void new CronPackageJob(at, run, null, true),
    next: (cronTime, timeZone) =>
      CronPackageJob.from({ cronTime, timeZone, onTick: () => undefined })
        .nextDate()
        .toJSDate(),
  },
  'node-schedule': {
    everySecond: (run) => void nodeSchedule.scheduleJob(EVERY_SECOND, run),
    inFortyDays: (at, run) => void nodeSchedule.scheduleJob(at, run),
    next(rule, tz) {
      const job = nodeSchedule.scheduleJob({ rule, tz }, () => undefined);
      // What it answers is an object that looks like a date.
      const next = job.nextInvocation();
      job.cancel();
      return next === null ? null : new Date(next.getTime());
    },
  },
  'toad-scheduler': {
    everySecond: (run) =>
      new ToadScheduler().addSimpleIntervalJob(
        new SimpleIntervalJob({ seconds: 1 }, new AsyncTask('bench', run)),
      ),
    inFortyDays: (_at, run) =>
      new ToadScheduler().addLongIntervalJob(new LongIntervalJob({ days: 40 }, new AsyncTask('bench', run))),
  },
};
