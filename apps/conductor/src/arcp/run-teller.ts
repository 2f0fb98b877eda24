/**
 * Tells a client what one run says: its structured events, its lines of stdout, its questions.
 * Invariant: each event carries the cursor that lies right behind it, so that whoever comes after us goes on exactly there.
 */
import { ArcpError } from '@conductor-run/arcp';
import type { AgentJob } from '@conductor-run/arcp/runtime';
import type { Clock } from '@conductor-run/clock';
import { openRun, type RunPaths } from '@conductor-run/logging';
import {
  type AuthorizationAnswer,
  type AuthorizationQuestion,
  followStepEvents,
  startDeciding,
  type StepEvent,
} from '@conductor-run/worker-runner';

import { type Cursor, formatCursor } from './cursor.ts';
import { toJobEvent } from './job-events.ts';
import { createLineBudget } from './line-budget.ts';

/**
 * Tells everything from the cursor on, until the run has ended and all is told.
 *
 * @param job - whose client
 * @param paths - the run
 * @param cursor - moved along
 * @param clock - the daemon's
 * @throws ArcpError when the job is over before the run is
 */
export async function tellRun(job: AgentJob, paths: RunPaths, cursor: Cursor, clock: Clock): Promise<void> {
  const ending = new AbortController();
  const signal = AbortSignal.any([job.signal, ending.signal]);
  const questions = createQuestions(job, cursor.seq);
  const deciding = startDeciding(paths, questions.decide, { clock });
  try {
    await Promise.all([
      tellEvents(job, paths, cursor, { signal, clock, onTold: questions.reached }),
      tellLines(job, paths, cursor, { signal, clock }),
    ]);
    // An iteration that was aborted ends like one of a run that has ended.
    job.signal.throwIfAborted();
  } finally {
    ending.abort();
    deciding.stop();
    questions.end();
  }
}

interface Telling {
  readonly signal: AbortSignal;
  readonly clock: Clock;
}

async function tellEvents(
  job: AgentJob,
  paths: RunPaths,
  cursor: Cursor,
  { signal, clock, onTold }: Telling & { readonly onTold: (seq: number) => void },
): Promise<void> {
  for await (const event of followStepEvents(paths, { afterSeq: cursor.seq, signal, clock })) {
    cursor.seq = event.seq;
    await tellEvent(job, paths, cursor, event);
    onTold(event.seq);
  }
}

async function tellEvent(job: AgentJob, paths: RunPaths, cursor: Cursor, event: StepEvent): Promise<void> {
  const told = toJobEvent(event, paths.artifactsDir);
  if (told === undefined) return;
  try {
    await job.emit(told.kind, told.body, { position: formatCursor(cursor) });
  } catch (error) {
    if (!(error instanceof ArcpError) || error.code !== 'INVALID_REQUEST') throw error;
    // What a step says wrongly is a warning to its client, as it is in the run's own record.
    const message = `The step's event ${event.seq} (${event.kind}) was refused: ${error.message}`;
    await job.emit('log', { level: 'warn', message }, { position: formatCursor(cursor) });
  }
}

async function tellLines(
  job: AgentJob,
  paths: RunPaths,
  cursor: Cursor,
  { signal, clock }: Telling,
): Promise<void> {
  const budget = createLineBudget(MAX_LINES_PER_SECOND, MAX_LINES_AT_ONCE);
  const lines = openRun(paths, { clock }).lines({
    follow: true,
    channel: 'stdout',
    ansi: 'strip',
    signal,
  });
  for await (const { offset, text, atMs } of lines) {
    // What comes after an abort is the beginning of a line whose end nobody has waited for.
    if (signal.aborted) return;
    const isWithin = budget.take(atMs);
    if (offset <= cursor.lineOffset) continue;
    if (isWithin) {
      cursor.lineOffset = offset;
      await tellLine(job, 'info', cut(text), cursor);
    } else if (!cursor.isCapped) {
      cursor.lineOffset = offset;
      cursor.isCapped = true;
      await tellLine(job, 'warn', cappedMessage(paths.runId), cursor);
    }
  }
}

async function tellLine(job: AgentJob, level: string, message: string, cursor: Cursor): Promise<void> {
  await job.emit('log', { level, message }, { position: formatCursor(cursor) });
}

function cut(text: string): string {
  return text.length <= MAX_LINE_LENGTH ? text : `${text.slice(0, MAX_LINE_LENGTH)}… (cut)`;
}

function cappedMessage(runId: string): string {
  return `More than ${MAX_LINES_PER_SECOND} lines a second: some are left out here; all are in the log, conductor runs logs ${runId}`;
}

interface Questions {
  readonly decide: (question: AuthorizationQuestion) => Promise<AuthorizationAnswer>;
  /** Everything up to this event has been told. */
  readonly reached: (seq: number) => void;
  /** Nothing more will be told: what waits is answered as things stand. */
  readonly end: () => void;
}

/** A question is answered when what the step said before it has been told: costs are charged by then. */
function createQuestions(job: AgentJob, toldSeq: number): Questions {
  let told = toldSeq;
  const waiting = new Map<() => void, number>();
  const reached = (seq: number): void => {
    told = Math.max(told, seq);
    for (const [wake, wanted] of waiting) {
      if (wanted > told) continue;
      waiting.delete(wake);
      wake();
    }
  };
  return {
    async decide({ seq, capability, target }) {
      if (seq > told) await new Promise<void>((resolve) => void waiting.set(resolve, seq));
      const answer = job.authorize(capability, target);
      if (answer.isAllowed) return { ok: true };
      const { code, message } = answer.error;
      return { ok: false, error: { code, message } };
    },
    reached,
    end: () => reached(Number.POSITIVE_INFINITY),
  };
}

/** Lines of stdout that become events; a client that wants all of a flood reads the log. */
const MAX_LINES_PER_SECOND = 100;
const MAX_LINES_AT_ONCE = 1_000;
const MAX_LINE_LENGTH = 8_192;
