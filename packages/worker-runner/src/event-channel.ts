/**
 * Reads what the step writes to its events descriptor, keeps it, tells the sink, and answers `authorize`.
 * Invariant: nothing a step writes there can stop or slow the step, or fail the run.
 */
import { closeSync, openSync } from 'node:fs';
import { join } from 'node:path';

import type { Clock } from '@conductor-run/clock';

import { messageOf } from './errors.ts';
import { openEventLog } from './event-log.ts';
import type { Host } from './host.ts';
import { followLines } from './line-follower.ts';
import { writeReply } from './reply-pipe.ts';
import { parseEventLine, type ReportedEvent, type StepEvent } from './step-events.ts';
import { WRAPPER_FILES } from './wrapper.ts';

/** A question a step asks before it does something. */
export interface AuthorizationQuestion {
  /** The task of the asking step. */
  readonly taskId: string;
  /** The run of the asking step. */
  readonly runId: string;
  /** Its place among the run's structured events: whoever follows them knows what the step said before it asked. */
  readonly seq: number;
  /** What it wants to do, such as `tool.call`. */
  readonly capability: string;
  /** What with; empty when the step did not say. */
  readonly target: string;
  /** Everything the step said. */
  readonly body: Readonly<Record<string, unknown>>;
}

/** The answer to it. */
export type AuthorizationAnswer =
  | { readonly ok: true }
  | { readonly ok: false; readonly error: { readonly code: string; readonly message: string } };

/** Who decides. May take its time: the step waits, nothing else does. A rejection denies. */
export type Authorizer = (
  question: AuthorizationQuestion,
) => AuthorizationAnswer | Promise<AuthorizationAnswer>;

/** What a channel needs. */
export interface EventChannelOptions {
  readonly runDir: string;
  readonly taskId: string;
  readonly runId: string;
  readonly clock: Clock;
  readonly host: Host;
  readonly authorize: Authorizer;
  /** Applied to every line before it is parsed or kept. */
  readonly redact: (text: string) => string;
  readonly maxEventBytes: number;
  /** Called for each valid event, in order. */
  readonly onEvent: (event: StepEvent) => void;
  /** Called for a line that was refused. */
  readonly onProblem: (problem: string, line: string) => void;
  /** Called when an event cannot be stored, once until one can be again. The event waits, and all behind it. */
  readonly onUnwritable: (error: unknown) => void;
}

/** A channel at work. */
export interface EventChannel {
  /** Keeps an event that did not come from the step's descriptor (a function step, for one). Throws what storing it throws. */
  report(event: ReportedEvent): void;
  /** Reads what is left and stops. Call after the tree is gone. Throws, closed, when an event could not be stored. */
  close(): void;
}

/**
 * Opens the channel of a run, going on where a former reader stopped.
 *
 * @param options - the run and whom to tell
 */
export function openEventChannel(options: EventChannelOptions): EventChannel {
  const rawPath = join(options.runDir, WRAPPER_FILES.events);
  closeSync(openSync(rawPath, 'a', FILE_MODE));
  const { log, stored } = openEventLog(options.runDir);
  const replies = createReplies(options, (id) => log.markAnswered(id));
  let rawOffset = stored.rawOffset;
  let isFull = false;
  let unwritable: { readonly error: unknown } | undefined;

  const onLine = (line: string | undefined, endOffset: number): boolean => {
    if (isFull) return true;
    if (endOffset > options.maxEventBytes) {
      isFull = true;
      options.onProblem(`more than ${options.maxEventBytes} bytes of events, the rest is ignored`, '');
    } else if (line === undefined) options.onProblem(`longer than ${MAX_LINE_BYTES} bytes`, '');
    else if (line.trim() !== '') return takeLine(options.redact(line), endOffset);
    rawOffset = endOffset;
    return true;
  };
  const takeLine = (line: string, endOffset: number): boolean => {
    const { event, problem } = parseEventLine(line);
    if (event === undefined) options.onProblem(problem, line.slice(0, MAX_QUOTED_CHARS));
    else {
      const kept = keep(event, endOffset);
      if (kept === undefined) return false;
      options.onEvent(kept);
      if (kept.kind === 'authorize') replies.answer(kept);
    }
    rawOffset = endOffset;
    return true;
  };
  /** Never throws: it is called by a watcher or a timer, where a throw would end the process. */
  const keep = (event: ReportedEvent, endOffset: number): StepEvent | undefined => {
    try {
      const kept = log.append(event, endOffset, options.clock.nowMs());
      unwritable = undefined;
      return kept;
    } catch (error) {
      if (unwritable === undefined) options.onUnwritable(error);
      unwritable = { error };
      return undefined;
    }
  };

  for (const event of stored.events) options.onEvent(event);
  const follower = followLines({
    path: rawPath,
    fromOffset: rawOffset,
    maxLineBytes: MAX_LINE_BYTES,
    clock: options.clock,
    onLine,
  });
  for (const event of stored.events) {
    const isOpen = event.kind === 'authorize' && !stored.answeredIds.has(event.id ?? '');
    if (isOpen) replies.answer(event);
  }
  return {
    report: (event) => options.onEvent(log.append(event, rawOffset, options.clock.nowMs())),
    close() {
      follower.drain();
      follower.close();
      replies.close();
      log.close();
      if (unwritable !== undefined) throw unwritable.error;
    },
  };
}

interface Replies {
  answer(question: StepEvent): void;
  close(): void;
}

/** Answers are written one after the other; a step that does not read them fills the pipe and waits alone. */
function createReplies(options: EventChannelOptions, onAnswered: (id: string) => void): Replies {
  let isClosed = false;
  let queue = Promise.resolve();

  const decide = async (question: StepEvent): Promise<AuthorizationAnswer> => {
    const { capability, target } = question.body;
    try {
      return await options.authorize({
        taskId: options.taskId,
        runId: options.runId,
        seq: question.seq,
        capability: typeof capability === 'string' ? capability : '',
        target: typeof target === 'string' ? target : '',
        body: question.body,
      });
    } catch (error) {
      options.onProblem(`authorization failed: ${messageOf(error)}`, question.id ?? '');
      return { ok: false, error: { code: 'INTERNAL_ERROR', message: 'The decision could not be made' } };
    }
  };
  let hasFailed = false;
  /** A step that waits for an answer waits for ever without it: what fails, as with no descriptor free, is tried again. */
  const trySend = (reply: string): boolean => {
    try {
      return writeReply(options.runDir, options.host, reply);
    } catch (error) {
      if (!hasFailed) options.onProblem(`answer not sent, to be tried again: ${messageOf(error)}`, '');
      hasFailed = true;
      return false;
    }
  };
  const send = async (id: string, answer: AuthorizationAnswer): Promise<void> => {
    const reply = formatReply(id, answer);
    while (!isClosed) {
      if (trySend(reply)) {
        hasFailed = false;
        onAnswered(id);
        return;
      }
      await options.clock.sleep(RETRY_MS, { keepAlive: false });
    }
  };
  const answerInTurn = async (question: StepEvent): Promise<void> => {
    const answer = await decide(question);
    const turn = queue.then(() => send(question.id ?? '', answer));
    queue = turn.catch((error: unknown) => options.onProblem(`answer not recorded: ${messageOf(error)}`, ''));
    await queue;
  };
  return {
    answer: (question) => void answerInTurn(question),
    close() {
      isClosed = true;
    },
  };
}

/** A pipe takes up to 4,096 bytes in one piece, so that answers never mix: long messages are cut. */
function formatReply(id: string, answer: AuthorizationAnswer): string {
  if (answer.ok) return `${JSON.stringify({ id, ok: true })}\n`;
  const { code, message } = answer.error;
  return `${JSON.stringify({ id, ok: false, error: { code: code.slice(0, 64), message: message.slice(0, 400) } })}\n`;
}

const FILE_MODE = 0o600;
const MAX_LINE_BYTES = 1024 * 1024;
const MAX_QUOTED_CHARS = 200;
const RETRY_MS = 20;
