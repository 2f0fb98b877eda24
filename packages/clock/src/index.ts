export type { Clock, SleepOptions, Timer, TimerOptions } from './clock.ts';
export { createDeadline, type Deadline } from './deadline.ts';
export { createManualClock, type ManualClock, type ManualClockOptions } from './manual-clock.ts';
export { createRealClock } from './real-clock.ts';
export { sleepUntil } from './sleep.ts';
