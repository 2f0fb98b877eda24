/** Who is told what a daemon does: metrics and traces. Invariant: what is told has happened; nobody here decides anything. */
import type { Lease } from '@conductor-run/job-store';
import type { TickReport } from '@conductor-run/timed-jobs';
import type { StepResult } from '@conductor-run/worker-runner';

import type { TaskOutcome } from '../task.ts';
import type { NotificationOutcome } from './notifier.ts';

/** A claim that got something. */
export interface ClaimReport {
  /** UTC ms. */
  readonly startedAtMs: number;
  /** How long the store took, ms of monotonic time. */
  readonly durationMs: number;
  readonly leases: readonly Lease[];
}

/** Told after the fact. Must not throw. */
export interface Observer {
  ticked(report: TickReport): void;
  claimed(report: ClaimReport): void;
  stepEnded(lease: Lease, result: StepResult): void;
  /** `outcome` is unset when the task threw. */
  taskEnded(lease: Lease, outcome: TaskOutcome | undefined): void;
  notificationEnded(job: string, outcome: NotificationOutcome): void;
}

/**
 * Tells several.
 *
 * @param observers - in the order they are told
 */
export function combineObservers(observers: readonly Observer[]): Observer {
  return {
    ticked: (report) => observers.forEach((each) => each.ticked(report)),
    claimed: (report) => observers.forEach((each) => each.claimed(report)),
    stepEnded: (lease, result) => observers.forEach((each) => each.stepEnded(lease, result)),
    taskEnded: (lease, outcome) => observers.forEach((each) => each.taskEnded(lease, outcome)),
    notificationEnded: (job, outcome) => observers.forEach((each) => each.notificationEnded(job, outcome)),
  };
}
