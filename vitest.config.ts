import { readFileSync, statfsSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { defineConfig } from 'vitest/config';

/**
 * `SOAK=1 pnpm test:run` repeats the crash and race tests as often as the issue that asked for them says;
 * a plain run repeats them often enough to catch a regression within seconds.
 */
const soak = process.env['SOAK'] === '1';

export default defineConfig({
  test: {
    include: ['packages/*/test/**/*.test.ts', 'apps/*/test/**/*.test.ts', 'scripts/test/**/*.test.ts'],
    provide: { soak },
    env: { TMPDIR: process.env['TMPDIR'] ?? memoryFolder() ?? tmpdir() },
    testTimeout: soak ? 900_000 : 180_000,
    hookTimeout: 180_000,
    pool: 'forks',
    // Files share processes: no test leaves anything behind, and loading vitest anew for each file took 40 % of small ones.
    isolate: false,
    // Those with children wait more than they compute.
    maxWorkers: 2 * availableParallelism(),
    // The record that .ci/run counts; a crash of the runner leaves none, and none counts as a failure.
    reporters: ['default', ['json', { outputFile: 'temp/test-results.json' }]],
    coverage: {
      provider: 'v8',
      include: ['packages/*/src/**/*.ts'],
      thresholds: { lines: 95, branches: 90 },
    },
  },
});

/**
 * A folder in memory for what tests write: no test cuts the power, so what is not synced is not lost, and syncing takes half
 * of their time. Only where it is large and lets scripts run, which it does not in many containers; TMPDIR decides otherwise.
 */
function memoryFolder(): string | undefined {
  if (process.platform !== 'linux') return undefined;
  const [, , type, options = ''] =
    readFileSync('/proc/mounts', 'utf8')
      .split('\n')
      .map((line) => line.split(' '))
      .find(([, folder]) => folder === '/dev/shm') ?? [];
  if (type !== 'tmpfs' || options.split(',').includes('noexec')) return undefined;
  const { bavail, bsize } = statfsSync('/dev/shm');
  return bavail * bsize >= 2 ** 31 ? '/dev/shm' : undefined;
}
