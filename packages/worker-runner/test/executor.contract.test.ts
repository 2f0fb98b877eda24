/** Both executors that run something pass the suite that is shipped for others. */
import { describe, expect, test } from 'vitest';

import { createFunctionExecutor, createProcessExecutor, type StepContext } from '../src/index.ts';
import { executorContract, type ContractBehaviour } from '../src/testing.ts';
import { setup } from './fixtures/setup.ts';

const LINES: Readonly<Record<ContractBehaviour, string>> = {
  succeed: 'echo contract',
  fail: 'exit 3',
  wait: 'sleep 300',
};

async function behave(behaviour: ContractBehaviour, context: StepContext): Promise<number> {
  if (behaviour === 'fail') return 3;
  const stdout = context.writer.output('stdout').writable();
  if (behaviour === 'succeed') stdout.end('contract\n');
  if (behaviour === 'wait') {
    await new Promise((resolve) => {
      context.signal.addEventListener('abort', resolve, { once: true });
      if (context.signal.aborted) resolve(undefined);
    });
  }
  return 0;
}

describe('process executor', () => {
  test.for(executorContract)('$title', async (contractCase) => {
    const { requestOf } = setup();
    const checking = contractCase.run((behaviour) => ({
      request: requestOf(LINES[behaviour]),
      executor: createProcessExecutor(),
    }));

    await expect(checking).resolves.toBeUndefined();
  });
});

describe('function executor', () => {
  test.for(executorContract)('$title', async (contractCase) => {
    const { requestOf } = setup();
    const checking = contractCase.run((behaviour) => ({
      request: requestOf([], { workerKind: 'function' }),
      executor: createFunctionExecutor((context) => behave(behaviour, context)),
    }));

    await expect(checking).resolves.toBeUndefined();
  });
});
