/** Where a disk takes only the first part of a file, nobody takes that part for the whole. */
import { execFile } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

import { describe, expect, test } from 'vitest';

import {
  adoptRuns,
  readStepResult,
  startSupervised,
  type StepRequest,
  type StepResult,
} from '../src/index.ts';
import { writeWhole } from '../src/files.ts';
import { expectEnvelope } from './fixtures/envelope.ts';
import { setup } from './fixtures/setup.ts';
import { quick, setupSupervised } from './fixtures/supervised.ts';

const LIMITED = fileURLToPath(new URL('fixtures/limited-runner.ts', import.meta.url));
const LIMIT_KIB = 64;

interface Outcome {
  readonly result?: StepResult;
  readonly code?: string;
}

/** In a process whose files may have 64 KiB. The soft limit alone: the wrapper sets its own. */
async function runLimited(request: StepRequest): Promise<Outcome> {
  const script = `ulimit -S -f ${LIMIT_KIB * 2}; exec "$@"`;
  const args = ['-c', script, 'sh', process.execPath, ...process.execArgv, LIMITED, JSON.stringify(request)];
  const { stdout } = await promisify(execFile)('/bin/sh', args);
  return JSON.parse(stdout) as Outcome;
}

describe('a file that does not fit', () => {
  test('given text for stdin, when only a part of it can be kept, the step is not started', async () => {
    const { requestOf, worktree } = setup();

    const { result } = await runLimited(
      requestOf('wc -c > read', { stdin: 'y'.repeat(LIMIT_KIB * 1024 + 1) }),
    );

    expectEnvelope(result);
    expect(result).toMatchObject({ outcome: 'failed', reason: 'runner_failed' });
    expect(existsSync(join(worktree, 'read'))).toBe(false);
    expect(readdirSync(result?.paths.runDir ?? '')).not.toContain('.stdin');
  });

  test('given a result, when only a part of it can be written, the run is open until it is written whole', async () => {
    const { requestOf, runsDir, pathsOf } = setupSupervised();
    const say = `n=$(head -c 40000 /dev/zero | tr '\\0' x); echo '{"kind":"result","body":{"note":"'$n'"}}' >&3; echo $n`;

    // Once in the metadata, once more in the log's tail.
    const { code } = await runLimited(requestOf(say));
    const { runDir } = pathsOf('run-1');
    const left = readdirSync(runDir);
    const [adopted] = await adoptRuns(runsDir, quick);
    const result = await adopted?.result;

    expect(code).toBe('record-unwritable');
    expect(left.filter((name) => name.startsWith('result.json'))).toEqual([]);
    expectEnvelope(result);
    expect(result).toMatchObject({ outcome: 'completed', exitCode: 0, adopted: true });
    expect(readStepResult(runDir)).toEqual(result);
  });

  test('given a result that was torn by another version or a power cut, when runs are adopted, it is written anew', async () => {
    const { requestOf, runsDir } = setupSupervised();
    const { paths } = await (await startSupervised(requestOf('exit 3'), quick)).result;
    expect(await adoptRuns(runsDir, quick)).toEqual([]);
    truncateSync(paths.resultPath, 500);

    const [adopted] = await adoptRuns(runsDir, quick);
    const result = await adopted?.result;

    expectEnvelope(result);
    expect(result).toMatchObject({ outcome: 'failed' });
    expect(readStepResult(paths.runDir)).toEqual(result);
    expect(await adoptRuns(runsDir, quick)).toEqual([]);
  });

  test('given a file that is replaced, when the new one does not fit, the old one stays and nothing lies beside it', async () => {
    const { root } = setup();
    const path = join(root, 'file');
    writeWhole(path, 'old');

    const script = `
      const { writeWhole } = await import(${JSON.stringify(new URL('../src/files.ts', import.meta.url).href)});
      try { writeWhole(${JSON.stringify(path)}, 'new '.repeat(20_000)); } catch (error) { console.log(error.code); }`;
    const args = ['-c', `ulimit -S -f ${LIMIT_KIB * 2}; exec "$@"`, 'sh', process.execPath];
    const { stdout } = await promisify(execFile)('/bin/sh', [...args, '--input-type=module', '-e', script]);

    expect(stdout.trim()).toBe('EFBIG');
    expect(readFileSync(path, 'utf8')).toBe('old');
    expect(readdirSync(root).filter((name) => name.startsWith('file'))).toEqual(['file']);
  });
});
