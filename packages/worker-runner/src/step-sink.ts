/** Who is told while a step runs. Invariant: what a sink throws is the sink's problem: it is logged, the step goes on. */
import type { LifecycleEvent } from '@conductor-run/logging';

import type { StepEvent } from './step-events.ts';

/** Receives what happens, as it happens. An adopted run hands over its structured events from the first again. */
export interface StepSink {
  /** A structured event of the step. */
  stepEvent?(event: StepEvent): void;
  /** A line of worker.log. */
  lifecycleEvent?(event: LifecycleEvent): void;
}

/** The part of a pino logger this package uses. */
export interface Logger {
  /** Something went wrong that stopped nothing. */
  warn(fields: object, message: string): void;
  /** Something went wrong. */
  error(fields: object, message: string): void;
  /** Detail for debugging. */
  debug(fields: object, message: string): void;
}

/** @internal */
export const silentLogger: Logger = {
  warn: () => undefined,
  error: () => undefined,
  debug: () => undefined,
};
