/**
 * Moving finished objects from a view into the repository.
 * Invariant: whatever instant the process dies at, the repository holds only whole objects and no temporary file of ours
 * (on one file system; across two, git's own `tmp_` names are used, which `git prune` removes).
 */
import {
  chmodSync,
  closeSync,
  copyFileSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { systemErrorCode } from './errors.ts';
import type { Repository } from './git-repository.ts';
import type { GitView } from './git-view.ts';
import { unpackSmall } from './loose-objects.ts';

/**
 * @internal Moves every object of a view into its repository; those of a small pack arrive loose. At most some hundred small
 * files, so they are not waited for one by one.
 */
export function transferObjects(view: GitView, repo: Repository): void {
  for (const name of readdirSync(view.objectsDir)) {
    if (name === 'info') continue;
    const from = join(view.objectsDir, name);
    const files = readdirSync(from);
    if (name === 'pack') transferPacks(view, repo, from, files);
    else for (const file of files.filter(isFinished)) moveFile(join(from, file), folderIn(repo, name), file);
  }
}

function transferPacks(view: GitView, repo: Repository, from: string, files: readonly string[]): void {
  for (const pack of files.filter((file) => isFinished(file) && file.endsWith('.pack'))) {
    const index = pack.replace(/pack$/, 'idx');
    const objects = unpackSmall(join(from, pack), join(from, index), repo.objectFormat);
    if (objects === undefined) {
      // A pack counts from the moment its index is there, so the index goes last.
      for (const file of [pack, index]) {
        flush(join(from, file));
        moveFile(join(from, file), folderIn(repo, 'pack'), file);
      }
      continue;
    }
    const written = join(view.gitDir, 'loose-object');
    // The mode git gave the pack is what it gives any object here.
    const mode = statSync(join(from, pack)).mode & 0o777;
    for (const { oid, file } of objects) {
      // The user's own stays as it is; an empty one is what a power cut has left of it.
      const there = statSync(join(repo.objectsDir, oid.slice(0, 2), oid.slice(2)), { throwIfNoEntry: false });
      if (there !== undefined && there.size > 0) continue;
      writeFileSync(written, file, { flag: 'wx' });
      chmodSync(written, mode);
      moveFile(written, folderIn(repo, oid.slice(0, 2)), oid.slice(2));
    }
  }
}

function isFinished(file: string): boolean {
  return !file.startsWith('tmp_');
}

/** A folder of the object directory, made with that directory's mode. */
function folderIn(repo: Repository, name: string): string {
  const path = join(repo.objectsDir, name);
  try {
    mkdirSync(path);
    chmodSync(path, statSync(repo.objectsDir).mode & 0o7777);
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error;
  }
  return path;
}

function moveFile(from: string, directory: string, name: string): void {
  try {
    renameSync(from, join(directory, name));
  } catch (error) {
    if (systemErrorCode(error) !== 'EXDEV') throw error;
    const temporary = join(directory, `tmp_conductor_${name}`);
    copyFileSync(from, temporary);
    flush(temporary);
    renameSync(temporary, join(directory, name));
    rmSync(from, { force: true });
  }
}

function flush(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
