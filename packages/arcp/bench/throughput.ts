/** Echo jobs with 100 in flight, and one job of 100,000 events, over one real WebSocket connection. */
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { performance } from 'node:perf_hooks';
import { WebSocket } from 'ws';
import { FEATURES } from '@conductor-run/arcp';
import {
  createFunctionHost,
  createMemoryEventStore,
  createTokenAuthenticator,
  serveWebSocket,
  startRuntime,
  type EventStore,
} from '@conductor-run/arcp/runtime';
import { openSqliteEventStore } from '@conductor-run/arcp/sqlite';

const TOKEN = 'token-of-the-bench-0123456789';
const JOBS = 40_000;
const EVENTS = 100_000;
const IN_FLIGHT = 100;

async function measure(
  store: EventStore,
): Promise<{ jobsPerSec: number; p50: number; eventsPerSec: number }> {
  const runtime = startRuntime({
    store,
    authenticator: createTokenAuthenticator({ [TOKEN]: 'bench' }),
    host: createFunctionHost([
      { name: 'echo', versions: { '1': (job) => ({ result: job.input }) } },
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
  const server = createServer();
  serveWebSocket(runtime, server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const socket = new WebSocket(`ws://127.0.0.1:${port}/arcp`, { perMessageDeflate: false });
  await new Promise((resolve) => socket.once('open', resolve));
  let onFrame: (frame: { type: string; job_id?: string; payload: { job_id?: string } }) => void = () =>
    undefined;
  socket.on('message', (bytes: Buffer) =>
    onFrame(JSON.parse(bytes.toString('utf8')) as Parameters<typeof onFrame>[0]),
  );
  let id = 0;
  let sessionId: string | undefined;
  const send = (type: string, payload: unknown): void =>
    socket.send(JSON.stringify({ arcp: '1.1', id: `m${id++}`, type, session_id: sessionId, payload }));
  await new Promise<void>((resolve) => {
    onFrame = (frame) => {
      sessionId = (frame as { session_id?: string }).session_id;
      resolve();
    };
    send('session.hello', {
      client: { name: 'bench', version: '1' },
      auth: { scheme: 'bearer', token: TOKEN },
      capabilities: { features: FEATURES.filter((feature) => feature !== 'ack') },
    });
  });

  const latencies: number[] = [];
  const startedAt = performance.now();
  await new Promise<void>((resolve) => {
    const sentAt: number[] = [];
    const acceptedAt = new Map<string, number>();
    let sent = 0;
    let done = 0;
    const submit = (): void => {
      if (sent >= JOBS) return;
      sent += 1;
      sentAt.push(performance.now());
      send('job.submit', { agent: 'echo', input: { n: sent } });
    };
    onFrame = (frame) => {
      if (frame.type === 'job.accepted') acceptedAt.set(frame.payload.job_id ?? '', sentAt.shift() ?? 0);
      if (frame.type !== 'job.result') return;
      latencies.push(performance.now() - (acceptedAt.get(frame.job_id ?? '') ?? 0));
      acceptedAt.delete(frame.job_id ?? '');
      done += 1;
      if (done === JOBS) resolve();
      else submit();
    };
    for (let at = 0; at < IN_FLIGHT; at += 1) submit();
  });
  const jobsPerSec = JOBS / ((performance.now() - startedAt) / 1_000);
  latencies.sort((left, right) => left - right);

  const streamedAt = performance.now();
  await new Promise<void>((resolve) => {
    let seen = 0;
    onFrame = (frame) => {
      if (frame.type === 'job.event') seen += 1;
      if (frame.type === 'job.result' && seen >= EVENTS) resolve();
    };
    send('job.submit', { agent: 'stream' });
  });
  const eventsPerSec = EVENTS / ((performance.now() - streamedAt) / 1_000);
  socket.close();
  await runtime.stop();
  await new Promise((resolve) => server.close(resolve));
  return { jobsPerSec, p50: latencies[Math.floor(JOBS / 2)] ?? 0, eventsPerSec };
}

const folder = mkdtempSync(join(tmpdir(), 'arcp-bench-'));
try {
  const memory = createMemoryEventStore();
  const inMemory = await measure(memory);
  const store = openSqliteEventStore({ file: join(folder, 'arcp.db') });
  const durable = await measure(store);
  store.close();
  const row = (name: string, { jobsPerSec, p50, eventsPerSec }: typeof durable): void =>
    console.log(
      `${name.padEnd(8)} ${jobsPerSec.toFixed(0).padStart(8)} jobs/s  p50 ${p50.toFixed(1).padStart(6)} ms  ${eventsPerSec.toFixed(0).padStart(8)} events/s`,
    );
  row('memory', inMemory);
  row('sqlite', durable);
  console.log(
    `ratio    ${(durable.jobsPerSec / inMemory.jobsPerSec).toFixed(2).padStart(8)}                         ${(durable.eventsPerSec / inMemory.eventsPerSec).toFixed(2).padStart(8)}`,
  );
} finally {
  rmSync(folder, { recursive: true });
}
