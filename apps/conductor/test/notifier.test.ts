import { createHmac } from 'node:crypto';
import { createServer } from 'node:net';

import { createRealClock } from '@conductor-run/clock';
import { describe, expect, onTestFinished, test } from 'vitest';

import { type NotificationOutcome, type Notifier, createNotifier } from '../src/daemon/notifier.ts';
import type { Notification } from '../src/daemon/notification.ts';
import type { JobDefinition } from '../src/job-config.ts';
import { createReceiver } from './fixtures/receiver.ts';
import { until } from './fixtures/scratch.ts';

const SECRET = 'a shared secret';

function setup(url: string, over: { readonly maxWaiting?: number; readonly on?: readonly ['failed'] } = {}) {
  const log: { readonly message: string | undefined; readonly fields: object }[] = [];
  const ended: NotificationOutcome[] = [];
  const note = (fields: object, message?: string): void => void log.push({ message, fields });
  const notifier = createNotifier({
    rootDir: '/',
    env: { HOOK_SECRET: SECRET },
    clock: createRealClock(),
    logger: { debug: note, info: note, warn: note, error: note },
    retryDelaysMs: [1, 1, 1],
    onEnded: (_job, outcome) => void ended.push(outcome),
    ...over,
  });
  const job: JobDefinition = {
    name: 'nightly',
    description: undefined,
    version: '1.0.0',
    steps: [],
    schedule: undefined,
    watch: undefined,
    notify: { on: ['failed'], target: { kind: 'webhook', url, secretEnv: 'HOOK_SECRET' } },
    worktreeBase: undefined,
    retry: { max: 0, backoff: 'fixed', delayMs: 0, maxDelayMs: 0 },
    concurrency: 1,
    cwd: undefined,
    priority: 0,
    concurrencyKey: undefined,
    checkpoint: { everyMs: undefined, gitDiff: false, logTailLines: 1 },
    env: { pass: [], set: {}, secrets: [] },
  };
  const messages = (): readonly (string | undefined)[] => log.map(({ message }) => message);
  return { notifier, job, log, messages, ended, tell: (n: number) => tell(notifier, job, n) };
}

function tell(
  notifier: Notifier,
  job: JobDefinition,
  attempt: number,
  event: 'failed' | 'lost' = 'failed',
): void {
  const notification: Notification = {
    event,
    deliveryId: `delivery-${attempt}`,
    atMs: 1,
    job: job.name,
    key: 'default',
    attempt,
    willRetry: false,
    retriesLeft: 0,
    node: 'n',
    summary: 'Failed with exit code 3',
    taskDir: null,
  };
  notifier.tell(job, notification);
}

describe('webhook', () => {
  test('given a receiver, the body is signed with the secret over timestamp and body', async () => {
    const { url, received } = await createReceiver();
    const { notifier, tell: tellOf } = setup(url);

    tellOf(1);
    await notifier.stop(5_000);

    const [request] = received;
    const timestamp = String(request?.headers['conductor-timestamp']);
    const expected = createHmac('sha256', SECRET)
      .update(`${timestamp}.${request?.body ?? ''}`)
      .digest('hex');
    expect(request?.headers['conductor-signature']).toBe(`v1=${expected}`);
    expect(request?.headers['conductor-event']).toBe('failed');
    expect(JSON.parse(request?.body ?? '')).toMatchObject({ event: 'failed', job: 'nightly', attempt: 1 });
    expect(request?.body).not.toContain(SECRET);
  });

  test('given a receiver that fails twice, the third try is taken, and all tries carry one delivery id', async () => {
    const { url, received } = await createReceiver([500, 503, 200]);
    const { notifier, messages, tell: tellOf } = setup(url);

    tellOf(1);
    await notifier.stop(5_000);

    expect(received.map(({ headers }) => headers['conductor-delivery'])).toEqual([
      'delivery-1',
      'delivery-1',
      'delivery-1',
    ]);
    expect(messages()).toEqual(['notification.retried', 'notification.retried', 'notification.delivered']);
  });

  test('given a receiver that always fails or sends it elsewhere, it is given up after three retries, and the log says so', async () => {
    const { url, received } = await createReceiver([302, 404]);
    const { notifier, log, messages, tell: tellOf } = setup(url);

    tellOf(1);
    await notifier.stop(5_000);

    expect(received).toHaveLength(4);
    expect(messages().at(-1)).toBe('notification.failed');
    const logged = log.map(({ fields }) => String((fields as { err?: Error }).err?.message)).join('\n');
    expect(logged).toContain('it answered 404');
    expect(logged).not.toContain('hidden');
  });

  test('given nobody listens and more than may wait, telling returns at once, the rest is dropped, logged once and counted', async () => {
    const { notifier, log, messages, ended, tell: tellOf } = setup('http://127.0.0.1:1/', { maxWaiting: 2 });

    for (let count = 1; count <= 5; count += 1) tellOf(count);
    const dropped = messages().filter((message) => message === 'notification.dropped').length;
    await notifier.stop(5_000);

    expect(dropped).toBe(1);
    expect(log.find(({ message }) => message === 'notification.dropped-in-all')?.fields).toEqual({
      dropped: 2,
    });
    expect(ended.toSorted()).toEqual(['dropped', 'dropped', 'failed', 'failed', 'failed']);
    expect(messages().filter((message) => message === 'notification.failed')).toHaveLength(3);
  });

  test('given a receiver that never answers, stop ends after its grace and logs what was not delivered', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const { notifier, messages, tell: tellOf } = setup(`http://127.0.0.1:${port}/`);
    tellOf(1);
    await until(
      'it has connected',
      () =>
        new Promise<boolean>((resolve) => {
          server.getConnections((_error, count) => resolve(count > 0));
        }),
    );

    await notifier.stop(10);
    tellOf(2);
    server.close();

    expect(messages()).toEqual(['notification.failed', 'notification.dropped']);
  });

  test('given one target that never answers and one that does, the other is told at once, in order, and stop is bounded', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
    onTestFinished(() => void server.close());
    const address = server.address();
    const port = typeof address === 'object' && address !== null ? address.port : 0;
    const { url, received } = await createReceiver();
    const { notifier, job, ended, tell: tellSilent } = setup(`http://127.0.0.1:${port}/`, { maxWaiting: 2 });
    const target = { kind: 'webhook', url, secretEnv: 'HOOK_SECRET' } as const;
    const other: JobDefinition = { ...job, name: 'other', notify: { on: ['failed'], target } };

    // More than may wait for the silent one: it loses its own, and nobody else's.
    for (let attempt = 1; attempt <= 6; attempt += 1) tellSilent(attempt);
    for (let attempt = 1; attempt <= 3; attempt += 1) {
      tell(notifier, other, attempt);
      await until('it is told', () => ended.filter((each) => each === 'delivered').length === attempt);
    }
    expect(ended).toEqual(['dropped', 'dropped', 'dropped', 'delivered', 'delivered', 'delivered']);
    await notifier.stop(10);

    const told = received.map(({ body }) => (JSON.parse(body) as { attempt: number }).attempt);
    expect(told).toEqual([1, 2, 3]);
    expect(ended.slice(6)).toEqual(['failed', 'failed', 'failed']);
  });

  test('given an event the job does not ask for, nothing is sent', async () => {
    const { url, received } = await createReceiver();
    const { notifier, job } = setup(url);

    tell(notifier, job, 1, 'lost');
    await notifier.stop(1_000);

    expect(received).toEqual([]);
  });
});
