/** Whoever lets go of a step holds nothing of it any more, whatever was under way. */
import { mkdirSync } from 'node:fs';

import { createRealClock } from '@conductor-run/clock';
import { resolveRunPaths } from '@conductor-run/logging';
import { describe, expect, onTestFinished, test } from 'vitest';

import { createHost } from '../src/index.ts';
import { listenLines, type LineSocket } from '../src/line-socket.ts';
import { identifySelf } from '../src/open-step.ts';
import { parseCall, type SupervisorCall } from '../src/protocol.ts';
import { claimRun } from '../src/run-record.ts';
import { followRun, type FollowAccess } from '../src/start-supervised.ts';
import { connectToSupervisor } from '../src/supervisor-client.ts';
import { supervisorDirOf, supervisorSocketOf } from '../src/supervisor.ts';
import { makeDirectory, until } from './fixtures/setup.ts';

interface Question {
  readonly call: SupervisorCall;
  readonly socket: LineSocket;
}

/** This process owns the directory and notes what it is asked. */
async function setupListener(): Promise<{
  readonly runsDir: string;
  readonly access: FollowAccess;
  readonly asked: (op: SupervisorCall['op']) => Promise<Question>;
}> {
  const runsDir = makeDirectory();
  const socketPath = supervisorSocketOf(runsDir);
  const access = { clock: createRealClock(), host: createHost(), idleExitMs: 300 };
  mkdirSync(supervisorDirOf(runsDir));
  claimRun(supervisorDirOf(runsDir), identifySelf(access.host), undefined, socketPath);
  const questions: Question[] = [];
  const sockets = new Set<LineSocket>();
  const server = await listenLines(
    socketPath,
    (value, socket) => {
      const call = parseCall(value);
      if (call !== undefined) questions.push({ call, socket });
    },
    (socket) => sockets.add(socket),
  );
  onTestFinished(() => {
    for (const socket of sockets) socket.close();
    server.close();
  });
  return {
    runsDir,
    access,
    asked: (op) => until(`"${op}"`, () => questions.find(({ call }) => call.op === op)),
  };
}

describe('followRun', () => {
  test('given a step that is let go of while it looks for the next supervisor, the new connection is closed', async () => {
    const { runsDir, access, asked } = await setupListener();
    const first = await connectToSupervisor(supervisorSocketOf(runsDir));
    if (first === undefined) throw new Error('Nobody listens');
    const step = followRun(resolveRunPaths({ runsDir, taskId: 'task', runId: 'run' }), first, access);
    let isSettled = false;
    const settle = (): void => {
      isSettled = true;
    };
    step.result.then(settle, settle);
    const waiting = await asked('wait');
    waiting.socket.close();
    const { call, socket } = await asked('info');

    step.detach();
    socket.send({ id: call.id, ok: true, value: {} });

    await until('the new connection to be closed', () => socket.closed.aborted, 5000);
    expect(isSettled).toBe(false);
  });
});
