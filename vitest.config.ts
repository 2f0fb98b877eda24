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
    testTimeout: soak ? 900_000 : 60_000,
    hookTimeout: 60_000,
    pool: 'forks',
    // The record that .ci/run counts; a crash of the runner leaves none, and none counts as a failure.
    reporters: ['default', ['json', { outputFile: 'temp/test-results.json' }]],
    maxWorkers: 2,
    coverage: {
      provider: 'v8',
      include: ['packages/*/src/**/*.ts'],
      thresholds: { lines: 95, branches: 90 },
    },
  },
});
