/**
 * Opening a work tree for a capture, with status begun on what is expected to be found there.
 * Invariant: what was begun counts only when the repository turns out to be, in every respect, what it was begun on.
 */
import { rmSync } from 'node:fs';
import { expectHead, isSameExpectation, type Expectation } from './expectation.ts';
import type { Git, GitResult } from './git-process.ts';
import { openWorktree, type OpenWorktree } from './git-repository.ts';
import { STATUS_ARGS } from './git-status.ts';
import { createView, removeView, type GitView } from './git-view.ts';

/** @internal */
export interface OpeningRequest {
  readonly worktree: string;
  readonly baseRef: string;
  /** Where to make the view; must not exist. */
  readonly directory: string;
  /** What the capture before found, if there was one. */
  readonly remembered: Expectation | undefined;
}

/** @internal */
export interface Opening extends OpenWorktree {
  readonly view: GitView;
  /** The answer to {@link STATUS_ARGS}, when it was asked for already. */
  readonly status: Promise<GitResult> | undefined;
  /** Removes the view and ends what runs in it; call it once. */
  close(): Promise<void>;
}

/** @internal */
export async function openForCapture(git: Git, request: OpeningRequest): Promise<Opening> {
  const isHead = request.baseRef === 'HEAD';
  const expected = request.remembered ?? (isHead ? expectHead(request.worktree, git.home) : undefined);
  const guess = expected === undefined ? undefined : begin(git, expected, request.directory);
  try {
    const opened = await openWorktree(git, request.worktree, request.baseRef);
    const found = { repo: opened.repo, commit: opened.base.commit };
    if (guess !== undefined && isSameExpectation(found, expected)) return { ...opened, ...guess };
    await guess?.close();
    const view = viewOf(git, found, request.directory);
    return {
      ...opened,
      view,
      status: undefined,
      close: async () => removeView(view),
    };
  } catch (error) {
    await guess?.close();
    throw error;
  }
}

type Guess = Pick<Opening, 'view' | 'status' | 'close'>;

/** Starting git costs as much as its answer; on a guess that nearly always holds, three of them run at once. */
function begin(git: Git, expected: Expectation, directory: string): Guess | undefined {
  let view: GitView;
  try {
    view = viewOf(git, expected, directory);
  } catch {
    // The repository is no longer where it was: whoever opens it now will say so.
    rmSync(directory, { recursive: true, force: true });
    return undefined;
  }
  const running = view.feed({ args: STATUS_ARGS, env: { GIT_INDEX_FILE: expected.repo.indexFile } });
  running.end();
  return {
    view,
    status: running.result,
    async close() {
      await running.stop();
      removeView(view);
    },
  };
}

function viewOf(git: Git, { repo, commit }: Expectation, directory: string): GitView {
  return createView(git, repo, { directory, head: commit, conversions: 'raw' });
}
