/**
 * Opening a work tree for a capture, with status begun on what is expected to be found there.
 * Invariant: what was begun counts only when the repository turns out to be, in every respect, what it was begun on.
 */
import { rmSync } from 'node:fs';
import { expectHead, isSameExpectation, type Expectation } from './expectation.ts';
import type { Git } from './git-process.ts';
import { openWorktree, type OpenWorktree } from './git-repository.ts';
import type { StatusRun } from './git-status.ts';
import { createView, removeView, type GitView } from './git-view.ts';
import { beginStatus, type SurroundingsMemory } from './surroundings.ts';

/** @internal */
export interface OpeningRequest {
  readonly worktree: string;
  readonly baseRef: string;
  /** Where to make the view; must not exist. */
  readonly directory: string;
  /** What the capture before found, if there was one. */
  readonly memory: (SurroundingsMemory & { readonly expected: Expectation }) | undefined;
}

/** @internal */
export interface Opening extends OpenWorktree {
  readonly view: GitView;
  /** When it was asked for already. */
  readonly status: StatusRun | undefined;
  /** Removes the view and ends what runs in it; call it once. */
  close(): Promise<void>;
}

/** @internal */
export async function openForCapture(git: Git, request: OpeningRequest): Promise<Opening> {
  const isHead = request.baseRef === 'HEAD';
  const expected = request.memory?.expected ?? (isHead ? expectHead(request.worktree, git.home) : undefined);
  const guess = expected === undefined ? undefined : begin(git, expected, request);
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
function begin(git: Git, expected: Expectation, request: OpeningRequest): Guess | undefined {
  const { directory, memory } = request;
  let view: GitView;
  try {
    view = viewOf(git, expected, directory);
  } catch {
    // The repository is no longer where it was: whoever opens it now will say so.
    rmSync(directory, { recursive: true, force: true });
    return undefined;
  }
  const status = beginStatus(view, expected.repo, memory);
  return {
    view,
    status,
    async close() {
      await status.feed.stop();
      removeView(view);
    },
  };
}

function viewOf(git: Git, { repo, commit }: Expectation, directory: string): GitView {
  return createView(git, repo, { directory, head: commit, conversions: 'raw' });
}
