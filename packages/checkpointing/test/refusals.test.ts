/** What is refused, and what is said. */
import { mkdirSync, realpathSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { createCheckpointManager } from '@conductor-run/checkpointing';
import { createManualClock } from '@conductor-run/clock';
import { describe, expect, test } from 'vitest';
import { gitRepo, runGit } from './fixtures/git-repo.ts';
import { setup } from './fixtures/setup.ts';

describe('writeGitDiff', () => {
  test('given the home directory, when captured, it is refused, also by way of a link', async () => {
    const context = setup();
    const home = context.env['HOME'] ?? '';
    runGit(home, context.env, ['init', '--quiet']);
    symlinkSync(home, join(context.temp, 'link'));

    const direct = context.manager.writeGitDiff({ worktree: home });
    await expect(direct).rejects.toMatchObject({ code: 'unsafe-worktree' });
    const linked = context.manager.writeGitDiff({ worktree: join(context.temp, 'link') });
    await expect(linked).rejects.toMatchObject({ code: 'unsafe-worktree' });
  });

  test('given the root directory, when captured, it is refused', async () => {
    const context = setup();

    await expect(context.manager.writeGitDiff({ worktree: '/' })).rejects.toMatchObject({
      code: 'unsafe-worktree',
    });
  });

  test('given a bare repository, when captured, it is refused', async () => {
    const context = setup();
    const bare = join(context.temp, 'bare.git');
    runGit(context.temp, context.env, ['init', '--quiet', '--bare', bare]);

    await expect(context.manager.writeGitDiff({ worktree: bare })).rejects.toMatchObject({
      code: 'bare-repository',
    });
  });

  test('given a folder that is no repository, or none at all, when captured, it is refused', async () => {
    const context = setup();

    const folder = context.manager.writeGitDiff({ worktree: context.temp });
    await expect(folder).rejects.toMatchObject({ code: 'not-a-repository' });
    const nothing = context.manager.writeGitDiff({ worktree: join(context.temp, 'none') });
    await expect(nothing).rejects.toMatchObject({ code: 'not-a-repository' });
  });

  test('given a folder inside a work tree, when captured, it is refused and the top is named', async () => {
    const context = setup({ files: { 'dir/a.txt': 'a' } });

    const captured = context.manager.writeGitDiff({ worktree: join(context.path, 'dir') });

    await expect(captured).rejects.toMatchObject({
      code: 'not-a-worktree-root',
      message: expect.stringContaining(`"${realpathSync(context.path)}"`) as string,
    });
  });

  test.for(['runs', '..runs'])(
    'given a run directory "%s" inside the work tree, when captured, it is refused until ignored',
    async (folder) => {
      const repo = gitRepo({ files: { 'a.txt': 'a' } });
      const { path, env } = repo;
      const directory = join(path, folder, '1/checkpoints');
      const manager = createCheckpointManager({ taskId: 't', stepId: 's', runId: 'r', directory, env });

      await expect(manager.writeGitDiff({ worktree: path })).rejects.toMatchObject({
        code: 'run-directory-captured',
      });
      repo.write({ '.gitignore': `${folder}/\n` });

      await expect(manager.writeGitDiff({ worktree: path })).resolves.toMatchObject({
        type: 'git_diff',
        leftOut: [],
      });
    },
  );

  test('given a base that does not exist, when captured, it is refused', async () => {
    const context = setup({ files: { a: 'a' } });

    const captured = context.manager.writeGitDiff({ worktree: context.path, baseRef: 'no-such-branch' });

    await expect(captured).rejects.toMatchObject({ code: 'unknown-base' });
    await expect(context.manager.writeGitDiff({ worktree: context.path, baseRef: '--all' })).rejects.toThrow(
      TypeError,
    );
  });

  test('given no git on PATH, when captured, it is said', async () => {
    const context = setup({ files: { a: 'a' }, manager: { env: { PATH: '/nonexistent' } } });

    await expect(context.manager.writeGitDiff({ worktree: context.path })).rejects.toMatchObject({
      code: 'git-missing',
    });
  });

  test('given an aborted signal, when captured, it rejects with the reason and leaves no record', async () => {
    const context = setup({ files: { a: 'a' } });
    const reason = new Error('enough');

    const captured = context.manager.writeGitDiff({
      worktree: context.path,
      signal: AbortSignal.abort(reason),
    });

    await expect(captured).rejects.toBe(reason);
    expect(await context.manager.list()).toEqual([]);
  });

  test('given a known secret, when captured, it is flagged, or refused when asked to', async () => {
    const redactor = {
      redact: (text: string) => text.replaceAll('hunter22', '[redacted]'),
      contains: (bytes: Uint8Array) => Buffer.from(bytes).includes('hunter22'),
    };
    const context = setup({ files: { a: 'a' }, manager: { redactor } });
    context.write({ 'config.ini': 'password = hunter22\n', 'fine.txt': 'fine\n' });

    const flagged = await context.manager.writeGitDiff({ worktree: context.path });
    expect(flagged.secretPaths).toEqual([{ path: 'config.ini' }]);
    context.write({ 'fine.txt': 'changed, so that there is something to refuse\n' });
    const refused = context.manager.writeGitDiff({ worktree: context.path, refuseSecrets: true });

    await expect(refused).rejects.toMatchObject({ code: 'secret-found' });
    expect(context.git('for-each-ref', '--format=%(refname)', 'refs/conductor')).toBe(`${flagged.ref}\n`);
  });

  test('given a secret seen before, when captured unchanged and refusing, it is still refused', async () => {
    const redactor = {
      redact: (text: string) => text,
      contains: (bytes: Uint8Array) => Buffer.from(bytes).includes('hunter22'),
    };
    // So late that the file is not read again.
    const clock = createManualClock({ nowMs: Date.UTC(2100, 0, 1) });
    const context = setup({ files: { a: 'a' }, manager: { redactor, clock } });
    context.write({ 'config.ini': 'password = hunter22\n' });
    await context.manager.writeGitDiff({ worktree: context.path });

    const refused = context.manager.writeGitDiff({ worktree: context.path, refuseSecrets: true });

    await expect(refused).rejects.toMatchObject({ code: 'secret-found' });
  });
});

describe('createCheckpointManager', () => {
  test.for([
    ['runId', { runId: '../x' }],
    ['runId', { runId: '-x' }],
    ['runId', { runId: 'a.lock' }],
    ['taskId', { taskId: '' }],
    ['stepId', { stepId: 'a/b' }],
    ['directory', { directory: 'relative' }],
  ] as const)('given an unusable %s, when made, it throws', ([name, wrong]) => {
    const { temp } = gitRepo();
    mkdirSync(join(temp, 'x'));

    const make = (): unknown =>
      createCheckpointManager({ taskId: 't', stepId: 's', runId: 'r', directory: join(temp, 'x'), ...wrong });

    expect(make).toThrow(name);
  });
});
