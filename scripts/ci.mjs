// What `.ci/run` runs: `npm test` as the README says, then every other part of verify, then the totals of both.
//
// It must also tell the truth when something it starts dies: a run that left no record, or failed without saying
// which test failed, counts as a failure of its own. It runs on the machine's Node (>= 18) before any install.

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';

const root = process.cwd();
/** Written by vitest's JSON reporter (vitest.config.ts) and by `verify --summary`. */
const testRecord = join(root, 'temp', 'test-results.json');
const verifyRecord = join(root, 'temp', 'verify-results.json');

async function main() {
  mkdirSync(join(root, 'temp'), { recursive: true });
  rmSync(testRecord, { force: true });
  rmSync(verifyRecord, { force: true });

  const tests = countTests(await npm(['test']), readRecord(testRecord));
  const summary = ['--without', 'test:changed', '--summary', verifyRecord];
  const parts = countParts(await npm(['run', 'verify', '--', ...summary]), readRecord(verifyRecord));

  for (const complaint of [...tests.complaints, ...parts.complaints]) console.log(`ci: ${complaint}`);
  const failed = tests.failed + parts.failed;
  console.log(`${tests.passed + parts.passed} passed, ${failed} failed`);
  process.exitCode = failed === 0 ? 0 : 1;
}

function countTests(exit, record) {
  if (record === undefined) return lost(`npm test ended with ${exit} and left no record of its tests`);
  const { numPassedTests: passed, numFailedTests, testResults } = record;
  // A file that does not load has no failed test of its own; it counts as one.
  const brokenFiles = testResults.filter(({ status, assertionResults }) => {
    return status === 'failed' && !assertionResults.some((test) => test.status === 'failed');
  });
  const failed = numFailedTests + brokenFiles.length;
  if (exit !== 0 && failed === 0) {
    return {
      passed,
      failed: 1,
      complaints: [`npm test ended with ${exit} though no test is recorded as failed`],
    };
  }
  if (passed + failed === 0) return lost('npm test ran no tests');
  return { passed, failed, complaints: [] };
}

function countParts(exit, record) {
  if (record === undefined) return lost(`verify ended with ${exit} and left no record of its parts`);
  const passed = record.filter((part) => part.passed).length;
  const failed = record.length - passed;
  if (exit !== 0 && failed === 0) {
    return {
      passed,
      failed: 1,
      complaints: [`verify ended with ${exit} though no part is recorded as failed`],
    };
  }
  if (record.length === 0) return lost('verify ran no parts');
  return { passed, failed, complaints: [] };
}

function lost(complaint) {
  return { passed: 0, failed: 1, complaints: [complaint] };
}

function readRecord(file) {
  if (!existsSync(file)) return undefined;
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    console.log(`ci: ${file} is torn: ${error.message}`);
    return undefined;
  }
}

/** Resolves with the exit code, or the name of the signal that ended npm. */
function npm(args) {
  return new Promise((resolve) => {
    const child = spawn('npm', args, { stdio: 'inherit', shell: process.platform === 'win32' });
    child.once('error', (error) => resolve(error.code ?? 'an error'));
    child.once('close', (code, signal) => resolve(code ?? signal));
  });
}

await main();
