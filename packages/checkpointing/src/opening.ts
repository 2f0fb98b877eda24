/**
 * Opening a work tree for a capture, with status begun on what the capture before found there.
 * Invariant: what was begun counts only when the repository turns out to be, in every respect, what it was begun on.
 */
import { rmSync } from 'node:fs';
import type { Git, GitFeed, GitResult } from './git-process.ts';
import { openWorktree, type OpenWorktree } from './git-repository.ts';
import { STATUS_ARGS } from './git-status.ts';
import { createView, removeView, type GitView } from './git-view.ts';

/** @internal */
export interface OpeningRequest {
  readonly worktree: string;
  readonly baseRef: string;
  /** Where to make the view; must not exist. */
  readonly directory: string;
  /** What the capture before found. */
  readonly remembered: OpenWorktree | undefined;
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
  const { remembered } = request;
  const guess = remembered === undefined ? undefined : begin(git, remembered, request.directory);
  try {
    const opened = await openWorktree(git, request.worktree, request.baseRef);
    if (guess !== undefined && isSame(opened, remembered)) return { ...opened, ...guess };
    await guess?.close();
    const view = viewOf(git, opened, request.directory);
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
function begin(git: Git, remembered: OpenWorktree, directory: string): Guess | undefined {
  let view: GitView;
  try {
    view = viewOf(git, remembered, directory);
  } catch {
    // The repository is no longer where it was: whoever opens it now will say so.
    rmSync(directory, { recursive: true, force: true });
    return undefined;
  }
  const running = view.feed({ args: STATUS_ARGS, env: { GIT_INDEX_FILE: remembered.repo.indexFile } });
  running.end();
  const stop = stopper(running);
  return {
    view,
    status: running.result,
    async close() {
      await stop();
      removeView(view);
    },
  };
}

/** A process that has ended is not killed: its number may be another's. */
function stopper(running: GitFeed): () => Promise<void> {
  let isRunning = true;
  const ended = (): void => {
    isRunning = false;
  };
  const end = running.result.then(ended, ended);
  return () => {
    if (isRunning) running.kill();
    return end;
  };
}

function viewOf(git: Git, { repo, base }: OpenWorktree, directory: string): GitView {
  return createView(git, repo, { directory, head: base.commit, conversions: 'raw' });
}

function isSame(a: OpenWorktree, b: OpenWorktree | undefined): boolean {
  return b !== undefined && textOf(a) === textOf(b);
}

function textOf({ repo, base }: OpenWorktree): string {
  return JSON.stringify([{ ...repo, settings: [...repo.settings] }, base]);
}
