/**
 * The door for what executors give: anybody may write one.
 * Invariant: whatever comes in, an ending that fits the envelope goes on. What only describes is put right; what decides
 * is not guessed.
 */
import { z } from 'zod';

import type { StepExit } from './executor.ts';
import { END_REASONS } from './result-schema.ts';

/** Whether a number is one that a process can end with. */
export function isExitCode(value: number): boolean {
  return exitCode.safeParse(value).success;
}

/**
 * Checks an ending.
 *
 * @param exit - whatever the executor gave
 * @returns the ending, or `runner_failed` with the field that is wrong
 */
export function checkExit(exit: unknown): StepExit {
  const parsed = exitSchema.safeParse(exit);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  const path = issue === undefined || issue.path.length === 0 ? 'exit' : issue.path.join('.');
  const text = `The executor gave no valid ending, field "${path}": ${issue?.message ?? 'unreadable'}`;
  return { how: 'exited', reason: 'runner_failed', text };
}

/** A whole number of at least 0, or nothing. */
export function toCount(value: number | undefined): number | undefined {
  const rounded = Math.round(value ?? Number.NaN);
  return rounded >= 0 && rounded <= Number.MAX_SAFE_INTEGER ? rounded : undefined;
}

const exitCode = z.int().min(0).max(255);
const count = z.int().min(0);
const processes = z.array(z.object({ pid: count, groupId: count }));
const exitSchema = z.object({
  how: z.enum(['exited', 'deferred', 'not-started', 'lost']),
  exitCode: exitCode.optional(),
  signal: z.string().optional().catch(undefined),
  reason: z.enum(END_REASONS).optional(),
  text: z.string().optional().catch(undefined),
  stragglers: processes.optional(),
  survivors: processes.optional(),
  cpuMs: z
    .number()
    .optional()
    .catch(undefined)
    .transform((value) => toCount(value)),
});
