/**
 * Answers the questions of a step: asks whoever decides, and writes what was decided into the step's pipe.
 * Invariant: a question is remembered as answered only after its answer was sent. Killed in between, it is answered once
 * more: a step gets each answer at least once, and goes by its id.
 */
import type { Clock } from '@conductor-run/clock';

import { messageOf } from './errors.ts';
import type { Host } from './host.ts';
import { writeReply } from './reply-pipe.ts';
import type { StepEvent } from './step-events.ts';

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

/** What answering needs. */
export interface AnswersOptions {
  readonly runDir: string;
  readonly taskId: string;
  readonly runId: string;
  readonly clock: Clock;
  readonly host: Host;
  readonly authorize: Authorizer;
  /** Called for a decision that could not be made, sent or recorded. */
  readonly onProblem: (problem: string, line: string) => void;
}

/** Answers at work. */
export interface Answers {
  /** Has a question decided, and sends the answer. Nothing happens once closed. */
  answer(question: StepEvent): void;
  /** Whether so many questions wait for an answer that no further one should be taken. */
  areTooMany(): boolean;
  /** Nobody is left to read an answer: none is sent any more. */
  close(): void;
}

/**
 * Answers are written one after the other; a step that does not read them fills the pipe and waits alone.
 *
 * @param options - the run and who decides
 * @param onAnswered - called with the id of a question whose answer was sent
 */
export function createAnswers(options: AnswersOptions, onAnswered: (id: string) => void): Answers {
  let isClosed = false;
  let openCount = 0;
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
    openCount -= 1;
  };
  return {
    answer(question) {
      if (isClosed) return;
      openCount += 1;
      void answerInTurn(question);
    },
    areTooMany: () => !isClosed && openCount >= MAX_OPEN_QUESTIONS,
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

const RETRY_MS = 20;
/** A step that asks and never reads must not fill our memory. */
const MAX_OPEN_QUESTIONS = 1000;
