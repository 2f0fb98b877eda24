import { existsSync, readdirSync, readFileSync, writeSync } from 'node:fs';

import { createManualClock } from '@conductor-run/clock';
import { describe, expect, test } from 'vitest';

import {
  createRedactor,
  createRun,
  LoggingError,
  openRun,
  reopenRun,
  type RunPaths,
  type RunWriter,
} from '../src/index.ts';
import { failingFiles, type FailingFiles } from './fixtures/failing-files.ts';
import { isSoundSequence, jsonLines, META, runPaths } from './fixtures/setup.ts';

const SECRET = 'correct horse';

function writeAsChild(failing: FailingFiles, fd: number, text: string): void {
  try {
    failing.files.write(fd, Buffer.from(text));
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOSPC')) throw error;
  }
}

/** Does everything a run does; every failure must be ours and typed. */
async function scenario(
  paths: RunPaths,
  failing: FailingFiles,
): Promise<{ failures: LoggingError[]; flushed: string }> {
  const failures: LoggingError[] = [];
  const clock = createManualClock();
  let flushed = '';
  const attempt = async (work: () => unknown): Promise<boolean> => {
    try {
      await work();
      return true;
    } catch (error) {
      if (!(error instanceof LoggingError)) throw error;
      failures.push(error);
      return false;
    }
  };
  const onError = (error: LoggingError): void => void failures.push(error);
  let writer: RunWriter | undefined;
  await attempt(async () => {
    const redactor = createRedactor({ secrets: { DB: SECRET } });
    writer = await createRun(paths, META, { clock, files: failing.files, onError, redactor });
  });
  if (writer === undefined) return { failures, flushed };
  const run: RunWriter = writer;

  const stdout = run.output('stdout').writable();
  await attempt(() => run.event({ type: 'run_prepared', message: 'one' }));
  await attempt(() => run.updateState({ status: 'running' }));
  stdout.write('first|');
  if ((await attempt(() => run.flush())) && !stdout.destroyed) flushed = 'first|';
  // A child wrote into its spool meanwhile; that its disk is full is its own affair.
  await attempt(() => {
    using child = run.output('stderr').openForChild();
    writeAsChild(failing, child.fd, 'a correct horse|');
  });
  await clock.advance(300);
  stdout.write('second|');
  await attempt(() => run.event({ type: 'checkpoint_written', message: 'two', durable: true }));
  if (!stdout.destroyed && (await attempt(() => run.flush())) && !stdout.destroyed) flushed = 'first|second|';
  const progress = attempt(() => run.updateState({ checkpointSeq: 1 }));
  await clock.advance(300);
  await progress;
  await attempt(() => run.updateState({ status: 'completed' }));
  await attempt(() => run.close());
  await clock.advance(1000);
  expect(clock.pendingTimers()).toBe(0);
  return { failures, flushed };
}

describe('a disk on which writing fails from one call on', () => {
  test.for([['full'], ['everything']] as const)(
    'given %s, wherever it starts: typed errors only, records parse, nothing flushed is lost, and the run can go on',
    async ([mode]) => {
      const untouched = failingFiles(Number.MAX_SAFE_INTEGER, mode);
      await scenario(runPaths(), untouched);
      expect(untouched.calls()).toBeGreaterThan(20);

      for (let failAt = 1; failAt <= untouched.calls(); failAt++) {
        const paths = runPaths();
        const failing = failingFiles(failAt, mode);
        const { failures, flushed } = await scenario(paths, failing);

        expect(failures.length, `call ${failAt}`).toBeGreaterThan(0);
        for (const { code } of failures) expect(['write-failed', 'illegal-transition']).toContain(code);
        const taskDir = `${paths.runsDir}/task-1`;
        expect(existsSync(taskDir) ? readdirSync(taskDir) : []).toEqual(
          existsSync(paths.runDir) ? ['run-1'] : [],
        );
        if (!existsSync(paths.runDir)) continue;
        const reader = openRun(paths);
        expect(reader.state().attempt).toBe(1);
        expect(readFileSync(paths.stdoutPath, 'utf8').startsWith(flushed)).toBe(true);

        await using again = await reopenRun(paths, { redactor: createRedactor({ secrets: { DB: SECRET } }) });
        again.event({ type: 'run_adopted', message: 'three' });
        await again.finishOutput();
        expect(isSoundSequence(paths), `sequence after call ${failAt}`).toBe(true);
        expect(jsonLines(paths.eventsPath).at(-1)).toMatchObject({ message: 'three' });
        expect(readFileSync(paths.stderrPath, 'utf8')).not.toContain(SECRET);
        expect(again.state().stdoutBytes).toBe(readFileSync(paths.stdoutPath).byteLength);
      }
    },
  );

  test('given writing and cutting fail for a while, no half line is left when both work again', async () => {
    const paths = runPaths();
    const failing = failingFiles(Number.MAX_SAFE_INTEGER, 'everything');
    await using writer = await createRun(paths, META, { clock: createManualClock(), files: failing.files });
    writer.event({ type: 'run_prepared', message: 'one' });

    failing.setBroken(true);
    expect(() => writer.event({ type: 'worker_started', message: 'lost' })).toThrow(LoggingError);
    failing.setBroken(false);
    writer.event({ type: 'worker_started', message: 'two' });

    expect(jsonLines(paths.eventsPath).map(({ seq, message }) => [seq, message])).toEqual([
      [1, 'one'],
      [2, 'two'],
    ]);
  });

  test('given a disk that is full for a while, following reports once and catches up by itself', async () => {
    const codes: string[] = [];
    const clock = createManualClock();
    const paths = runPaths();
    const failing = failingFiles(Number.MAX_SAFE_INTEGER, 'full');
    const redactor = createRedactor({ secrets: { DB: SECRET } });
    await using writer = await createRun(paths, META, {
      clock,
      files: failing.files,
      redactor,
      onError: ({ code }) => void codes.push(code),
    });
    using child = writer.output('stdout').openForChild();
    writeSync(child.fd, 'all of it|');

    failing.setBroken(true);
    await clock.advance(5000);
    failing.setBroken(false);
    await clock.advance(100);

    expect(codes).toEqual(['write-failed']);
    expect(readFileSync(paths.stdoutPath, 'utf8')).toBe('all of it|');
    expect(jsonLines(paths.timelinePath)).toHaveLength(1);
  });
});
