import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connectClient, connectWebSocket, type ClientJob } from '@conductor-run/arcp/client';
import { createFunctionHost } from '@conductor-run/arcp/runtime';
import { openSqliteEventStore } from '@conductor-run/arcp/sqlite';
import SqliteDatabase from 'better-sqlite3';
import { describe, expect, inject, onTestFinished, test } from 'vitest';
import { ALICE, until } from './fixtures/peer.ts';
import { createPuppetAgent, setup, type Puppet } from './fixtures/setup.ts';
import { spawnDaemon, tempFolder } from './fixtures/spawn-daemon.ts';

const ROUNDS = inject('soak') ? 10 : 2;
const JOBS = 50;

describe('kill -9', () => {
  test('given 50 streaming jobs, when the runtime is killed again and again, the client resumes: no gap, no duplicate, one end per job', async () => {
    const file = join(tempFolder(), 'arcp.db');
    let daemon = await spawnDaemon(file);
    const client = await connectClient({
      connect: connectWebSocket(daemon.url),
      token: ALICE,
      maxReconnects: 100,
      reconnectDelayMs: 20,
      maxReconnectDelayMs: 100,
    });
    onTestFinished(async () => client.close());
    const perJob = 60 * ROUNDS;
    const jobs: ClientJob[] = [];
    for (let at = 0; at < JOBS; at += 1) {
      jobs.push(
        await client.submit({
          agent: 'counter',
          input: { n: perJob, pauseMs: 10 },
          idempotencyKey: `k${at}`,
        }),
      );
    }
    let told = 0;
    const reading = jobs.map(async (job) => {
      const messages: string[] = [];
      const seqs: number[] = [];
      for await (const event of job.events) {
        messages.push((event.body as { readonly message: string }).message);
        seqs.push(event.eventSeq);
        told += 1;
      }
      return { messages, seqs, end: await job.end };
    });

    for (let round = 0; round < ROUNDS; round += 1) {
      const wantedEvents = ((round + 1) * JOBS * perJob) / (ROUNDS + 1);
      await until(() => told >= wantedEvents, `${wantedEvents} events`);
      await daemon.kill();
      daemon = await spawnDaemon(file, daemon.port);
    }
    const read = await Promise.all(reading);

    const wanted = Array.from({ length: perJob }, (_, at) => `${at + 1}`);
    for (const { messages, end } of read) {
      expect(messages).toEqual(wanted);
      expect(end).toEqual({ status: 'success', result: perJob, summary: undefined });
    }
    // Every number of the session is an event or one of the fifty ends: no gap, no duplicate.
    const seqs = read.flatMap((job) => job.seqs);
    expect(new Set(seqs).size).toBe(JOBS * perJob);
    expect(client.ticket().lastEventSeq).toBe(JOBS * perJob + JOBS);
    const again = await client.submit({
      agent: 'counter',
      input: { n: perJob, pauseMs: 10 },
      idempotencyKey: 'k7',
    });
    expect(again.jobId).toBe(jobs[7]?.jobId);
  });

  test('given a job whose agent dies with its process, when the runtime is killed, the job gets one INTERNAL_ERROR in its place', async () => {
    const file = join(tempFolder(), 'arcp.db');
    const daemon = await spawnDaemon(file);
    const client = await connectClient({
      connect: connectWebSocket(daemon.url),
      token: ALICE,
      maxReconnects: 100,
      reconnectDelayMs: 20,
    });
    onTestFinished(async () => client.close());
    const job = await client.submit({ agent: 'mortal', input: { n: 10_000, pauseMs: 5 } });
    const events = job.events[Symbol.asyncIterator]();
    await events.next();

    await daemon.kill();
    await spawnDaemon(file, daemon.port);

    expect(await job.end).toMatchObject({
      status: 'error',
      error: { code: 'INTERNAL_ERROR', retryable: true },
    });
  });
});

describe('a restart', () => {
  test('given a stopped runtime, when the next one starts on its store, sessions, numbers, keys, budgets and subscriptions go on', async () => {
    const store = openSqliteEventStore({ file: join(tempFolder(), 'arcp.db') });
    onTestFinished(() => store.close());
    const first = setup({ store });
    const alice = first.peer();
    const welcome = await alice.hello();
    const accepted = await alice.submit('puppet', 1, {
      idempotency_key: 'k',
      lease_request: { 'tool.call': ['*'], 'cost.budget': ['USD:1'] },
    });
    const { job } = await first.puppet(accepted.payload['job_id']);
    await job.emit('metric', { name: 'cost.a', value: 0.7, unit: 'USD' }, { position: 'half' });
    const dashboard = first.peer();
    const seen = await dashboard.hello();
    dashboard.send('job.subscribe', { job_id: accepted.payload['job_id'], history: true });
    await dashboard.next('job.event');
    await first.runtime.stop();

    const adopted: Puppet[] = [];
    const puppetAgent = createPuppetAgent(adopted);
    const host = createFunctionHost([{ name: 'puppet', versions: { '1': puppetAgent } }]);
    const second = setup({ store, host: { ...host, adopt: async (again) => puppetAgent(again) } });
    const back = second.peer();
    await back.hello({ resume: resumeOf(welcome, 1) });
    const again = await back.submit('puppet', 1, {
      idempotency_key: 'k',
      lease_request: { 'tool.call': ['*'], 'cost.budget': ['USD:1'] },
    });
    const [puppet] = adopted;
    await puppet?.job.emit('metric', { name: 'cost.a', value: 0.3, unit: 'USD' });
    const answer = puppet?.job.authorize('tool.call', 'x');
    puppet?.end();
    await back.next('job.result');
    const watching = second.peer();
    await watching.hello({ resume: resumeOf(seen, 0) });
    await watching.next('job.result');

    expect(again.payload).toEqual(accepted.payload);
    expect(adopted).toHaveLength(1);
    expect(puppet?.job.position).toBe('half');
    expect(answer).toMatchObject({ error: { code: 'BUDGET_EXHAUSTED' } });
    expect(back.sequenced().map((frame) => frame.event_seq)).toEqual([2, 3, 4, 5]);
    expect(watching.sequenced().map((frame) => frame.event_seq)).toEqual([1, 2, 3, 4, 5]);
  });

  test('given a deadline, when the restart comes after it, the job is timed out at once', async () => {
    const store = openSqliteEventStore({ file: join(tempFolder(), 'arcp.db') });
    onTestFinished(() => store.close());
    const first = setup({ store });
    const alice = first.peer();
    const welcome = await alice.hello();
    await alice.submit('puppet', 1, { max_runtime_sec: 60 });
    await first.clock.advance(1);
    await first.runtime.stop();

    const pending: Puppet[] = [];
    const agent = createPuppetAgent(pending);
    const host = createFunctionHost([{ name: 'puppet', versions: { '1': agent } }]);
    const second = setup({ store, host: { ...host, adopt: async (job) => agent(job) } });
    await second.clock.advance(61_000);
    const back = second.peer();
    await back.hello({ resume: resumeOf(welcome, 0) });

    expect((await back.next('job.error')).payload).toMatchObject({
      code: 'TIMEOUT',
      final_status: 'timed_out',
    });
  });

  test('given a store that refuses to keep something, when it does, nothing of that turn leaves and the runtime says so once', async () => {
    const failures: unknown[] = [];
    const store = openSqliteEventStore({ file: ':memory:' });
    let isBroken = false;
    const { peer, puppet } = setup({
      store: {
        ...store,
        commit(batch) {
          if (isBroken) throw new Error('disk full');
          store.commit(batch);
        },
      },
      onFailure: (error) => failures.push(error),
    });
    const alice = peer();
    await alice.hello();
    const { job } = await puppet((await alice.submit('puppet')).payload['job_id']);
    isBroken = true;

    await job.emit('log', { level: 'info', message: 'lost' });

    expect(await alice.closed()).toMatchObject({ code: 1011 });
    expect(alice.sequenced()).toEqual([]);
    expect(failures).toHaveLength(1);
    await expect(job.emit('log', { level: 'info', message: 'x' })).rejects.toMatchObject({ code: 'closed' });
  });
});

describe('the SQLite file', () => {
  test('given a new store, when it is opened, only its owner can read it and a second runtime cannot have it', () => {
    const file = join(tempFolder(), 'arcp.db');
    const store = openSqliteEventStore({ file });
    onTestFinished(() => store.close());

    expect(statSync(file).mode & 0o077).toBe(0);
    expect(() => openSqliteEventStore({ file })).toThrow(
      expect.objectContaining({ code: 'store-unreadable' }),
    );
  });

  test('given a file of a newer version, or one that is no database, when opened, it is refused and left as it is', () => {
    const folder = tempFolder();
    const newer = join(folder, 'newer.db');
    const db = new SqliteDatabase(newer);
    db.pragma('user_version = 99');
    db.close();
    const text = join(folder, 'text.db');
    writeFileSync(text, 'no database at all, just some text that is long enough to be read as a header');

    expect(() => openSqliteEventStore({ file: newer })).toThrow(
      expect.objectContaining({ code: 'store-unreadable' }),
    );
    expect(() => openSqliteEventStore({ file: text })).toThrow(
      expect.objectContaining({ code: 'store-unreadable' }),
    );
    expect(readFileSync(text, 'utf8')).toMatch(/^no database/);
  });
});

function resumeOf(
  welcome: { readonly session_id?: string; readonly payload: Readonly<Record<string, unknown>> },
  seq: number,
): object {
  return {
    session_id: welcome.session_id,
    resume_token: welcome.payload['resume_token'],
    last_event_seq: seq,
  };
}
