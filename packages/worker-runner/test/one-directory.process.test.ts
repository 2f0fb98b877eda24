/** A runs directory is the same one by whatever name, and a run's processes are known by the name it was started under. */
import { existsSync, readFileSync, renameSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, onTestFinished, test } from 'vitest';

import { adoptRuns, runStep, startSupervised } from '../src/index.ts';
import { readOwner } from '../src/run-record.ts';
import { supervisorDirOf } from '../src/supervisor.ts';
import { isAlive, membersOf, until } from './fixtures/setup.ts';
import { killAndWait, quick, setupSupervised } from './fixtures/supervised.ts';

/** Leaves a process that only the mark gives away. */
const ESCAPE = `setsid sh -c 'echo $$ > kid; exec sleep 300' & while [ ! -s kid ]; do sleep 0.02; done; sleep 300`;

describe('a runs directory', () => {
  test('given other spellings of its path, when steps are started, one supervisor runs all of them', async () => {
    const { root, requestOf, runsDir, supervisorPid } = setupSupervised();
    const first = await startSupervised(requestOf('sleep 0.5'), quick);
    const pid = supervisorPid();
    symlinkSync(runsDir, join(root, 'alias'));
    const names = [`${runsDir}/`, join(root, 'alias'), `${root}/alias/../runs/.`];

    const others = await Promise.all(
      names.map((name) => startSupervised(requestOf('true', { runtime: { runsRootDir: name } }), quick)),
    );

    for (const step of [first, ...others])
      expect(await step.result).toMatchObject({ outcome: 'completed', paths: { runDir: step.runDir } });
    expect(others.every(({ runDir }) => runDir.startsWith(`${runsDir}/task/`))).toBe(true);
    expect(supervisorPid()).toBe(pid);
  });

  test('given a step that runs attached by another name, the mark is that of the one name', async () => {
    const { root, requestOf, runsDir } = setupSupervised();
    symlinkSync(join(root, 'work'), join(root, 'alias'));

    const { paths } = await runStep(
      requestOf('echo $CONDUCTOR_RUN_DIR > named', { runtime: { runsRootDir: join(root, 'alias', 'new') } }),
    );

    expect(existsSync(runsDir)).toBe(false);
    expect(paths.runDir).toBe(join(root, 'work', 'new', 'task', 'run-1'));
    expect(readFileSync(join(root, 'work', 'named'), 'utf8')).toBe(`${paths.runDir}\n`);
  });

  test.for(['link', 'move'] as const)(
    'given a step whose supervisor and wrapper are dead, when it is adopted by another name (%s), nobody of it is left',
    async (how) => {
      const { root, requestOf, runsDir, worktree, killSupervisor, wrapperOf } = setupSupervised();
      const step = await startSupervised(requestOf(ESCAPE), quick);
      step.detach();
      const kid = Number(await until('the kid', () => readIfWritten(join(worktree, 'kid'))));
      const wrapper = await wrapperOf(step.runId);
      await killSupervisor();
      await killAndWait(wrapper);
      const other = join(root, 'other');
      if (how === 'link') symlinkSync(runsDir, other);
      else renameSync(runsDir, other);

      const [adopted] = await adoptRuns(other, quick);
      const result = await adopted?.result;

      expect(result).toMatchObject({ outcome: 'lost', survivors: [] });
      expect(isAlive(kid)).toBe(false);
      expect(membersOf(step.runDir)).toEqual([]);
      await until('the supervisor to end', () => !isAlive(readOwner(supervisorDirOf(other))?.pid ?? 0));
    },
  );

  test('given it is moved while its supervisor has nothing to do, when a step is started, a new supervisor runs it', async () => {
    const { root, requestOf, runsDir, supervisorPid } = setupSupervised();
    await (
      await startSupervised(requestOf('true'), { idleExitMs: 600_000 })
    ).result;
    const pid = supervisorPid();
    onTestFinished(() => void (isAlive(pid) && process.kill(pid, 'SIGKILL')));
    const moved = join(root, 'moved');
    renameSync(runsDir, moved);

    const step = await startSupervised(requestOf('true', { runtime: { runsRootDir: moved } }), quick);

    expect(await step.result).toMatchObject({ outcome: 'completed' });
    expect(isAlive(pid)).toBe(false);
    await until('the other to end', () => !isAlive(readOwner(supervisorDirOf(moved))?.pid ?? 0));
  });
});

function readIfWritten(path: string): string | undefined {
  return existsSync(path) ? readFileSync(path, 'utf8').trim() || undefined : undefined;
}
