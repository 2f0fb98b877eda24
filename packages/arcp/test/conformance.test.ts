import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { connectWebSocket } from '@conductor-run/arcp/client';
import { createFunctionHost, serveWebSocket, type AgentJob } from '@conductor-run/arcp/runtime';
import { openSqliteEventStore } from '@conductor-run/arcp/sqlite';
import { conformanceChecks, type ConformanceTarget } from '@conductor-run/arcp/testing';
import { createRealClock } from '@conductor-run/clock';
import { describe, expect, onTestFinished, test } from 'vitest';
import { ALICE, BOB } from './fixtures/peer.ts';
import { setup } from './fixtures/setup.ts';
import { tempFolder } from './fixtures/spawn-daemon.ts';

describe('conformance of the durable runtime over a real WebSocket', () => {
  test.for(conformanceChecks.map((check) => [check.section, check.title, check] as const))(
    'given section %s, when checked, %s',
    async ([, , check]) => {
      await expect(check.run(await serve())).resolves.toBeUndefined();
    },
  );
});

async function serve(): Promise<ConformanceTarget> {
  const store = openSqliteEventStore({ file: join(tempFolder(), 'arcp.db') });
  onTestFinished(() => store.close());
  const { runtime } = setup({
    store,
    clock: createRealClock(),
    host: createFunctionHost([
      { name: 'echo', versions: { '1': (job) => ({ result: job.input }) } },
      { name: 'count', versions: { '1': count } },
      { name: 'wait', versions: { '1': wait } },
    ]),
  });
  const server = createServer();
  serveWebSocket(runtime, server);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return {
    connect: connectWebSocket(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/arcp`),
    tokens: { alice: ALICE, bob: BOB },
    agents: { echo: 'echo', count: 'count', wait: 'wait' },
  };
}

async function count(job: AgentJob): Promise<{ readonly result: number }> {
  const { n } = job.input as { readonly n: number };
  for (let at = 1; at <= n; at += 1) await job.emit('log', { level: 'info', message: `${at}` });
  return { result: n };
}

async function wait(job: AgentJob): Promise<never> {
  await job.emit('status', { phase: 'waiting' });
  return new Promise((_, reject) => {
    job.signal.addEventListener('abort', () => reject(new Error('aborted')), { once: true });
  });
}
