/** Real processes that log into one file, rotate it under each other, and are killed. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { text } from 'node:stream/consumers';

import { describe, expect, onTestFinished, test } from 'vitest';

import { listRotatedLogs } from '../src/index.ts';
import { exitOf, jsonLines, temporaryDirectory } from './fixtures/setup.ts';

const WRITER = join(import.meta.dirname, 'fixtures', 'log-writer.ts');

/** Starts a writer; it waits for `go`. */
async function startWriter(...settings: readonly (string | number)[]) {
  const child = spawn(process.execPath, [WRITER, ...settings.map(String)], { stdio: 'pipe' });
  onTestFinished(() => void child.kill('SIGKILL'));
  const stderr = text(child.stderr);
  await once(createInterface(child.stdout), 'line');
  return { child, stderr, go: (): void => void child.stdin.end() };
}

/** The numbers of each writer, in the order of the files. */
async function numbersByName(file: string): Promise<Map<unknown, unknown[]>> {
  const numbers = new Map<unknown, unknown[]>();
  for (const path of [...(await listRotatedLogs(file)), file]) {
    for (const { name, number } of jsonLines(path)) numbers.set(name, [...(numbers.get(name) ?? []), number]);
  }
  return numbers;
}

async function untilRotated(file: string, count: number, child: ChildProcess): Promise<void> {
  while ((await listRotatedLogs(file)).length < count) {
    if (child.exitCode !== null) throw new Error(`Cannot see ${count} rotations: the writer ended before`);
  }
}

const countUpTo = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

describe('processes that share a log', () => {
  test('given four that write across many rotations, every line is there once and in order', async () => {
    const file = join(temporaryDirectory(), 'daemon.log');
    const names = ['a', 'b', 'c', 'd'];
    const writers = await Promise.all(names.map((name) => startWriter(file, name, 3_000, 8_192, 10_000)));

    for (const { go } of writers) go();
    const exitCodes = await Promise.all(writers.map(({ child }) => exitOf(child)));

    expect(exitCodes).toEqual([0, 0, 0, 0]);
    expect((await listRotatedLogs(file)).length).toBeGreaterThan(30);
    const numbers = await numbersByName(file);
    for (const name of names) expect(numbers.get(name)).toEqual(countUpTo(3_000));
  });

  test('given one that is killed while it writes and rotates, what it wrote is whole and the others go on', async () => {
    const file = join(temporaryDirectory(), 'daemon.log');
    const endless = await startWriter(file, 'endless', Number.MAX_SAFE_INTEGER, 8_192, 10_000);
    const other = await startWriter(file, 'other', 3_000, 8_192, 10_000);

    endless.go();
    await untilRotated(file, 20, endless.child);
    other.go();
    await untilRotated(file, 60, endless.child);
    endless.child.kill('SIGKILL');
    await Promise.all([exitOf(endless.child), exitOf(other.child)]);

    const numbers = await numbersByName(file);
    expect(numbers.get('other')).toEqual(countUpTo(3_000));
    expect(numbers.get('endless')).toEqual(countUpTo(numbers.get('endless')?.length ?? 0));
  });

  test('given a full disk, one that logs and flushes at its end ends with 0 and tells stderr once', async () => {
    const writer = await startWriter('/dev/full', 'a', 1_000);

    writer.go();

    expect(await exitOf(writer.child)).toBe(0);
    expect(await writer.stderr).toMatch(/^Cannot write the log "\/dev\/full": ENOSPC[^\n]*\n$/);
  });
});
