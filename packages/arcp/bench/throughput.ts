/**
 * Jobs and events a second through one real WebSocket, in memory and durable. Further runtimes take part in the same
 * run: `node bench/throughput.ts reference=ws://127.0.0.1:7001/arcp …`; what each must offer is in load.ts.
 */
import { fork } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  createFunctionHost,
  createMemoryEventStore,
  createTokenAuthenticator,
  serveWebSocket,
  startRuntime,
} from '@conductor-run/arcp/runtime';
import { openSqliteEventStore } from '@conductor-run/arcp/sqlite';
import { loadRuntime, type Load } from './load.ts';

const TOKEN = 'token-of-the-bench-0123456789';
const ROUNDS = 3;

/** A runtime in a process of its own, told its store by the first argument. */
async function serve(file: string): Promise<void> {
  const runtime = startRuntime({
    store: file === 'memory' ? createMemoryEventStore() : openSqliteEventStore({ file }),
    authenticator: createTokenAuthenticator({ [TOKEN]: 'bench' }),
    host: createFunctionHost([
      { name: 'echo', versions: { '1': (job) => ({ result: job.input }) } },
      {
        name: 'stream',
        versions: {
          '1': async (job) => {
            const { n } = job.input as { readonly n: number };
            for (let at = 0; at < n; at += 1) {
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
  process.send?.(`ws://127.0.0.1:${(server.address() as AddressInfo).port}/arcp`);
}

async function compare(folder: string): Promise<void> {
  const children = ['memory', join(folder, 'arcp.db')].map((file) =>
    fork(import.meta.filename, ['serve', file]),
  );
  const own = await Promise.all(
    children.map(
      (child) => new Promise<string>((resolve) => child.once('message', (url) => resolve(url as string))),
    ),
  );
  const contenders: [string, string][] = [
    ['memory', own[0] ?? ''],
    ['sqlite', own[1] ?? ''],
    ...process.argv.slice(2).map((argument): [string, string] => {
      const at = argument.indexOf('=');
      return [argument.slice(0, at), argument.slice(at + 1)];
    }),
  ];
  const rounds = new Map<string, Load[]>(contenders.map(([name]) => [name, []]));
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [name, url] of contenders) rounds.get(name)?.push(await loadRuntime(url, TOKEN));
  }
  for (const child of children) child.kill();

  const of = (name: string, field: keyof Load): number => {
    const values = (rounds.get(name) ?? [])
      .map((load) => load[field])
      .toSorted((left, right) => left - right);
    return values[Math.floor(values.length / 2)] ?? 0;
  };
  for (const [name] of contenders) {
    const ratio = (field: keyof Load): string => (of('sqlite', field) / of(name, field)).toFixed(2);
    console.log(
      `${name.padEnd(18)} ${of(name, 'jobsPerSec').toFixed(0).padStart(8)} jobs/s  p50 ${of(name, 'p50Ms').toFixed(1).padStart(6)} ms  ${of(name, 'eventsPerSec').toFixed(0).padStart(8)} events/s   sqlite is × ${ratio('jobsPerSec')} and × ${ratio('eventsPerSec')}`,
    );
  }
}

if (process.argv[2] === 'serve') await serve(process.argv[3] ?? 'memory');
else {
  const folder = mkdtempSync(join(tmpdir(), 'arcp-bench-'));
  try {
    await compare(folder);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
