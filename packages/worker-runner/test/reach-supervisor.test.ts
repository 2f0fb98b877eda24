/** A supervisor that is alive is waited for while it works, and given up when it is stopped. */
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';

import { createManualClock, type ManualClock } from '@conductor-run/clock';
import { describe, expect, onTestFinished, test } from 'vitest';

import { createHost, identifyProcess, type ProcessIdentity } from '../src/index.ts';
import { listenLines, type LineSocket } from '../src/line-socket.ts';
import { claimRun } from '../src/run-record.ts';
import { reachSupervisor, type SupervisorConnection } from '../src/supervisor-client.ts';
import { supervisorDirOf, supervisorSocketOf } from '../src/supervisor.ts';
import { makeDirectory, until } from './fixtures/setup.ts';

const host = createHost();

interface SilentSupervisor {
  readonly clock: ManualClock;
  readonly reached: Promise<SupervisorConnection>;
  /** Answers everything asked so far and from now on. */
  readonly answer: () => void;
  readonly questionCount: () => number;
}

/** Somebody owns the directory and takes connections, and does not answer yet; a client tries to reach it. */
async function setupSilent(owner: ProcessIdentity): Promise<SilentSupervisor> {
  const runsDir = makeDirectory();
  const directory = supervisorDirOf(runsDir);
  mkdirSync(directory);
  claimRun(directory, owner, undefined, supervisorSocketOf(runsDir));
  const questions: { readonly id: unknown; readonly socket: LineSocket }[] = [];
  const sockets = new Set<LineSocket>();
  const server = await listenLines(
    supervisorSocketOf(runsDir),
    (value, socket) => questions.push({ id: (value as { id: number }).id, socket }),
    (socket) => sockets.add(socket),
  );
  onTestFinished(() => {
    for (const socket of sockets) socket.close();
    server.close();
  });
  const clock = createManualClock();
  const reached = reachSupervisor(runsDir, { clock, host, idleExitMs: 1000 });
  await until('the question', () => questions.length > 0);
  return {
    clock,
    reached,
    questionCount: () => questions.length,
    answer: () => {
      for (const { id, socket } of questions) socket.send({ id, ok: true, value: {} });
    },
  };
}

describe('reachSupervisor', () => {
  test('given a supervisor that is at work for half a minute, when it answers, it was asked once', async () => {
    const self = identifyProcess(host.processes, process.pid);
    const { clock, reached, answer, questionCount } = await setupSilent(self ?? { pid: 0, startTime: 0 });

    await clock.advance(30_000);
    answer();
    const connection = await reached;

    expect(questionCount()).toBe(1);
    connection.close();
  });

  test('given a supervisor that is stopped, when it does not answer, it is given up', async () => {
    const child = spawn('sleep', ['300'], { stdio: 'ignore' });
    onTestFinished(() => void child.kill('SIGKILL'));
    const owner = await until('the owner', () => identifyProcess(host.processes, child.pid ?? 0));
    child.kill('SIGSTOP');
    await until('it to be stopped', () => host.processes.read(owner.pid)?.state === 'stopped');
    const { clock, reached } = await setupSilent(owner);
    let isGivenUp = false;
    reached.catch(() => {
      isGivenUp = true;
    });

    // Each try is a connection of its own, which takes real time.
    for (let seconds = 0; seconds < 60 && !isGivenUp; seconds += 1) {
      await clock.advance(1000);
      await until('the next try', () => isGivenUp || clock.pendingTimers() > 0);
    }

    await expect(reached).rejects.toMatchObject({ code: 'supervisor-unavailable' });
    expect(clock.monotonicMs()).toBeLessThan(20_000);
  });
});
