export { TimedJobsError, type TimedJobsErrorCode } from './errors.ts';
export { createOpenGate, type Gate, type GateAnswer, type Leadership } from './gate.ts';
export type { Logger, LogMethod } from './logger.ts';
export type { TickConfig } from './options.ts';
export {
  type Absence,
  type PlanInput,
  type PlannedDecision,
  planSlots,
  type SlotDecision,
  type SlotReason,
  type SlotState,
} from './plan.ts';
export type { RunContext, Runner, RunnerAnswer, RunnerResult, TickTrigger } from './runner.ts';
export {
  type BlackoutSpec,
  type CatchUp,
  type Overlap,
  parseSchedule,
  type Schedule,
  type SchedulePolicy,
  type ScheduleSpec,
} from './schedule.ts';
export type { TickDecision, TickResult } from './tick.ts';
export {
  createTimedJobs,
  type StopOptions,
  type StopResult,
  type TimedJobs,
  type TimedJobsOptions,
} from './timed-jobs.ts';
