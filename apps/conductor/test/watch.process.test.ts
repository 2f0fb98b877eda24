import { existsSync, readFileSync, rmSync, utimesSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { linesOf, logOf, TIMES } from './fixtures/daemon.ts';
import { createScratch, type Scratch, until } from './fixtures/scratch.ts';

const ranCount = (scratch: Scratch): number => linesOf(scratch, 'ran.log').length;

async function watermarkOf(scratch: Scratch): Promise<number | undefined> {
  const { stdout } = await scratch.conductor('jobs', 'list', '--json');
  const { jobs } = JSON.parse(stdout) as { jobs: { inputWatermark: number }[] };
  return jobs[0]?.inputWatermark;
}

describe('watch files', () => {
  test('given files that change, are removed, and one dated in the future, the job runs once for each quiet change', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}jobs:\n  index: { command: echo ran >> ran.log, watch: { files: ["docs/**"] } }\n`,
      'docs/a.md': 'one',
      'docs/sub/b.md': 'two',
      'other.txt': 'not watched',
    });
    scratch.start('start');
    await until('the job ran for what is there', () => ranCount(scratch) === 1);

    const future = new Date('2099-01-01T00:00:00Z');
    scratch.write({ 'docs/sub/b.md': 'three' });
    utimesSync(path.join(scratch.dir, 'docs/a.md'), future, future);
    await until('the job ran for the change', () => ranCount(scratch) === 2);
    rmSync(path.join(scratch.dir, 'docs/sub/b.md'));
    await until('the job ran for the removal', () => ranCount(scratch) === 3);
    scratch.write({ 'other.txt': 'changed' });
    const { stdout } = await scratch.conductor('why', 'index', '--json');

    expect((JSON.parse(stdout) as { changes: unknown[] }).changes).toHaveLength(3);
    expect(await watermarkOf(scratch)).toBeLessThan(future.getTime());
    expect(ranCount(scratch)).toBe(3);
  });
});

describe('watch git', () => {
  test('given a commit after a run by hand, the job runs for the commit although its number was taken', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}jobs:\n  ci: { command: echo ran >> ran.log, watch: { git: main } }\n`,
    });
    scratch.git('init', '--quiet', '--initial-branch=main');
    const commit = (): string => scratch.git('commit', '--quiet', '--allow-empty', '--message=more');
    commit();
    scratch.start('start');
    await until('the job ran for the first commit', () => ranCount(scratch) === 1);
    await until('it is done', async () => (await scratch.conductor('run', 'ci')).exitCode === 0);
    expect(await watermarkOf(scratch)).toBe(2);

    commit();

    await until('the job ran for the second commit', () => ranCount(scratch) === 3);
    expect(await watermarkOf(scratch)).toBe(3);
    for (let count = 0; count < 3; count += 1) commit();
    await until('three commits at once or one by one are run for', async () => {
      const { stdout } = await scratch.conductor('jobs', 'show', 'ci', '--json');
      const { job } = JSON.parse(stdout) as { job: { lastSuccessWatermark: number } };
      return job.lastSuccessWatermark >= 5;
    });
  });
});

describe('watch command', () => {
  test('given a command that prints nonsense, it is one warning, the other watch goes on, and it counts again once mended', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}jobs:
  one: { command: echo ran >> ran.log, watch: { command: cat number } }
  two: { command: echo ran >> two.log, watch: { command: "date +%s%N | cut -c 1-12" } }
`,
      number: 'many',
    });
    const { child, ended } = scratch.start('start');
    await until('the warning is there', () => logOf(scratch, 'watch.failed').length === 1);
    await until('the other watch goes on', () => linesOf(scratch, 'two.log').length > 2);
    const warnings = logOf(scratch, 'watch.failed');

    scratch.write({ number: '1742\n' });
    await until('the job ran', () => ranCount(scratch) === 1);
    child.kill('SIGTERM');

    expect((await ended).exitCode).toBe(0);
    expect(warnings).toHaveLength(1);
    expect(warnings[0]?.err?.message).toContain('printed "many", expected one whole number');
    expect(await watermarkOf(scratch)).toBe(1742);
    expect((await scratch.conductor('why', 'one')).stdout).toContain('watches command, acted on up to 1742');
  });

  test('given a command that hangs, schedules go on, and SIGTERM ends the daemon and the command', async () => {
    const scratch = createScratch({
      'conductor.yaml': `${TIMES}jobs:
  stuck: { command: "true", watch: { command: "echo $$ > pid; sleep 15; touch late; sleep 60" } }
  tick: { command: echo ran >> ran.log, schedule: { every: 500ms } }
`,
    });
    const { child, ended } = scratch.start('start');
    await until('slots run beside it', () => ranCount(scratch) >= 2);
    const pid = Number(readFileSync(path.join(scratch.dir, 'pid'), 'utf8'));

    child.kill('SIGTERM');

    expect((await ended).exitCode).toBe(0);
    expect(() => process.kill(pid, 0)).toThrow('ESRCH');
    // It was not waited for either.
    expect(existsSync(path.join(scratch.dir, 'late'))).toBe(false);
  });
});

describe('the watch of the config', () => {
  test('given a watch whose kind, ref or command changes, each definition is run for once, and again when it grows', async () => {
    const scratch = createScratch({ 'docs/a.md': 'one', number: '9' });
    scratch.git('init', '--quiet', '--initial-branch=main');
    const commit = (): string => scratch.git('commit', '--quiet', '--allow-empty', '--message=more');
    for (let count = 0; count < 3; count += 1) commit();
    scratch.git('branch', 'behind', 'main~2');
    const old = new Date('2020-01-01T00:00:00Z');
    for (const name of ['docs', 'docs/a.md']) utimesSync(path.join(scratch.dir, name), old, old);
    const passes = async (watch: string): Promise<number> => {
      const config = `${TIMES}jobs:\n  job: { command: echo ran >> ran.log, watch: ${watch} }\n`;
      scratch.write({ 'conductor.yaml': config });
      for (let pass = 0; pass < 2; pass += 1) await scratch.conductor('start', '--run-once');
      return ranCount(scratch);
    };

    expect(await passes('{ files: ["docs/**"] }')).toBe(1);
    expect(await passes('{ git: main }')).toBe(2);
    expect(await passes('{ git: behind }')).toBe(3);
    expect(await passes('{ command: cat number }')).toBe(4);
    expect(await passes('{ command: echo 5 }')).toBe(5);
    expect((await scratch.conductor('why', 'job')).stdout).toContain('watches command, acted on up to 5');
    expect(await passes('{ git: main }')).toBe(5);
    commit();
    expect(await passes('{ git: main }')).toBe(6);
  });

  test('given two kinds of watch, it is refused', async () => {
    const scratch = createScratch({
      'conductor.yaml': 'jobs:\n  a: { command: x, watch: { git: main, files: ["**"] } }\n',
    });

    const { exitCode, stderr } = await scratch.conductor('config', 'check');

    expect(exitCode).toBe(2);
    expect(stderr).toContain('expected exactly one of files, git, command and job');
  });
});
