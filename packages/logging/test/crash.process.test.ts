import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';

import { createRealClock } from '@conductor-run/clock';
import { describe, expect, inject, onTestFinished, test } from 'vitest';

import { createRedactor, openRun, reopenRun, resolveRunPaths, type RunPaths } from '../src/index.ts';
import { doomedOutput, SECRETS } from './fixtures/doomed-output.ts';
import { isSoundSequence, temporaryDirectory, until } from './fixtures/setup.ts';

type Kind = 'stream' | 'child' | 'spool';

interface Said {
  readonly ready?: boolean;
  readonly child?: number;
  readonly seq?: number;
  readonly bytes?: number;
}

/** Runs a writer and kills it `delayMs` after it is ready; returns the last it said. */
async function killedWriter(runsDir: string, runId: string, kind: Kind, delayMs: number): Promise<Said> {
  const script = new URL('fixtures/doomed-writer.ts', import.meta.url).pathname;
  const writer = spawn(process.execPath, [script, runsDir, runId, kind], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  onTestFinished(() => void writer.kill('SIGKILL'));
  let said: Said = {};
  const ready = new Promise<void>((resolve) => {
    createInterface({ input: writer.stdout }).on('line', (line) => {
      said = { ...said, ...(JSON.parse(line) as Said) };
      if (said.ready === true) resolve();
    });
  });
  await ready;
  await createRealClock().sleep(delayMs);
  writer.kill('SIGKILL');
  await once(writer, 'close');
  return said;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** What must hold in the instant after the kill, before anybody repairs anything. */
function expectTrueRecord(paths: RunPaths, said: Said): void {
  const reader = openRun(paths);
  expect(reader.meta().runId).toBe(paths.runId);
  expect(['prepared', 'running']).toContain(reader.state().status);
  expect(readFileSync(paths.stdoutPath).byteLength).toBeGreaterThanOrEqual(said.bytes ?? 0);
}

const rounds = (): number => (inject('soak') ? 70 : 3);
/** Spread over the life of the writer, different in each round and the same in each run of the test. */
const delayOf = (round: number): number => (round * 7919) % 97;

describe('kill -9 of the writer at any moment', () => {
  test('given in-process output, nothing flushed is missing and no number repeats over two lives', async () => {
    for (let round = 0; round < rounds(); round++) {
      const paths = resolveRunPaths({ runsDir: temporaryDirectory(), taskId: 'task', runId: 'run' });
      const first = await killedWriter(paths.runsDir, 'run', 'stream', delayOf(round));
      expectTrueRecord(paths, first);
      const afterFirst = readFileSync(paths.stdoutPath, 'utf8');
      expect(doomedOutput(false).startsWith(afterFirst)).toBe(true);

      const second = await killedWriter(paths.runsDir, 'run', 'stream', delayOf(round + 50));
      expectTrueRecord(paths, second);
      expect(second.seq ?? Number.MAX_SAFE_INTEGER).toBeGreaterThan(first.seq ?? 0);
      await using writer = await reopenRun(paths);
      writer.event({ type: 'run_adopted', message: '' });
      await writer.updateState({ status: 'lost' });

      const text = readFileSync(paths.stdoutPath, 'utf8');
      expect(text.startsWith(afterFirst)).toBe(true);
      expect(doomedOutput(false).startsWith(text.slice(afterFirst.length))).toBe(true);
      expect(isSoundSequence(paths), `sequence in round ${round}`).toBe(true);
      expect(writer.state().stdoutBytes).toBe(Buffer.byteLength(text));
    }
  });

  test.for([['child'], ['spool']] as const)(
    'given output of a %s that lives on, the next writer ends with every byte once',
    async ([kind]) => {
      for (let round = 0; round < rounds(); round++) {
        const paths = resolveRunPaths({ runsDir: temporaryDirectory(), taskId: 'task', runId: 'run' });
        const said = await killedWriter(paths.runsDir, 'run', kind, delayOf(round));
        expectTrueRecord(paths, said);
        const redactor = createRedactor({ secrets: SECRETS });
        await using writer = await reopenRun(paths, kind === 'spool' ? { redactor } : {});
        const { child } = said;
        writer.output('stdout').followChild();
        await until('the child to end', () => child === undefined || !isAlive(child));
        await writer.finishOutput();
        writer.event({ type: 'run_adopted', message: '' });
        await writer.updateState({ status: 'lost' });

        // Killed before it could say which child it started, the child may still be writing.
        const expected = doomedOutput(kind === 'spool');
        const text = readFileSync(paths.stdoutPath, 'utf8');
        expect(expected.startsWith(text)).toBe(true);
        expect(child === undefined || text === expected, `complete in round ${round}`).toBe(true);
        const seen: Buffer[] = [];
        for await (const item of openRun(paths).follow()) {
          if (item.kind === 'chunk') seen.push(Buffer.from(item.bytes));
        }
        const followed = Buffer.concat(seen).toString();
        expect(child === undefined ? expected.startsWith(followed) : followed === expected).toBe(true);
        expect(isSoundSequence(paths), `sequence in round ${round}`).toBe(true);
      }
    },
  );
});
