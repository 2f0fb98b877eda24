/**
 * The end of a run: whatever its step left, and whatever its executor gives, the run is closed, and what is written is
 * what the caller gets.
 */
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { collectArtifacts } from '../src/artifacts.ts';
import {
  createFunctionExecutor,
  readStepResult,
  runStep,
  type ReportedEvent,
  type StepContext,
  type StepExit,
  type StepResult,
} from '../src/index.ts';
import { createUsageCounter } from '../src/usage.ts';
import { expectEnvelope } from './fixtures/envelope.ts';
import { setup } from './fixtures/setup.ts';

function warningsOf(result: StepResult): string {
  return result.lifecycleEvents
    .filter((event) => event.level === 'warn')
    .map((event) => event.message)
    .join('\n');
}

describe('what a step leaves', () => {
  test('given a name that is no path, when the run ends, it is closed and the name is listed', async () => {
    const { requestOf } = setup();

    const result = await runStep(
      requestOf(`printf '%s\\n' '{"kind":"artifact_ref","body":{"path":"a\\u0000b"}}' >&3`),
    );

    expectEnvelope(result);
    expect(result.artifacts).toContainEqual({ path: 'a\0b', kind: 'reference' });
    expect(warningsOf(result)).toBe('');
  });

  test.for([
    ['timeline.ndjson', 'how much output there was'],
    ['stdout.log', ''],
    ['worker.log', ''],
  ] as const)('given a step that removes %s, when the run ends, it is closed', async ([name, missing]) => {
    const { requestOf } = setup();

    const result = await runStep(requestOf(`echo out; rm "$CONDUCTOR_RUN_DIR/${name}"`));

    expect(readStepResult(result.paths.runDir)).toEqual(result);
    expect(result.outcome).toBe('completed');
    expect(warningsOf(result)).toContain(missing);
  });

  test('given a link in the place of the artifacts directory, when the run ends, nothing behind it is listed, and that is said', async () => {
    const { requestOf, root } = setup();
    mkdirSync(join(root, 'elsewhere'));
    writeFileSync(join(root, 'elsewhere', 'private.txt'), 'private');

    const result = await runStep(
      requestOf(`rmdir "$CONDUCTOR_ARTIFACTS_DIR"; ln -s ../../../elsewhere "$CONDUCTOR_ARTIFACTS_DIR"`),
    );

    expectEnvelope(result);
    expect(existsSync(join(result.paths.artifactsDir, 'private.txt'))).toBe(true);
    expect(result.artifacts.filter(({ kind }) => kind !== 'log')).toEqual([]);
    expect(warningsOf(result)).toContain('in the place of its artifacts directory');
  });

  test('given a file that opens and cannot be read, when it is collected, it is listed and the trouble is told', async () => {
    const { root } = setup();
    const problems: string[] = [];

    // A plain file to everybody who asks, and an error to whoever reads it.
    const artifacts = await collectArtifacts({
      runDir: root,
      artifactsDir: join(root, 'none'),
      worktreePath: '/proc/self',
      references: [{ named: 'mem', title: 'Memory' }],
      onProblem: (problem) => problems.push(problem),
    });

    expect(artifacts).toEqual([{ path: 'mem', kind: 'reference', title: 'Memory', bytes: 0 }]);
    expect(problems.join('\n')).toContain('EIO');
  });

  test('given one file under many names, when it is collected, it is read once', async () => {
    const { root, runsDir, worktree } = setup();
    mkdirSync(runsDir);
    writeFileSync(join(worktree, 'large'), Buffer.alloc(4 * 1024 * 1024));
    const names = Array.from({ length: 200 }, (_, index) => `link-${index}`);
    for (const name of names) symlinkSync('large', join(worktree, name));
    const before = bytesRead();

    const artifacts = await collectArtifacts({
      runDir: runsDir,
      artifactsDir: join(root, 'none'),
      worktreePath: worktree,
      references: names.map((named) => ({ named })),
      onProblem: (problem) => expect.fail(problem),
    });

    expect(new Set(artifacts.map(({ sha256 }) => sha256)).size).toBe(1);
    expect(artifacts).toHaveLength(200);
    expect(bytesRead() - before).toBeLessThan(40 * 1024 * 1024);
  });
});

/** What this process has read of files, as the system counts it. */
function bytesRead(): number {
  return Number(/rchar: (\d+)/u.exec(readFileSync('/proc/self/io', 'utf8'))?.[1]);
}

const asFunction = { workerKind: 'function' } as const;

describe('what an executor gives', () => {
  test.for([
    ['throws nothing in words', () => Promise.reject(new Error('')), 'Failed: The function failed'],
    [
      'returns 300',
      () => Promise.resolve(300),
      'The function returned 300, expected an exit code from 0 to 255',
    ],
    [
      'returns -1',
      () => Promise.resolve(-1),
      'The function returned -1, expected an exit code from 0 to 255',
    ],
  ] as const)(
    'given a function that %s, when it is judged, it failed and can be read back',
    async ([, work, summary]) => {
      const { requestOf } = setup();

      const result = await runStep(requestOf([], asFunction), { executor: createFunctionExecutor(work) });

      expectEnvelope(result);
      expect(result).toMatchObject({ outcome: 'failed', reason: 'function_failed', summary });
    },
  );

  test('given token counts beyond every number, when they are summed, the sum is one that can be written', () => {
    const counter = createUsageCounter();

    for (let round = 0; round < 3; round += 1)
      counter.add({ kind: 'metric', body: { name: 'tokens.x', value: 1e308 } });

    expect(counter.usage().tokens).toEqual({ x: Number.MAX_VALUE });
  });

  test('given more names than are summed, when metrics are added, the first thousand are kept', () => {
    const counter = createUsageCounter();

    for (let index = 0; index < 1500; index += 1)
      counter.add({ kind: 'metric', body: { name: `tokens.${index}`, value: 1 } });
    counter.add({ kind: 'metric', body: { name: 'tokens.7', value: 1 } });

    expect(Object.keys(counter.usage().tokens)).toHaveLength(1000);
    expect(counter.usage().tokens['7']).toBe(2);
  });

  test('given anything at all, when the run ends, its envelope fits the schema and is what the caller gets', async () => {
    await fc.assert(
      fc.asyncProperty(anyExit, fc.array(anyEvent, { maxLength: 4 }), async (exit, events) => {
        const { requestOf } = setup();
        const executor = {
          name: 'anything',
          async execute(context: StepContext): Promise<StepExit> {
            for (const event of events) context.report(event as ReportedEvent);
            context.sampleWith(() => ({ cpuMs: Number.NaN, rssBytes: Number.POSITIVE_INFINITY }));
            return exit as StepExit;
          },
        };

        const result = await runStep(requestOf([], asFunction), { executor });

        expectEnvelope(result);
        expect(readStepResult(result.paths.runDir)).toEqual(result);
      }),
      { numRuns: 60 },
    );
  });

  test('given a function that throws or returns anything, when it is judged, its envelope fits the schema', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.boolean(),
        fc.anything({ withBigInt: true, withNullPrototype: true }),
        async (throws, value) => {
          const { requestOf } = setup();
          const executor = createFunctionExecutor(async () => {
            if (throws) throw value;
            return value as number;
          });

          const result = await runStep(requestOf([], asFunction), { executor });

          expectEnvelope(result);
          expect(readStepResult(result.paths.runDir)).toEqual(result);
        },
      ),
      { numRuns: 60 },
    );
  });
});

/** Mostly right, so that more than the door is tried. */
const anyNumber = fc.oneof(fc.nat(300), fc.integer(), fc.double());
const anyExit = fc.oneof(
  { weight: 1, arbitrary: fc.anything() },
  {
    weight: 5,
    arbitrary: fc.record(
      {
        how: fc.constantFrom('exited', 'exited', 'not-started', 'lost', 'deferred', 'other'),
        exitCode: anyNumber,
        signal: fc.oneof(fc.string(), fc.constant('SIGTERM')),
        reason: fc.constantFrom('signal', 'reboot', 'runner_failed', 'exit_code', 'nonsense'),
        text: fc.oneof(fc.string(), fc.constant('')),
        cpuMs: anyNumber,
        survivors: fc.oneof(fc.constant([{ pid: 1, groupId: 1 }]), fc.anything()),
      },
      { requiredKeys: ['how'] },
    ),
  },
);
const anyEvent = fc.oneof(
  { weight: 1, arbitrary: fc.anything({ withBigInt: true, withDate: true }) },
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constantFrom('result', 'summary', 'metric', 'artifact_ref', 'needs_human', 'blocked', 'log'),
      body: fc.oneof(
        fc.dictionary(fc.string(), fc.anything({ withDate: true })),
        fc.record({ text: fc.string(), path: fc.string(), question: fc.anything() }),
        fc.record({
          name: fc.oneof(fc.constant('tokens.x'), fc.constant('cost.y'), fc.constant('tokens.__proto__')),
          value: fc.double(),
          unit: fc.constantFrom('EUR', '__proto__'),
        }),
      ),
    }),
  },
);
