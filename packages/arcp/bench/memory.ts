/** What a runtime holds: per idle session, per buffered event, and how long a resume of 100,000 of them takes. Run with --expose-gc. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { connectClient } from '@conductor-run/arcp/client';
import {
  createFunctionHost,
  createMemoryEventStore,
  createMemoryTransportPair,
  createTokenAuthenticator,
  startRuntime,
  type EventStore,
  type Transport,
} from '@conductor-run/arcp/runtime';
import { openSqliteEventStore } from '@conductor-run/arcp/sqlite';

const TOKEN = 'token-of-the-bench-0123456789';
const SESSIONS = 10_000;
const EVENTS = 100_000;

function heap(): number {
  globalThis.gc?.();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

async function measure(name: string, store: EventStore): Promise<void> {
  const runtime = startRuntime({
    store,
    limits: { maxSessionsPerPrincipal: SESSIONS + 10 },
    authenticator: createTokenAuthenticator({ [TOKEN]: 'bench' }),
    host: createFunctionHost([
      {
        name: 'stream',
        versions: {
          '1': async (job) => {
            for (let at = 0; at < EVENTS; at += 1) {
              await job.emit('log', { level: 'info', message: `line ${at} of a job that has much to say` });
            }
            return {};
          },
        },
      },
    ]),
  });
  const connect = (): Transport => {
    const pair = createMemoryTransportPair();
    runtime.serve(pair.runtime);
    return pair.client;
  };
  const beforeSessions = heap();
  for (let at = 0; at < SESSIONS; at += 1) await openAndLeave(connect());
  const perSession = (heap() - beforeSessions) / SESSIONS;

  const client = await connectClient({ connect, token: TOKEN });
  const job = await client.submit({ agent: 'stream' });
  const ticket = client.ticket();
  const beforeEvents = heap();
  await client.close();
  while (runtime.stats().jobs > 0) await new Promise((resolve) => setImmediate(resolve));
  const perEvent = (heap() - beforeEvents) / EVENTS;

  const startedAt = performance.now();
  const back = await connectClient({ connect, token: TOKEN, resume: { ...ticket, lastEventSeq: 0 } });
  while (back.ticket().lastEventSeq < EVENTS + 1) await new Promise((resolve) => setImmediate(resolve));
  const resumeMs = performance.now() - startedAt;
  await back.close();
  await runtime.stop();
  await job.end.catch(() => undefined);
  console.log(
    `${name.padEnd(8)} ${perSession.toFixed(0).padStart(6)} B/idle session  ${perEvent.toFixed(0).padStart(6)} B/buffered event  resume of ${EVENTS}: ${resumeMs.toFixed(0)} ms`,
  );
}

/** A session without a connection: what a lost client leaves for the resume window. */
async function openAndLeave(transport: Transport): Promise<void> {
  await new Promise<void>((resolve) => {
    transport.open({
      message: () => transport.close({ code: 1001, reason: 'gone' }),
      malformed: () => undefined,
      drained: () => undefined,
      closed: () => resolve(),
    });
    const payload = { client: { name: 'b', version: '1' }, auth: { scheme: 'bearer', token: TOKEN } };
    transport.send([JSON.stringify({ arcp: '1.1', id: '1', type: 'session.hello', payload })]);
  });
}

const folder = mkdtempSync(join(tmpdir(), 'arcp-bench-'));
try {
  await measure('memory', createMemoryEventStore());
  const store = openSqliteEventStore({ file: join(folder, 'arcp.db') });
  await measure('sqlite', store);
  store.close();
} finally {
  rmSync(folder, { recursive: true });
}
