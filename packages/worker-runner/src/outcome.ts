/** From how a step ended to what that means. A pure function, so that every ending has one meaning. */
import type { EndRequest, StepExit } from './executor.ts';
import type { EndReason, StepOutcome } from './result.ts';

/** What the step said about its own end. */
export interface StepStatements {
  /** The body of the last `blocked` event. */
  readonly blocked?: Readonly<Record<string, unknown>> | undefined;
  /** The body of the last `needs_human` event. */
  readonly needsHuman?: Readonly<Record<string, unknown>> | undefined;
  /** The text of the last `summary` event. */
  readonly summary?: string | undefined;
  /** The body of the last `result` event. */
  readonly result?: Readonly<Record<string, unknown>> | undefined;
}

/** What an ending means. */
export interface Verdict {
  readonly outcome: StepOutcome;
  readonly ok: boolean;
  readonly blocked: boolean;
  readonly needsHuman: boolean;
  readonly exitCode?: number | undefined;
  readonly signal?: string | undefined;
  readonly reason?: EndReason | undefined;
  readonly text?: string | undefined;
  readonly summary: string;
}

/**
 * Judges an ending.
 *
 * @param exit - how the execution ended
 * @param end - why it was ended, if it was
 * @param said - what the step said
 * @param blockedExitCodes - exit codes that mean "blocked"
 */
export function judge(
  exit: StepExit,
  end: EndRequest | undefined,
  said: StepStatements,
  blockedExitCodes: readonly number[],
): Verdict {
  const signal = exit.signal ?? signalOf(exit.exitCode);
  const found = decide(exit, end, said, blockedExitCodes);
  const needsHuman = said.needsHuman !== undefined;
  const ok = found.outcome === 'completed' || found.outcome === 'prepared';
  return {
    ...found,
    ok,
    blocked: found.outcome === 'blocked',
    needsHuman,
    exitCode: exit.exitCode,
    signal,
    summary: said.summary ?? summarize(found, exit.exitCode, signal),
  };
}

interface Finding {
  readonly outcome: StepOutcome;
  readonly reason?: EndReason | undefined;
  readonly text?: string | undefined;
}

function decide(
  exit: StepExit,
  end: EndRequest | undefined,
  said: StepStatements,
  blockedExitCodes: readonly number[],
): Finding {
  if (exit.how === 'deferred') return { outcome: 'prepared' };
  if (exit.how === 'not-started' && end === undefined) {
    return { outcome: 'failed', reason: exit.reason ?? 'not_startable', text: exit.text };
  }
  if (end !== undefined) return decideEnded(end, said);
  if (exit.how === 'lost')
    return { outcome: 'lost', reason: exit.reason ?? 'killed_from_outside', text: exit.text };
  if (exit.reason !== undefined) return { outcome: 'failed', reason: exit.reason, text: exit.text };
  return decideExited(exit.exitCode ?? 0, said, blockedExitCodes);
}

/** The first reason wins, whatever the exit code: it stays visible beside it. */
function decideEnded(end: EndRequest, said: StepStatements): Finding {
  const { reason, text } = end;
  if (reason === 'result_drain') {
    return said.result?.['ok'] === false
      ? { outcome: 'failed', reason, text }
      : { outcome: 'completed', reason, text };
  }
  return { outcome: OUTCOME_OF_REASON[reason] ?? 'failed', reason, text };
}

function decideExited(exitCode: number, said: StepStatements, blockedExitCodes: readonly number[]): Finding {
  if (said.needsHuman !== undefined) {
    return { outcome: 'blocked', reason: 'needs_human', text: wordsOf(said.needsHuman) };
  }
  if (said.blocked !== undefined)
    return { outcome: 'blocked', reason: 'blocked', text: wordsOf(said.blocked) };
  if (blockedExitCodes.includes(exitCode)) return { outcome: 'blocked', reason: 'exit_code' };
  if (exitCode === 0) return { outcome: 'completed' };
  return { outcome: 'failed', reason: signalOf(exitCode) === undefined ? 'exit_code' : 'signal' };
}

function wordsOf(body: Readonly<Record<string, unknown>>): string | undefined {
  const words = [body['reason'], body['message'], body['question'], body['text']];
  return words.find((value) => typeof value === 'string');
}

function summarize(found: Finding, exitCode: number | undefined, signal: string | undefined): string {
  const text = found.text === '' ? undefined : found.text;
  const tail = text === undefined ? '' : `: ${text}`;
  const code = exitCode === undefined ? '' : ` with exit code ${exitCode}`;
  switch (found.outcome) {
    case 'prepared':
      return 'Recorded, not executed';
    case 'completed':
      return found.reason === 'result_drain' ? 'Ended after it reported its result' : `Completed${code}`;
    case 'blocked':
      return found.reason === 'needs_human'
        ? `Needs a person${tail}`
        : `Blocked${text === undefined ? code : tail}`;
    case 'failed':
      if (found.reason === 'signal') return `Ended by signal ${signal ?? 'unknown'}`;
      if (found.reason === 'exit_code') return `Failed${code}`;
      return text ?? `Failed: ${WORDS[found.reason ?? 'runner_failed'] ?? found.reason}`;
    case 'cancelled':
    case 'timed_out':
    case 'lost':
      break;
  }
  return `${WORDS[found.reason ?? 'cancelled'] ?? found.reason}${tail}`;
}

/** Shells report the end by signal N as 128 + N. */
function signalOf(exitCode: number | undefined): string | undefined {
  return exitCode === undefined || exitCode <= 128 ? undefined : SIGNAL_NAMES[exitCode - 128];
}

const OUTCOME_OF_REASON: Readonly<Partial<Record<EndReason, StepOutcome>>> = {
  cancelled: 'cancelled',
  lease_cancelled: 'cancelled',
  timeout: 'timed_out',
  idle_timeout: 'timed_out',
  start_timeout: 'timed_out',
  output_limit: 'failed',
  lease_lost: 'lost',
};

const WORDS: Readonly<Partial<Record<EndReason, string>>> = {
  cancelled: 'Cancelled',
  lease_cancelled: 'Cancelled: its job was called off',
  timeout: 'Ran longer than its timeout',
  idle_timeout: 'Showed no activity for longer than its idle timeout',
  start_timeout: 'Showed nothing within its start timeout',
  output_limit: 'Wrote more output than allowed',
  lease_lost: 'Ended because its lease could not be kept',
  wrapper_lost: 'Its wrapper was killed; the processes it left were ended',
  killed_from_outside: 'Was killed from outside; its exit code is not known',
  never_started: 'Was recorded but never started',
  reboot: 'Was interrupted by a restart of the machine',
  runner_failed: 'The runner failed',
  function_failed: 'The function failed',
};

/** Numbers that are the same on Linux and macOS. */
const SIGNAL_NAMES: Readonly<Record<number, string>> = {
  1: 'SIGHUP',
  2: 'SIGINT',
  3: 'SIGQUIT',
  4: 'SIGILL',
  6: 'SIGABRT',
  8: 'SIGFPE',
  9: 'SIGKILL',
  11: 'SIGSEGV',
  13: 'SIGPIPE',
  14: 'SIGALRM',
  15: 'SIGTERM',
};
