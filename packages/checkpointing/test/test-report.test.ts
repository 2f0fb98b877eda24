/** Which test reports are recorded at all. */
import { execFileSync } from 'node:child_process';
import { statSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { setup } from './fixtures/setup.ts';

describe('writeTestOutput', () => {
  test('given a FIFO as the report, when written, it is refused and nothing waits for a writer', async () => {
    const { manager, temp } = setup();
    const path = join(temp, 'report');
    execFileSync('mkfifo', [path]);

    await expect(manager.writeTestOutput({ path })).rejects.toMatchObject({ code: 'report-unreadable' });
  });

  test('given a report of an earlier run, when written with the time of this one, nothing is recorded', async () => {
    const { manager, temp } = setup();
    const path = join(temp, 'report');
    writeFileSync(path, '1..1\nok 1\n');
    const { ctimeMs } = statSync(path);

    await expect(
      manager.writeTestOutput({ path, notBeforeMs: Math.ceil(ctimeMs) + 11 }),
    ).resolves.toBeUndefined();

    expect(await manager.list()).toEqual([]);
    await expect(manager.writeTestOutput({ path, notBeforeMs: Math.floor(ctimeMs) })).resolves.toMatchObject({
      seq: 1,
      totals: { passed: 1 },
    });
    await expect(manager.writeTestOutput({ path, notBeforeMs: -1 })).rejects.toThrow(RangeError);
  });

  test('given a report whose time was set back by what made it, when written, it counts as of this run', async () => {
    const { manager, temp } = setup();
    const path = join(temp, 'report');
    writeFileSync(path, '1..1\nok 1\n');
    utimesSync(path, 1, 1);
    const { ctimeMs } = statSync(path);

    const record = await manager.writeTestOutput({ path, notBeforeMs: Math.floor(ctimeMs) });

    expect(record).toMatchObject({ type: 'test_output' });
  });
});
