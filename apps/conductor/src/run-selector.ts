/** Which run a user means: `last`, an id, any unique part of one, or the name of its job. */
import type { Clock } from '@conductor-run/clock';
import type { RunSummary } from '@conductor-run/logging';

import { ConductorError } from './errors.ts';
import { createRunIndex, type RunIndex } from './record/run-index.ts';
import { jobOfTask } from './task-id.ts';

/**
 * Finds the run a user named at the command line.
 *
 * @param runsDir - where the runs are
 * @param selector - `last`, a run id, a unique part of one, or a task id or job name for its newest run
 * @param clock - the time
 * @throws ConductorError with code `run-unknown` or `run-ambiguous`
 */
export async function selectRun(runsDir: string, selector: string, clock: Clock): Promise<RunSummary> {
  const index = createRunIndex(runsDir, clock);
  const found = await index.find(selector);
  if (found !== undefined) return found;
  const part = selector.toUpperCase();
  const parts = selector === 'last' ? [] : (await index.allRunIds()).filter((runId) => runId.includes(part));
  const [only, another] = parts;
  if (only !== undefined && another === undefined) return requireRun(index, only);
  if (only !== undefined) {
    throw new ConductorError(
      'run-ambiguous',
      `Cannot choose run "${selector}": ${parts.length} match (${parts.slice(0, 5).join(', ')}), expected one`,
      { hint: 'Give more of the id.' },
    );
  }
  return requireRun(index, selector);
}

/**
 * Whether a selector that led to a run names all of its task: its job or the task itself, and not the one run.
 *
 * @param selector - what the user typed
 * @param taskId - of the run it led to
 */
export function namesTask(selector: string, taskId: string): boolean {
  return selector === taskId || selector === jobOfTask(taskId);
}

/**
 * Finds a run without looking at every one.
 *
 * @param index - of the runs
 * @param selector - `last`, a run id, or a task id or job name for its newest run
 * @throws ConductorError with code `run-unknown`
 */
export async function requireRun(index: RunIndex, selector: string): Promise<RunSummary> {
  const found = await index.find(selector);
  if (found !== undefined) return found;
  if (selector === 'last') {
    throw new ConductorError('run-unknown', 'Cannot find run "last": there are no runs, expected one', {
      hint: 'conductor exec -- CMD makes one.',
    });
  }
  throw new ConductorError(
    'run-unknown',
    `Cannot find run "${selector}": expected last, a run id, a task or a job`,
    { hint: 'conductor runs list' },
  );
}
