/** Which run a user means: `last`, an id, any unique part of one, or the name of its job. */
import { listRuns, type RunSummary } from '@conductor-run/logging';

import { ConductorError } from './errors.ts';

/**
 * Finds the run a user named.
 *
 * @param runsDir - where the runs are
 * @param selector - `last`, a run id, a unique part of one, or a task id or job name for its newest run
 * @throws ConductorError with code `run-unknown` or `run-ambiguous`
 */
export async function selectRun(runsDir: string, selector: string): Promise<RunSummary> {
  if (selector === 'last') {
    const {
      runs: [newest],
    } = await listRuns(runsDir, { limit: 1 });
    if (newest !== undefined) return newest;
    throw new ConductorError('run-unknown', `Cannot find run "last": no runs in "${runsDir}", expected one`, {
      hint: 'conductor exec -- CMD makes one.',
    });
  }
  const { runs } = await listRuns(runsDir);
  const exact = runs.find((run) => run.paths.runId === selector);
  if (exact !== undefined) return exact;
  const ofTask = runs.find(
    (run) => run.paths.taskId === selector || jobOfTask(run.paths.taskId) === selector,
  );
  if (ofTask !== undefined) return ofTask;
  const parts = runs.filter((run) => run.paths.runId.includes(selector.toUpperCase()));
  const [only, another] = parts;
  if (only !== undefined && another === undefined) return only;
  if (only !== undefined) {
    const some = parts.slice(0, 5).map((run) => run.paths.runId);
    throw new ConductorError(
      'run-ambiguous',
      `Cannot choose run "${selector}": ${parts.length} match (${some.join(', ')}), expected one`,
      { hint: 'Give more of the id.' },
    );
  }
  throw new ConductorError(
    'run-unknown',
    `Cannot find run "${selector}": expected last, a run id or a part of one, a task or a job`,
    { hint: 'conductor runs list' },
  );
}

/** The job a task belongs to: task ids are `<job>-<ULID>`. */
export function jobOfTask(taskId: string): string {
  return taskId.replace(/-[0-9A-HJKMNP-TV-Z]{26}$/, '');
}
