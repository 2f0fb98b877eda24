/** What is on disk when a call has been answered. */
import { copyFileSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { openJobStore } from '@conductor-run/job-store';
import { describe, expect, test } from 'vitest';
import { setup } from './fixtures/stores.ts';

describe('power', () => {
  test('given enqueues that were answered, when the log is cut where it ended at each answer, all of them are there', async () => {
    const { dir, path, store } = await setup({ durability: 'power' });
    // The main file stays as it is until a checkpoint; each commit is what the log holds up to its end.
    const ends: number[] = [];
    for (let i = 0; i < 20; i += 1) {
      await store.enqueue({ kind: 'build', key: `${i}` });
      ends.push(statSync(`${path}-wal`).size);
    }
    const log = readFileSync(`${path}-wal`);

    for (const [index, end] of ends.entries()) {
      for (const [cut, expected] of [
        [end, index + 1],
        [end - 1, index],
      ] as const) {
        const copy = join(dir, `copy-${index}-${expected}.db`);
        copyFileSync(path, copy);
        writeFileSync(`${copy}-wal`, log.subarray(0, cut));
        const reopened = await openJobStore({ path: copy });
        const { jobs } = await reopened.list();
        await reopened.close();
        expect(jobs).toHaveLength(expected);
      }
    }
  });
});
