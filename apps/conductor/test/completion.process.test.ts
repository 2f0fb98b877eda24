import { execFileSync } from 'node:child_process';
import { chmodSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { createScratch, type Scratch } from './fixtures/scratch.ts';

/** What bash offers behind the words, the last of which is being typed. */
function offersOf(scratch: Scratch, script: string, ...words: readonly string[]): readonly string[] {
  const line = ['conductor', ...words].map((word) => `'${word}'`).join(' ');
  const program = `source '${script}'; COMP_WORDS=(${line}); COMP_CWORD=${words.length}; _conductor; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const env = { ...process.env, PATH: `${path.join(scratch.dir, 'bin')}:${process.env['PATH'] ?? ''}` };
  const offered = execFileSync('bash', ['--norc', '-c', program], {
    cwd: scratch.dir,
    env,
    encoding: 'utf8',
  });
  return offered.split('\n').filter(Boolean);
}

/** Puts the program on the PATH of `offersOf`. */
function installConductor({ dir, write }: Scratch): void {
  const bin = path.join(import.meta.dirname, '../src/bin.ts');
  write({
    'bin/conductor': `#!/bin/sh\nexec '${process.execPath}' --disable-warning=ExperimentalWarning '${bin}' "$@"\n`,
  });
  chmodSync(path.join(dir, 'bin/conductor'), 0o755);
}

async function setup() {
  const scratch = createScratch();
  const { stdout } = await scratch.conductor('completion', 'bash');
  scratch.write({ 'completion.bash': stdout });
  const script = path.join(scratch.dir, 'completion.bash');
  return { scratch, offers: (...words: readonly string[]) => offersOf(scratch, script, ...words) };
}

describe('conductor completion', () => {
  test('given bash, it offers commands, then subcommands, then options, also behind options and for cdr', async () => {
    const { offers } = await setup();

    expect(offers('')).toEqual(expect.arrayContaining(['run', 'why', 'forecast', 'jobs', 'worktrees']));
    expect(offers('wor')).toEqual(['worktrees']);
    expect(offers('jobs', 'pa')).toEqual(['pause']);
    expect(offers('jobs', 'list', '--st')).toEqual(['--status', '--store', '--state-dir']);
    expect(offers('simulate', '--from', '2027-01-01', '--t')).toEqual(['--to']);
    expect(offers('start', '--max-p')).toEqual(['--max-parallel']);
    expect(offers('why', 'jobs', '--a')).toEqual(['--at', '--api']);
  });

  test.for(['zsh', 'fish'] as const)(
    'given %s, its script knows every command and every option',
    async (shell) => {
      const { scratch } = await setup();

      const script = (await scratch.conductor('completion', shell)).stdout;
      const tree = (await scratch.conductor('completion', shell, '--json')).stdout;

      const names = [...tree.matchAll(/"path": "([^"]+)"/g)].map(([, name = '']) => name);
      const options = [...tree.matchAll(/"long": "--([^"]+)"/g)].map(([, name = '']) => name);
      expect(names.length).toBeGreaterThan(50);
      expect(names.filter((name) => !script.includes(`'${name}'`))).toEqual([]);
      const isKnown = (name: string): boolean =>
        shell === 'zsh' ? script.includes(`'--${name}:`) : script.includes(`-l ${name}`);
      expect(options.filter((name) => !isKnown(name))).toEqual([]);
    },
  );

  test('given a config and runs, jobs are offered where a job is named, and runs where a run is', async () => {
    const { scratch, offers } = await setup();
    scratch.write({
      'conductor.yaml': 'jobs:\n  nightly: { command: "true" }\n  words: { command: "true" }\n',
    });
    await scratch.conductor('run', 'words');
    const { runs } = JSON.parse((await scratch.conductor('runs', 'list', '--json')).stdout) as {
      readonly runs: readonly { readonly runId: string }[];
    };
    installConductor(scratch);

    expect(offers('why', 'n')).toEqual(['nightly']);
    expect(offers('jobs', 'pause', '')).toEqual(expect.arrayContaining(['nightly', 'words']));
    expect(offers('runs', 'show', '')).toEqual(expect.arrayContaining(['last', 'words', runs[0]?.runId]));
    expect(offers('why', '--k')).toEqual(['--key']);
  });

  test('given another shell, it names those there are', async () => {
    const { scratch } = await setup();

    const { exitCode, stderr } = await scratch.conductor('completion', 'tcsh');

    expect(exitCode).toBe(2);
    expect(stderr).toContain('expected one of bash, zsh, fish');
  });
});
