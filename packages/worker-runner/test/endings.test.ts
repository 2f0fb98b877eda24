/** Every way a step can end: the right outcome, clear words, and an envelope that fits its published schema. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import {
  createFunctionExecutor,
  createPrepareOnlyExecutor,
  runStep,
  type RunStepOptions,
  type StepRequest,
  type StepResult,
} from '../src/index.ts';
import { expectEnvelope } from './fixtures/envelope.ts';
import { setup } from './fixtures/setup.ts';

/** Runs a step and checks what holds for every envelope. */
async function run(request: StepRequest, options: RunStepOptions = {}): Promise<StepResult> {
  const result = await runStep(request, options);
  expectEnvelope(result);
  return result;
}

describe('how a step ends', () => {
  test('given exit code 0, when it ends, it is completed', async () => {
    const { requestOf } = setup();

    const result = await run(requestOf('echo out; echo err >&2'));

    expect(result).toMatchObject({
      outcome: 'completed',
      exitCode: 0,
      summary: 'Completed with exit code 0',
    });
    expect(result.reason).toBeUndefined();
    expect(readFileSync(result.paths.stdoutPath, 'utf8')).toBe('out\n');
    expect(readFileSync(result.paths.stderrPath, 'utf8')).toBe('err\n');
    expect(result.metrics).toMatchObject({ stdoutBytes: 4, stderrBytes: 4 });
  });

  test.for([
    [1, 'failed', 'exit_code'],
    [75, 'blocked', 'exit_code'],
    [127, 'failed', 'exit_code'],
    [137, 'failed', 'signal'],
  ] as const)('given exit code %i, when it ends, it is %s', async ([exitCode, outcome, reason]) => {
    const { requestOf } = setup();

    const result = await run(requestOf(`exit ${exitCode}`));

    expect(result).toMatchObject({ outcome, exitCode, reason, ok: false, blocked: outcome === 'blocked' });
  });

  test('given a step that kills itself, when it ends, the signal is named', async () => {
    const { requestOf } = setup();

    const result = await run(requestOf(['sh', '-c', 'kill -SEGV $$']));

    expect(result).toMatchObject({
      outcome: 'failed',
      signal: 'SIGSEGV',
      summary: 'Ended by signal SIGSEGV',
    });
  });

  test('given a blocked event, when the step exits with 0, it is blocked with its words', async () => {
    const { requestOf } = setup();

    const result = await run(requestOf(`echo '{"kind":"blocked","body":{"reason":"no quota"}}' >&3`));

    expect(result).toMatchObject({
      outcome: 'blocked',
      blocked: true,
      needsHuman: false,
      reasonText: 'no quota',
    });
  });

  test('given a needs_human event, when the step ends, a person is asked for', async () => {
    const { requestOf } = setup();

    const result = await run(
      requestOf(`echo '{"kind":"needs_human","body":{"question":"Which one?"}}' >&3; exit 1`),
    );

    expect(result).toMatchObject({
      outcome: 'blocked',
      needsHuman: true,
      summary: 'Needs a person: Which one?',
    });
  });

  test('given the step says how it went, when it ends, its words and figures are in the envelope', async () => {
    const { requestOf } = setup();
    const lines = [
      '{"kind":"summary","body":{"text":"Fixed two tests"}}',
      '{"kind":"metric","body":{"name":"cost.llm","value":0.1,"unit":"USD"}}',
      '{"kind":"metric","body":{"name":"cost.llm","value":0.2,"unit":"USD"}}',
      '{"kind":"metric","body":{"name":"tokens.input","value":1200}}',
      '{"kind":"artifact_ref","body":{"path":"report.txt","title":"Report"}}',
      '{"kind":"result","body":{"suggestedFollowup":"Review it","files":2}}',
    ];
    const script = `${lines.map((line) => `echo '${line}' >&3`).join('\n')}
      echo report > report.txt; mkdir -p "$CONDUCTOR_ARTIFACTS_DIR/deep"; echo kept > "$CONDUCTOR_ARTIFACTS_DIR/deep/a"
      ln -s /etc/passwd "$CONDUCTOR_ARTIFACTS_DIR/link"`;

    const result = await run(requestOf(script));

    expect(result).toMatchObject({
      summary: 'Fixed two tests',
      suggestedFollowup: 'Review it',
      metadata: { files: 2 },
      usage: { costs: { USD: '0.3' }, tokens: { input: 1200 } },
    });
    expect(result.artifacts).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ path: 'report.txt', kind: 'reference', bytes: 7, title: 'Report' }),
        expect.objectContaining({
          path: 'artifacts/deep/a',
          kind: 'file',
          bytes: 5,
          sha256: createHash('sha256').update('kept\n').digest('hex'),
        }),
      ]),
    );
    expect(result.artifacts.map((artifact) => artifact.path)).not.toContain('artifacts/link');
  });

  test('given a step that reported its result and does not exit, when the drain time is over, its result counts', async () => {
    const { requestOf } = setup();

    const result = await run(
      requestOf(`echo '{"kind":"result","body":{"ok":true}}' >&3; sleep 300`, {
        limits: { resultDrainSec: 0.1 },
      }),
    );

    expect(result).toMatchObject({ outcome: 'completed', reason: 'result_drain', metadata: { ok: true } });
  });

  test('given a step that shows nothing, when the start timeout is over, it is ended', async () => {
    const { requestOf } = setup();

    const result = await run(requestOf('sleep 300', { limits: { startTimeoutSec: 0.1 } }));

    expect(result).toMatchObject({ outcome: 'timed_out', reason: 'start_timeout', signal: 'SIGTERM' });
  });

  test('given a step that answers SIGTERM with exit 0, when it times out, both stay visible', async () => {
    const { requestOf } = setup();

    const result = await run(
      requestOf('trap "exit 0" TERM; while :; do sleep 0.01; done', { timeoutSec: 0.2 }),
    );

    expect(result).toMatchObject({ outcome: 'timed_out', reason: 'timeout', exitCode: 0 });
  });

  test('given more output than allowed, when onLimit is fail, the step ends by output_limit', async () => {
    const { requestOf } = setup();

    const result = await run(requestOf('yes', { limits: { maxBytesPerStream: 1_000_000, onLimit: 'fail' } }));

    expect(result).toMatchObject({ outcome: 'failed', reason: 'output_limit' });
  });

  test('given a signal that is aborted beforehand, when run, nothing is started', async () => {
    const { requestOf } = setup();

    const result = await run(requestOf('touch started'), { signal: AbortSignal.abort('never mind') });

    expect(result).toMatchObject({ outcome: 'cancelled', reasonText: 'never mind' });
    expect(result.startedAt).toBeUndefined();
  });
});

describe('what cannot be started', () => {
  test('given a missing program, it says so', async () => {
    const { requestOf } = setup();

    const result = await run(requestOf(['no-such-program', 'x']));

    expect(result).toMatchObject({
      outcome: 'failed',
      reason: 'not_startable',
      summary: 'Cannot start step "no-such-program": not found',
    });
  });

  test('given a file that is not executable, and a directory, it says so', async () => {
    const { requestOf, worktree } = setup();
    writeFileSync(join(worktree, 'script'), 'echo no\n');
    mkdirSync(join(worktree, 'directory'));

    for (const program of ['./script', './directory']) {
      expect(await run(requestOf([program]))).toMatchObject({
        reason: 'not_startable',
        summary: `Cannot start step "${program}": not executable, or not permitted`,
      });
    }
  });

  test('given a script whose interpreter is missing, it names the interpreter', async () => {
    const { requestOf, worktree } = setup();
    const script = join(worktree, 'script');
    writeFileSync(script, '#!/no/such/interpreter\n');
    chmodSync(script, 0o755);

    const result = await run(requestOf(['./script']));

    expect(result.summary).toBe(
      `Cannot start step "${script}": its interpreter "/no/such/interpreter" is not found`,
    );
  });

  test('given a work tree that is not there, or a file, it says so', async () => {
    const { requestOf, root } = setup();
    writeFileSync(join(root, 'file'), '');

    const missing = await run(requestOf('true', { runtime: { worktreePath: join(root, 'nowhere') } }));
    const file = await run(requestOf('true', { runtime: { worktreePath: join(root, 'file') } }));

    expect(missing.summary).toBe(`Cannot start step in "${join(root, 'nowhere')}": not found`);
    expect(file.summary).toBe(`Cannot start step in "${join(root, 'file')}": not a directory`);
  });

  test('given an argument that is too long, it says how long it may be', async () => {
    const { requestOf } = setup();

    const result = await run(requestOf(['echo', 'x'.repeat(131_072)]));

    expect(result).toMatchObject({ outcome: 'failed', reason: 'not_startable' });
    expect(result.summary).toContain('131072 bytes, expected at most 131071');
  });

  test('given arguments that are too large together, it says so', async () => {
    const { requestOf } = setup();

    const result = await run(requestOf(['true', ...Array.from({ length: 40 }, () => 'x'.repeat(131_000))]));

    expect(result).toMatchObject({ outcome: 'failed', reason: 'not_startable' });
    expect(result.summary).toBe('Cannot start step: arguments and environment are too large together');
  });
});

describe('what is handed to a step', () => {
  test('given 10,000 arguments, quotes and newlines, it gets them as they are', async () => {
    const { requestOf } = setup();
    const odd = [`it's`, '"quoted"', 'two\nlines', '$HOME `x` \\', '', '-n', '*'];
    const many = Array.from({ length: 10_000 }, (_, index) => `argument ${index}`);

    const result = await run(requestOf(['sh', '-c', 'printf "%s|" "$@"', 'sh', ...odd, ...many]));

    expect(readFileSync(result.paths.stdoutPath, 'utf8')).toBe(
      [...odd, ...many].map((word) => `${word}|`).join(''),
    );
  });

  test('given commands named like builtins of the shell, the programs are run', async () => {
    const { requestOf, worktree } = setup();
    for (const name of ['exit', 'exec', 'cd', 'eval']) {
      writeFileSync(join(worktree, name), '#!/bin/sh\necho "program $0"; exit 4\n');
      chmodSync(join(worktree, name), 0o755);

      const result = await run(
        requestOf([name], { runtime: { env: { PATH: `${worktree}:/usr/bin:/bin` } } }),
      );

      expect(result).toMatchObject({ outcome: 'failed', exitCode: 4 });
    }
  });

  test('given an environment of 1 MiB, it gets all of it and nothing of ours', async () => {
    const { requestOf } = setup();
    const env = Object.fromEntries(
      Array.from({ length: 1024 }, (_, index) => [`BIG_${index}`, 'x'.repeat(1010)]),
    );
    process.env['OUR_TOKEN'] = 'ours';
    process.env['NODE_OPTIONS'] ??= '';

    const result = await run(requestOf(['env'], { runtime: { env } }));

    const names = readFileSync(result.paths.stdoutPath, 'utf8')
      .split('\n')
      .map((line) => line.split('=')[0] ?? '');
    expect(names.filter((name) => name.startsWith('BIG_'))).toHaveLength(1024);
    expect(names).toEqual(expect.arrayContaining(['PATH', 'CONDUCTOR_RUN_ID', 'PYTHONUNBUFFERED']));
    expect(names).not.toContain('OUR_TOKEN');
    expect(names).not.toContain('NODE_OPTIONS');
    expect(readFileSync(join(result.paths.runDir, 'meta.json'), 'utf8')).not.toContain('x'.repeat(100));
  });

  test('given variables with short names, it gets them as they are', async () => {
    const { requestOf } = setup();
    const env = Object.fromEntries(
      ['b', 'c', 'd', 'f', 'i', 'n', 's'].map((name) => [name, `value of ${name}`]),
    );

    const result = await run(requestOf(['env'], { runtime: { env } }));

    const lines = readFileSync(result.paths.stdoutPath, 'utf8').split('\n');
    expect(lines).toEqual(
      expect.arrayContaining(Object.entries(env).map(([name, value]) => `${name}=${value}`)),
    );
    expect(lines.filter((line) => /^CONDUCTOR_[A-Z]=/u.test(line))).toEqual([]);
  });

  test('given stdin, it reads it, and no copy is left', async () => {
    const { requestOf } = setup();
    const stdin = 'a prompt\n'.repeat(100_000);

    const result = await run(requestOf(['wc', '-c'], { stdin }));

    expect(readFileSync(result.paths.stdoutPath, 'utf8').trim()).toBe(String(stdin.length));
    expect(result.artifacts.map((artifact) => artifact.path)).not.toContain('.stdin');
  });

  test('given a Node step that writes 8 MiB and exits at once, nothing is lost', async () => {
    const { requestOf } = setup();
    const script = 'process.stdout.write("x".repeat(8 * 1024 * 1024)); process.exit(0)';

    const result = await run(requestOf([process.execPath, '-e', script]));

    expect(result.metrics.stdoutBytes).toBe(8 * 1024 * 1024);
  });

  test('given a secret, it is in no file of the record after the end', async () => {
    const { requestOf } = setup();
    const value = 'correct horse battery';
    const line = `echo "say $SECRET"; echo '{"kind":"summary","body":{"text":"used ${value}"}}' >&3`;

    const result = await run(
      requestOf(line, {
        secrets: [{ name: 'TOKEN', value }],
        runtime: { env: { SECRET: value } },
        checkpoint: {},
      }),
    );

    expect(readFileSync(result.paths.stdoutPath, 'utf8')).toBe('say [redacted:TOKEN]\n');
    expect(result.summary).toBe('used [redacted:TOKEN]');
    expect(filesHolding(value, result.paths.runDir)).toEqual([]);
  });
});

describe('other executors', () => {
  test('given prepare-only, when run, the record says prepared and nothing was run', async () => {
    const { requestOf } = setup();

    const result = await run(requestOf('touch started'), { executor: createPrepareOnlyExecutor() });

    expect(result).toMatchObject({ outcome: 'prepared', ok: true, state: { status: 'prepared' } });
    expect(result.lifecycleEvents.map((event) => event.type)).toEqual(['run_prepared', 'step_prepared']);
  });

  test('given a function, when it reports and returns, its words are kept', async () => {
    const { requestOf } = setup();
    const executor = createFunctionExecutor(async (context) => {
      context.writer.output('stdout').writable().end('from a function\n');
      context.report({ kind: 'summary', body: { text: 'Done in process' } });
    });

    const result = await run(requestOf([], { workerKind: 'function' }), { executor });

    expect(result).toMatchObject({ outcome: 'completed', summary: 'Done in process', exitCode: 0 });
    expect(readFileSync(result.paths.stdoutPath, 'utf8')).toBe('from a function\n');
  });

  test('given a function that throws, when run, the step fails with its words', async () => {
    const { requestOf } = setup();
    const executor = createFunctionExecutor(() => Promise.reject(new Error('no luck')));

    const result = await run(requestOf([], { workerKind: 'function' }), { executor });

    expect(result).toMatchObject({ outcome: 'failed', reason: 'function_failed', summary: 'no luck' });
  });

  test('given a function that ignores its end, when the grace is over, the result says so', async () => {
    const { requestOf } = setup();
    const executor = createFunctionExecutor(() => new Promise(() => undefined));

    const result = await run(
      requestOf([], { workerKind: 'function', timeoutSec: 0.1, limits: { killGraceSec: 0.1 } }),
      { executor },
    );

    expect(result).toMatchObject({ outcome: 'timed_out', reason: 'timeout' });
    expect(result.lifecycleEvents.map((event) => event.type)).toContain('function_abandoned');
  });
});

function filesHolding(text: string, directory: string): readonly string[] {
  try {
    return execFileSync('grep', ['-rlF', text, directory], { encoding: 'utf8' }).trim().split('\n');
  } catch {
    return [];
  }
}
