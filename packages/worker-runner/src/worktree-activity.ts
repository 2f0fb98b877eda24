/** Whether anything in a work tree changed lately. Only asked when a step is about to be called idle. */
import { opendir, stat } from 'node:fs/promises';
import { join } from 'node:path';

import { isOutOfReach } from './files.ts';

/**
 * Looks for a file or directory changed after `sinceMs`, stopping at the first.
 *
 * @param root - the work tree
 * @param sinceMs - UTC milliseconds
 * @returns when the first one found was changed, or `undefined`
 */
export async function findChangeSince(root: string, sinceMs: number): Promise<number | undefined> {
  const directories = [root];
  for (let directory = directories.pop(); directory !== undefined; directory = directories.pop()) {
    for (const name of await namesIn(directory)) {
      const path = join(directory, name);
      const entry = await statIfThere(path);
      if (entry === undefined) continue;
      if (entry.ctimeMs > sinceMs) return entry.ctimeMs;
      if (entry.isDirectory() && !SKIPPED.has(name)) directories.push(path);
    }
  }
  return undefined;
}

async function namesIn(directory: string): Promise<string[]> {
  const names: string[] = [];
  try {
    for await (const entry of await opendir(directory)) if (!entry.isSymbolicLink()) names.push(entry.name);
  } catch (error) {
    if (!isOutOfReach(error)) throw error;
  }
  return names;
}

async function statIfThere(path: string): Promise<{ ctimeMs: number; isDirectory(): boolean } | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (isOutOfReach(error)) return undefined;
    throw error;
  }
}

/** Git's own bookkeeping is not work, and dependencies are large and do not change. */
const SKIPPED: ReadonlySet<string> = new Set(['.git', 'node_modules']);
