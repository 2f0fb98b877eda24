/** Nasty trees, each captured and brought back from the patch alone and from the ref alone. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { GitDiffOptions, LeftOutReason } from '@conductor-run/checkpointing';
import type { GitRepoOptions } from './fixtures/git-repo.ts';
import { runGit } from './fixtures/git-repo.ts';
import { roundTrip, setup, treeByGitAdd, type Setup } from './fixtures/setup.ts';

const MIB = 1024 * 1024;

interface Row {
  readonly name: string;
  readonly repo: GitRepoOptions;
  readonly change: (repo: Setup) => void;
  readonly options?: Partial<GitDiffOptions>;
  readonly leftOut?: Readonly<Record<string, LeftOutReason>>;
  /** Paths the snapshot does not hold, so bytes cannot be equal. */
  readonly skip?: readonly string[];
  /** Where `git add` does not keep bytes, or chokes, its tree is no reference. */
  readonly differsFromGitAdd?: true;
}

const plain: GitRepoOptions = {
  files: { 'a.txt': 'one\ntwo\nthree\n', 'dir/b.txt': 'b\n', 'dir/c.txt': 'c\n' },
};

const rows: readonly Row[] = [
  { name: 'a clean tree', repo: plain, change: () => undefined },
  {
    name: 'a modified file of the same size and time',
    repo: plain,
    change: (repo) => repo.write({ 'a.txt': 'one\ntwo\nthrEe\n' }),
  },
  {
    name: 'untracked files in new folders',
    repo: plain,
    change: (repo) => repo.write({ 'new/deep/x.txt': 'x\n', 'y.txt': 'no newline at the end' }),
  },
  {
    name: 'binary files with NULs, one of 20 MiB',
    repo: { files: { 'a.bin': Buffer.from([0, 1, 2, 0]), 'big.bin': noise(1) } },
    change: (repo) => repo.write({ 'a.bin': Buffer.from([0, 9, 0, 0]), 'big.bin': noise(20) }),
  },
  { name: 'a deleted file', repo: plain, change: (repo) => repo.remove('dir/b.txt') },
  {
    name: 'everything deleted',
    repo: plain,
    change: (repo) => repo.remove('dir', 'a.txt'),
  },
  {
    name: 'a renamed file',
    repo: plain,
    change: (repo) => renameSync(join(repo.path, 'a.txt'), join(repo.path, 'dir/z.txt')),
  },
  {
    name: 'a mode change alone, in both directions',
    repo: { files: { 'run.sh': 'echo\n', 'stop.sh': { executable: 'echo\n' } } },
    change: (repo) => repo.write({ 'run.sh': { executable: 'echo\n' }, 'stop.sh': 'echo\n' }),
  },
  {
    name: 'symbolic links, absolute, dangling and retargeted',
    repo: { files: { link: { link: 'a' }, a: 'a', b: 'b' } },
    change: (repo) =>
      repo.write({
        link: { link: 'b' },
        absolute: { link: '/etc/hosts' },
        dangling: { link: 'no/such/thing' },
      }),
  },
  {
    name: 'a file that became a directory, and the reverse',
    repo: plain,
    change: (repo) => {
      repo.remove('a.txt', 'dir');
      repo.write({ 'a.txt/inner.txt': 'inner\n', dir: 'now a file\n' });
    },
  },
  {
    name: 'a directory that became a link to a like directory, and a link that became a directory',
    repo: { files: { 'dir/b.txt': 'b\n', 'other/b.txt': 'b2\n', link: { link: 'other' } } },
    change: (repo) => {
      repo.remove('dir', 'link');
      symlinkSync('other', join(repo.path, 'dir'));
      repo.write({ 'link/x.txt': 'x\n' });
    },
  },
  {
    name: 'a file that became a link, and the reverse',
    repo: { files: { file: 'text\n', link: { link: 'file' } } },
    change: (repo) => repo.write({ file: { link: 'link' }, link: 'text\n' }),
  },
  {
    name: 'names with newline, quote, backslash, tab, leading dash and space',
    repo: { files: { 'new\nline': '1', 'quo"te': '1', 'back\\slash': '1', '-dash': '1', ' space ': '1' } },
    change: (repo) => {
      repo.remove('-dash');
      repo.write({
        'new\nline': '2',
        'quo"te': '2',
        'back\\slash': '2',
        'tab\there': '2',
        ':colon': '2',
        ümläut: '2',
      });
    },
  },
  {
    name: 'names that are not UTF-8',
    repo: plain,
    change: (repo) => {
      writeFileSync(repo.bytes('caf\xe9'), 'latin1 name\n');
      writeFileSync(repo.bytes('dir/\xff\xfe'), 'worse\n');
    },
  },
  {
    name: 'an empty file, new and emptied',
    repo: plain,
    change: (repo) => repo.write({ empty: '', 'a.txt': '' }),
  },
  {
    name: 'CRLF without attributes',
    repo: plain,
    change: (repo) => repo.write({ 'a.txt': 'one\r\ntwo\nthree\r\n', 'new.txt': '\r\n\r\n' }),
  },
  {
    name: 'mixed line ends under text and eol attributes, committed, changed and new',
    repo: {
      files: {
        '.gitattributes':
          '*.txt text\n*.bat text eol=crlf\n*.sh text eol=lf\n*.auto text=auto\n*.bin -text\n',
        'mixed.txt': 'a\r\nb\n',
        'crlf.bat': 'a\r\nb\r\n',
        'lf.bat': 'a\nb\n',
        'crlf.sh': 'a\r\n',
        'mixed.auto': 'a\r\nb\n',
        'kept.bin': 'a\r\nb\n',
        'changed.bat': 'x\n',
      },
    },
    change: (repo) =>
      repo.write({
        'changed.bat': 'a\r\nb\n',
        'new.bat': 'lf\nonly\n',
        'new.txt': 'c\r\nd\n',
        'new.sh': 'c\r\n',
      }),
    differsFromGitAdd: true,
  },
  {
    name: 'attributes that came after the files',
    repo: { files: { 'old.txt': 'a\nb\n', 'utf16.txt': 'h\u00e9\n', 'id.c': '$Id$\n' } },
    change: (repo) =>
      repo.write({
        '.gitattributes': 'old.txt eol=crlf\nutf16.txt working-tree-encoding=UTF-16\n*.c ident\n',
      }),
    differsFromGitAdd: true,
  },
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
    const context = setup(row.repo);
    row.change(context);

    const record = await roundTrip(context, row.options, row.skip);

    const leftOut = Object.fromEntries(record.leftOut.map(({ path, reason }) => [path, reason]));
    expect(leftOut).toEqual(row.leftOut ?? {});
    expect(row.differsFromGitAdd === true || record.tree === treeByGitAdd(context)).toBe(true);
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

/** Bytes that do not compress and are the same each time. */
function noise(mebibytes: number): Buffer {
  const bytes = Buffer.alloc(mebibytes * MIB);
  let state = 0x9e3779b9;
  for (let index = 0; index < bytes.length; index += 4) {
    state = Math.imul(state ^ (state >>> 15), 0x85ebca6b) + index;
    bytes.writeInt32LE(state | 0, index);
  }
  return bytes;
}
