/** Diff, restore, fork, moving to another base, verify and prune. */
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  diffCheckpoints,
  forkCheckpoint,
  replayCheckpoint,
  restoreCheckpoint,
  verifyCheckpoints,
  type GitDiffRecord,
} from '@conductor-run/checkpointing';
import { createManualClock } from '@conductor-run/clock';
import { describe, expect, test } from 'vitest';
import { readTree, runGit } from './fixtures/git-repo.ts';
import { cloneOfBase, setup, type Setup } from './fixtures/setup.ts';

const files = { 'a.txt': 'one\ntwo\nthree\n', 'b.txt': 'b\n', 'dir/c.txt': 'c\n', '.gitignore': '*.log\n' };

describe('an unchanged tree', () => {
  test('given nothing new, when captured again, the record points at the first and makes no ref', async () => {
    const context = setup({ files });
    context.write({ 'a.txt': 'changed\n' });
    const first = await capture(context);
    await expect(capture(context)).resolves.toMatchObject({
      unchangedSince: 1,
      tree: first.tree,
      ref: first.ref,
      files: [],
    });

    const third = await capture({ ...context, manager: context.reopen() });

    expect(third).toMatchObject({ seq: 3, unchangedSince: 1, files: [] });
    expect(refs(context)).toEqual([first.ref]);
    const directory = join(context.temp, 'back');
    await replayCheckpoint(third, { directory, from: 'patch', env: context.env });
    expect(readTree(directory)).toEqual(readTree(context.path));
  });

  test('given the same bytes at another commit, or a ref that is gone, when captured, it is a snapshot of its own', async () => {
    const context = setup({ files });
    context.write({ 'a.txt': 'changed\n' });
    const first = await capture(context);
    context.git('update-ref', '-d', first.ref);
    const second = await capture(context);
    context.git('commit', '--quiet', '--all', '--message=second');

    const third = await capture(context);

    expect(second.unchangedSince).toBeUndefined();
    expect(third).toMatchObject({ tree: first.tree, diffStat: { filesChanged: 0 } });
    expect(third.unchangedSince).toBeUndefined();
  });

  test('given a change that the clean conversion takes away again, when captured, it is seen', async () => {
    const context = setup({ files: { '.gitattributes': '*.c ident\n', 'a.c': '$Id$\n' } });
    context.remove('a.c');
    context.git('checkout', '--', 'a.c');
    const expanded = readFileSync(join(context.path, 'a.c'), 'utf8');
    const first = await capture(context);
    context.write({ 'a.c': expanded.replace(/[0-9a-f]{40}/, 'f'.repeat(40)) });
    const readOnly = { ...context.env, GIT_OPTIONAL_LOCKS: '0' };
    expect(runGit(context.path, readOnly, ['status', '--porcelain'])).toBe('');

    const second = await capture(context);

    const { files: changed } = await diffCheckpoints(first, second, { env: context.env });
    expect(changed.map(({ path }) => path)).toEqual(['a.c']);
  });

  test('given refs deleted and everything unreachable pruned, when captured again, the snapshot is whole all the same', async () => {
    const context = setup({ files, manager: { clock: createManualClock({ nowMs: LATER_MS }) } });
    context.write({ 'a.txt': 'changed\n', 'new.txt': 'remembered\n' });
    const first = await capture(context);
    context.git('update-ref', '-d', first.ref);
    context.git('prune', '--expire=now');

    const same = await capture(context);
    expect(same).toMatchObject({ tree: first.tree, files: [{ fileName: '0002/changes.patch' }, {}] });
    context.git('update-ref', '-d', same.ref);
    context.git('prune', '--expire=now');
    context.write({ 'b.txt': 'one more\n' });
    await capture(context);

    const { problems } = await verifyCheckpoints(context.directory, { env: context.env });
    expect(problems.filter(({ seq }) => seq === 3)).toEqual([]);
  });

  test('given a change that keeps size and times, when captured right after, it is seen', async () => {
    const context = setup({ files });
    context.write({ 'a.txt': 'aaaa\n' });
    const first = await capture(context);
    context.write({ 'a.txt': 'bbbb\n' });

    const second = await capture(context);

    expect(second.tree).not.toBe(first.tree);
  });
});

describe('the index', () => {
  test('given staged content that differs from the disk, when captured with it, replay brings both back', async () => {
    const context = setup({ files });
    context.write({ 'a.txt': 'staged\n' });
    context.git('add', 'a.txt');
    context.write({ 'a.txt': 'on disk\n' });
    const record = await context.manager.writeGitDiff({ worktree: context.path, includeIndex: true });
    const repo = cloneOfBase(context, record);

    for (const [from, source] of [['ref', context.path] as const, ['patch', repo] as const]) {
      const directory = join(context.temp, from);
      await replayCheckpoint(record, { directory, from, repo: source, env: context.env });

      const git = (...args: string[]): string => runGit(directory, context.env, args);
      expect(git('show', ':a.txt')).toBe('staged\n');
      expect(readFileSync(join(directory, 'a.txt'), 'utf8')).toBe('on disk\n');
      expect(git('status', '--porcelain')).toBe('MM a.txt\n');
    }
  });
});

describe('diffCheckpoints', () => {
  test('given two snapshots and the base, when compared, files, counts and patches are told', async () => {
    const context = setup({ files });
    context.write({ 'a.txt': 'one\nTWO\nthree\n' });
    const a = await capture(context);
    context.write({ 'new file.bin': Buffer.from([0, 1]), 'b.txt': { link: 'a.txt' } });
    context.remove('dir');
    writeFileSync(context.bytes('caf\xe9'), 'x\n');
    const b = await capture(context);

    const between = await diffCheckpoints(a, b, { env: context.env });
    const toBase = await diffCheckpoints(a, 'base', { env: context.env, from: 'patch' });

    expect(between.files).toMatchObject([
      { path: 'b.txt', status: 'type-changed' },
      { path: 'caf\ufffd', pathBase64: 'Y2Fm6Q==', status: 'added', insertions: 1 },
      { path: 'dir/c.txt', status: 'deleted', deletions: 1 },
      { path: 'new file.bin', status: 'added', insertions: null },
    ]);
    expect(between.diffStat.filesChanged).toBe(4);
    expect(await between.patch({ path: 'dir/c.txt' })).toContain('deleted file mode 100644');
    expect(await between.patch(between.files[1] ?? { path: '' })).toContain('+x');
    expect(toBase.files).toMatchObject([{ path: 'a.txt', insertions: 1, deletions: 1 }]);
    expect((await diffCheckpoints('base', a, { env: context.env })).files).toMatchObject([{ path: 'a.txt' }]);
    await expect(diffCheckpoints('base', 'base')).rejects.toThrow(TypeError);
  });
});

describe('restoreCheckpoint', () => {
  test('given a tree that went on, when restored, tracked and untracked are as captured, ignored and the index stay', async () => {
    const context = setup({ files });
    context.write({
      'a.txt': 'good\n',
      'kept/untracked.txt': 'u\n',
      swap: 'file\n',
      'run.sh': { executable: 'x\n' },
    });
    context.remove('b.txt');
    const good = await capture(context);
    const wanted = readTree(context.path);
    context.remove('kept', 'swap', 'run.sh');
    context.write({
      'a.txt': 'bad\n',
      'b.txt': 'back\n',
      'swap/inner/x.txt': 'dir\n',
      'junk/deep/file': 'j\n',
      'noise.log': 'log\n',
    });
    context.git('add', 'a.txt');

    const result = await restoreCheckpoint(good, {
      worktree: context.path,
      manager: context.manager,
      env: context.env,
    });

    expect(readTree(context.path, ['noise.log'])).toEqual(wanted);
    expect(existsSync(join(context.path, 'junk'))).toBe(false);
    expect(readFileSync(join(context.path, 'noise.log'), 'utf8')).toBe('log\n');
    expect(context.git('show', ':a.txt')).toBe('bad\n');
    expect((await capture(context)).tree).toBe(good.tree);

    await restoreCheckpoint(result.before, {
      worktree: context.path,
      manager: context.manager,
      env: context.env,
    });
    expect(readFileSync(join(context.path, 'swap/inner/x.txt'), 'utf8')).toBe('dir\n');
  });

  test('given something in the way that no checkpoint holds, when restored, it is refused before anything changes', async () => {
    const context = setup({ files });
    context.write({ big: 'small\n', '.env.log': 'captured by name\n' });
    const good = await context.manager.writeGitDiff({ worktree: context.path, includeIgnored: ['.env.log'] });
    context.write({ big: 'x'.repeat(100), 'a.txt': 'later\n' });
    const before = readTree(context.path);
    const manager = context.manager;

    const tooLarge = restoreCheckpoint(good, {
      worktree: context.path,
      manager,
      capture: { maxFileBytes: 50 },
      env: context.env,
    });
    await expect(tooLarge).rejects.toMatchObject({ code: 'would-lose-content' });
    expect(readTree(context.path)).toEqual(before);
    context.write({ '.env.log': 'ignored, changed and held by nobody\n' });
    const ignored = restoreCheckpoint(good, { worktree: context.path, manager, env: context.env });
    await expect(ignored).rejects.toMatchObject({ code: 'would-lose-content' });

    await restoreCheckpoint(good, {
      worktree: context.path,
      manager,
      capture: { includeIgnored: ['.env.log'] },
      env: context.env,
    });
    expect(readFileSync(join(context.path, '.env.log'), 'utf8')).toBe('captured by name\n');
  });

  test('given a path the snapshot left out, when restored, it is left alone', async () => {
    const context = setup({ files });
    context.write({ huge: 'h'.repeat(100), 'a.txt': 'good\n' });
    const options = { worktree: context.path, maxFileBytes: 50 };
    const good = await context.manager.writeGitDiff(options);
    context.write({ 'a.txt': 'bad\n' });

    const result = await restoreCheckpoint(good, {
      worktree: context.path,
      manager: context.manager,
      capture: { maxFileBytes: 50 },
      env: context.env,
    });

    expect(result).toMatchObject({
      written: 1,
      removed: 0,
      untouched: [{ path: 'huge', reason: 'too-large' }],
    });
    expect(readFileSync(join(context.path, 'huge'), 'utf8')).toHaveLength(100);
  });
});

describe('replayCheckpoint', () => {
  test('given a base that moved without touching the same lines, when replayed onto it, both changes are there', async () => {
    const context = setup({ files });
    context.write({ 'a.txt': 'ONE\ntwo\nthree\n', 'new.txt': 'n\n' });
    const record = await capture(context);
    moveBase(context, 'one\ntwo\nTHREE\n');
    const directory = join(context.temp, 'onto');

    const result = await replayCheckpoint(record, { directory, onto: 'main', env: context.env });

    expect(result).toMatchObject({ outcome: 'replayed', head: context.git('rev-parse', 'main').trim() });
    expect(readFileSync(join(directory, 'a.txt'), 'utf8')).toBe('ONE\ntwo\nTHREE\n');
    expect(runGit(directory, context.env, ['status', '--porcelain'])).toBe(' M a.txt\n?? new.txt\n');
  });

  test('given a base that moved over the same lines, when replayed onto it, the conflicts are listed and nothing is made', async () => {
    const context = setup({ files });
    context.write({ 'a.txt': 'ONE\ntwo\nthree\n', 'new.txt': 'n\n' });
    const record = await capture(context);
    moveBase(context, 'uno\ntwo\nthree\n');
    const directory = join(context.temp, 'onto');

    const result = await replayCheckpoint(record, {
      directory,
      onto: 'main',
      from: 'patch',
      env: context.env,
    });

    expect(result).toEqual({ outcome: 'conflicts', conflicts: [{ path: 'a.txt' }] });
    expect(existsSync(directory)).toBe(false);
    expect(context.git('worktree', 'list', '--porcelain').match(/^worktree /gm)).toHaveLength(1);
  });

  test('given a patch that was changed, when replayed from it, it is refused and nothing is left', async () => {
    const context = setup({ files });
    context.write({ 'a.txt': 'changed\n' });
    const record = await capture(context);
    appendFileSync(join(context.directory, '0001/changes.patch'), '\n');
    const directory = join(context.temp, 'back');

    const replayed = replayCheckpoint(record, { directory, from: 'patch', env: context.env });

    await expect(replayed).rejects.toMatchObject({ code: 'replay-mismatch' });
    expect(existsSync(directory)).toBe(false);
  });

  test('given a record whose tree is another one, when replayed, the first differing path is named', async () => {
    const context = setup({ files });
    context.write({ 'a.txt': 'changed\n' });
    const first = await capture(context);
    context.write({ 'b.txt': 'changed too\n' });
    const second = await capture(context);
    const directory = join(context.temp, 'back');

    const replayed = replayCheckpoint(
      { ...first, tree: second.tree },
      { directory, from: 'patch', env: context.env },
    );

    await expect(replayed).rejects.toMatchObject({
      code: 'replay-mismatch',
      message: expect.stringContaining('"b.txt"') as string,
    });
  });

  test('given a directory that holds something, or no base, when replayed, it is refused', async () => {
    const context = setup({ files });
    context.write({ 'a.txt': 'changed\n' });
    const record = await capture(context);
    const empty = join(context.temp, 'empty.git');
    runGit(context.temp, context.env, ['init', '--quiet', '--bare', empty]);

    const full = replayCheckpoint(record, { directory: context.path, env: context.env });
    await expect(full).rejects.toMatchObject({ code: 'directory-not-empty' });
    const baseless = replayCheckpoint(record, {
      directory: join(context.temp, 'x'),
      repo: empty,
      env: context.env,
    });
    await expect(baseless).rejects.toMatchObject({ code: 'snapshot-unavailable' });
    const refless = replayCheckpoint(record, {
      directory: join(context.temp, 'x'),
      from: 'ref',
      repo: cloneOfBase(context, record),
      env: context.env,
    });
    await expect(refless).rejects.toMatchObject({ code: 'snapshot-unavailable' });
  });

  test('given an empty clone, when replayed into it, it holds the tree on the base', async () => {
    const context = setup({ files });
    context.write({ 'a.txt': 'changed\n', 'new.txt': 'n\n' });
    const record = await capture(context);
    const clone = join(context.temp, 'clone');
    runGit(context.temp, context.env, ['clone', '--quiet', '--no-checkout', context.path, clone]);

    await replayCheckpoint(record, { emptyWorktree: clone, env: context.env });

    expect(readTree(clone)).toEqual(readTree(context.path));
    expect(runGit(clone, context.env, ['status', '--porcelain'])).toBe(' M a.txt\n?? new.txt\n');
    expect(runGit(clone, context.env, ['rev-parse', 'HEAD']).trim()).toBe(record.baseCommit);
  });

  test('given a summary, when replayed, it is refused', async () => {
    const context = setup();
    const record = await context.manager.writeSummary({ summary: 'x' });

    const replayed = replayCheckpoint(record, { directory: join(context.temp, 'x') });
    await expect(replayed).rejects.toMatchObject({ code: 'not-a-snapshot' });
  });

  test('given the recipe in the record, when followed by hand, git gives the expected tree', async () => {
    const context = setup({ files });
    context.write({ 'a.txt': 'changed  \n', 'new.bin': Buffer.from([0, 255]) });
    const { replay, directory } = await capture(context);
    const byHand = join(context.temp, 'by-hand');
    context.git('worktree', 'add', '--quiet', '--detach', byHand, replay.baseRef ?? '');

    runGit(byHand, context.env, [...replay.args, join(directory, '0001/changes.patch')]);

    expect(runGit(byHand, context.env, ['write-tree']).trim()).toBe(replay.expectTree);
  });
});

describe('forkCheckpoint', () => {
  test('given a snapshot, when forked, a new branch has the changes uncommitted, and a second fork to it is refused', async () => {
    const context = setup({ files });
    context.write({ 'a.txt': 'changed\n', 'new.txt': 'n\n' });
    const record = await capture(context);
    const directory = join(context.temp, 'fork');

    await forkCheckpoint(record, { directory, branch: 'try/again', env: context.env });

    expect(runGit(directory, context.env, ['status', '--porcelain', '--branch'])).toBe(
      '## try/again\n M a.txt\n?? new.txt\n',
    );
    const again = forkCheckpoint(record, {
      directory: join(context.temp, 'x'),
      branch: 'try/again',
      env: context.env,
    });
    await expect(again).rejects.toMatchObject({ code: 'branch-exists' });
    const wrong = forkCheckpoint(record, {
      directory: join(context.temp, 'x'),
      branch: '..',
      env: context.env,
    });
    await expect(wrong).rejects.toThrow(TypeError);
  });
});

describe('verifyCheckpoints', () => {
  test('given damage of every kind, when verified, each is found and nothing else', async () => {
    const context = setup({ files });
    const contents = ['1', '2', '3', '4', '5'];
    for (const content of contents) {
      context.write({ 'a.txt': content });
      await capture(context);
    }
    expect(await verifyCheckpoints(context.directory, { env: context.env })).toMatchObject({
      verified: [1, 2, 3, 4, 5],
      problems: [],
    });
    writeFileSync(join(context.directory, '0001/status.z'), 'other');
    rmSync(join(context.directory, '0002/status.z'));
    context.git('update-ref', '-d', 'refs/conductor/run-1/3');
    context.git('update-ref', 'refs/conductor/run-1/4', 'refs/conductor/run-1/5');
    appendFileSync(join(context.directory, '0005/changes.patch'), 'x');
    mkdirSync(join(context.directory, '0006'));

    const report = await verifyCheckpoints(context.directory, { env: context.env });

    expect(report.problems.map(({ seq, problem }) => [seq, problem])).toEqual([
      [1, 'file-changed'],
      [2, 'file-missing'],
      [3, 'ref-unusable'],
      [4, 'ref-unusable'],
      [5, 'file-changed'],
      [5, 'patch-unusable'],
    ]);
    expect(report.unfinished).toEqual([6]);
  });

  test('given a repository that is gone, when verified, the snapshots are the problem', async () => {
    const context = setup({ files });
    context.write({ 'a.txt': 'x' });
    await capture(context);
    context.remove('.git');

    const { problems } = await verifyCheckpoints(context.directory, { env: context.env });

    expect(problems.map(({ problem }) => problem)).toEqual(['ref-unusable', 'patch-unusable']);
  });
});

describe('prune', () => {
  test('given a policy, when pruned, records, files and refs go, originals of kept ones stay, numbers never return', async () => {
    const clock = createManualClock();
    const context = setup({ files, manager: { clock } });
    for (const content of ['1', '2', '3']) {
      context.write({ 'a.txt': content });
      await capture(context);
      await context.manager.writeSummary({ summary: content });
    }
    const same = await capture(context);
    expect(same).toMatchObject({ seq: 7, unchangedSince: 5 });
    context.git('update-ref', 'refs/conductor/run-1/99', 'HEAD');
    mkdirSync(join(context.directory, '0009'));

    const result = await context.manager.prune({ keepFirst: true, keepLast: 1 });

    expect(result).toMatchObject({ removed: [3, 4, 6], kept: [1, 2, 5, 7], unreachable: [] });
    expect(refs(context)).toEqual(['refs/conductor/run-1/1', 'refs/conductor/run-1/5']);
    expect(await verifyCheckpoints(context.directory, { env: context.env })).toMatchObject({
      problems: [],
      unfinished: [],
    });
    await context.manager.prune({});
    expect(await context.manager.list()).toEqual([]);
    expect(refs(context)).toEqual([]);
    expect(await context.reopen().writeSummary({ summary: 'next' })).toMatchObject({ seq: 10 });
  });

  test('given ages and a missing repository, when pruned, the young stay and the repository is named', async () => {
    const clock = createManualClock();
    const context = setup({ files, manager: { clock } });
    await capture(context);
    await clock.advance(60_000);
    await context.manager.writeSummary({ summary: 'young' });
    context.remove('.git');

    const result = await context.manager.prune({ keepYoungerThanMs: 30_000 });

    expect(result).toMatchObject({
      removed: [1],
      kept: [2],
      unreachable: [{ repository: join(context.path, '.git') }],
    });
    await expect(context.manager.prune({ keepLast: -1 })).rejects.toThrow(RangeError);
  });
});

/** So late that no file's times are in doubt, and everything is remembered. */
const LATER_MS = Date.UTC(2100, 0, 1);

function capture(context: Pick<Setup, 'manager' | 'path'>): Promise<GitDiffRecord> {
  return context.manager.writeGitDiff({ worktree: context.path });
}

function refs(context: Setup): string[] {
  const output = context.git('for-each-ref', '--format=%(refname)', 'refs/conductor');
  return output.split('\n').filter((ref) => ref !== '');
}

/** Another commit on main, made elsewhere. */
function moveBase(context: Setup, content: string): void {
  const elsewhere = join(context.temp, 'elsewhere');
  context.git('worktree', 'add', '--quiet', '--detach', elsewhere, 'main');
  writeFileSync(join(elsewhere, 'a.txt'), content);
  runGit(elsewhere, context.env, ['commit', '--quiet', '--all', '--message=moved']);
  const moved = runGit(elsewhere, context.env, ['rev-parse', 'HEAD']).trim();
  context.git('worktree', 'remove', '--force', elsewhere);
  context.git('update-ref', 'refs/heads/main', moved);
}
