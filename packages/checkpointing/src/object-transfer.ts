/**
 * Moving finished objects from a view into the repository.
 * Invariant: whatever instant the process dies at, the repository holds only whole objects and no temporary file of ours
 * (on one file system; across two, git's own `tmp_` names are used, which `git prune` removes).
 */
import { chmod, copyFile, mkdir, open, readdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { systemErrorCode } from './errors.ts';

/** @internal Moves every loose object and pack of `from` into `to`. */
export async function transferObjects(from: string, to: string): Promise<void> {
  const { mode } = await stat(to);
  for (const name of await readdir(from)) {
    if (name === 'info') continue;
    const files = await readdir(join(from, name));
    if (files.length === 0) continue;
    const target = join(to, name);
    await makeDirectory(target, mode & 0o7777);
    for (const file of inSafeOrder(files)) await moveFile(join(from, name, file), target, file);
  }
}

/** A pack counts from the moment its index is there, so the index goes last. */
function inSafeOrder(files: readonly string[]): string[] {
  return files
    .filter((file) => !file.startsWith('tmp_') && !file.endsWith('.keep'))
    .sort((a, b) => Number(a.endsWith('.idx')) - Number(b.endsWith('.idx')));
}

async function makeDirectory(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path);
    await chmod(path, mode);
  } catch (error) {
    if (systemErrorCode(error) !== 'EEXIST') throw error;
  }
}

async function moveFile(from: string, directory: string, name: string): Promise<void> {
  try {
    await rename(from, join(directory, name));
  } catch (error) {
    if (systemErrorCode(error) !== 'EXDEV') throw error;
    const temporary = join(directory, `tmp_conductor_${name}`);
    await copyFile(from, temporary);
    const handle = await open(temporary, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, join(directory, name));
  }
}
