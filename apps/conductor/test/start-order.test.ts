import { describe, expect, test } from 'vitest';

import { startInOrder, type StartStep } from '../src/daemon/start-order.ts';

/** Steps that write down when they start and stop; `fails` throws at its start. */
function createSteps(fails?: string) {
  const log: string[] = [];
  const steps = ['store', 'node', 'ticks'].map((name): StartStep => ({
    name,
    start: async () => {
      if (name === fails) throw new Error('disk full');
      log.push(`start ${name}`);
      return { stop: async () => void log.push(`stop ${name}`) };
    },
  }));
  return { log, steps };
}

describe('startInOrder', () => {
  test('given steps that start, it stops them in reverse', async () => {
    const { log, steps } = createSteps();

    const started = await startInOrder(steps, () => undefined);
    await started.stop();

    expect(log).toEqual([
      'start store',
      'start node',
      'start ticks',
      'stop ticks',
      'stop node',
      'stop store',
    ]);
  });

  test('given a step that fails, it stops what was started and names the step', async () => {
    const { log, steps } = createSteps('ticks');

    const starting = startInOrder(steps, () => undefined);

    await expect(starting).rejects.toThrow('Cannot start ticks: disk full');
    expect(log).toEqual(['start store', 'start node', 'stop node', 'stop store']);
  });

  test('given a stop that fails, the rest is stopped all the same', async () => {
    const { log, steps } = createSteps();
    const broken: StartStep = {
      name: 'broken',
      start: async () => ({ stop: async () => Promise.reject(new Error('will not stop')) }),
    };

    const started = await startInOrder([...steps, broken], () => undefined);

    await expect(started.stop()).rejects.toThrow('will not stop');
    expect(log.slice(3)).toEqual(['stop ticks', 'stop node', 'stop store']);
  });
});
