/** Subpath `./testing`: what every executor must do, as cases for any test runner. Not for use outside tests. */
import { deepStrictEqual, ok, strictEqual } from 'node:assert/strict';

import type { WorkerExecutor } from './executor.ts';
import type { StepRequest } from './request.ts';
import { readStepResult } from './result-schema.ts';
import { runStep } from './run-step.ts';

// What the suite's own types are made of, so that this entry point stands alone.
export type {
  CheckedRequest,
  CheckpointRequest,
  EndReason,
  Host,
  ProcessEntry,
  ProcessIdentity,
  ProcessListing,
  ProcessTable,
  ReportedEvent,
  ResourceSample,
  RunMark,
  STEP_EVENT_KINDS,
  StepContext,
  StepEventKind,
  StepExit,
  StepIdentity,
  StepKind,
  StepLimits,
  StepRequest,
  StepRuntime,
  StepSecret,
  Straggler,
  WorkerExecutor,
  WorkerKind,
} from './index.ts';

/** What the step of a case does. */
export type ContractBehaviour =
  /** Writes `contract` and a newline to stdout, and ends well. */
  | 'succeed'
  /** Ends with exit code 3. */
  | 'fail'
  /** Runs until it is told to end, and then ends. */
  | 'wait';

/** What the suite asks of its user. */
export interface ExecutorContractSetup {
  /** A request, with directories of its own and a run id not used before. */
  readonly request: StepRequest;
  /** The executor under test, made so that the step behaves as said. */
  readonly executor: WorkerExecutor;
}

/** One case. */
export interface ExecutorContractCase {
  /** What must hold. */
  readonly title: string;
  /**
   * Checks it; rejects when it does not hold.
   *
   * @param setup - makes a fresh bundle for a behaviour; may be called more than once
   */
  run(
    setup: (behaviour: ContractBehaviour) => ExecutorContractSetup | Promise<ExecutorContractSetup>,
  ): Promise<void>;
}

/** Every case of the suite. */
export const executorContract: readonly ExecutorContractCase[] = [
  {
    title: 'a step that succeeds is completed, and its output is whole',
    async run(setup) {
      const { request, executor } = await setup('succeed');
      const chunks: Uint8Array[] = [];
      const result = await runStep(request, { executor, onOutput: (_channel, bytes) => chunks.push(bytes) });
      strictEqual(result.outcome, 'completed');
      strictEqual(result.metrics.stdoutBytes, 'contract\n'.length);
      strictEqual(Buffer.concat(chunks).toString('utf8'), 'contract\n');
      strictEqual(result.state.status, 'completed');
    },
  },
  {
    title: 'a step that fails is failed, with its exit code',
    async run(setup) {
      const { request, executor } = await setup('fail');
      const result = await runStep(request, { executor });
      deepStrictEqual([result.outcome, result.exitCode, result.ok], ['failed', 3, false]);
    },
  },
  {
    title: 'a step that is cancelled ends, and the first reason is kept',
    async run(setup) {
      const { request, executor } = await setup('wait');
      const cancelling = new AbortController();
      const result = await runStep(request, {
        executor,
        signal: cancelling.signal,
        sink: { lifecycleEvent: ({ type }) => type === 'worker_started' && cancelling.abort('enough') },
      });
      deepStrictEqual(
        [result.outcome, result.reason, result.reasonText],
        ['cancelled', 'cancelled', 'enough'],
      );
    },
  },
  {
    title: 'a step that takes too long ends by its timeout',
    async run(setup) {
      const { request, executor } = await setup('wait');
      const result = await runStep({ ...request, timeoutSec: 0.1 }, { executor });
      deepStrictEqual([result.outcome, result.reason], ['timed_out', 'timeout']);
    },
  },
  {
    title: 'what the caller gets is what is in result.json, and the start comes before the end in worker.log',
    async run(setup) {
      const { request, executor } = await setup('succeed');
      const result = await runStep(request, { executor });
      deepStrictEqual(readStepResult(result.paths.runDir), result);
      const types = result.lifecycleEvents.map((event) => event.type);
      ok(types.indexOf('worker_started') >= 0, 'worker_started is missing');
      ok(
        types.indexOf('worker_started') < types.indexOf('step_completed'),
        'the step ended before it started',
      );
    },
  },
  {
    title: 'steps of one executor that run at once do not mix',
    async run(setup) {
      const bundles = await Promise.all([setup('succeed'), setup('fail'), setup('succeed')]);
      const results = await Promise.all(
        bundles.map(({ request, executor }) => runStep(request, { executor })),
      );
      deepStrictEqual(
        results.map((result) => [result.outcome, result.metrics.stdoutBytes]),
        [
          ['completed', 9],
          ['failed', 0],
          ['completed', 9],
        ],
      );
    },
  },
];
