/** The port of whoever executes a step. Three come with the package; `./testing` has the suite a fourth must pass. */
import type { Clock } from '@conductor-run/clock';
import type { RunWriter } from '@conductor-run/logging';

import type { Host } from './host.ts';
import type { ProcessIdentity } from './process-table.ts';
import type { CheckedRequest } from './request-schema.ts';
import type { EndReason, Straggler } from './result.ts';
import type { ReportedEvent } from './step-events.ts';

/** Why a step is being ended. */
export interface EndRequest {
  /** The first reason given; later ones are not kept. */
  readonly reason: EndReason;
  /** The words given with it. */
  readonly text?: string | undefined;
}

/** What an executor works with. */
export interface StepContext {
  /** The request, every default filled in. */
  readonly request: CheckedRequest;
  /** The record. Executors write output through `writer.output(channel)`. */
  readonly writer: RunWriter;
  /** Time. */
  readonly clock: Clock;
  /** Processes and environment. */
  readonly host: Host;
  /** Aborted when the step has to end; its reason is an `EndRequest`. The executor then ends what it runs and returns. */
  readonly signal: AbortSignal;
  /** Aborted when it has to end without further grace. */
  readonly hurry: AbortSignal;
  /** Says that the work has started, and in which process. */
  started(process?: ProcessIdentity): void;
  /** Keeps a structured event, under the rules for a line of a step. Throws when the run has ended, or the disk is full. */
  report(event: ReportedEvent): void;
  /** Writes a warning into worker.log. */
  warn(type: string, message: string, details?: Readonly<Record<string, unknown>>): void;
  /**
   * Keeps what the work tree holds before the step changes it, at most 10 s long; never rejects. Awaited by executors
   * before they start anything, unless nothing will be changed.
   */
  checkpointAtStart(): Promise<void>;
  /** Takes a checkpoint right now; never rejects. Awaited by executors before they kill. */
  checkpointBeforeKill(): Promise<void>;
  /** Offers a way to sample CPU and memory, for the idle timeout and the metrics. */
  sampleWith(sample: () => ResourceSample): void;
  /** Offers a way to stop and continue the step, for when its output outruns the redactor. */
  pauseWith(pause: (isPaused: boolean) => void): void;
}

/** CPU and memory of everything a step runs. */
export interface ResourceSample {
  /** CPU time of the living processes, in ms. */
  readonly cpuMs: number;
  /** Their resident memory in bytes. */
  readonly rssBytes: number;
}

/** How an execution ended. */
export interface StepExit {
  /**
   * `exited`: the work ran and is over. `deferred`: recorded, not run. `not-started`: it could not be run.
   * `lost`: it ran, and nobody knows how it ended.
   */
  readonly how: 'exited' | 'deferred' | 'not-started' | 'lost';
  /** Exit code as the system or the wrapper told, from 0 to 255; with another number the run fails as `runner_failed`. */
  readonly exitCode?: number | undefined;
  /** The signal that ended it, when that is known otherwise than by the exit code. */
  readonly signal?: string | undefined;
  /** Why, for `not-started`, `lost` and failures without an exit code. */
  readonly reason?: EndReason | undefined;
  /** The words for it. */
  readonly text?: string | undefined;
  /** Processes that were left running and were ended. */
  readonly stragglers?: readonly Straggler[] | undefined;
  /** Processes that could not be ended. */
  readonly survivors?: readonly Straggler[] | undefined;
  /** CPU time of the whole step, in ms. */
  readonly cpuMs?: number | undefined;
}

/** Executes one step. */
export interface WorkerExecutor {
  /** Its name, for the record. */
  readonly name: string;
  /**
   * Executes. Settles only when nothing of the step runs any more, also when `context.signal` is aborted: whatever it
   * settles with, the job may be run again. A rejection ends the run as `failed` with the reason `runner_failed`.
   */
  execute(context: StepContext): Promise<StepExit>;
}
