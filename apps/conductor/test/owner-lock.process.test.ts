import { execFile } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { promisify } from 'node:util';

import { describe, expect, test } from 'vitest';

import { isTaskOrphaned, lockNode, lockTask } from '../src/owner-lock.ts';
import { createScratch } from './fixtures/scratch.ts';

const RACER = path.join(import.meta.dirname, 'fixtures/lock-racer.ts');
const ROUNDS = 1_500;

async function race(dir: string, self: string, other: string): Promise<readonly number[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [RACER, dir, self, other, String(ROUNDS)]);
  return JSON.parse(stdout) as number[];
}

describe('lockTask', () => {
  test('given two processes that find the same dead lock, one of them gets it', async () => {
    const { dir } = createScratch();
    for (let round = 0; round < ROUNDS; round += 1) {
      const folder = path.join(dir, `task-${round}`, '.owner');
      mkdirSync(folder, { recursive: true });
      writeFileSync(path.join(folder, '7.json'), JSON.stringify({ pid: 1, startTime: -1 }));
    }

    const [one, two] = await Promise.all([race(dir, 'one', 'two'), race(dir, 'two', 'one')]);

    const all = [...one, ...two].toSorted((first, second) => first - second);
    expect(all).toEqual(Array.from({ length: ROUNDS }, (_, round) => round));
  });

  test('given a lock that was let go, the next one has a higher number and no former file stays', () => {
    const { dir } = createScratch();
    lockTask(dir)?.release();

    const lock = lockTask(dir);

    expect(readdirSync(path.join(dir, '.owner'))).toEqual(['2.json']);
    expect(lockTask(dir)).toBeUndefined();
    lock?.release();
    lock?.release();
    expect(readdirSync(path.join(dir, '.owner'))).toEqual(['2.json']);
  });

  test('given a task that is over, its lock leaves nothing behind', () => {
    const { dir } = createScratch();

    lockTask(dir)?.remove();

    expect(existsSync(path.join(dir, '.owner'))).toBe(false);
    expect(isTaskOrphaned(dir)).toBe(false);
  });

  test('given a task that is let go in the middle, it is orphaned until somebody takes it', () => {
    const { dir } = createScratch();
    lockTask(dir)?.release();

    expect(isTaskOrphaned(dir)).toBe(true);
    lockTask(dir);
    expect(isTaskOrphaned(dir)).toBe(false);
  });
});

describe('lockNode', () => {
  test('given a node that was stopped, its name can be taken again and its number never', () => {
    const { dir } = createScratch();
    lockNode(dir, 'n').release();

    lockNode(dir, 'n');

    expect(readdirSync(path.join(dir, 'nodes', 'n'))).toEqual(['2.json']);
    expect(() => lockNode(dir, 'n')).toThrow('Cannot start node "n"');
  });
});
