/** What a node tells about itself: with each heartbeat, and in the check-list of what it is made of. */
import type { JsonValue } from '@conductor-run/job-store';
import { z } from 'zod';

import type { Config } from '../config.ts';
import type { NodeProcess } from '../node-state.ts';
import type { DaemonOptions } from './daemon.ts';
import { schedulesOf } from './job-scheduler.ts';
import type { DaemonParts } from './parts.ts';

/**
 * The state of a heartbeat, read back by `toNodeState`.
 *
 * @param options - the daemon's
 * @param parts - what there is of it
 * @param process - who it is for others on the machine
 */
export function toTold(
  { config, stopping }: DaemonOptions,
  parts: DaemonParts,
  process: NodeProcess | undefined,
): JsonValue {
  const { maxParallel, priority } = config.settings;
  return withoutUnset({
    role: parts.leader?.state().role ?? 'standby',
    isDraining: stopping.aborted,
    running: parts.dispatcher?.runningCount() ?? 0,
    maxParallel,
    priority,
    apiUrl: parts.apiUrl,
    checklist: parts.checklist,
    config: parts.liveConfig.state(),
    process,
  });
}

/** What the notifications of a config come to. */
export function describeNotifications({ jobs }: Config): string {
  return `${[...jobs.values()].filter((job) => job.notify !== undefined).length} jobs tell how they end`;
}

/** How much may run at once. */
export function describeDispatcher({ settings }: Config): string {
  return `at most ${settings.maxParallel} steps at once`;
}

/** How often it ticks, and for how many schedules. */
export function describeTicks({ settings, jobs }: Config): string {
  return `a tick every ${settings.timedJobsIntervalMs} ms, ${schedulesOf(jobs).length} schedules`;
}

/** Says in the check-list what there is in another config. */
export function redescribe({ checklist }: DaemonParts, config: Config): void {
  for (const [position, { name }] of checklist.entries()) {
    const describe = DETAILS[name];
    if (describe !== undefined) checklist[position] = { name, detail: describe(config) };
  }
}

/** The parts that say what is in the config. */
const DETAILS: Readonly<Record<string, (config: Config) => string>> = {
  notifications: describeNotifications,
  dispatcher: describeDispatcher,
  'timed jobs': describeTicks,
};

/** JSON has no word for what is not set. */
function withoutUnset(state: object): JsonValue {
  return jsonSchema.parse(JSON.parse(JSON.stringify(state)));
}

const jsonSchema: z.ZodType<JsonValue> = z.json();
