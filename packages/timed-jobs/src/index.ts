export { TimedJobsError, type TimedJobsErrorCode } from './errors.ts';
export {
  explainSlot,
  forecast,
  type ForecastSlot,
  type ForecastState,
  nextSlots,
  type SlotExplanation,
} from './forecast.ts';
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
export type { DecideContext } from './schedule-decider.ts';
export { createScheduler, type Scheduler, type SchedulerOptions, type SchedulerPass } from './scheduler.ts';
export {
  type Outage,
  simulate,
  type SimulatedDecision,
  type SimulatedSchedule,
  type SimulateOptions,
  type SimulationResult,
} from './simulate.ts';
export {
  createMemorySlotStore,
  type DecideAnswer,
  type DecideRequest,
  type DecisionRecord,
  type MemorySlotStore,
  type MemorySlotStoreOptions,
  type SlotStore,
} from './slot-store.ts';
export type { TickDecision, TickResult } from './tick.ts';
export {
  createTimedJobs,
  type StopOptions,
  type StopResult,
  type TickReport,
  type TimedJobs,
  type TimedJobsOptions,
} from './timed-jobs.ts';
export type { SlotAnswer } from './why.ts';
