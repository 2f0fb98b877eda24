import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { describe, expect, onTestFinished, test } from 'vitest';

import { judgeGit, judgeNode, judgePath } from '../src/doctor/machine-checks.ts';
import { TIMES } from './fixtures/daemon.ts';
import { createScratch, type Scratch, until } from './fixtures/scratch.ts';

interface Report {
  readonly isHealthy: boolean;
  readonly checks: readonly { readonly name: string; readonly status: string; readonly mend?: string }[];
}

async function examine(scratch: Scratch): Promise<Report & { readonly exitCode: number | null }> {
  const { stdout, exitCode } = await scratch.conductor('doctor', '--json');
  return { ...(JSON.parse(stdout) as Report), exitCode };
}

describe('conductor doctor', () => {
  test('given a sound machine with a daemon, nothing is bad, and it exits with 0 and leaves no node behind', async () => {
    const scratch = createScratch({ 'conductor.yaml': TIMES });
    scratch.start('start', '--node-id', 'n');
    await until('the daemon is up', async () => (await scratch.conductor('nodes')).stdout.includes('live'));

    const report = await examine(scratch);

    expect(report).toMatchObject({ isHealthy: true, exitCode: 0 });
    const statusByName = Object.fromEntries(report.checks.map(({ name, status }) => [name, status]));
    expect(statusByName).toMatchObject({ store: 'ok', 'file system': 'ok', node: 'ok', daemon: 'ok' });
    const { stdout } = await scratch.conductor('nodes', '--json');
    expect((JSON.parse(stdout) as { nodes: unknown[] }).nodes).toHaveLength(1);
  });

  test('given a store that is no file, it is bad, says how to mend it, and exits with 1', async () => {
    const scratch = createScratch({ 'conductor.yaml': 'store: sqlite:folder\n', 'folder/x': '' });

    const report = await examine(scratch);
    const { stdout } = await scratch.conductor('doctor');

    expect(report).toMatchObject({ isHealthy: false, exitCode: 1 });
    expect(report.checks[0]).toMatchObject({ name: 'store', status: 'bad' });
    expect(report.checks[0]?.mend).toContain('can be read and written');
    expect(stdout).toMatch(/^bad {3}store/m);
  });

  test('given a state directory others can read and no daemon, both are warnings', async () => {
    const scratch = createScratch();
    mkdirSync(path.join(scratch.dir, '.conductor'));
    chmodSync(path.join(scratch.dir, '.conductor'), 0o755);

    const report = await examine(scratch);

    expect(report.exitCode).toBe(0);
    expect(report.checks.filter(({ status }) => status === 'warn').map(({ name }) => name)).toEqual(
      expect.arrayContaining(['daemon', 'state directory']),
    );
  });
});

describe('judgements', () => {
  test.for([
    ['22.17.1', 'bad'],
    ['22.18.0', 'ok'],
    ['23.9.0', 'bad'],
    ['24.0.0', 'ok'],
    ['26.1.0', 'ok'],
  ] as const)('given Node %s, it is %s', ([version, status]) => {
    expect(judgeNode(version).status).toBe(status);
  });

  test.for([
    ['git version 2.45.1', 'ok'],
    ['git version 2.36.0 (Apple Git-1)', 'warn'],
    ['git version 2.20.1', 'bad'],
    [undefined, 'warn'],
  ] as const)('given %s, it is %s', ([said, status]) => {
    expect(judgeGit(said).status).toBe(status);
  });

  test('given a foreign conductor before ours on PATH, it says so; ours by link or by script is fine', () => {
    const top = mkdtempSync(path.join(tmpdir(), 'conductor-path-'));
    onTestFinished(() => rmSync(top, { recursive: true, force: true }));
    const [root, foreign, linked, script] = ['root', 'foreign', 'linked', 'script'].map((name) => {
      const folder = path.join(top, name);
      mkdirSync(folder);
      return folder;
    }) as [string, string, string, string];
    writeFileSync(path.join(root, 'bin.js'), '');
    writeFileSync(path.join(foreign, 'conductor'), '#!/usr/bin/env python\n');
    symlinkSync(path.join(root, 'bin.js'), path.join(linked, 'conductor'));
    writeFileSync(path.join(script, 'conductor'), 'exec node ../@conductor-run/conductor/dist/bin.js "$@"\n');

    expect(judgePath(`${foreign}:${linked}`, root)).toMatchObject({
      status: 'warn',
      detail: `${foreign}/conductor is another program`,
    });
    expect(judgePath(`${linked}:${foreign}`, root).status).toBe('ok');
    expect(judgePath(script, root).status).toBe('ok');
    expect(judgePath('/nowhere', root).detail).toBe('conductor is not on PATH');
  });
});
