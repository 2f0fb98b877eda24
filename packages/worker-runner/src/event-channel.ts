/**
 * Reads what the step writes to its events descriptor, keeps it, tells the sink, and has `authorize` answered.
 * Invariant: whatever a step writes there, and however much, holds up nobody for longer than a slice, takes no more than
 * its bound on disk and in memory, and cannot keep the run from being closed.
 */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';

import type { Clock } from '@conductor-run/clock';

import { createAnswers, type Authorizer } from './answers.ts';
import { messageOf } from './errors.ts';
import { openEventLog } from './event-log.ts';
import type { Host } from './host.ts';
import { followLines, REST_MS, SLICE_MS, type LineFollower } from './line-follower.ts';
import { parseEventLine, type ReportedEvent, type StepEvent } from './step-events.ts';
import { WRAPPER_FILES } from './wrapper.ts';

/** What a channel needs. */
export interface EventChannelOptions {
  readonly runDir: string;
  readonly taskId: string;
  readonly runId: string;
  readonly clock: Clock;
  readonly host: Host;
  readonly authorize: Authorizer;
  /** Applied to every text of an event before it is kept. */
  readonly redact: (text: string) => string;
  /** How large `events.ndjson` may grow, and what the step writes as well. */
  readonly maxEventBytes: number;
  /** Called for each valid event, in order; with those that a former reader had stored first. */
  readonly onEvent: (event: StepEvent) => void;
  /** Called for a line that was refused. */
  readonly onProblem: (problem: string, line: string) => void;
  /** Called once when there are more events than may be kept. The rest is given up. */
  readonly onOverflow: () => void;
  /** Called when an event cannot be stored, once until one can be again. The event waits, and all behind it. */
  readonly onUnwritable: (error: unknown) => void;
}

/** A channel at work. */
export interface EventChannel {
  /**
   * Keeps an event that did not come from the step's descriptor (a function step, for one), under the same rules.
   * Throws what storing it throws, and when the channel is closed.
   */
  report(event: ReportedEvent): void;
  /** Reads what is left and stops. Call after the tree is gone. Rejects, closed, when an event could not be stored. */
  close(): Promise<void>;
}

/**
 * Opens the channel of a run, going on where a former reader stopped.
 *
 * @param options - the run and whom to tell
 */
export function openEventChannel(options: EventChannelOptions): EventChannel {
  const { clock, onEvent, onProblem } = options;
  const rawPath = join(options.runDir, WRAPPER_FILES.events);
  closeSync(openSync(rawPath, 'a', FILE_MODE));
  const log = openEventLog(options.runDir, options.maxEventBytes);
  const answers = createAnswers(options, (id) => log.markAnswered(id));
  let rawOffset = 0;
  let isFull = false;
  let isOverflowTold = false;
  let unwritable: { readonly error: unknown } | undefined;
  let follower: LineFollower | undefined;
  let closing: Promise<void> | undefined;

  const overflow = (): void => {
    if (!isOverflowTold) options.onOverflow();
    isOverflowTold = true;
  };
  const onLine = (line: string | undefined, endOffset: number): boolean => {
    if (isFull) return true;
    if (line === undefined) onProblem(`longer than ${MAX_LINE_BYTES} bytes`, '');
    else if (line.trim() !== '') return takeLine(line, endOffset);
    rawOffset = endOffset;
    return true;
  };
  const takeLine = (line: string, endOffset: number): boolean => {
    const { event, problem } = parseEventLine(line, options.redact);
    if (event === undefined) onProblem(problem, options.redact(line).slice(0, MAX_QUOTED_CHARS));
    else if (event.kind === 'authorize' && answers.areTooMany()) return false;
    else if (!takeEvent(event, endOffset)) return false;
    rawOffset = endOffset;
    return true;
  };
  /** Never throws: it is called by a watcher or a timer, where a throw would end the process. */
  const takeEvent = (event: ReportedEvent, endOffset: number): boolean => {
    let kept: StepEvent | undefined;
    try {
      kept = log.append(event, endOffset, clock.nowMs());
    } catch (error) {
      if (unwritable === undefined) options.onUnwritable(error);
      unwritable = { error };
      return false;
    }
    unwritable = undefined;
    tell(kept);
    return true;
  };
  const tell = (kept: StepEvent | undefined): void => {
    if (kept === undefined) {
      isFull = true;
      overflow();
      return;
    }
    onEvent(kept);
    if (kept.kind === 'authorize') answers.answer(kept);
  };
  /** Takes up what former readers stored; true when that was all. */
  const open: StepEvent[] = [];
  const takeStored = (): boolean => {
    const untilMs = clock.monotonicMs() + SLICE_MS;
    for (let line = log.nextStored(); line !== undefined; line = log.nextStored()) {
      if (line.event === undefined) forget(open, line.answered);
      else {
        rawOffset = line.rawOffset;
        onEvent(line.event);
        if (line.event.kind === 'authorize') open.push(line.event);
      }
      if (clock.monotonicMs() >= untilMs) return false;
    }
    return true;
  };
  const begin = async (): Promise<void> => {
    while (!takeStored()) await clock.sleep(REST_MS, { keepAlive: false });
    follower = followLines({
      path: rawPath,
      fromOffset: rawOffset,
      maxLineBytes: MAX_LINE_BYTES,
      maxBytes: options.maxEventBytes,
      clock,
      onLine,
      onOverflow: overflow,
      onProblem: (error) => onProblem(`events cannot be read: ${messageOf(error)}`, ''),
    });
    for (const question of open) answers.answer(question);
  };
  // All of a short log is taken up before this returns.
  const ready = begin();
  // Said by `close`, which nobody may have called yet.
  ready.catch(() => undefined);

  const finish = async (): Promise<void> => {
    answers.close();
    try {
      await ready;
      await follower?.finish();
    } finally {
      follower?.close();
      log.close();
    }
    if (unwritable !== undefined) throw unwritable.error;
  };
  return {
    report(reported) {
      if (closing !== undefined || follower === undefined) {
        throw new Error(
          `Cannot keep event of run "${options.runId}": its events are not open, expected a run at work`,
        );
      }
      const { event, problem } = parseEventLine(toLine(reported), options.redact);
      if (event === undefined) onProblem(problem, '');
      else if (!isFull) tell(log.append(event, rawOffset, clock.nowMs()));
    },
    close: () => (closing ??= finish()),
  };
}

/** The first question of this id that is open has been answered. */
function forget(open: StepEvent[], id: string): void {
  const index = open.findIndex((question) => question.id === id);
  if (index >= 0) open.splice(index, 1);
}

/** What cannot be put into words is refused like a line that is none. */
function toLine(event: ReportedEvent): string {
  try {
    return JSON.stringify(event) ?? '';
  } catch {
    return '';
  }
}

const FILE_MODE = 0o600;
const MAX_LINE_BYTES = 1024 * 1024;
const MAX_QUOTED_CHARS = 200;
