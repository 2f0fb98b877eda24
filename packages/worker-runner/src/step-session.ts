/**
 * One run from its first event to its envelope, whoever executes it and whoever started it.
 * Invariant: the first reason to end wins and is journaled before anything is signalled; `result.json` is written last, once.
 */
import type { Clock } from '@conductor-run/clock';
import type { LifecycleEvent, LifecycleEventType, Redactor, RunWriter } from '@conductor-run/logging';

import { createRunCheckpoints, type CheckpointOccasion, type RunCheckpoints } from './checkpoints.ts';
import type { Authorizer } from './answers.ts';
import { createReferenceList, type ReferenceList } from './artifacts.ts';
import { messageOf } from './errors.ts';
import { openEventChannel, type EventChannel, type EventChannelOptions } from './event-channel.ts';
import type { EndRequest, StepContext } from './executor.ts';
import type { Host } from './host.ts';
import type { StepStatements } from './outcome.ts';
import type { PauseSwitch } from './pause-switch.ts';
import type { CheckedRequest } from './request-schema.ts';
import { watchLimits, type StepLimitsWatch } from './step-limits.ts';
import type { StepEvent } from './step-events.ts';
import type { Logger, StepSink } from './step-sink.ts';
import { createUsageCounter, type UsageCounter } from './usage.ts';

/** Lifecycle events of this package, beside those logging names. Readers of worker.log accept any word. */
export type RunnerEventType =
  | LifecycleEventType
  | 'end_requested'
  | 'step_event_rejected'
  | 'checkpoint_failed'
  | 'stragglers_ended'
  | 'function_abandoned'
  | 'runner_warning';

/** What a session is made of. */
export interface SessionOptions {
  readonly request: CheckedRequest;
  readonly writer: RunWriter;
  readonly clock: Clock;
  readonly host: Host;
  /** For everything that leaves the run directory's raw logs. */
  readonly redactor: Redactor;
  readonly authorize: Authorizer;
  readonly sink: StepSink;
  readonly logger: Logger;
  /** When the step was started, on the clock's monotonic time, in ms. */
  readonly startedMonotonicMs: number;
  /** When it was started, UTC milliseconds. */
  readonly startedAtMs: number;
  /** Whether another process started it. */
  readonly isAdopted: boolean;
  /** Connects the writer, which asks for a pause, with the executor, which can make one. */
  readonly pauseSwitch: PauseSwitch;
  /** The reason a former owner had journaled, when it died while ending the step. */
  readonly formerEnd?: EndRequest | undefined;
}

/** A run at work. */
export interface StepSession {
  readonly options: SessionOptions;
  readonly context: StepContext;
  readonly checkpoints: RunCheckpoints;
  readonly usage: UsageCounter;
  /** Asks the step to end; false when it was asked before: then the grace is over. */
  requestEnd(end: EndRequest): boolean;
  /** Why it is being ended, if it is. */
  endRequest(): EndRequest | undefined;
  /** Writes into worker.log; a record that cannot be written is logged and remembered, never thrown. */
  note(
    type: RunnerEventType,
    message: string,
    details?: Readonly<Record<string, unknown>>,
    level?: 'info' | 'warn',
  ): void;
  /** Reads the rest of the events and stops every timer. Nothing is asked of the step afterwards. */
  stopWatching(): Promise<SessionFindings>;
}

/** What was seen while the step ran. */
export interface SessionFindings {
  readonly said: StepStatements;
  readonly artifactReferences: ReferenceList;
  readonly stepEventCount: number;
  readonly rejectedEventCount: number;
  readonly maxRssBytes: number | undefined;
}

/**
 * Opens a session on a prepared run directory.
 *
 * @param options - the run
 */
export function openSession(options: SessionOptions): StepSession {
  const { request, writer, clock } = options;
  const ending = new AbortController();
  const hurrying = new AbortController();
  const usage = createUsageCounter();
  const said: Said = { references: createReferenceList(), count: 0, rejected: 0 };
  let end = options.formerEnd;
  let isOver = false;

  const note: StepSession['note'] = (type, message, details, level = 'info') => {
    try {
      // The writer's own list is of what logging itself writes; its readers accept any word.
      const lifecycleType = type;
      const data = details === undefined ? {} : { data: details };
      const durable = type === 'end_requested';
      tell(options, writer.event({ type: lifecycleType, level, message, durable, ...data }));
    } catch (error) {
      options.logger.error({ err: error, runId: request.runId, type }, 'run.record-unwritable');
    }
  };
  const warn: StepContext['warn'] = (type, message, details) =>
    note(type as RunnerEventType, message, details, 'warn');

  const checkpoints = createRunCheckpoints({
    request,
    paths: writer.paths,
    clock,
    redactor: options.redactor,
    env: options.host.env,
    continuesRun: options.isAdopted,
    startedAtMs: options.startedAtMs,
    onWritten: (written) => {
      note('checkpoint_written', `Checkpoint ${written.seq}: ${written.type}`, { ...written });
      void saveCheckpointSeq(options, written.seq);
    },
    onFailed: (what, message) => warn('checkpoint_failed', `Checkpoint failed, ${what}: ${message}`),
  });
  const capture = async (occasion: CheckpointOccasion): Promise<void> => checkpoints.capture(occasion);

  const requestEnd = (request: EndRequest): boolean => {
    if (isOver) return false;
    if (end !== undefined && ending.signal.aborted) {
      hurrying.abort();
      return false;
    }
    end ??= request;
    note('end_requested', `Ending the step: ${end.reason}`, { ...end });
    ending.abort(end);
    return true;
  };

  const limits = watchLimits({
    request,
    clock,
    startedMonotonicMs: options.startedMonotonicMs,
    isStarted: options.isAdopted,
    outputPaths: [writer.paths.stdoutPath, writer.paths.stderrPath],
    onExceeded: (exceeded) => {
      // A limit is a first reason, never a second cancel.
      if (end === undefined) requestEnd(exceeded);
    },
    onTick: (hasChanged) => checkpoints.offer(hasChanged),
    onProblem: (error) => warn('runner_warning', `Watching failed: ${messageOf(error)}`),
  });
  const channel = openOrStop(limits, {
    runDir: writer.paths.runDir,
    taskId: request.taskId,
    runId: request.runId,
    clock,
    host: options.host,
    authorize: options.authorize,
    redact: (text) => options.redactor.redact(text),
    maxEventBytes: request.limits.maxEventBytes,
    onEvent: (event) => {
      takeEvent(event, said, usage, limits);
      if (event.kind === 'checkpoint') void capture('requested');
      callSink(options, () => options.sink.stepEvent?.(event));
    },
    onProblem: (problem, line) => {
      said.rejected += 1;
      if (said.rejected > MAX_REJECTIONS_SAID) return;
      const further = said.rejected === MAX_REJECTIONS_SAID ? '; further ones are only counted' : '';
      warn('step_event_rejected', `A structured event was refused: ${problem}${further}`, { line });
    },
    onOverflow: () => {
      const text = `more than ${request.limits.maxEventBytes} bytes of structured events`;
      if (end !== undefined) warn('runner_warning', `The step wrote ${text}: the rest is not kept`);
      // Seen only after the step had ended by itself: what it said last may be among what was given up.
      else if (isOver) end = { reason: 'output_limit', text };
      else requestEnd({ reason: 'output_limit', text });
    },
    onUnwritable: (error) => reportUnwritable(options, error),
  });
  const session: StepSession = {
    options,
    context: createContext(options, { ending, hurrying, limits, channel, warn, capture, note }),
    checkpoints,
    usage,
    requestEnd,
    endRequest: () => end,
    note,
    async stopWatching() {
      isOver = true;
      limits.stop();
      await channel.close();
      const { references, count, rejected, ...statements } = said;
      const maxRssBytes = limits.maxRssBytes();
      return {
        said: statements,
        artifactReferences: references,
        stepEventCount: count,
        rejectedEventCount: rejected,
        maxRssBytes,
      };
    },
  };
  if (end !== undefined) ending.abort(end);
  return session;
}

interface Parts {
  readonly ending: AbortController;
  readonly hurrying: AbortController;
  readonly limits: StepLimitsWatch;
  readonly channel: EventChannel;
  readonly warn: StepContext['warn'];
  readonly capture: (occasion: CheckpointOccasion) => Promise<void>;
  readonly note: StepSession['note'];
}

function createContext(options: SessionOptions, parts: Parts): StepContext {
  const { request, writer, clock, host } = options;
  return {
    request,
    writer,
    clock,
    host,
    signal: parts.ending.signal,
    hurry: parts.hurrying.signal,
    started(process) {
      const details = process === undefined ? {} : { pid: process.pid };
      parts.limits.noteStarted();
      parts.note('worker_started', 'The step was started', details);
      const patch = { status: 'running' as const, ...(process === undefined ? {} : { process }) };
      writer.updateState(patch).catch((error: unknown) => reportUnwritable(options, error));
    },
    report: (event) => parts.channel.report(event),
    warn: parts.warn,
    async checkpointAtStart() {
      if (request.checkpoint.mode === 'capture' && request.runtime.repoRoot !== undefined)
        await captureStart(parts);
    },
    checkpointBeforeKill: () => parts.capture('before_kill'),
    sampleWith: (sample) => parts.limits.sampleWith(sample),
    pauseWith: (pause) => options.pauseSwitch.connect(pause),
  };
}

/**
 * A step that is called off does not wait for the picture. The turn afterwards belongs to timers that are overdue when
 * this process stood still, the lease's among them: they come before anything is started.
 */
async function captureStart({ ending, capture }: Parts): Promise<void> {
  const { signal } = ending;
  const isCalledOff = new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
  await Promise.race([capture('start'), isCalledOff]);
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
}

type Said = {
  -readonly [Field in keyof StepStatements]: StepStatements[Field];
} & {
  readonly references: ReferenceList;
  count: number;
  rejected: number;
};

function takeEvent(event: StepEvent, said: Said, usage: UsageCounter, limits: StepLimitsWatch): void {
  said.count += 1;
  usage.add(event);
  limits.noteEvent();
  switch (event.kind) {
    case 'blocked':
      said.blocked = event.body;
      break;
    case 'needs_human':
      said.needsHuman = event.body;
      break;
    case 'summary':
      if (typeof event.body['text'] === 'string') said.summary = event.body['text'];
      break;
    case 'result':
      said.result = event.body;
      limits.noteResult();
      break;
    case 'artifact_ref':
      said.references.add(event.body);
      break;
    case 'progress':
    case 'metric':
    case 'log':
    case 'thought':
    case 'tool_call':
    case 'tool_result':
    case 'status':
    case 'result_chunk':
    case 'checkpoint':
    case 'authorize':
      break;
  }
}

async function saveCheckpointSeq(options: SessionOptions, seq: number): Promise<void> {
  try {
    await options.writer.updateState({ checkpointSeq: seq });
  } catch (error) {
    reportUnwritable(options, error);
  }
}

function tell(options: SessionOptions, event: LifecycleEvent): void {
  callSink(options, () => options.sink.lifecycleEvent?.(event));
}

function callSink(options: SessionOptions, call: () => void): void {
  try {
    call();
  } catch (error) {
    options.logger.warn({ err: error, runId: options.request.runId }, 'step-sink.failed');
  }
}

function reportUnwritable(options: SessionOptions, error: unknown): void {
  options.logger.error({ err: error, runId: options.request.runId }, 'run.record-unwritable');
}

/** Without its events the session does not open: nothing may be left that keeps time for it. */
function openOrStop(limits: StepLimitsWatch, options: EventChannelOptions): EventChannel {
  try {
    return openEventChannel(options);
  } catch (error) {
    limits.stop();
    throw error;
  }
}

/** A step that writes its log to the wrong descriptor must not fill worker.log as well. */
const MAX_REJECTIONS_SAID = 100;
