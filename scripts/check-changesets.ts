// `pnpm run check:changesets`: a published package that changed since its last release has a changeset waiting.
//
// The last release of a package is the commit that last touched its CHANGELOG.md, so the answer needs nothing but the
// history of the branch at hand: no second branch, no tags, no registry.

import { execFileSync } from 'node:child_process';
import { existsSync, globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { report } from './report.ts';
import { listPublished, repositoryRoot } from './workspace.ts';

/** What a changeset file asks for: a bump for each package it names. */
export interface Changeset {
  readonly file: string;
  readonly bumps: ReadonlyMap<string, string>;
  readonly summary: string;
}

/** Finds changed packages without a changeset, and changesets that would not release what they say. */
export function findChangesetProblems(root: string): readonly string[] {
  const published = listPublished(root);
  const changesets = globSync('.changeset/*.md', { cwd: root })
    .toSorted()
    .map((file) => parseChangeset(file, readFileSync(join(root, file), 'utf8')));
  const announced = new Set(changesets.flatMap(({ bumps }) => [...bumps.keys()]));

  const silent = published
    .filter(({ folder, manifest }) => !announced.has(manifest.name) && changedSinceRelease(root, folder))
    .map(
      ({ manifest }) => `${manifest.name} changed since its last release: describe it (pnpm exec changeset)`,
    );
  const names = new Set(published.map(({ manifest }) => manifest.name));
  return [...silent, ...changesets.flatMap((changeset) => findFileProblems(changeset, names))];
}

/** Reads the front matter and the first line of a changeset. */
export function parseChangeset(file: string, text: string): Changeset {
  const [, front = '', body = ''] = /^---\n([\s\S]*?)\n?---\n([\s\S]*)$/.exec(text) ?? [];
  const lines = front.matchAll(/^["']?(@?[^"':]+)["']?: *(\w+) *$/gm);
  return {
    file,
    bumps: new Map([...lines].map(([, name = '', bump = '']) => [name, bump])),
    summary: body.trim().split('\n')[0] ?? '',
  };
}

function findFileProblems(changeset: Changeset, names: ReadonlySet<string>): readonly string[] {
  const { file, bumps, summary } = changeset;
  const problems: string[] = [];
  if (bumps.size === 0) problems.push(`${file} names no package in its front matter`);
  if (summary === '') problems.push(`${file} says nothing: write one line, past tense, for users`);
  for (const [name, bump] of bumps) {
    if (!names.has(name)) problems.push(`${file} names "${name}", which is not a published package here`);
    if (bump !== 'minor' && bump !== 'patch')
      problems.push(`${file} asks for a ${bump} release of ${name}: before 1.0 it is minor or patch`);
  }
  return problems;
}

function changedSinceRelease(root: string, folder: string): boolean {
  const release = git(root, ['log', '-1', '--format=%H', '--', `${folder}/CHANGELOG.md`]);
  if (release === '') return existsSync(join(root, folder, 'src'));
  return git(root, ['diff', '--name-only', release, '--', `${folder}/src`, `${folder}/package.json`]) !== '';
}

function git(root: string, args: readonly string[]): string {
  return execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim();
}

if (import.meta.main) report('check:changesets', findChangesetProblems(repositoryRoot));
