/** kill -9 of the daemon in the middle of jobs that stream: nobody who waits for them notices more than a pause. */
import { existsSync, rmSync } from 'node:fs';
import path from 'node:path';

import type { ArcpClient, ClientJob, JobEnd } from '@conductor-run/arcp/client';
import { describe, expect, inject, test } from 'vitest';

import { COMMANDS, startArcpConductor } from './fixtures/arcp.ts';
import { linesOf } from './fixtures/daemon.ts';
import { until } from './fixtures/scratch.ts';

const soak = inject('soak');
const JOBS = soak ? 50 : 10;
const SESSIONS = 5;
const KILLS = soak ? 3 : 2;
const EVENTS = soak ? 400 : 150;

/** What one client has been told, in the order in which it came. */
interface Story {
  readonly job: ClientJob;
  readonly texts: string[];
  readonly lines: string[];
  readonly seqs: number[];
  end: JobEnd | undefined;
}

async function listen(job: ClientJob, story: Story, count = EVENTS): Promise<void> {
  for await (const { kind, body, eventSeq } of job.events) {
    story.seqs.push(eventSeq);
    const { text, message, level } = body as { text?: string; message?: string; level?: string };
    if (kind === 'thought') story.texts.push(text ?? '');
    if (kind === 'log' && level === 'info') story.lines.push(message ?? '');
  }
  story.end = await job.end;
  // Told at once: nobody should wait for events of a job that is over.
  expect(story.end).toEqual({
    status: 'success',
    result: { n: count },
    summary: 'Completed with exit code 0',
  });
}

describe('kill -9 of the daemon', () => {
  test.for(soak ? [1, 2, 3, 4, 5] : [1])(
    'given streaming jobs of several sessions, when it is killed again and again, no gap, no duplicate, one end each (%s)',
    async () => {
      const conductor = await startArcpConductor(
        `  stream: { command: '${COMMANDS.python} stream', concurrency: 100 }\n`,
      );
      const clients: ArcpClient[] = [];
      for (let at = 0; at < SESSIONS; at += 1) clients.push(await conductor.connect());
      const stories: Story[] = [];
      for (let at = 0; at < JOBS; at += 1) {
        const job = await clients[at % SESSIONS]?.submit({
          agent: 'stream',
          input: { n: EVENTS, pauseMs: 20 },
          idempotencyKey: `k${at}`,
        });
        if (job !== undefined) stories.push({ job, texts: [], lines: [], seqs: [], end: undefined });
      }
      const reading = Promise.all(stories.map((story) => listen(story.job, story)));

      const perKill = Math.floor((JOBS * EVENTS) / (KILLS + 1));
      for (let kill = 1; kill <= KILLS; kill += 1) {
        const isTold = until('so much is told', () => total(stories) >= kill * perKill, 300_000);
        await Promise.race([isTold, reading]);
        await conductor.kill();
        conductor.restart();
      }
      await reading;

      const wanted = Array.from({ length: EVENTS }, (_, at) => `${at + 1}`);
      for (const { texts, lines } of stories) {
        expect(texts).toEqual(wanted);
        expect(lines).toEqual(wanted);
      }
      for (const [index, client] of clients.entries()) {
        const own = stories.filter((_, at) => at % SESSIONS === index);
        const seqs = own.flatMap((story) => story.seqs);
        // Every number of a session is an event or one end per job: no gap, no duplicate.
        expect(new Set(seqs).size).toBe(seqs.length);
        expect(client.ticket().lastEventSeq).toBe(seqs.length + own.length);
      }
      const { jobs } = (await conductor.json('jobs', 'list')) as {
        jobs: { attempt: number }[];
      };
      expect(jobs).toHaveLength(JOBS);
      expect(jobs.every(({ attempt }) => attempt === 1)).toBe(true);
    },
  );

  test('given a daemon that stays down, another one of the machine goes on, and its client is told all when it is back', async () => {
    const conductor = await startArcpConductor(
      `  stream: { command: '${COMMANDS.python} stream' }\n  ask: { command: '${COMMANDS.sh} spend' }\n`,
    );
    const client = await conductor.connect();
    const job = await client.submit({ agent: 'stream', input: { n: 50, pauseMs: 20 } });
    const story: Story = { job, texts: [], lines: [], seqs: [], end: undefined };
    const reading = listen(job, story, 50);
    await until('some is told', () => story.texts.length > 5);

    await conductor.kill();
    conductor.scratch.start('start', '--node-id', 'two', '--local-api-port', '0');
    await until('the other one has ended it', async () => {
      const { jobs } = (await conductor.json('jobs', 'list')) as { jobs: { status: string }[] };
      return jobs[0]?.status === 'done';
    });
    conductor.restart();
    await reading;
    // Whichever daemon claims the next one, the node of the session decides.
    const asks = await client.submit({ agent: 'ask', lease: { 'tool.call': ['search'] } });
    const answers: string[] = [];
    for await (const { kind, body } of asks.events) {
      if (kind === 'log') answers.push((body as { message: string }).message);
    }

    expect(story.texts).toEqual(Array.from({ length: 50 }, (_, at) => `${at + 1}`));
    expect(answers.map((line) => (JSON.parse(line) as { ok: boolean }).ok)).toEqual([true, false, true]);
  });

  test('given a running job whose session is gone with its file, the next daemon ends it: nobody waits for it', async () => {
    const conductor = await startArcpConductor(`  wait: { command: 'echo $$ >> pids.log; sleep 300' }\n`);
    const client = await conductor.connect();
    await client.submit({ agent: 'wait' });
    const [pid] = await until('it runs', () => {
      const lines = linesOf(conductor.scratch, 'pids.log');
      return lines.length === 1 && lines;
    });

    await conductor.kill();
    rmSync(path.join(conductor.scratch.dir, '.conductor/arcp'), { recursive: true });
    conductor.restart();

    await until('its row says so', async () => {
      const { jobs } = (await conductor.json('jobs', 'list')) as { jobs: { status: string }[] };
      return jobs[0]?.status === 'cancelled';
    });
    expect(existsSync(`/proc/${pid}`)).toBe(false);
  });
});

function total(stories: readonly Story[]): number {
  return stories.reduce((sum, { texts }) => sum + texts.length, 0);
}
