/** Questions about the jobs of a config: which one a name means, and whether it will ever be due. */
import { parseSchedule } from '@conductor-run/timed-jobs';

import { ConductorError } from './errors.ts';
import type { JobDefinition } from './job-config.ts';
import { suggest } from './suggest.ts';

/**
 * Looks a job up by name.
 *
 * @param jobs - the config's jobs
 * @param jobName - what the user typed
 * @throws ConductorError with code `job-unknown`, with the nearest name
 */
export function requireDefinition(jobs: ReadonlyMap<string, JobDefinition>, jobName: string): JobDefinition {
  const definition = jobs.get(jobName);
  if (definition !== undefined) return definition;
  const near = suggest(jobName, [...jobs.keys()]);
  const known = jobs.size === 0 ? 'the config has none' : `known are ${[...jobs.keys()].join(', ')}`;
  const other =
    jobs.size === 0
      ? '`conductor init` writes a config with three jobs where there is none.'
      : '`conductor config show` names the config file.';
  throw new ConductorError(
    'job-unknown',
    `Cannot find job "${jobName}": expected one of the config, ${known}`,
    { hint: near === undefined ? other : `Did you mean "${near}"?` },
  );
}

/**
 * Whether a job has a schedule of which no slot is to come, such as one for the 31st of February.
 *
 * @param job - the job
 * @param nowMs - UTC ms
 */
export function isNeverDueAgain({ schedule: spec }: JobDefinition, nowMs: number): boolean {
  return spec !== undefined && parseSchedule(spec).nextAfter(nowMs) === undefined;
}
