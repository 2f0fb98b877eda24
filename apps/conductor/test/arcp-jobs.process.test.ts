/** Jobs submitted over ARCP: what reaches the step, what reaches the client, and what everybody else sees of them. */
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { connect as connectSocket } from 'node:net';
import path from 'node:path';

import type { ClientJob } from '@conductor-run/arcp/client';
import { describe, expect, test } from 'vitest';

import { COMMANDS, startArcpConductor } from './fixtures/arcp.ts';
import { linesOf } from './fixtures/daemon.ts';
import { until } from './fixtures/scratch.ts';

interface Told {
  readonly kind: string;
  readonly body: Readonly<Record<string, unknown>>;
}

/** Everything a job says until its end. */
async function read(job: ClientJob): Promise<readonly Told[]> {
  const told: Told[] = [];
  for await (const { kind, body } of job.events)
    told.push({ kind, body: body as Readonly<Record<string, unknown>> });
  return told;
}

function messagesOf(told: readonly Told[], level: string): readonly unknown[] {
  return told
    .filter(({ kind, body }) => kind === 'log' && body['level'] === level)
    .map(({ body }) => body['message']);
}

/** Asks for an upgrade that is refused, and tears the connection down in the middle of the answer. */
async function upgradeAndReset(url: string, target: string): Promise<string> {
  const { hostname, port } = new URL(url);
  const socket = connectSocket(Number(port), hostname);
  socket.write(
    `GET ${target} HTTP/1.1\r\nHost: evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`,
  );
  const [answer] = (await once(socket, 'data')) as [Buffer];
  socket.resetAndDestroy();
  await once(socket, 'close');
  return answer.toString('latin1').split('\r\n')[0] ?? '';
}

describe('the door of ARCP', () => {
  test('given upgrades that are refused, when their peers reset the connection, the daemon stays up', async () => {
    const conductor = await startArcpConductor(`  echo: { command: '${COMMANDS.sh} echo' }\n`);

    const answers: string[] = [];
    for (let round = 0; round < 5; round += 1) {
      answers.push(await upgradeAndReset(conductor.url, '/x'), await upgradeAndReset(conductor.url, '/arcp'));
    }
    const client = await conductor.connect();
    const job = await client.submit({ agent: 'echo', input: 1 });

    expect(new Set(answers)).toEqual(new Set(['HTTP/1.1 404 Not Found', 'HTTP/1.1 403 Forbidden']));
    expect(await job.end).toMatchObject({ status: 'success' });
  });
});

describe('a submitted job', () => {
  test('given a job, its input reaches the step, its events and lines the client, its result is the result', async () => {
    const conductor = await startArcpConductor(`  agent:
    version: 2.1.0
    command: |
      read -r input; echo "got $input"; echo "trace \${TRACEPARENT%%-*}"
      echo '{"kind":"progress","body":{"current":1,"total":2}}' >&3
      echo '{"kind":"artifact_ref","body":{"path":"report.txt"}}' >&3
      echo '{"kind":"metric","body":{"name":"cost.budget.remaining","value":1,"unit":"USD"}}' >&3
      echo '{"kind":"summary","body":{"text":"All done"}}' >&3
      echo '{"kind":"result","body":{"answer":42}}' >&3
`);
    const client = await conductor.connect();

    const job = await client.submit({ agent: 'agent@2.1.0', input: { q: 'é' } });
    const told = await read(job);

    expect(await job.end).toEqual({ status: 'success', result: { answer: 42 }, summary: 'All done' });
    expect(messagesOf(told, 'info')).toEqual(['got {"q":"é"}', 'trace 00']);
    expect(messagesOf(told, 'warn')).toEqual([expect.stringContaining('event 3 (metric) was refused')]);
    expect(told[0]).toMatchObject({ kind: 'status', body: { phase: 'running' } });
    expect(told.map(({ kind }) => kind).toSorted()).toEqual(
      ['artifact_ref', 'log', 'log', 'log', 'progress', 'status', 'status'].toSorted(),
    );
    const artifact = told.find(({ kind }) => kind === 'artifact_ref');
    expect(artifact?.body['uri']).toMatch(/^file:\/\/.*\/artifacts\/report\.txt$/);
  });

  test('given two jobs of one agent, they do not coalesce, and jobs, runs and why know them', async () => {
    const conductor = await startArcpConductor(`  echo: { command: '${COMMANDS.sh} echo' }\n`);
    const client = await conductor.connect();

    const first = await client.submit({ agent: 'echo', input: 1 });
    const second = await client.submit({ agent: 'echo', input: 2 });

    expect(await first.end).toMatchObject({ result: { echo: 1 } });
    expect(await second.end).toMatchObject({ result: { echo: 2 } });
    const { jobs } = (await conductor.json('jobs', 'list')) as { jobs: object[] };
    expect(jobs).toHaveLength(2);
    expect(jobs).toContainEqual(expect.objectContaining({ job: 'echo', key: first.jobId, status: 'done' }));
    const { runs } = (await conductor.json('runs', 'list')) as { runs: object[] };
    expect(runs).toHaveLength(2);
    const why = await conductor.json('why', 'echo', '--key', second.jobId);
    expect(why).toMatchObject({ attempts: [{ attempt: 1, outcome: 'succeeded' }] });
  });

  test('given a flood on stdout, some lines are told, the rest is said once and stays in the log', async () => {
    const conductor = await startArcpConductor(`  flood: { command: 'seq 1 20000' }\n`);
    const client = await conductor.connect();

    const job = await client.submit({ agent: 'flood' });
    const told = await read(job);

    expect(messagesOf(told, 'info').slice(0, 1_000)).toEqual(
      Array.from({ length: 1_000 }, (_, at) => `${at + 1}`),
    );
    expect(messagesOf(told, 'info').length).toBeLessThan(2_000);
    const [warning, ...more] = messagesOf(told, 'warn');
    expect(more).toEqual([]);
    const runId = /conductor runs logs (\S+)/.exec(String(warning))?.[1] ?? '';
    const log = await conductor.scratch.conductor('runs', 'logs', runId);
    expect(log.stdout.trimEnd().split('\n')).toHaveLength(20_000);
  });

  test('given a streamed result, its pieces are told and the end names it', async () => {
    const conductor = await startArcpConductor(`  stream:
    command: |
      echo '{"kind":"result_chunk","body":{"result_id":"r1","chunk_seq":0,"data":"one ","encoding":"utf8","more":true}}' >&3
      echo '{"kind":"result_chunk","body":{"result_id":"r1","chunk_seq":1,"data":"two","encoding":"utf8","more":false}}' >&3
`);
    const client = await conductor.connect();

    const job = await client.submit({ agent: 'stream' });
    const told = await read(job);

    const pieces = told.filter(({ kind }) => kind === 'result_chunk').map(({ body }) => body['data']);
    expect(pieces).toEqual(['one ', 'two']);
    expect(await job.end).toMatchObject({ status: 'success' });
  });

  test('given a lease and a budget, the step is refused what they do not cover, after its costs are counted', async () => {
    const conductor = await startArcpConductor(
      Object.entries(COMMANDS)
        .map(([name, command]) => `  ${name}: { command: '${command} spend' }\n`)
        .join(''),
    );
    const client = await conductor.connect();

    for (const agent of Object.keys(COMMANDS)) {
      const lease = { 'tool.call': ['search'], 'cost.budget': ['USD:1.00'] };
      const job = await client.submit({ agent, lease });
      const told = await read(job);

      const answers = messagesOf(told, 'info').map((line) => JSON.parse(String(line)) as object);
      expect(answers).toMatchObject([
        { id: 'a', ok: true },
        { id: 'b', ok: false, error: { code: 'PERMISSION_DENIED' } },
        { id: 'c', ok: false, error: { code: 'BUDGET_EXHAUSTED' } },
      ]);
    }
  });
});

describe('the end of a job', () => {
  test('given a cancel and a time limit, the processes are gone', async () => {
    const conductor = await startArcpConductor(
      `  wait: { command: 'echo $$ >> pids.log; echo up; sleep 300', concurrency: 2 }\n`,
    );
    const client = await conductor.connect();
    const cancelled = await client.submit({ agent: 'wait' });
    const limited = await client.submit({ agent: 'wait', maxRuntimeSec: 5 });
    const pids = await until('both run', () => {
      const lines = linesOf(conductor.scratch, 'pids.log');
      return lines.length === 2 && lines;
    });

    cancelled.cancel('enough');

    expect(await cancelled.end).toMatchObject({ status: 'cancelled', error: { code: 'CANCELLED' } });
    expect(await limited.end).toMatchObject({ status: 'timed_out', error: { code: 'TIMEOUT' } });
    await until('the processes are gone', () => pids.every((pid) => !existsSync(`/proc/${pid}`)));
    await until('the jobs are cancelled', async () => {
      const { jobs } = (await conductor.json('jobs', 'list')) as { jobs: { status: string }[] };
      return jobs.every(({ status }) => status === 'cancelled');
    });
  });

  test('given no free slot, a job stays pending; cancelled then, it never runs', async () => {
    const conductor = await startArcpConductor(
      `  wait: { command: '${COMMANDS.sh} wait' }\n  other: { command: 'touch ran' }\n`,
      { maxParallel: 1 },
    );
    const client = await conductor.connect();
    const running = await client.submit({ agent: 'wait' });
    await running.events[Symbol.asyncIterator]().next();

    const waiting = await client.submit({ agent: 'other' });
    const listed = await client.listJobs({ filter: { agent: 'other' } });
    waiting.cancel();
    running.cancel();
    await until('the store is at rest', async () => {
      const { jobs } = (await conductor.json('jobs', 'list')) as { jobs: { status: string }[] };
      return jobs.length === 2 && jobs.every(({ status }) => status === 'cancelled');
    });

    expect(listed.jobs).toMatchObject([{ job_id: waiting.jobId, status: 'pending' }]);
    expect(existsSync(path.join(conductor.scratch.dir, 'ran'))).toBe(false);
  });

  test('given a step that fails, its job has its reason, or the code it chose; one that is tried again goes on', async () => {
    const conductor = await startArcpConductor(`  fails: { command: 'exit 3' }
  chooses:
    command: |
      echo '{"kind":"result","body":{"error":{"code":"BUDGET_EXHAUSTED","message":"the provider says so"}}}' >&3
      exit 1
  flaky:
    command: 'echo "attempt $CONDUCTOR_ATTEMPT"; [ $CONDUCTOR_ATTEMPT = 2 ]'
    retry: { max: 1, backoff: fixed, delay: 0s }
`);
    const client = await conductor.connect();

    const fails = await client.submit({ agent: 'fails' });
    const chooses = await client.submit({ agent: 'chooses' });
    const flaky = await client.submit({ agent: 'flaky' });
    const told = await read(flaky);

    expect(await fails.end).toMatchObject({
      status: 'error',
      error: { code: 'INTERNAL_ERROR', message: expect.stringContaining('exit code 3') as string },
    });
    expect(await chooses.end).toMatchObject({
      error: { code: 'BUDGET_EXHAUSTED', message: 'the provider says so', retryable: false },
    });
    expect(await flaky.end).toMatchObject({ status: 'success' });
    expect(messagesOf(told, 'info')).toEqual(['attempt 1', 'attempt 2']);
    expect(told.filter(({ kind }) => kind === 'status').map(({ body }) => body['phase'])).toEqual([
      'running',
      'running',
    ]);
  });

  test('given somebody at the command line who cancels a job, its client is told', async () => {
    const conductor = await startArcpConductor(`  wait: { command: '${COMMANDS.sh} wait' }\n`);
    const client = await conductor.connect();
    const job = await client.submit({ agent: 'wait' });
    await job.events[Symbol.asyncIterator]().next();

    await conductor.scratch.conductor('jobs', 'cancel', 'wait', '--key', job.jobId);

    expect(await job.end).toMatchObject({ status: 'cancelled', error: { code: 'CANCELLED' } });
  });
});

describe('the door', () => {
  test('given the state directory, what belongs to sessions is readable by its owner alone', async () => {
    const conductor = await startArcpConductor(`  echo: { command: 'true' }\n`);

    const file = path.join(conductor.scratch.dir, '.conductor/arcp/one.db');

    expect(readFileSync(file).subarray(0, 6).toString()).toBe('SQLite');
  });
});
