/**
 * A year of 1,000 schedules in 20 zones on the manual clock.
 * `node packages/timed-jobs/bench/simulated-year.ts`; wanted: under 10 s.
 */

import { createRealClock } from '@conductor-run/clock';
import { type ScheduleSpec, simulate } from '@conductor-run/timed-jobs';

const ZONES = [
  'UTC',
  'America/New_York',
  'America/Chicago',
  'America/Los_Angeles',
  'America/Sao_Paulo',
  'America/Havana',
  'Europe/Berlin',
  'Europe/London',
  'Europe/Dublin',
  'Europe/Kyiv',
  'Africa/Cairo',
  'Africa/Casablanca',
  'Asia/Kolkata',
  'Asia/Kathmandu',
  'Asia/Tokyo',
  'Australia/Sydney',
  'Australia/Lord_Howe',
  'Pacific/Auckland',
  'Pacific/Apia',
  'Antarctica/Troll',
];

/** Of every 20 schedules: one each quarter hour, four hourly, twelve daily, two weekly, one monthly. */
function cronOf(index: number): string {
  const minute = (index * 7) % 60;
  const hour = (index * 5) % 24;
  const kind = index % 20;
  if (kind === 0) return '*/15 * * * *';
  if (kind <= 4) return `${minute} * * * *`;
  if (kind <= 16) return `${minute} ${hour} * * *`;
  if (kind <= 18) return `${minute} ${hour} * * MON`;
  return `${minute} ${hour} L * *`;
}

const schedules = Array.from({ length: 1_000 }, (_, index): ScheduleSpec => ({
  name: `schedule-${index}`,
  cron: cronOf(index),
  timezone: ZONES[Math.floor(index / 20) % ZONES.length] ?? 'UTC',
}));

const clock = createRealClock();
const startedAtMs = clock.monotonicMs();
const { slotCount } = await simulate({
  schedules,
  fromMs: Date.UTC(2026, 0, 1),
  toMs: Date.UTC(2027, 0, 1),
});
const elapsedMs = clock.monotonicMs() - startedAtMs;
const { user, system } = process.cpuUsage();
console.log('schedules  slots      seconds  CPU s    slots/s');
console.log(
  [
    '1000'.padEnd(9),
    String(slotCount).padEnd(9),
    (elapsedMs / 1_000).toFixed(2).padEnd(7),
    ((user + system) / 1e6).toFixed(2).padEnd(7),
    Math.round((slotCount / elapsedMs) * 1_000),
  ].join('  '),
);
