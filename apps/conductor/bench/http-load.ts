/**
 * 200 requests a second of status and lists against 100,000 jobs and 10,000 runs, for 30 s, on a real daemon.
 * `node apps/conductor/bench/http-load.ts [requests per second] [seconds] [folder to keep for the next time]`;
 * the bar is a p99 under 50 ms.
 * Requests leave by the clock, whatever became of those before: a stall is counted against every one that waited.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { Agent, request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';

import { createRealClock } from '@conductor-run/clock';
import { openJobStore } from '@conductor-run/job-store';
import { ulid } from 'ulid';

const JOBS = 100_000;
const RUNS = 10_000;
const KINDS = 20;
const PATHS = [
  // Reads nothing: what the machine itself takes at this load.
  '/healthz',
  '/v1/status',
  '/v1/jobs?limit=50',
  '/v1/jobs?limit=50&status=done',
  '/v1/jobs?limit=50&status=running',
  '/v1/runs?limit=50',
  '/v1/runs?limit=50&status=running',
  '/v1/runs?limit=50&job=job-7',
];

const perSecond = Number(process.argv[2] ?? 200);
const seconds = Number(process.argv[3] ?? 30);
const clock = createRealClock();
const kept = process.argv[4];
const dir = kept ?? mkdtempSync(path.join(tmpdir(), 'conductor-load-'));
const filled = path.join(dir, 'filled');
const stateDir = path.join(dir, '.conductor');
const bin = path.join(import.meta.dirname, '../src/bin.ts');

writeFileSync(
  path.join(dir, 'conductor.yaml'),
  'jobs:\n  tick: { command: "true", schedule: { every: 5s } }\n',
);
const daemon = spawn(process.execPath, [bin, 'start', '--node-id', 'bench', '--local-api-port', '0'], {
  cwd: dir,
  stdio: ['ignore', 'ignore', 'inherit'],
});
try {
  const place = await waitForFile(path.join(stateDir, 'api/bench.json'));
  const { url } = JSON.parse(place) as { url: string };
  const token = readFileSync(path.join(stateDir, 'token'), 'utf8').trim();
  if (!existsSync(filled)) {
    await fillStore();
    await fillRuns();
    writeFileSync(filled, '');
  }
  const agent = new Agent({ keepAlive: true, maxSockets: 64 });
  const ask = (route: string): Promise<void> => send(agent, `${url}${route}`, token);
  // A daemon that starts looks through all runs for some to adopt.
  await untilReady(() => ask('/readyz'));
  for (const route of PATHS) await ask(route);
  const tookMs = new Map<string, number[]>(PATHS.map((route) => [route, []]));
  await load(ask, tookMs);
  agent.destroy();
  const all = [...tookMs.values()].flat();
  const rows = [...tookMs, ['all', all] as const].map(([route, times]) => ({ route, ...describe(times) }));
  process.stdout.write(`${perSecond} requests/s for ${seconds} s, ${JOBS} jobs, ${RUNS} runs\n`);
  for (const row of rows) process.stdout.write(`${JSON.stringify(row)}\n`);
} finally {
  daemon.kill('SIGTERM');
  await once(daemon, 'exit');
  if (kept === undefined) rmSync(dir, { recursive: true, force: true });
}

/** Jobs of kinds no daemon knows, so that they stay as they are: most done, some failed, waiting, ready, running. */
async function fillStore(): Promise<void> {
  const store = await openJobStore({ path: path.join(stateDir, 'conductor.db'), clock });
  const kindOf = (index: number): string => `job-${index % KINDS}`;
  for (let from = 0; from < JOBS; from += 1_000) {
    await Promise.all(
      Array.from({ length: 1_000 }, (_, at) =>
        store.enqueue({ kind: kindOf(at), key: `key-${from + at}`, retries: 0 }),
      ),
    );
  }
  const kinds = Array.from({ length: KINDS }, (_, index) => `job-${index}`);
  for (let ended = 0; ended < JOBS * 0.9; ended += 1_000) {
    const leases = await store.claimNext({ workerId: 'bench', leaseMs: 3_600_000, kinds, limit: 1_000 });
    await Promise.all(
      leases.map((lease, index) =>
        index % 50 === 0 ? store.fail(lease, { error: 'no', retry: false }) : store.succeed(lease),
      ),
    );
  }
  await store.claimNext({ workerId: 'bench', leaseMs: 3_600_000, kinds, limit: 20 });
  await store.close();
}

/** Copies of a run that ended, each under ids of its own. */
async function fillRuns(): Promise<void> {
  const runsDir = path.join(stateDir, 'runs');
  execFileSync(process.execPath, [bin, 'exec', '--', 'true'], { cwd: dir, stdio: 'ignore' });
  const taskId = readdirSync(runsDir).find((name) => name.startsWith('exec-')) ?? '';
  const [runId = ''] = readdirSync(path.join(runsDir, taskId));
  const template = path.join(runsDir, taskId, runId);
  const files = ['meta.json', 'state.json', 'result.json', 'worker.log', 'stdout.log', 'stderr.log'].map(
    (name) => [name, readFileSync(path.join(template, name), 'utf8')] as const,
  );
  const startMs = clock.nowMs() - RUNS * 1_000;
  for (let index = 0; index < RUNS; index += 1) {
    const newTaskId = `job-${index % KINDS}-${ulid(startMs + index * 1_000)}`;
    const newRunId = ulid(startMs + index * 1_000);
    const folder = path.join(runsDir, newTaskId, newRunId);
    mkdirSync(folder, { recursive: true });
    for (const [name, text] of files) {
      writeFileSync(path.join(folder, name), text.replaceAll(taskId, newTaskId).replaceAll(runId, newRunId));
    }
  }
}

async function load(
  ask: (route: string) => Promise<void>,
  tookMs: ReadonlyMap<string, number[]>,
): Promise<void> {
  const open: Promise<void>[] = [];
  const startMs = clock.monotonicMs();
  for (let index = 0; index < perSecond * seconds; index += 1) {
    const dueMs = startMs + (index * 1_000) / perSecond;
    const waitMs = dueMs - clock.monotonicMs();
    if (waitMs > 0) await clock.sleep(waitMs);
    const route = PATHS[index % PATHS.length] ?? '';
    open.push(ask(route).then(() => void tookMs.get(route)?.push(clock.monotonicMs() - dueMs)));
  }
  await Promise.all(open);
}

function send(agent: Agent, url: string, token: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request(url, { agent, headers: { authorization: `Bearer ${token}` } }, (response) => {
      response.resume();
      response.on('end', () =>
        response.statusCode === 200 ? resolve() : reject(new Error(`${url}: ${response.statusCode}`)),
      );
    });
    sent.on('error', reject);
    sent.end();
  });
}

function describe(times: readonly number[]): object {
  const sorted = times.toSorted((one, other) => one - other);
  const at = (share: number): number => Number((sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(1));
  return {
    count: sorted.length,
    p50: at(0.5),
    p90: at(0.9),
    p99: at(0.99),
    max: Number((sorted.at(-1) ?? 0).toFixed(1)),
  };
}

async function untilReady(ask: () => Promise<void>): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask();
    } catch (error) {
      if (tries === 1_000) throw error;
      await clock.sleep(50);
    }
  }
}

async function waitForFile(file: string): Promise<string> {
  for (let tries = 0; tries < 1_000; tries += 1) {
    try {
      return readFileSync(file, 'utf8');
    } catch {
      await clock.sleep(20);
    }
  }
  throw new Error(`${file} did not appear`);
}
