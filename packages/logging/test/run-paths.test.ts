import { mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { createRun, LoggingError, openRun, reopenRun, resolveRunPaths } from '../src/index.ts';
import { META, temporaryDirectory } from './fixtures/setup.ts';

describe('resolveRunPaths', () => {
  test.for([
    ['../x'],
    ['a/b'],
    ['a\\b'],
    [''],
    ['.'],
    ['..'],
    ['a..b'],
    ['.hidden'],
    ['-x'],
    ['a\0b'],
    ['a b'],
    ['a\n'],
    ['ä'],
    ['x'.repeat(129)],
    ['x'.repeat(200)],
  ])('given the id %j, it is refused as task and as run before anything is made', ([id = '']) => {
    const runsDir = temporaryDirectory();

    expect(() => resolveRunPaths({ runsDir, taskId: id, runId: 'ok' })).toThrow(
      expect.objectContaining({ code: 'invalid-id' }),
    );
    expect(() => resolveRunPaths({ runsDir, taskId: 'ok', runId: id })).toThrow(
      expect.objectContaining({ code: 'invalid-id' }),
    );
    expect(readdirSync(runsDir)).toEqual([]);
  });

  test('given ids at the edge of the rule, it names the files below runsDir', () => {
    const runsDir = temporaryDirectory();
    const taskId = 'x'.repeat(128);

    const paths = resolveRunPaths({ runsDir, taskId, runId: '0.a_b-C.' });

    expect(paths.runDir).toBe(join(runsDir, taskId, '0.a_b-C.'));
    expect(paths.eventsPath).toBe(join(paths.runDir, 'worker.log'));
    expect(readdirSync(runsDir)).toEqual([]);
  });

  test('given a task directory that is a symbolic link, it is refused and nothing appears behind the link', () => {
    const runsDir = temporaryDirectory();
    const elsewhere = temporaryDirectory();
    symlinkSync(elsewhere, join(runsDir, 'task'));

    expect(() => resolveRunPaths({ runsDir, taskId: 'task', runId: 'run' })).toThrow(
      expect.objectContaining({ code: 'unsafe-path' }),
    );
    expect(readdirSync(elsewhere)).toEqual([]);
  });

  test('given a run directory that becomes a symbolic link after resolving, every door refuses it', async () => {
    const runsDir = temporaryDirectory();
    const elsewhere = temporaryDirectory();
    const paths = resolveRunPaths({ runsDir, taskId: 'task', runId: 'run' });
    mkdirSync(join(runsDir, 'task'));
    symlinkSync(elsewhere, join(runsDir, 'task', 'run'));

    expect(() => resolveRunPaths({ runsDir, taskId: 'task', runId: 'run' })).toThrow(LoggingError);
    await expect(createRun(paths, META)).rejects.toMatchObject({ code: 'unsafe-path' });
    await expect(reopenRun(paths)).rejects.toMatchObject({ code: 'unsafe-path' });
    expect(() => openRun(paths)).toThrow(expect.objectContaining({ code: 'unsafe-path' }));
    expect(readdirSync(elsewhere)).toEqual([]);
  });

  test('given a runsDir reached through a symbolic link, it is fine', async () => {
    const real = temporaryDirectory();
    const links = temporaryDirectory();
    symlinkSync(real, join(links, 'runs'));

    const writer = await createRun(
      resolveRunPaths({ runsDir: join(links, 'runs'), taskId: 'task', runId: 'run' }),
      META,
    );
    await writer.close();

    expect(readdirSync(join(real, 'task'))).toEqual(['run']);
  });
});
