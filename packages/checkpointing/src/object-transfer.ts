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
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { systemErrorCode } from './errors.ts';

/** @internal Moves every loose object and pack of `from` into `to`: at most some hundred renames, so they are not waited for one by one. */
export function transferObjects(from: string, to: string): void {
  const { mode } = statSync(to);
  for (const name of readdirSync(from)) {
    if (name === 'info') continue;
    const files = readdirSync(join(from, name));
    if (files.length === 0) continue;
    const target = join(to, name);
    makeDirectory(target, mode & 0o7777);
    for (const file of inSafeOrder(files)) moveFile(join(from, name, file), target, file);
  }
}

/** A pack counts from the moment its index is there, so the index goes last. */
function inSafeOrder(files: readonly string[]): string[] {
  return files
    .filter((file) => !file.startsWith('tmp_') && !file.endsWith('.keep'))
    .sort((a, b) => Number(a.endsWith('.idx')) - Number(b.endsWith('.idx')));
}

function makeDirectory(path: string, mode: number): void {
  try {
    mkdirSync(path);
    chmodSync(path, mode);
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error;
  }
}

function moveFile(from: string, directory: string, name: string): void {
  try {
    renameSync(from, join(directory, name));
  } catch (error) {
    if (systemErrorCode(error) !== 'EXDEV') throw error;
    const temporary = join(directory, `tmp_conductor_${name}`);
    copyFileSync(from, temporary);
    const fd = openSync(temporary, 'r');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(temporary, join(directory, name));
  }
}
