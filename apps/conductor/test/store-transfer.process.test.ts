import { existsSync, readdirSync, readFileSync, statSync, watch, writeFileSync } from 'node:fs';
import path from 'node:path';

import { openJobStore } from '@conductor-run/job-store';
import { describe, expect, onTestFinished, test } from 'vitest';

import { createScratch, type Scratch } from './fixtures/scratch.ts';

async function fillStore({ dir }: Scratch, jobs: number): Promise<void> {
  const store = await openJobStore({ path: path.join(dir, '.conductor/conductor.db') });
  for (let from = 0; from < jobs; from += 10_000)
    await store.enqueueMany(
      Array.from({ length: Math.min(10_000, jobs - from) }, (_, i) => ({ kind: 'k', key: `${from + i}` })),
    );
  await store.close();
}

/** Resolves once a file of that name is in the directory. */
function appears(dir: string, name: string): Promise<void> {
  return new Promise((resolve) => {
    const watcher = watch(dir, (_event, file) => {
      if (file === name) resolve();
    });
    onTestFinished(() => watcher.close());
  });
}

describe('store export', () => {
  test('given an export that is killed while it writes, its file is not there, and the next one is whole', async () => {
    const scratch = createScratch({ 'conductor.yaml': 'jobs: {}\n' });
    await scratch.conductor('store', 'migrate');
    await fillStore(scratch, 60_000);
    const target = path.join(scratch.dir, 'jobs.ndjson');
    const begun = appears(scratch.dir, 'jobs.ndjson.part');
    const { child, ended } = scratch.start('store', 'export', 'jobs.ndjson');

    await begun;
    child.kill('SIGKILL');
    await ended;

    expect(existsSync(target)).toBe(false);
    expect((await scratch.conductor('store', 'export', 'jobs.ndjson')).exitCode).toBe(0);
    const lines = readFileSync(target, 'utf8').trimEnd().split('\n');
    expect(JSON.parse(lines.at(-1) ?? '')).toEqual({ records: lines.length - 2 });
    expect(statSync(target).mode & 0o777).toBe(0o600);
    expect(readdirSync(scratch.dir).filter((name) => name.endsWith('.part'))).toEqual([]);
  });

  test('given a file of that name, it is left alone', async () => {
    const scratch = createScratch({ 'conductor.yaml': 'jobs: {}\n', 'jobs.ndjson': 'older' });

    const result = await scratch.conductor('store', 'export', 'jobs.ndjson');

    expect(result.exitCode).not.toBe(0);
    expect(result.stderr).toContain('it exists already, expected no file here');
    expect(readFileSync(path.join(scratch.dir, 'jobs.ndjson'), 'utf8')).toBe('older');
  });
});

describe('store import', () => {
  test('given an export that was cut off at the end of a line, it takes in nothing and says so', async () => {
    const scratch = createScratch({ 'conductor.yaml': 'jobs: {}\n' });
    await scratch.conductor('store', 'migrate');
    await fillStore(scratch, 10);
    await scratch.conductor('store', 'export', 'jobs.ndjson');
    const lines = readFileSync(path.join(scratch.dir, 'jobs.ndjson'), 'utf8').split('\n');
    writeFileSync(path.join(scratch.dir, 'cut.ndjson'), `${lines.slice(0, 5).join('\n')}\n`);

    const cut = await scratch.conductor('store', 'import', 'cut.ndjson', '--store', 'sqlite:new.db');
    const whole = await scratch.conductor('store', 'import', 'jobs.ndjson', '--store', 'sqlite:new.db');

    expect(cut.exitCode).not.toBe(0);
    expect(cut.stderr).toContain('cut off');
    expect(whole.exitCode).toBe(0);
  });
});
