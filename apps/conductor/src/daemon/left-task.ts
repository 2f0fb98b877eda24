/**
 * What the row and the records of a task say about it, for whoever goes on with it.
 * Invariant: only reads.
 */
import { readCheckpoints } from '@conductor-run/checkpointing';
import type { Job, Lease } from '@conductor-run/job-store';
import { openRun, type RunPaths } from '@conductor-run/logging';

import type { TaskPlace } from '../step-request.ts';
import type { DaemonOptions } from './daemon.ts';

/** Where the steps of a task are run, as the record of one of them has it. */
export async function placeOf(
  paths: RunPaths,
  lease: Lease,
  { config }: DaemonOptions,
): Promise<{ readonly place: TaskPlace; readonly stepName: string }> {
  const { worktreePath, repoRoot, stepName } = openRun(paths).meta();
  const { records } = await readCheckpoints(paths.checkpointsDir);
  const snapshot = records.find((record) => record.type === 'git_diff');
  const place = {
    taskId: paths.taskId,
    attempt: lease.attempt,
    lease,
    workDir: worktreePath ?? config.rootDir,
    repoRoot,
    baseRef: snapshot?.baseCommit ?? undefined,
    runsDir: config.settings.runsDir,
  };
  return { place, stepName };
}

/** The lease of a running job, from its row: whoever knows the token may act for the attempt. */
export function toLease(job: Job): Lease | undefined {
  const { jobId, kind, key, token, workerId, attempt, claimedWatermark, leaseUntilMs, startedAtMs, payload } =
    job;
  if (token === undefined || workerId === undefined || leaseUntilMs === undefined) return undefined;
  if (claimedWatermark === undefined || startedAtMs === undefined) return undefined;
  return {
    jobId,
    kind,
    key,
    token,
    workerId,
    attempt,
    watermark: claimedWatermark,
    leaseUntilMs,
    startedAtMs,
    ...(payload !== undefined && { payload }),
  };
}
