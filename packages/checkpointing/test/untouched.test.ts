/** What a capture must leave alone, and what it must not be led by. */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readTree, runGit } from './fixtures/git-repo.ts';
import { roundTrip, setup, type Setup } from './fixtures/setup.ts';

const files = { 'a.txt': 'one\n', 'b.txt': 'two  \n', 'dir/c.txt': 'three\n' };

describe('a capture', () => {
  test('given staged, stashed and touched files, when captured, index, HEAD, refs, stash and work tree are byte-identical', async () => {
    const context = setup({ files });
    context.write({ 'a.txt': 'stashed\n' });
    context.git('stash', 'push', '--quiet');
    context.write({ 'b.txt': 'staged\n', 'new.txt': 'n\n' });
    context.git('add', 'b.txt');
    context.write({ 'b.txt': 'staged, then changed\n' });
    // Touched, not changed: what makes git rewrite an index it may lock.
    utimesSync(join(context.path, 'dir/c.txt'), 1, 1);
    const before = everything(context);

    await context.manager.writeGitDiff({ worktree: context.path, includeIndex: true });

    expect(everything(context)).toEqual(before);
  });

  test('given configuration that breaks patches and names commands, when captured and replayed, the result is the same and nothing ran', async () => {
    const context = setup({ files, variables: poisonedEnvironment });
    const canary = join(context.temp, 'canary');
    const plainTree = (await changeAndCapture(context)).tree;
    poison(context, canary);

    const record = await roundTrip(context);

    expect(record.tree).toBe(plainTree);
    expect(existsSync(canary)).toBe(false);
    // The traps do work: what people type falls into them, once git has to read a file.
    utimesSync(join(context.path, 'b.txt'), 1, 1);
    expect(() => context.git('status')).toThrow('filter');
    expect(readFileSync(canary, 'utf8')).toContain('canary.sh');
  });

  test('given a filter over an unchanged file too large to be read, when captured, it is listed as filtered', async () => {
    const context = setup({ files: { '.gitattributes': '*.big filter=head\n' } });
    const path = join(context.path, 'x.big');
    writeFileSync(path, '');
    truncateSync(path, 2200 * 1024 * 1024);
    utimesSync(path, 1, 1);
    context.git('-c', 'filter.head.clean=head -c 20', 'add', '--all');
    context.git('commit', '--quiet', '--message=pointer');

    const record = await context.manager.writeGitDiff({ worktree: context.path });

    expect(record.leftOut).toMatchObject([{ path: 'x.big', reason: 'filtered' }]);
  });

  test('given a filter over an unchanged file, when captured, the path is listed as filtered', async () => {
    const context = setup({ files: { '.gitattributes': '*.big filter=swap\n' } });
    context.git('config', 'filter.swap.clean', 'echo pointer');
    context.git('config', 'filter.swap.smudge', 'echo content');
    context.write({ 'x.big': 'content\n' });
    // Older than the index, so that git need not read it to call it clean.
    utimesSync(join(context.path, 'x.big'), 1, 1);
    context.git('add', '--all');
    context.git('commit', '--quiet', '--message=filtered');

    const record = await context.manager.writeGitDiff({ worktree: context.path });

    expect(record).toMatchObject({
      diffStat: { filesChanged: 0 },
      leftOut: [{ path: 'x.big', reason: 'filtered' }],
    });
  });

  test('given enough files for a pack, when captured, the repository is sound and holds no temporary file', async () => {
    const context = setup({ files });
    const many = Object.fromEntries(Array.from({ length: 150 }, (_, index) => [`n/${index}`, `${index}\n`]));
    context.write(many);

    await context.manager.writeGitDiff({ worktree: context.path });

    const names = readdirSync(join(context.path, '.git'), { recursive: true, encoding: 'utf8' });
    expect(names.filter((name) => /tmp_|\.lock$|crash/.test(name))).toEqual([]);
    expect(context.git('fsck', '--full', '--strict')).toBe('');
  });
});

async function changeAndCapture(context: Setup): Promise<{ tree: string }> {
  context.write({ 'a.txt': 'changed   \n', 'new.txt': 'new \n', 'n.bin': Buffer.from([0, 1, 2]) });
  context.remove('dir/c.txt');
  return context.manager.writeGitDiff({ worktree: context.path });
}

/** Every way we know to have git run a command or print another patch. */
function poison(context: Setup, canary: string): void {
  const script = join(context.temp, 'canary.sh');
  writeFileSync(script, `#!/bin/sh\necho "$0 $@" >> '${canary}'\ncat\n`);
  chmodSync(script, 0o755);
  const settings: Readonly<Record<string, string>> = {
    'diff.noprefix': 'true',
    'diff.mnemonicPrefix': 'true',
    'diff.external': script,
    'diff.evil.textconv': script,
    'diff.evil.command': script,
    'color.ui': 'always',
    'apply.whitespace': 'fix',
    'core.whitespace': 'trailing-space',
    'status.showUntrackedFiles': 'no',
    'status.relativePaths': 'true',
    'core.fsmonitor': script,
    'core.pager': script,
    'core.editor': script,
    'core.sshCommand': script,
    'core.gitProxy': script,
    'filter.evil.clean': script,
    'filter.evil.smudge': script,
    'filter.evil.process': script,
    'filter.evil.required': 'true',
    'merge.evil.driver': script,
    'credential.helper': script,
    'gpg.program': script,
    'commit.gpgSign': 'true',
    'diff.renames': 'copies',
    'diff.algorithm': 'patience',
    'core.abbrev': '4',
    'core.quotePath': 'true',
  };
  for (const [name, value] of Object.entries(settings)) context.git('config', name, value);
  writeFileSync(
    join(context.path, '.git/info/attributes'),
    '*.txt filter=evil diff=evil merge=evil\n*.bin diff=evil\n',
  );
  const hooks = join(context.path, '.git/hooks');
  mkdirSync(hooks, { recursive: true });
  for (const hook of HOOKS) writeFileSync(join(hooks, hook), readFileSync(script), { mode: 0o755 });
}

function poisonedEnvironment(temp: string): Record<string, string> {
  const script = join(temp, 'canary.sh');
  return {
    GIT_DIR: join(temp, 'elsewhere'),
    GIT_WORK_TREE: temp,
    GIT_INDEX_FILE: join(temp, 'elsewhere-index'),
    GIT_EXTERNAL_DIFF: script,
    GIT_PAGER: script,
    GIT_SSH_COMMAND: script,
    GIT_TRACE2: join(temp, 'canary'),
    GIT_CONFIG_COUNT: '1',
    GIT_CONFIG_KEY_0: 'core.fsmonitor',
    GIT_CONFIG_VALUE_0: script,
    LC_ALL: 'de_DE.UTF-8',
    LANG: 'tr_TR.UTF-8',
  };
}

/** The whole visible state of a repository, apart from objects and our refs. */
function everything(context: Setup): unknown {
  const gitDir = join(context.path, '.git');
  const kept = readdirSync(gitDir, { recursive: true, encoding: 'utf8' }).filter(
    (name) =>
      !name.startsWith('objects') &&
      !name.startsWith('refs/conductor') &&
      statSync(join(gitDir, name)).isFile(),
  );
  return {
    files: kept.sort().map((name) => [
      name,
      createHash('sha256')
        .update(readFileSync(join(gitDir, name)))
        .digest('hex'),
    ]),
    refs: runGit(context.path, context.env, ['for-each-ref'])
      .split('\n')
      .filter((line) => !line.includes('refs/conductor/')),
    stash: context.git('stash', 'list'),
    worktree: readTree(context.path),
    times: ['a.txt', 'b.txt', 'dir/c.txt', 'new.txt'].map(
      (name) => statSync(join(context.path, name)).mtimeMs,
    ),
    status: runGit(context.path, { ...context.env, GIT_OPTIONAL_LOCKS: '0' }, ['status', '--porcelain=v2']),
  };
}

const HOOKS = [
  'post-index-change',
  'reference-transaction',
  'post-checkout',
  'pre-commit',
  'post-commit',
  'fsmonitor-watchman',
  'pre-auto-gc',
];
