/** What a capture takes for untracked is what git does, whichever of the two has looked; and who has looked. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createManualClock } from '@conductor-run/clock';
import type { GitDiffRecord } from '@conductor-run/checkpointing';
import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { runGit } from './fixtures/git-repo.ts';
import { setup, type Setup } from './fixtures/setup.ts';

interface Row {
  readonly name: string;
  readonly prepare: (repo: Setup) => void;
}

/** Where the index and what is ignored say it all. */
const plainTrees: readonly Row[] = [
  {
    name: 'ignored folders with and without tracked files, and folders that hold nothing else',
    prepare: (repo) => {
      repo.write({ '.gitignore': 'out/\n*.log\n', 'dir/out/forced.txt': 'tracked\n' });
      repo.git('add', '--force', '.gitignore', 'dir/out/forced.txt');
      repo.git('commit', '--quiet', '--message=forced');
      repo.write({ 'dir/out/new.txt': 'ignored\n', 'out/a/b': 'ignored\n', 'dir/fine.txt': 'new\n' });
      repo.write({ 'only/x.log': 'ignored\n', 'some/x.log': 'ignored\n', 'some/y': 'new\n' });
      mkdirSync(join(repo.path, 'empty/deeper'), { recursive: true });
    },
  },
  {
    name: 'rules of the repository, of the user and of folders that are new themselves, some taken back',
    prepare: (repo) => {
      writeFileSync(join(repo.path, '.git/info/exclude'), '*.private\n/top-only\n');
      repo.git('config', 'core.excludesFile', join(repo.temp, 'excludes'));
      repo.write({
        '../excludes': '*.tmp\n',
        '.gitignore': '*.o\n!keep.o\nlib/*\n!lib/mine\n',
        'a.private': '',
        'top-only': '',
        'dir/top-only': '',
        'dir/b.tmp': '',
        'dir/x.o': '',
        'dir/keep.o': '',
        'lib/theirs/a': '',
        'lib/mine/a': '',
        'new/.gitignore': '*\n!*/\n!.gitignore\n!in.txt\n',
        'new/in.txt': '',
        'new/out.txt': '',
        'new/below/in.txt': '',
        'new/below/out.txt': '',
      });
    },
  },
  {
    name: 'names that mean something to git or are not text',
    prepare: (repo) => {
      repo.write({ '.gitignore': 'colon.log\n' });
      for (const name of [':colon.log', ':!not', ':(top)a.txt', ' spaced ', '-dash', '!bang', '#hash']) {
        repo.write({ [name]: '1', [`dir/${name}`]: '2', [`in${name}/${name}/x`]: '3' });
        mkdirSync(join(repo.path, 'folders', name), { recursive: true });
        repo.write({ [`folders/${name}/x`]: '4' });
      }
      repo.write({ 'new\nline/quo"te': '', 'tab\there': '', '.GIT/config': '', 'dir/.gitx': '' });
      mkdirSync(repo.bytes('caf\xe9'));
      for (const name of ['caf\xe9/\xff\xfe', 'dir/\xe9', '\xe9.log']) writeFileSync(repo.bytes(name), '');
    },
  },
  {
    name: 'links to folders, also where a tracked folder was, and files and folders that changed places',
    prepare: (repo) => {
      repo.write({ 'deep/er/f': 'f', 'real/er/f': 'f', 'flat/g': 'g' });
      repo.git('add', '--all');
      repo.git('commit', '--quiet', '--message=more');
      repo.remove('deep', 'a.txt', 'flat');
      symlinkSync('real', join(repo.path, 'deep'));
      symlinkSync('dir', join(repo.path, 'link'));
      repo.write({ 'real/er/untracked': '', 'a.txt/inner/x': '', flat: 'a file now' });
    },
  },
  {
    name: 'FIFOs, tracked and untracked',
    prepare: (repo) => {
      repo.remove('a.txt');
      mkdirSync(join(repo.path, 'alone'));
      for (const name of ['a.txt', 'dir/pipe', 'alone/pipe']) execFileSync('mkfifo', [join(repo.path, name)]);
    },
  },
  {
    name: 'an index in conflict, with an intent to add and without one file that is there',
    prepare: (repo) => {
      const blob = repo.git('rev-parse', 'HEAD:a.txt').trim();
      const info = [1, 2, 3].map((stage) => `100644 ${blob} ${stage}\tdir/conflict/x\n`).join('');
      execFileSync('git', ['update-index', '--index-info'], { cwd: repo.path, env: repo.env, input: info });
      repo.write({ 'dir/conflict/x': '', 'dir/conflict/y': '', intended: '' });
      repo.git('add', '--intent-to-add', 'intended');
      repo.git('rm', '--quiet', '--cached', 'dir/b.txt');
    },
  },
  { name: 'version 4', prepare: (repo) => repo.git('update-index', '--index-version=4') },
  {
    name: 'a split index',
    prepare: (repo) => {
      repo.git('update-index', '--split-index');
      repo.write({ 'staged.txt': '' });
      repo.git('add', 'staged.txt');
    },
  },
  {
    name: 'a folder that the index has as a submodule, not checked out and with files of its own',
    prepare: (repo) => {
      const head = repo.git('rev-parse', 'HEAD').trim();
      repo.git('update-index', '--add', '--cacheinfo', `160000,${head},dir/module`);
      repo.write({ 'dir/module/x': '', 'dir/module/y/z': '' });
    },
  },
  {
    name: 'a configuration that hides untracked files',
    prepare: (repo) => repo.git('config', 'status.showUntrackedFiles', 'no'),
  },
  { name: 'no index', prepare: (repo) => rmSync(join(repo.path, '.git/index')) },
];

/** Where git goes by more than that. */
const oddTrees: readonly Row[] = [
  {
    name: 'other repositories inside, in tracked and new folders',
    prepare: (repo) => {
      for (const name of ['nest', 'dir/nest', 'new/nest']) {
        mkdirSync(join(repo.path, name), { recursive: true });
        runGit(join(repo.path, name), repo.env, ['init', '--quiet']);
        repo.write({ [`${name}/inside.txt`]: '' });
      }
    },
  },
  {
    name: 'things that are called .git and are no repository',
    prepare: (repo) => {
      repo.write({ 'dir/.git/x': '', 'new/.git': 'not a link', 'new/x': '', 'broken/y': '' });
      repo.write({ 'broken/.git': 'gitdir: /nowhere\n' });
    },
  },
  {
    name: 'names that are compared without regard to case',
    prepare: (repo) => {
      repo.git('config', 'core.ignoreCase', 'true');
      repo.write({ '.gitignore': '*.LOG\n', 'A.TXT': '', 'DIR/b.txt': '', 'dir/x.log': '' });
    },
  },
  {
    name: 'rules that are in the index and not on disk',
    prepare: (repo) => {
      repo.write({ 'dir/.gitignore': '*.log\n' });
      repo.git('add', '--all');
      repo.git('commit', '--quiet', '--message=rules');
      repo.git('sparse-checkout', 'set', '--no-cone', '/*', '!/dir/.gitignore');
      repo.write({ 'dir/x.log': '', 'dir/x.txt': '' });
    },
  },
];

describe('untracked files', () => {
  test.for(plainTrees)(
    'given $name, when captured again and again, they are what git lists without being asked for them',
    async ({ prepare }) => {
      const context = watched();
      prepare(context);

      await expectLikeGit(context);

      expect(wasAskedForUntracked(context)).toBe(false);
    },
  );

  test.for(oddTrees)('given $name, when captured again and again, git lists them', async ({ prepare }) => {
    const context = watched();
    prepare(context);

    await expectLikeGit(context);

    expect(wasAskedForUntracked(context)).toBe(true);
  });

  test('given any tree, when captured again and again, they are what git lists', async () => {
    expect.hasAssertions();
    await fc.assert(
      fc.asyncProperty(fc.array(stepArbitrary, { minLength: 1, maxLength: 25 }), async (steps) => {
        const context = setup({ files: { 'a/b/tracked': '' }, manager: { clock: lateClock() } });
        for (const [kind, path] of steps) takeStep(context, kind, path.join('/'));

        await expectLikeGit(context);
      }),
      { numRuns: 20 },
    );
  });

  test('given a file that is added to the index while git reads it, when captured, the file is captured', async () => {
    const context = watched();
    context.write({ 'late.txt': 'late\n' });
    const added = join(context.temp, 'added');
    execFileSync('mkfifo', [added]);
    // Whoever reads the index after status has does so when the file is in it: the opening waits for the settings.
    shim(
      context,
      `case "$*" in
        *" status "*)
          $GIT "$@" >'${added}.status'
          (unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE; $GIT add late.txt)
          cat '${added}.status'
          test ! -p '${added}' || { : >'${added}'; rm '${added}'; }
          exit;;
        *" config "*) test ! -p '${added}' || read -r _ <'${added}';;
      esac`,
    );

    const record = await context.manager.writeGitDiff({ worktree: context.path });

    expect(context.git('status', '--porcelain')).toBe('A  late.txt\n');
    expect(record.diffStat).toEqual({ filesChanged: 1, insertions: 1, deletions: 0 });
  });
});

const names = fc.constantFrom('a', 'b', 'x.log', '.gitignore', '.git', ':n', 'A');
const stepArbitrary = fc.tuple(
  fc.constantFrom('write', 'add', 'link', 'fifo', 'folder', 'ignore', 'ignoreFolders', 'remove', 'nest'),
  fc.array(names, { minLength: 1, maxLength: 3 }),
);

/** What can be done to a path; what cannot be done to it as it is now is left undone. */
const STEPS = {
  write: (repo, path) => putFile(repo, path, path),
  add: (repo, path) => {
    putFile(repo, path, path);
    runGit(repo.path, repo.env, ['--literal-pathspecs', 'add', '--force', path]);
  },
  link: (repo, path) => symlinkSync('a', join(repo.path, path)),
  // Git would wait for somebody to write to it.
  fifo: (repo, path) => execFileSync('mkfifo', [join(repo.path, path.replace('.gitignore', 'pipe'))], QUIET),
  folder: (repo, path) => mkdirSync(join(repo.path, path)),
  ignore: (repo, path) => putFile(repo, join(dirname(path), '.gitignore'), '*.log\n!b\n'),
  ignoreFolders: (repo, path) => putFile(repo, join(dirname(path), '.gitignore'), 'b/\n/a/a\n'),
  remove: (repo, path) => repo.remove(path),
  nest: (repo, path) => runGit(repo.path, repo.env, ['init', '--quiet', join(repo.path, path)]),
} as const satisfies Record<string, (repo: Setup, path: string) => void>;

function takeStep(repo: Setup, kind: keyof typeof STEPS, path: string): void {
  if (path === '.git' || path.startsWith('.git/')) return;
  try {
    mkdirSync(dirname(join(repo.path, path)), { recursive: true });
    STEPS[kind](repo, path);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
  }
}

function putFile(repo: Setup, path: string, content: string): void {
  rmSync(join(repo.path, path), { force: true });
  writeFileSync(join(repo.path, path), content);
}

/** A first capture, another one after changes that a folder's times do not show, and one after the index has changed. */
async function expectLikeGit(context: Setup): Promise<void> {
  const capture = async (): Promise<void> => {
    const expected = statusByGit(context);
    const record = await context.manager.writeGitDiff({ worktree: context.path });
    expect(statusOf(context, record)).toBe(expected);
  };
  context.write({ 'first.txt': 'first\n', 'rules/.gitignore': 'x\n', 'rules/x': '', 'rules/y': '' });
  await capture();
  context.write({ 'second.txt': 'second\n' });
  writeFileSync(join(context.path, 'rules/.gitignore'), 'y\n');
  await capture();
  context.git('add', '--force', 'second.txt', 'rules/x');
  context.write({ 'third.txt': 'third\n' });
  await capture();
}

function statusByGit(context: Setup): string {
  const args = ['status', '--porcelain=v2', '-z', '-uall', '--no-renames', '--ignore-submodules=dirty'];
  return execFileSync('git', args, {
    cwd: context.path,
    env: { ...context.env, GIT_OPTIONAL_LOCKS: '0' },
    encoding: 'latin1',
  });
}

function statusOf(context: Setup, record: GitDiffRecord): string {
  const file = record.files.find(({ format }) => format === 'porcelain-v2-z');
  return readFileSync(join(context.directory, file?.fileName ?? ''), 'latin1');
}

/** With a git that writes down what it is asked, and a clock by which everything was long ago. */
function watched(): Setup {
  const context = setup({
    files: { 'a.txt': 'a\n', 'dir/b.txt': 'b\n', 'dir/sub/c.txt': 'c\n' },
    manager: { clock: lateClock() },
    variables: (temp) => ({ PATH: `${join(temp, 'bin')}:${process.env['PATH'] ?? ''}` }),
  });
  shim(context, '');
  return context;
}

function shim(context: Setup, before: string): void {
  const bin = join(context.temp, 'bin');
  const git = execFileSync('sh', ['-c', 'command -v git'], { env: context.env, encoding: 'utf8' }).trim();
  mkdirSync(bin, { recursive: true });
  const lines = ['#!/bin/sh', `GIT='${git}'`, `echo "$*" >> '${logOf(context)}'`, before, 'exec $GIT "$@"'];
  writeFileSync(join(bin, 'git'), `${lines.join('\n')}\n`, { mode: 0o755 });
}

function wasAskedForUntracked(context: Setup): boolean {
  const log = existsSync(logOf(context)) ? readFileSync(logOf(context), 'utf8') : '';
  expect(log).toContain('status');
  return log.includes('--untracked-files=all');
}

function logOf(context: Setup): string {
  return join(context.temp, 'git.log');
}

function lateClock(): ReturnType<typeof createManualClock> {
  return createManualClock({ nowMs: Date.UTC(2100, 0, 1) });
}

const QUIET = { stdio: 'ignore' } as const;
