import { describe, expect, test } from 'vitest';

import {
  isAllowedTransition,
  isTerminalStatus,
  LoggingError,
  RUN_STATUSES,
  RUN_TRANSITIONS,
} from '../src/index.ts';
import { setup, textOf } from './fixtures/setup.ts';

describe('transitions', () => {
  test('given every pair of statuses, updateState allows exactly what the table says', async () => {
    for (const from of RUN_STATUSES) {
      for (const to of RUN_STATUSES) {
        const { writer } = await setup();
        // Every status but `completed` is one move from `prepared`.
        if (from === 'completed') await writer.updateState({ status: 'running' });
        await writer.updateState({ status: from });

        const update = writer.updateState({ status: to });

        const isAllowed = isAllowedTransition(from, to);
        const outcome = await update.then(
          ({ status }) => status,
          (error: unknown) => (error instanceof LoggingError ? error.code : error),
        );
        expect(outcome).toBe(isAllowed ? to : 'illegal-transition');
        expect(writer.state().status).toBe(isAllowed ? to : from);
        await writer.close();
      }
    }
  });

  test('given the table, every status is reachable, terminal ones lead nowhere and the others can end as lost', () => {
    const reachable = new Set(['prepared', ...Object.values(RUN_TRANSITIONS).flat()]);

    expect([...reachable].sort()).toEqual([...RUN_STATUSES].sort());
    for (const status of RUN_STATUSES) {
      expect(isTerminalStatus(status)).toBe(RUN_TRANSITIONS[status].length === 0);
      expect(isTerminalStatus(status) || RUN_TRANSITIONS[status].includes('lost')).toBe(true);
    }
  });
});

describe('state.json', () => {
  test('given moves through its life, it carries the instants and what the owner said', async () => {
    const { writer, clock, paths } = await setup();
    const startMs = clock.nowMs();

    await clock.advance(10);
    await writer.updateState({ status: 'running', process: { pid: 7, startTime: 99, bootId: 'b' } });
    await clock.advance(20);
    await writer.updateState({ status: 'failed', exitCode: 3, summary: 'It broke' });

    expect(JSON.parse(textOf(paths.statePath))).toEqual({
      status: 'failed',
      attempt: 1,
      startedAt: startMs + 10,
      updatedAt: startMs + 30,
      finishedAt: startMs + 30,
      lastEventSeq: 0,
      checkpointSeq: 0,
      exitCode: 3,
      summary: 'It broke',
      stdoutBytes: 0,
      stderrBytes: 0,
      droppedBytes: 0,
      process: { pid: 7, startTime: 99, bootId: 'b' },
    });
  });

  test('given progress at every millisecond, it is written at most four times a second and the last is not lost', async () => {
    const { writer, clock, paths } = await setup();
    const seen = new Set<string>();
    const updates: Promise<unknown>[] = [];

    for (let step = 1; step <= 1100; step++) {
      updates.push(writer.updateState({ checkpointSeq: step }));
      await clock.advance(1);
      seen.add(textOf(paths.statePath));
    }
    await writer.close();
    await Promise.all(updates);

    expect(seen.size).toBeLessThanOrEqual(6);
    expect(JSON.parse(textOf(paths.statePath))).toMatchObject({ checkpointSeq: 1100 });
  });

  test('given a status change while progress waits, both are on disk at once', async () => {
    const { writer, paths } = await setup();
    const waiting = writer.updateState({ checkpointSeq: 2 });

    await writer.updateState({ status: 'running' });

    await waiting;
    expect(JSON.parse(textOf(paths.statePath))).toMatchObject({ status: 'running', checkpointSeq: 2 });
  });
});
