/** The state directory: made on first use, and kept out of version control without touching the repository's own files. */
import { mkdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';

/**
 * Makes the state directory if it is not there, private to the user, holding a `.gitignore` of `*`.
 *
 * @param stateDir - absolute path
 */
export function ensureStateDir(stateDir: string): void {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  try {
    writeFileSync(path.join(stateDir, '.gitignore'), '*\n', { flag: 'wx' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}
