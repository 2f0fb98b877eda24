/**
 * Volume of the tick log in an hour without work, at the default interval, on the manual clock.
 * `node packages/timed-jobs/bench/idle-hour.ts`; wanted: under 64 KiB.
 */

import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createManualClock } from '@conductor-run/clock';
import {
  createMemorySlotStore,
  createOpenGate,
  createScheduler,
  createTimedJobs,
  parseSchedule,
} from '@conductor-run/timed-jobs';

const logDir = await mkdtemp(join(tmpdir(), 'idle-hour-'));
using clock = createManualClock();
const jobs = createTimedJobs({
  gate: createOpenGate({ controllerId: 'bench', host: 'bench', term: 1 }),
  clock,
  logDir,
});
const nightly = parseSchedule({ name: 'nightly', cron: '0 3 * * *' });
jobs.registerRunner(createScheduler({ schedules: [nightly], slots: createMemorySlotStore() }));
for (const name of ['watchers', 'reaper', 'retention']) jobs.registerRunner({ name, run: () => 'idle' });
jobs.start();
await clock.advance(3_600_000);
await jobs.stop();

let size = 0;
for (const name of await readdir(logDir)) size += (await stat(join(logDir, name))).size;
await rm(logDir, { recursive: true });
console.log(`idle hour, 4 runners, every 10 s: ${(size / 1_024).toFixed(1)} KiB`);
