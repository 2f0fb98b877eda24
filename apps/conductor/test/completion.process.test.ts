import { execFileSync } from 'node:child_process';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { createScratch } from './fixtures/scratch.ts';

/** What bash offers behind the words, the last of which is being typed. */
function offersOf(script: string, ...words: readonly string[]): readonly string[] {
  const line = ['conductor', ...words].map((word) => `'${word}'`).join(' ');
  const program = `source '${script}'; COMP_WORDS=(${line}); COMP_CWORD=${words.length}; _conductor; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync('bash', ['--norc', '-c', program], { encoding: 'utf8' }).split('\n').filter(Boolean);
}

async function setup() {
  const scratch = createScratch();
  const { stdout } = await scratch.conductor('completion', 'bash');
  scratch.write({ 'completion.bash': stdout });
  const script = path.join(scratch.dir, 'completion.bash');
  return { scratch, offers: (...words: readonly string[]) => offersOf(script, ...words) };
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

  test('given another shell, it names those there are', async () => {
    const { scratch } = await setup();

    const { exitCode, stderr } = await scratch.conductor('completion', 'tcsh');

    expect(exitCode).toBe(2);
    expect(stderr).toContain('expected one of bash, zsh, fish');
  });
});
