import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { findChangesetProblems, parseChangeset } from '../check-changesets.ts';
import { addFiles, makeFolder } from './fixtures.ts';

const changeset = '---\n"@x/a": minor\n---\n\nAdded the answer.\n';

/** A repository with one published package, committed on a branch that is the only one. */
function setup() {
  const root = makeFolder({
    'packages/a/package.json': { name: '@x/a', version: '0.0.0' },
    'packages/a/src/index.ts': 'export const answer = 41;',
    'packages/p/package.json': { name: '@x/p', version: '0.0.0', private: true },
    'packages/p/src/index.ts': '',
  });
  const git = (...args: readonly string[]): void => {
    const identity = ['-c', 'user.name=t', '-c', 'user.email=t@example.org', '-c', 'commit.gpgsign=false'];
    execFileSync('git', [...identity, ...args], { cwd: root, stdio: 'ignore' });
  };
  const commit = (): void => {
    git('add', '-A');
    git('commit', '-q', '--no-verify', '-m', 'x');
  };
  const write = (files: Parameters<typeof addFiles>[1]): void => addFiles(root, files);
  /** What `changeset version` leaves behind: the changelog is written, the changesets are gone. */
  const release = (): void => {
    rmSync(join(root, '.changeset'), { recursive: true, force: true });
    write({
      'packages/a/CHANGELOG.md': '# 0.1.0',
      'packages/a/package.json': { name: '@x/a', version: '0.1.0' },
    });
    commit();
  };
  git('init', '-q', '-b', 'main');
  commit();
  return { problems: () => findChangesetProblems(root), write, commit, release };
}

describe('findChangesetProblems', () => {
  test('given a package that was never released, when nothing announces it, it asks for a changeset', () => {
    const { problems } = setup();

    expect(problems()).toEqual(['@x/a changed since its last release: describe it (pnpm exec changeset)']);
  });

  test('given a changeset for it, when checked, it finds nothing', () => {
    const { problems, write } = setup();

    write({ '.changeset/first.md': changeset });

    expect(problems()).toEqual([]);
  });

  test('given a release, when nothing changed since, it finds nothing, and a committed change needs a new changeset', () => {
    const { problems, write, commit, release } = setup();
    release();
    const afterRelease = problems();

    write({ 'packages/a/src/index.ts': 'export const answer = 42;' });
    commit();

    expect(afterRelease).toEqual([]);
    expect(problems()).toEqual(['@x/a changed since its last release: describe it (pnpm exec changeset)']);
  });

  test('given a release, when only tests changed since, it finds nothing', () => {
    const { problems, write, commit, release } = setup();
    release();

    write({ 'packages/a/test/a.test.ts': '' });
    commit();

    expect(problems()).toEqual([]);
  });

  test.for([
    ['---\n"@x/b": minor\n---\n\nAdded.\n', 'names "@x/b", which is not a published package here'],
    ['---\n"@x/p": minor\n---\n\nAdded.\n', 'names "@x/p", which is not a published package here'],
    [
      '---\n"@x/a": major\n---\n\nAdded.\n',
      'asks for a major release of @x/a: before 1.0 it is minor or patch',
    ],
    ['---\n"@x/a": minor\n---\n', 'says nothing: write one line, past tense, for users'],
    ['Added.\n', 'names no package in its front matter'],
  ] as const)('given a changeset %j, when checked, it says what is wrong', ([text, message]) => {
    const { problems, write } = setup();
    write({ '.changeset/a.md': changeset, '.changeset/b.md': text });

    expect(problems()).toContain(`.changeset/b.md ${message}`);
  });
});

describe('parseChangeset', () => {
  test('given quotes of either kind or none, when parsed, it reads every package', () => {
    const { bumps, summary } = parseChangeset(
      'a',
      `---\n"@x/a": minor\n'@x/b': patch\nc: patch\n---\n\nOne.\nTwo.\n`,
    );

    expect([...bumps]).toEqual([
      ['@x/a', 'minor'],
      ['@x/b', 'patch'],
      ['c', 'patch'],
    ]);
    expect(summary).toBe('One.');
  });
});
