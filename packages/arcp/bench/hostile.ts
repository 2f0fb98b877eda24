/**
 * What one client's bad manners cost another: the latency of echo jobs alone, and beside a client that never reads, one
 * that sends garbage as fast as it can, and one that opens 10,000 sessions; with the runtime's memory before and after.
 */
import { fork, type ChildProcess } from 'node:child_process';
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
  createTokenAuthenticator,
  serveWebSocket,
  startRuntime,
} from '@conductor-run/arcp/runtime';
import { openSqliteEventStore } from '@conductor-run/arcp/sqlite';

const GOOD = 'token-of-the-good-one-0123456789';
const BAD = 'token-of-the-bad-one-0123456789';
const SECONDS = 8;
const SESSIONS = 10_000;

async function serve(file: string): Promise<void> {
  const runtime = startRuntime({
    store: openSqliteEventStore({ file }),
    authenticator: createTokenAuthenticator({ [GOOD]: 'good', [BAD]: 'bad' }),
    host: createFunctionHost([
      { name: 'echo', versions: { '1': (job) => ({ result: job.input }) } },
      {
        name: 'endless',
        versions: {
          '1': async (job) => {
            for (let at = 0; !job.signal.aborted; at += 1) {
              await job.emit('log', { level: 'info', message: `line ${at} of a job that nobody reads` });
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
  process.on('message', () => {
    globalThis.gc?.();
    process.send?.({ rssMiB: process.memoryUsage().rss / 2 ** 20, ...runtime.stats() });
  });
  process.send?.(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/arcp`);
}

/** A client that says hello, and then whatever it is told to. */
async function open(url: string, token: string): Promise<{ socket: WebSocket; sessionId: string }> {
  const socket = new WebSocket(url, { perMessageDeflate: false });
  await new Promise((resolve, reject) => {
    socket.once('open', resolve);
    socket.once('error', reject);
  });
  const payload = {
    client: { name: 'bench', version: '1' },
    auth: { scheme: 'bearer', token },
    capabilities: { features: FEATURES.filter((feature) => feature !== 'ack') },
  };
  socket.send(JSON.stringify({ arcp: '1.1', id: 'h', type: 'session.hello', payload }));
  const welcome = await new Promise<string>((resolve, reject) => {
    socket.once('message', (bytes: Buffer) => resolve(bytes.toString('utf8')));
    socket.once('close', () => reject(new Error('closed')));
  });
  return { socket, sessionId: (JSON.parse(welcome) as { session_id?: string }).session_id ?? '' };
}

const HOSTILE: Readonly<Record<string, (url: string) => Promise<void>>> = {
  async 'never-reads'(url) {
    const { socket, sessionId } = await open(url, BAD);
    socket.pause();
    for (let at = 0; at < 5; at += 1) {
      const payload = { agent: 'endless' };
      socket.send(
        JSON.stringify({ arcp: '1.1', id: `s${at}`, type: 'job.submit', session_id: sessionId, payload }),
      );
    }
  },
  async garbage(url) {
    const { socket, sessionId } = await open(url, BAD);
    socket.on('message', () => undefined);
    const envelope = (type: string, payload: unknown): string =>
      JSON.stringify({ arcp: '1.1', id: 'g', type, session_id: sessionId, payload });
    const frames = [
      '{"arcp":',
      '[[[[[[[[[[[[[[[[',
      envelope('no.such.type', {}),
      envelope('job.submit', { agent: 17 }),
      envelope('job.submit', { agent: 'none', input: 'x'.repeat(500) }),
      envelope('job.cancel', { job_id: 'job_of_somebody' }),
      envelope('job.subscribe', { job_id: 'job_of_somebody', history: true }),
      envelope('session.list_jobs', { limit: 1_000, cursor: 'x' }),
      envelope('__proto__', { constructor: { prototype: 1 } }),
    ];
    for (;;) {
      for (let at = 0; at < 200; at += 1) socket.send(frames[at % frames.length] ?? '');
      // As fast as the connection takes it.
      if (socket.bufferedAmount > 2 ** 20) {
        await new Promise<void>((resolve) => socket.send('{', () => resolve()));
      } else await new Promise((resolve) => setImmediate(resolve));
    }
  },
  async 'ten-thousand'(url) {
    for (let at = 0; at < SESSIONS; at += 1) {
      const { socket } = await open(url, BAD).catch(() => ({ socket: undefined }));
      // Half of them stay, the others vanish without a word.
      if (at % 2 === 0) socket?.terminate();
    }
    process.send?.('done');
  },
};

/** Submits one echo job after the other; gives the latencies, sorted. */
async function measure(url: string): Promise<readonly number[]> {
  const { socket, sessionId } = await open(url, GOOD);
  const latencies: number[] = [];
  let onResult: () => void = () => undefined;
  let strange = 0;
  socket.on('message', (bytes: Buffer) => {
    const frame = JSON.parse(bytes.toString('utf8')) as { type: string };
    if (frame.type === 'job.result') onResult();
    else if (frame.type !== 'job.accepted' && frame.type !== 'session.ping') strange += 1;
  });
  const untilMs = performance.now() + SECONDS * 1_000;
  while (performance.now() < untilMs) {
    const startedAt = performance.now();
    await new Promise<void>((resolve) => {
      onResult = resolve;
      const payload = { agent: 'echo', input: 1 };
      socket.send(
        JSON.stringify({ arcp: '1.1', id: 'j', type: 'job.submit', session_id: sessionId, payload }),
      );
    });
    latencies.push(performance.now() - startedAt);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  socket.close();
  if (strange > 0) console.log(`${strange} messages that were not ours`);
  return latencies.toSorted((left, right) => left - right);
}

interface Stats {
  readonly rssMiB: number;
  readonly sessions: number;
  readonly bufferedBytes: number;
}

async function ask(child: ChildProcess): Promise<Stats> {
  return new Promise((resolve) => {
    child.once('message', (stats) => resolve(stats as Stats));
    child.send('stats');
  });
}

async function main(folder: string): Promise<void> {
  for (const name of ['nobody', ...Object.keys(HOSTILE)]) {
    const child = fork(import.meta.filename, ['serve', join(folder, `${name}.db`)], {
      execArgv: ['--expose-gc'],
    });
    const url = await new Promise<string>((resolve) =>
      child.once('message', (text) => resolve(text as string)),
    );
    await measure(url);
    const before = await ask(child);
    const attacker = name === 'nobody' ? undefined : fork(import.meta.filename, ['attack', name, url]);
    const latencies = await measure(url);
    const after = await ask(child);
    attacker?.kill('SIGKILL');
    child.kill('SIGKILL');
    const at = (share: number): string =>
      (latencies[Math.floor(latencies.length * share)] ?? 0).toFixed(1).padStart(7);
    console.log(
      `${name.padEnd(14)} ${String(latencies.length).padStart(6)} jobs  p50 ${at(0.5)} ms  p99 ${at(0.99)} ms  max ${at(0.99999)} ms   memory ${before.rssMiB.toFixed(0)} → ${after.rssMiB.toFixed(0)} MiB, ${after.sessions} sessions, ${(after.bufferedBytes / 2 ** 20).toFixed(0)} MiB buffered`,
    );
  }
}

const [mode, first = '', second = ''] = process.argv.slice(2);
if (mode === 'serve') await serve(first);
else if (mode === 'attack') await HOSTILE[first]?.(second);
else {
  const folder = mkdtempSync(join(tmpdir(), 'arcp-hostile-'));
  try {
    await main(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
