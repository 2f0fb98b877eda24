/**
 * 10,000 live schedules on the real clock. First idle (all daily): CPU of the process. Then 1,000 of them due together
 * every few seconds: lateness of the decisions. `node packages/timed-jobs/bench/live.ts`.
 * Wanted: idle CPU under 2 % of one core, lateness p99 under 50 ms.
 */

import { createRealClock } from '@conductor-run/clock';
import {
  createMemorySlotStore,
  createOpenGate,
  createScheduler,
  createTimedJobs,
  parseSchedule,
  type Schedule,
} from '@conductor-run/timed-jobs';

const IDLE_MS = 30_000;
const LIVE_MS = 30_000;
const clock = createRealClock();

function daily(index: number): Schedule {
  // Yesterday's minute, so that none falls due while we look.
  const minute = (new Date(clock.nowMs() - 3_600_000).getUTCMinutes() + (index % 30)) % 60;
  const hour = (new Date(clock.nowMs()).getUTCHours() + 12) % 24;
  return parseSchedule({ name: `daily-${index}`, cron: `${minute} ${hour} * * *`, timezone: 'UTC' });
}

async function measure(schedules: readonly Schedule[], durationMs: number) {
  const latenessMs: number[] = [];
  const startedAtMs = clock.nowMs();
  const byName = new Map(schedules.map((schedule) => [schedule.name, schedule]));
  const slots = createMemorySlotStore({
    effect({ schedule, slotMs }) {
      if (slotMs < startedAtMs) return;
      latenessMs.push(clock.nowMs() - slotMs - (byName.get(schedule)?.delayMs ?? 0));
    },
  });
  const jobs = createTimedJobs({ gate: createOpenGate({ controllerId: 'bench', host: 'bench', term: 1 }) });
  jobs.registerRunner(createScheduler({ schedules, slots }));
  const planFromMs = clock.monotonicMs();
  await jobs.runTick('manual');
  const firstPassMs = clock.monotonicMs() - planFromMs;
  jobs.start();
  await clock.sleep(1_000);
  const cpuBefore = process.cpuUsage();
  const fromMs = clock.monotonicMs();
  await clock.sleep(durationMs);
  const elapsedMs = clock.monotonicMs() - fromMs;
  const cpu = process.cpuUsage(cpuBefore);
  await jobs.stop();
  const cpuShare = (cpu.user + cpu.system) / 1_000 / elapsedMs;
  return { latenessMs: latenessMs.toSorted((one, other) => one - other), cpuShare, firstPassMs };
}

function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

const dailies = Array.from({ length: 10_000 }, (_, index) => daily(index));
const idle = await measure(dailies, IDLE_MS);
const live = await measure(
  [
    ...dailies.slice(1_000),
    ...Array.from({ length: 1_000 }, (_, index) => parseSchedule({ name: `live-${index}`, everyMs: 2_000 })),
  ],
  LIVE_MS,
);
const spread = await measure(
  [
    ...dailies.slice(1_000),
    ...Array.from({ length: 1_000 }, (_, index) =>
      parseSchedule({ name: `live-${index}`, everyMs: 2_000, jitterMs: 2_000 }),
    ),
  ],
  LIVE_MS,
);

console.log('10,000 schedules             slots   p50 ms  p99 ms  max ms  CPU of one core  first pass');
for (const [title, { latenessMs, cpuShare, firstPassMs }] of Object.entries({
  idle: idle,
  '1,000 at once, every 2 s': live,
  '1,000 spread over 2 s': spread,
})) {
  const cells = [0.5, 0.99, 1].map((share) =>
    latenessMs.length === 0 ? '-' : quantile(latenessMs, share).toFixed(0),
  );
  console.log(
    title.padEnd(28),
    String(latenessMs.length).padEnd(7),
    ...cells.map((cell) => cell.padEnd(7)),
    `${(cpuShare * 100).toFixed(2)} %`.padEnd(15),
    `${firstPassMs.toFixed(0)} ms`,
  );
}
