/** Nasty states of a repository, and what cannot be captured, each brought back from the patch alone and from the ref alone. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { runGit } from './fixtures/git-repo.ts';
import { expectRoundTrip, MIB, plain, type NastyTree } from './fixtures/nasty-tree.ts';
import { roundTrip, setup, type Setup } from './fixtures/setup.ts';

const rows: readonly NastyTree[] = [
  {
    name: 'entries marked assume-unchanged and skip-worktree',
    repo: plain,
    change: (repo) => {
      repo.git('update-index', '--assume-unchanged', 'a.txt');
      repo.git('update-index', '--skip-worktree', 'dir/b.txt');
      repo.write({ 'a.txt': 'changed in secret\n', 'dir/b.txt': 'local settings\n' });
    },
    differsFromGitAdd: true,
  },
  {
    name: 'a split index',
    repo: plain,
    change: (repo) => {
      repo.git('update-index', '--split-index');
      repo.write({ 'staged.txt': 'staged\n' });
      repo.git('add', 'staged.txt');
      repo.write({ 'a.txt': 'split\n' });
    },
  },
  {
    name: 'no commit yet',
    repo: {},
    change: (repo) => repo.write({ 'a.txt': 'a\n', 'dir/b.txt': 'b\n' }),
  },
  { name: 'no commit and no file', repo: {}, change: () => undefined },
  {
    name: 'a detached HEAD that no branch holds',
    repo: plain,
    change: (repo) => {
      repo.git('checkout', '--quiet', '--detach');
      repo.git('commit', '--quiet', '--allow-empty', '--message=loose');
      repo.write({ 'a.txt': 'detached\n' });
    },
  },
  {
    name: 'an unmerged index',
    repo: plain,
    change: (repo) => {
      repo.git('checkout', '--quiet', '-b', 'other');
      repo.write({ 'a.txt': 'theirs\n' });
      repo.git('commit', '--quiet', '--all', '--message=theirs');
      repo.git('checkout', '--quiet', 'main');
      repo.write({ 'a.txt': 'ours\n' });
      repo.remove('dir/b.txt');
      repo.git('commit', '--quiet', '--all', '--message=ours');
      expect(() => repo.git('merge', 'other')).toThrow('git');
    },
  },
  {
    name: 'a stale index.lock',
    repo: plain,
    change: (repo) => {
      writeFileSync(join(repo.path, '.git/index.lock'), '');
      repo.write({ 'a.txt': 'locked\n' });
    },
    differsFromGitAdd: true,
  },
  {
    name: 'a sparse checkout',
    repo: plain,
    change: (repo) => {
      repo.git('sparse-checkout', 'set', '--no-cone', '/*', '!/dir/c.txt');
      repo.write({ 'a.txt': 'sparse\n' });
    },
    skip: ['dir/c.txt'],
    differsFromGitAdd: true,
  },
  {
    name: 'a SHA-256 repository',
    repo: { ...plain, objectFormat: 'sha256' },
    change: (repo) => repo.write({ 'a.txt': 'long names\n', new: 'n' }),
  },
  {
    name: 'nested repositories with and without a commit',
    repo: plain,
    change: (repo) => {
      for (const name of ['nest', 'bare-nest']) {
        mkdirSync(join(repo.path, name));
        runGit(join(repo.path, name), repo.env, ['init', '--quiet']);
        repo.write({ [`${name}/inside.txt`]: 'inside\n' });
      }
      runGit(join(repo.path, 'nest'), repo.env, ['add', '--all']);
      runGit(join(repo.path, 'nest'), repo.env, ['commit', '--quiet', '--message=nested']);
    },
    differsFromGitAdd: true,
    leftOut: { nest: 'nested-repository', 'bare-nest': 'nested-repository' },
    skip: ['nest', 'bare-nest'],
  },
  {
    name: 'a submodule with changes inside',
    repo: plain,
    change: (repo) => {
      addSubmodule(repo);
      repo.write({ 'sub/inside.txt': 'changed inside\n', 'a.txt': 'outside\n' });
    },
    differsFromGitAdd: true,
    leftOut: { sub: 'submodule-changed' },
    skip: ['sub'],
  },
  {
    name: 'a submodule whose index is damaged',
    repo: plain,
    change: (repo) => {
      addSubmodule(repo);
      writeFileSync(join(repo.path, '.git/modules/sub/index'), 'garbage');
      repo.write({ 'a.txt': 'changed\n' });
    },
    leftOut: { sub: 'submodule-changed' },
    skip: ['sub'],
    differsFromGitAdd: true,
  },
  {
    name: 'a submodule that says it is bare',
    repo: plain,
    change: (repo) => {
      addSubmodule(repo);
      runGit(join(repo.path, 'sub'), repo.env, ['config', 'core.bare', 'true']);
      repo.write({ 'a.txt': 'changed\n' });
    },
    leftOut: { sub: 'submodule-changed' },
    skip: ['sub'],
    differsFromGitAdd: true,
  },
  {
    name: 'a submodule folder with files whose repository is gone',
    repo: plain,
    change: (repo) => {
      addSubmodule(repo);
      repo.remove('.git/modules');
      repo.write({ 'sub/work.txt': 'unsaved\n' });
    },
    leftOut: { sub: 'submodule-changed' },
    skip: ['sub'],
    differsFromGitAdd: true,
  },
  {
    name: 'a submodule at another commit',
    repo: plain,
    change: (repo) => {
      addSubmodule(repo);
      runGit(join(repo.path, 'sub'), repo.env, ['commit', '--quiet', '--allow-empty', '--message=moved']);
    },
    differsFromGitAdd: true,
    leftOut: { sub: 'submodule-changed' },
    skip: ['sub'],
  },
  {
    name: 'a file of 60 MiB, tracked and untracked',
    repo: { files: { 'tracked.bin': 'small' } },
    change: (repo) =>
      repo.write({
        'tracked.bin': Buffer.alloc(60 * MIB, 1),
        'untracked.bin': Buffer.alloc(60 * MIB),
        ok: '1',
      }),
    differsFromGitAdd: true,
    leftOut: { 'tracked.bin': 'too-large', 'untracked.bin': 'too-large' },
    skip: ['tracked.bin', 'untracked.bin'],
  },
  {
    name: 'FIFOs, also in the place of a file and alone in a folder',
    repo: plain,
    change: (repo) => {
      repo.remove('a.txt');
      mkdirSync(join(repo.path, 'alone'));
      for (const name of ['a.txt', 'dir/pipe', 'alone/pipe']) execFileSync('mkfifo', [join(repo.path, name)]);
    },
    differsFromGitAdd: true,
    leftOut: { 'a.txt': 'special-file', 'dir/pipe': 'special-file', 'alone/pipe': 'special-file' },
    skip: ['a.txt', 'dir/pipe', 'alone/pipe'],
  },
  {
    name: 'ignored files, one of them asked for',
    repo: { files: { '.gitignore': '.env\n*.log\n' } },
    change: (repo) => repo.write({ '.env': 'TOKEN=x\n', 'deep/.env': 'TOKEN=y\n', 'noise.log': 'noise\n' }),
    options: { includeIgnored: ['**/.env'] },
    differsFromGitAdd: true,
    skip: ['noise.log'],
  },
];

describe('round trip', () => {
  test.for(rows)('given $name, when captured, it comes back from patch and ref', async (row) => {
    expect.hasAssertions();
    await expectRoundTrip(row);
  });

  test('given a linked work tree, when captured, its own index and HEAD count', async () => {
    const main = setup(plain);
    const linked = join(main.temp, 'linked');
    main.git('worktree', 'add', '--quiet', '-b', 'side', linked);
    main.write({ 'only-in-main.txt': 'no\n' });
    writeFileSync(join(linked, 'a.txt'), 'linked\n');

    const record = await roundTrip({ ...main, path: linked });

    expect(record).toMatchObject({ branch: 'side', diffStat: { filesChanged: 1 } });
  });
});

function addSubmodule(repo: Setup): void {
  const source = join(repo.temp, 'source');
  mkdirSync(source);
  runGit(source, repo.env, ['init', '--quiet']);
  writeFileSync(join(source, 'inside.txt'), 'inside\n');
  runGit(source, repo.env, ['add', '--all']);
  runGit(source, repo.env, ['commit', '--quiet', '--message=sub']);
  repo.git('-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', source, 'sub');
  repo.git('commit', '--quiet', '--message=with submodule');
}
