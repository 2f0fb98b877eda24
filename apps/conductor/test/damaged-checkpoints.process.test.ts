import { globSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { describe, expect, test } from 'vitest';

import { createScratch, type Scratch } from './fixtures/scratch.ts';

/** A run whose first git checkpoint has the patch, and whose second one equals it. */
async function recordedRun(): Promise<{ readonly scratch: Scratch; readonly index: string }> {
  const scratch = createScratch({
    'conductor.yaml': 'jobs: {}\n',
    'a.txt': 'one\n',
    '.gitignore': '.conductor\n',
  });
  scratch.git('init', '--quiet', '--initial-branch=main');
  scratch.git('add', '--all');
  scratch.git('commit', '--quiet', '--message=start');
  scratch.write({ 'a.txt': 'two\n' });
  await scratch.conductor('exec', '--', 'true');
  const [index = ''] = globSync('.conductor/**/index.ndjson', { cwd: scratch.dir });
  return { scratch, index: path.join(scratch.dir, index) };
}

describe('conductor checkpoints verify', () => {
  test('given a line of the index that was damaged, it is said and the exit status is 1', async () => {
    const { scratch, index } = await recordedRun();
    const lines = readFileSync(index, 'utf8').split('\n');
    writeFileSync(index, lines.with(0, `X${lines[0]?.slice(1) ?? ''}`).join('\n'));

    const { exitCode, stdout, stderr } = await scratch.conductor('checkpoints', 'verify', 'last');

    expect(exitCode).toBe(1);
    expect(stdout).toContain('line-unreadable line 1 of the index');
    expect(stdout).toContain(', 1 problems');
    expect(stderr).toContain('without a record 1');
  });
});

describe('conductor runs diff', () => {
  test('given a checkpoint that equals one whose line is damaged, it says which one is missing', async () => {
    const { scratch, index } = await recordedRun();
    const lines = readFileSync(index, 'utf8').split('\n');
    const original = lines.findIndex((line) => line.includes('"type":"git_diff"'));
    const copy = (lines[original] ?? '')
      .replace(/"seq":\d+/, '"seq":99,"unchangedSince":98')
      .replace(/"files":\[[^\]]*\]/, '"files":[]');
    writeFileSync(index, lines.with(original, copy).join('\n'));

    const { exitCode, stderr } = await scratch.conductor('runs', 'diff', 'last');

    expect(exitCode).not.toBe(0);
    expect(stderr).toContain('it equals checkpoint "98", which cannot be read');
  });
});
