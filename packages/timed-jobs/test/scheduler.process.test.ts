/** Leaders killed with SIGKILL at random instants, their successors started before or after. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createRealClock } from '@conductor-run/clock';
import type { Schedule } from '@conductor-run/timed-jobs';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { SCHEDULES } from './fixtures/schedules.ts';
import { tempDir } from './fixtures/setup.ts';
import { openSqliteSlotStore, type StoredDecision } from './fixtures/sqlite-slot-store.ts';

const CHILD = join(import.meta.dirname, 'fixtures', 'scheduler-child.ts');

async function startChild(path: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, [CHILD, path], { stdio: ['pipe', 'pipe', 'inherit'] });
  onTestFinished(() => void child.kill('SIGKILL'));
  const died = once(child, 'exit').then(() => {
    throw new Error('Cannot lead: the child ended before it was ready');
  });
  // Once it leads, it is meant to die.
  died.catch(() => undefined);
  await Promise.race([once(child.stdout ?? child, 'data'), died]);
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

/** What is wrong with the decisions of one schedule; nothing, one hopes. */
function errorsOf(schedule: Schedule, decisions: readonly StoredDecision[]): readonly string[] {
  const [anchor, ...rest] = decisions.filter((row) => row.schedule === schedule.name);
  if (anchor?.decision !== 'anchored') return [`${schedule.name} does not begin with its anchor`];
  const errors: string[] = [];
  let cursorMs = anchor.slot_ms;
  let { term } = anchor;
  for (const row of rest) {
    if (row.first_slot_ms !== schedule.nextAfter(cursorMs))
      errors.push(`${schedule.name} gap or repetition at ${row.slot_ms}`);
    if (row.term < term) errors.push(`${schedule.name} term went back at ${row.slot_ms}`);
    ({ slot_ms: cursorMs, term } = row);
  }
  return errors;
}

describe('scheduler', () => {
  test('given leaders killed in the middle of it, when others go on, each slot was decided once with one effect per run', async () => {
    const path = join(await tempDir(), 'slots.sqlite');
    const clock = createRealClock();
    const rounds = inject('soak') ? 200 : 8;
    let child = await startChild(path);

    for (let round = 0; round < rounds; round++) {
      // Not a wait for something to happen: the instant of death has to be arbitrary.
      await clock.sleep((round * 37) % 230);
      if (round % 2 === 0) {
        await kill(child);
        child = await startChild(path);
      } else {
        // The successor takes over while the old leader still believes in itself.
        const successor = await startChild(path);
        await clock.sleep((round * 13) % 60);
        await kill(child);
        child = successor;
      }
    }
    const store = openSqliteSlotStore(path);
    onTestFinished(() => store.close());
    const leftMs = clock.nowMs();
    await until(() => store.allDecisions().some((row) => row.slot_ms > leftMs && row.schedule === 'cron'));
    const exited = once(child, 'exit');
    child.stdin?.end();

    expect(await exited).toEqual([0, null]);
    const decisions = store.allDecisions();
    expect(SCHEDULES.flatMap((schedule) => errorsOf(schedule, decisions))).toEqual([]);
    expect(new Set(decisions.map((row) => row.term)).size).toBeGreaterThan(rounds / 2);
    const ran = decisions
      .filter((row) => row.decision === 'ran')
      .map(({ schedule, slot_ms }) => ({ schedule, slot_ms }));
    expect(store.allEffects()).toEqual(ran);
    // With catch-up "all" and room for it, no slot may be lost to a death.
    expect(decisions.filter((row) => row.schedule === 'all' && row.decision !== 'ran')).toHaveLength(1);
  });
});

async function until(condition: () => boolean, deadlineMs = 20_000): Promise<void> {
  const clock = createRealClock();
  const endMs = clock.monotonicMs() + deadlineMs;
  while (!condition()) {
    if (clock.monotonicMs() > endMs) throw new Error(`Cannot see the condition within ${deadlineMs} ms`);
    await clock.sleep(5);
  }
}
