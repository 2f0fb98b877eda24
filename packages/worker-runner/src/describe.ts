/**
 * What an envelope tells of a run beside how it ended: the end of its output, how much there was, what it left behind.
 * Invariant: none of it can keep the run from being closed. What cannot be read is left out, and worker.log says so.
 */
import { createReadStream, readFileSync, statSync } from 'node:fs';

import { openRun } from '@conductor-run/logging';

import { collectArtifacts } from './artifacts.ts';
import { messageOf } from './errors.ts';
import type { StepArtifact } from './result.ts';
import type { SessionFindings, StepSession } from './step-session.ts';

/** What there is to tell. */
export interface Description {
  /** The last lines of the output. */
  readonly tail: readonly string[];
  /** Chunks in the timeline. */
  readonly chunks: ChunkCounts;
  /** All but the record's own logs, which are still written to. */
  readonly artifacts: readonly StepArtifact[];
}

/** Chunks by channel. */
export interface ChunkCounts {
  readonly stdout: number;
  readonly stderr: number;
}

/**
 * Looks at what a run left. Call when nobody writes any more, and before the record is closed. Never rejects.
 *
 * @param session - the run
 * @param findings - what was seen while it ran
 */
export async function describeRun(session: StepSession, findings: SessionFindings): Promise<Description> {
  const { request, writer, clock } = session.options;
  const { paths } = writer;
  const tail = await describe(session, 'the end of the output', [], async () => {
    const { lines } = await openRun(paths, { clock }).tail({
      lines: request.checkpoint.logTailLines,
      ansi: 'strip',
    });
    return lines.map((line) => line.text);
  });
  const chunks = await describe(session, 'how much output there was', NO_CHUNKS, () =>
    countChunks(paths.timelinePath),
  );
  const artifacts = await describe(session, 'the artifacts', [], () => describeArtifacts(session, findings));
  return { tail, chunks, artifacts };
}

/**
 * Reads something for the envelope.
 *
 * @param session - the run, whose worker.log says when it cannot be read
 * @param what - the thing, in words
 * @param fallback - what stands in its place then
 * @param read - reads it
 */
export async function describe<T>(
  session: StepSession,
  what: string,
  fallback: T,
  read: () => Promise<T>,
): Promise<T> {
  try {
    return await read();
  } catch (error) {
    sayMissing(session, what, messageOf(error));
    return fallback;
  }
}

async function describeArtifacts(
  session: StepSession,
  findings: SessionFindings,
): Promise<readonly StepArtifact[]> {
  const { request, writer } = session.options;
  const { references, leftOut } = findings.artifactReferences;
  const problems: string[] = [];
  let problemCount = 0;
  const artifacts = await collectArtifacts({
    runDir: writer.paths.runDir,
    artifactsDir: writer.paths.artifactsDir,
    worktreePath: request.runtime.worktreePath,
    references,
    onProblem(problem) {
      problemCount += 1;
      if (problems.length < MAX_PROBLEMS_SAID) problems.push(problem);
    },
  });
  if (problemCount > 0) {
    sayMissing(session, 'all artifacts', `${problemCount} times, such as: ${problems.join('; ')}`);
  }
  if (leftOut > 0) sayMissing(session, 'all artifacts', `${leftOut} more were named than are listed`);
  return artifacts;
}

function sayMissing(session: StepSession, what: string, why: string): void {
  session.note('runner_warning', `The result is without ${what}: ${why}`, {}, 'warn');
}

/**
 * Counts the chunks of a timeline block by block: that of a long step is longer than a string can be.
 *
 * @internal
 */
export async function countChunks(path: string): Promise<ChunkCounts> {
  const counts = { stdout: 0, stderr: 0 };
  let rest = '';
  const take = (block: Buffer): void => {
    const text = rest + block.toString('latin1');
    counts.stdout += text.split(CHUNK_MARKS.stdout).length - 1;
    counts.stderr += text.split(CHUNK_MARKS.stderr).length - 1;
    // Too short for a whole mark, long enough for one that the end of the block cuts.
    rest = text.slice(1 - CHUNK_MARKS.stdout.length);
  };
  // Of a short one, each turn of the thread pool would cost more than all of it.
  if (statSync(path).size <= SHORT_BYTES) take(readFileSync(path));
  else {
    for await (const block of createReadStream(path, { highWaterMark: TIMELINE_BLOCK_BYTES }))
      take(block as Buffer);
  }
  return counts;
}

const NO_CHUNKS: ChunkCounts = { stdout: 0, stderr: 0 };
const MAX_PROBLEMS_SAID = 3;
/** Of the same length. */
const CHUNK_MARKS = { stdout: '"channel":"stdout"', stderr: '"channel":"stderr"' } as const;
const TIMELINE_BLOCK_BYTES = 1024 * 1024;
const SHORT_BYTES = 64 * 1024;
