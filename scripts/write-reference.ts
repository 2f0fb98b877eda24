// `pnpm run check:reference`: docs/reference.md says what the program is made of, no more and no less.
// `pnpm run reference:update` writes it anew.

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createReference } from '../apps/conductor/src/reference.ts';
import { report } from './report.ts';
import { repositoryRoot } from './workspace.ts';

const FILE = 'docs/reference.md';

/**
 * Compares the page with the program.
 *
 * @param root - absolute path of the repository
 * @param wanted - what the page should say
 * @param update - write it instead of complaining
 */
export function findReferenceProblems(root: string, wanted: string, update: boolean): readonly string[] {
  const path = join(root, FILE);
  const current = existsSync(path) ? readFileSync(path, 'utf8') : '';
  if (current === wanted) return [];
  if (update) {
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, wanted);
    return [];
  }
  const [lines, known] = [wanted.split('\n'), new Set(current.split('\n'))];
  const missing = lines.find((line) => !known.has(line));
  const hint = missing === undefined ? '' : `; it lacks "${missing.trim().slice(0, 100)}"`;
  return [`${FILE} is not what the program says${hint}: run pnpm run reference:update`];
}

if (import.meta.main) {
  const update = process.argv.includes('--update');
  report('check:reference', findReferenceProblems(repositoryRoot, createReference(), update));
}
