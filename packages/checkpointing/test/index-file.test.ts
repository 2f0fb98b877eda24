/** Our reading of the index file against git's. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseIndexFile, parseIndexListing, type IndexEntry } from '../src/index-file.ts';
import { gitRepo, type GitRepo } from './fixtures/git-repo.ts';

describe('parseIndexFile', () => {
  test.for(['sha1', 'sha256'] as const)(
    'given a %s index with all that an entry can be, when read, it says what git says',
    (objectFormat) => {
      const repo = oddIndex(objectFormat);

      const own = parseIndexFile(indexOf(repo), objectFormat);

      const listed = plain(parseIndexListing(repo.git('ls-files', '--stage', '-v', '-z')));
      expect(plain(own ?? [])).toEqual(listed);
      expect(listed.map(({ stage }) => stage)).toEqual(expect.arrayContaining([0, 1, 2, 3]));
      expect(listed.filter(({ isAssumed }) => isAssumed).map(({ path }) => path)).toEqual([
        'assumed',
        'link',
      ]);
      expect(listed.filter(({ isSkipped }) => isSkipped).map(({ path }) => path)).toEqual([
        'link',
        'skipped',
      ]);
    },
  );

  test.for([
    ['version 4', ['update-index', '--index-version=4']],
    ['split', ['update-index', '--split-index']],
    ['sparse', ['sparse-checkout', 'set', '--cone', '--sparse-index', 'kept']],
  ] as const)('given a %s index, when read, it leaves it to git', ([, args]) => {
    const repo = gitRepo({ files: { 'kept/a': 'a', 'other/deep/b': 'b', c: 'c' } });
    repo.git(...args);

    expect(parseIndexFile(indexOf(repo), 'sha1')).toBeUndefined();
  });

  test('given an index cut at any byte, when read, it gives every entry or leaves it to git', () => {
    const file = indexOf(gitRepo({ files: { a: 'a', 'folder/b': 'b' } }));
    const whole = plain(parseIndexFile(file, 'sha1') ?? []);

    for (let length = 0; length < file.length; length++) {
      const cut = parseIndexFile(file.subarray(0, length), 'sha1');
      expect(cut === undefined ? whole : plain(cut)).toEqual(whole);
    }
    expect(parseIndexFile(file.subarray(0, 100), 'sha1')).toBeUndefined();
  });
});

function oddIndex(objectFormat: 'sha1' | 'sha256'): GitRepo {
  const repo = gitRepo({
    objectFormat,
    files: {
      assumed: 'a',
      skipped: 's',
      link: { link: 'assumed' },
      tool: { executable: '#!/bin/sh\n' },
      'name with\ttab\nand newline': 'x',
      '12345678': 'padded by eight',
    },
  });
  repo.write({ intended: 'i' });
  repo.git('add', '--intent-to-add', 'intended');
  repo.git('update-index', '--assume-unchanged', 'assumed', 'link');
  repo.git('update-index', '--skip-worktree', 'skipped', 'link');
  const blob = repo.git('rev-parse', 'HEAD:assumed').trim();
  repo.git('update-index', '--add', '--cacheinfo', `160000,${repo.git('rev-parse', 'HEAD').trim()},module`);
  // Longer than the twelve bits an entry has for the length of its name.
  const long = `${'directory/'.repeat(500)}f`;
  repo.git('update-index', '--add', '--cacheinfo', `100644,${blob},${long}`);
  const info = [1, 2, 3].map((stage) => `100644 ${blob} ${stage}\tconflict\n`).join('');
  execFileSync('git', ['update-index', '--index-info'], {
    cwd: repo.path,
    env: { ...repo.env },
    input: info,
  });
  return repo;
}

function indexOf(repo: GitRepo): Buffer {
  return readFileSync(join(repo.path, '.git/index'));
}

function plain(entries: Iterable<IndexEntry>): IndexEntry[] {
  return Array.from(entries, ({ path, mode, stage, isAssumed, isSkipped, oid }) => ({
    path,
    mode,
    stage,
    isAssumed,
    isSkipped,
    oid,
  }));
}
