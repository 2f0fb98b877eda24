/**
 * The refs that keep snapshots alive.
 * Invariant: a ref appears as a whole or not at all, and no lock file is ever left behind.
 */
import { mkdirSync, renameSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { systemErrorCode, unlessMissing } from './errors.ts';
import { writeFlushed } from './flushed-file.ts';
import type { Git } from './git-process.ts';
import type { Repository } from './git-repository.ts';
import { readRegularFile } from './regular-file.ts';

/**
 * @internal Points `ref` at `commit`, which must be there.
 *
 * Where refs are files we write the file: nobody else uses these names, and a rename needs neither a lock nor a process.
 *
 * @param scratch - a file name that is free, on the same file system where possible
 */
export async function writeRef(
  git: Git,
  repo: Repository,
  ref: string,
  commit: string,
  scratch: string,
): Promise<void> {
  if (areRefsFiles(repo)) {
    const target = join(repo.commonDir, ref);
    mkdirSync(dirname(target), { recursive: true });
    await writeFlushed(scratch, `${commit}\n`, 0o644);
    try {
      renameSync(scratch, target);
      return;
    } catch (error) {
      if (systemErrorCode(error) !== 'EXDEV') throw error;
    }
  }
  await git.run({ args: ['update-ref', '--no-deref', ref, commit], cwd: repo.topLevel });
}

/** @internal What `ref` points at, or `undefined` when there is none. */
export async function readRef(git: Git, repo: Repository, ref: string): Promise<string | undefined> {
  if (areRefsFiles(repo)) {
    const loose = await unlessMissing(readRegularFile(join(repo.commonDir, ref)));
    if (loose !== undefined) return loose.toString('utf8').trim();
  }
  const { stdout, exitCode } = await git.run({
    args: ['rev-parse', '--quiet', '--verify', ref],
    cwd: repo.topLevel,
    okExitCodes: [0, 1, 128],
  });
  return exitCode === 0 ? stdout.toString('utf8').trim() : undefined;
}

function areRefsFiles(repo: Repository): boolean {
  return (repo.settings.get('extensions.refstorage') ?? 'files') === 'files';
}
