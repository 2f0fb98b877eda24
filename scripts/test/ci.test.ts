import { copyFileSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { repositoryRoot } from '../workspace.ts';
import { type Ended, addPrograms, makeFolder, run } from './fixtures.ts';

/** A checkout whose npm is a shell script: `test` and `verify` are what npm does for each. */
function runCi(test: string, verify: string): Ended & { readonly lastLine: string } {
  const root = makeFolder({});
  for (const file of ['.ci/run', 'scripts/ci.mjs']) {
    mkdirSync(join(root, file, '..'), { recursive: true });
    copyFileSync(join(repositoryRoot, file), join(root, file));
  }
  const npm = `echo "npm $* CI=$CI"\nif [ "$1" = test ]; then\n${test}\nelse\n${verify}\nfi`;
  const ended = run('bash', [join(root, '.ci/run')], '/', addPrograms(root, { npm }));
  return { ...ended, lastLine: ended.stdout.trimEnd().split('\n').at(-1) ?? '' };
}

const recordTests = (passed: number, failed: number, results = '[]'): string =>
  `echo '{"numPassedTests":${passed},"numFailedTests":${failed},"testResults":${results}}' > temp/test-results.json`;
const recordParts = (...passed: readonly boolean[]): string =>
  `echo '${JSON.stringify(passed.map((value) => ({ passed: value })))}' > temp/verify-results.json`;

describe('.ci/run', () => {
  test('given tests and parts that pass, when run, it adds both and calls npm as the README does', () => {
    const { status, stdout, lastLine } = runCi(recordTests(40, 0), recordParts(true, true));

    expect([status, lastLine]).toEqual([0, '42 passed, 0 failed']);
    expect(stdout).toContain('npm test CI=true\n');
    expect(stdout).toMatch(/npm run verify -- --without test:changed --summary .* CI=true\n/);
  });

  test('given a failing test, when run, it still runs verify and fails', () => {
    const { status, lastLine } = runCi(`${recordTests(39, 1)}; exit 1`, recordParts(true, true));

    expect([status, lastLine]).toEqual([1, '41 passed, 1 failed']);
  });

  test('given a failing part, when run, it fails', () => {
    const { status, lastLine } = runCi(recordTests(40, 0), `${recordParts(true, false)}; exit 1`);

    expect([status, lastLine]).toEqual([1, '41 passed, 1 failed']);
  });

  test('given a test runner that dies without a record, when run, that is a failure', () => {
    const { status, stdout, lastLine } = runCi('kill -9 $$', recordParts(true));

    expect([status, lastLine]).toEqual([1, '1 passed, 1 failed']);
    expect(stdout).toContain('ci: npm test ended with SIGKILL and left no record of its tests');
  });

  test('given a torn record, when run, that is a failure', () => {
    const { status, lastLine } = runCi(`echo '{"numPassed' > temp/test-results.json`, recordParts(true));

    expect([status, lastLine]).toEqual([1, '1 passed, 1 failed']);
  });

  test('given a runner that exits 1 though every recorded test passed, when run, that is a failure', () => {
    const { status, lastLine } = runCi(`${recordTests(40, 0)}; exit 1`, recordParts(true));

    expect([status, lastLine]).toEqual([1, '41 passed, 1 failed']);
  });

  test('given a test file that does not load, when run, it counts as one failure', () => {
    const broken = recordTests(40, 0, '[{"status":"failed","assertionResults":[]}]');

    const { status, lastLine } = runCi(`${broken}; exit 1`, recordParts(true));

    expect([status, lastLine]).toEqual([1, '41 passed, 1 failed']);
  });

  test('given no tests at all, when run, that is a failure', () => {
    const { status, lastLine } = runCi(recordTests(0, 0), recordParts(true));

    expect([status, lastLine]).toEqual([1, '1 passed, 1 failed']);
  });

  test('given a verify that leaves no record, when run, that is a failure', () => {
    const { status, stdout, lastLine } = runCi(recordTests(40, 0), 'exit 0');

    expect([status, lastLine]).toEqual([1, '40 passed, 1 failed']);
    expect(stdout).toContain('ci: verify ended with 0 and left no record of its parts');
  });
});
