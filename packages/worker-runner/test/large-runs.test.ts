/** What a run leaves behind may be more than fits into one string or one call. */
import { closeSync, mkdirSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { listFiles } from '../src/artifacts.ts';
import { countChunks } from '../src/describe.ts';
import { makeDirectory } from './fixtures/setup.ts';

function unexpected(problem: string): never {
  throw new Error(`Cannot list: ${problem}`);
}

describe('a run that left much behind', () => {
  test('given a timeline longer than a string can be, when its chunks are counted, none is missed', async () => {
    const path = join(makeDirectory(), 'timeline.ndjson');
    const fd = openSync(path, 'w');
    // Nothing but a hole between the first lines and the last one.
    writeSync(fd, '{"channel":"stdout"}\n{"channel":"stderr"}\n{"channel":"stdout"}\n', 0);
    writeSync(fd, '\n{"channel":"stdout"}\n', 600_000_000);
    closeSync(fd);

    expect(await countChunks(path)).toEqual({ stdout: 3, stderr: 1 });
  });

  test('given lines across the borders of blocks, when they are counted, each counts once', async () => {
    const path = join(makeDirectory(), 'timeline.ndjson');
    writeFileSync(path, '{"channel":"stdout"}\n{"channel":"stderr"}\n'.repeat(100_000));

    expect(await countChunks(path)).toEqual({ stdout: 100_000, stderr: 100_000 });
  });

  test('given 130,000 files in a folder, when they are listed, all are there, sorted', () => {
    const root = makeDirectory();
    mkdirSync(join(root, 'folder'));
    const names = Array.from({ length: 130_000 }, (_, index) => String(index).padStart(6, '0'));
    for (const name of names) writeFileSync(join(root, 'folder', name), '');

    const listed = [...listFiles(root, unexpected)];

    expect(listed).toHaveLength(names.length);
    expect(listed.at(-1)).toBe(join(root, 'folder', '129999'));
  });
});
