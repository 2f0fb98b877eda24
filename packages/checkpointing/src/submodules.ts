/** Submodules that are not as the outer repository has them. Invariant: their own configuration runs nothing, as everywhere. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { bytePathToText, type BytePath } from './byte-path.ts';
import { CheckpointError, systemErrorCode } from './errors.ts';
import type { Git } from './git-process.ts';
import { openWorktree } from './git-repository.ts';
import { startStatus } from './git-status.ts';
import { createView, removeView } from './git-view.ts';
import { indexIdentity, surveyIndex } from './index-survey.ts';

/** @internal Which of these submodules have changes inside, at any depth. */
export async function findDirtySubmodules(
  git: Git,
  worktree: string,
  gitlinks: readonly BytePath[],
  scratch: string,
): Promise<BytePath[]> {
  const dirty: BytePath[] = [];
  for (const [number, path] of gitlinks.entries()) {
    const isDirty = await isSubmoduleDirty(
      git,
      join(worktree, bytePathToText(path)),
      join(scratch, `sub-${number}`),
    );
    if (isDirty) dirty.push(path);
  }
  return dirty;
}

async function isSubmoduleDirty(git: Git, worktree: string, scratch: string): Promise<boolean> {
  try {
    return await looksDirty(git, worktree, scratch);
  } catch (error) {
    // Whatever is wrong in there is no reason to capture nothing: it is left out, as what has changed is.
    if (error instanceof CheckpointError && IS_DAMAGED.has(error.code)) return true;
    throw error;
  }
}

async function looksDirty(git: Git, worktree: string, scratch: string): Promise<boolean> {
  const opened = await openWorktree(git, worktree, 'HEAD').catch((error: unknown) => {
    if (error instanceof CheckpointError && IS_NO_CHECKOUT.has(error.code)) return undefined;
    throw error;
  });
  // Not checked out: an empty folder belongs to the outer repository, and files in it to nobody.
  if (opened === undefined) return holdsFiles(worktree);
  const { repo, base } = opened;
  const view = createView(git, repo, {
    directory: scratch,
    head: base.commit,
    conversions: 'raw',
  });
  try {
    const status = await startStatus(view, repo, true).feed.result;
    if (status.stdout.length > 0) return true;
    const identity = indexIdentity(repo);
    if (identity === undefined) return false;
    const { gitlinks } = await surveyIndex(view, repo, identity);
    return (await findDirtySubmodules(git, repo.topLevel, [...gitlinks], join(scratch, 'deeper'))).length > 0;
  } finally {
    removeView(view);
  }
}

function holdsFiles(folder: string): boolean {
  try {
    return readdirSync(folder).some((name) => name !== '.git');
  } catch (error) {
    if (GONE.has(systemErrorCode(error) ?? '')) return false;
    throw error;
  }
}

const IS_NO_CHECKOUT: ReadonlySet<string> = new Set(['not-a-repository', 'not-a-worktree-root']);
const IS_DAMAGED: ReadonlySet<string> = new Set([
  'git-failed',
  'bare-repository',
  'unknown-base',
  'unsafe-worktree',
]);
const GONE: ReadonlySet<string> = new Set(['ENOENT', 'ENOTDIR']);
