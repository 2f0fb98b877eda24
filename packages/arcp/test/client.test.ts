import { createServer, type Server } from 'node:http';
import { PassThrough } from 'node:stream';
import type { AddressInfo } from 'node:net';
import { FEATURES } from '@conductor-run/arcp';
import {
  connectClient,
  connectWebSocket,
  type ArcpClient,
  type ClientOptions,
} from '@conductor-run/arcp/client';
import {
  createMemoryTransportPair,
  createStdioTransport,
  serveWebSocket,
  type Runtime,
  type Transport,
} from '@conductor-run/arcp/runtime';
import { describe, expect, onTestFinished, test } from 'vitest';
import { WebSocket } from 'ws';
import { createDeferred } from '../src/deferred.ts';
import { ALICE, BOB, until } from './fixtures/peer.ts';
import { setup, type Bundle } from './fixtures/setup.ts';

describe('client', () => {
  test('given a runtime, when a job is submitted, its events come as an iterable and its end as a promise', async () => {
    const { client } = await start();

    const job = await client.submit({ agent: 'count', input: { n: 3 } });
    const messages: unknown[] = [];
    for await (const event of job.events) messages.push(event.body);

    expect(messages).toHaveLength(3);
    expect(await job.end).toEqual({ status: 'success', result: 3, summary: undefined });
    expect(job.accepted).toMatchObject({ agent: 'count@1' });
  });

  test('given a refused submit, when answered, only that one rejects', async () => {
    const { client } = await start();
    const running = await client.submit({ agent: 'puppet' });

    await expect(client.submit({ agent: 'nobody' })).rejects.toMatchObject({ code: 'AGENT_NOT_AVAILABLE' });
    running.cancel('enough');

    expect(await running.end).toMatchObject({ status: 'cancelled', error: { code: 'CANCELLED' } });
  });

  test('given a wrong token, when connecting, it is UNAUTHENTICATED at once', async () => {
    const bundle = setup();

    await expect(connectClient({ connect: via(bundle.runtime), token: 'wrong' })).rejects.toMatchObject({
      code: 'UNAUTHENTICATED',
    });
  });

  test('given a connection that breaks five times in a row, when events go on, each reaches the job once and in order', async () => {
    const { client, bundle, cut } = await start({ reconnectDelayMs: 1 });
    const job = await client.submit({ agent: 'puppet' });
    const { job: agent, end } = await bundle.puppet(job.jobId);
    const messages: string[] = [];
    const reading = (async () => {
      for await (const event of job.events)
        messages.push((event.body as { readonly message: string }).message);
    })();

    for (let round = 0; round < 5; round += 1) {
      await bundle.emitUnread(
        agent,
        Array.from({ length: 300 }, (_, at) => `${round * 300 + at}`),
      );
      cut();
    }
    end({ result: 'all' });
    await reading;

    expect(messages).toEqual(Array.from({ length: 1_500 }, (_, at) => `${at}`));
    expect(await job.end).toMatchObject({ result: 'all' });
  });

  test('given a submit whose answer is lost, when it has a key, it is sent again and runs once; without one it rejects', async () => {
    const bundle = setup();
    let isDeaf = true;
    const connect = (): Transport => {
      const pair = createMemoryTransportPair();
      bundle.runtime.serve(pair.runtime);
      if (!isDeaf) return pair.client;
      // Passes on the welcome and swallows what follows.
      let seen = 0;
      return {
        ...pair.client,
        open: (listener) =>
          pair.client.open({
            ...listener,
            message(text) {
              seen += 1;
              if (seen === 1) listener.message(text);
              else if (text.includes('job.accepted')) {
                isDeaf = false;
                pair.client.close({ code: 1001, reason: 'lost' });
              }
            },
          }),
      };
    };
    const client = await connectClient({ connect, token: ALICE, reconnectDelayMs: 1 });
    onTestFinished(async () => client.close());

    const keyed = client.submit({ agent: 'puppet', idempotencyKey: 'once' });
    const keyless = client.submit({ agent: 'echo' });

    await expect(keyless).rejects.toMatchObject({ code: 'connection-lost' });
    const job = await keyed;
    expect(bundle.puppets.map((puppet) => puppet.job.jobId)).toEqual([job.jobId]);
  });

  test('given a submit whose answer is lost with all that followed, when it is sent again, its events and its end are there', async () => {
    const bundle = setup();
    const cuts: (() => void)[] = [];
    const connect = (): Transport => {
      const pair = createMemoryTransportPair();
      bundle.runtime.serve(pair.runtime);
      if (cuts.length > 0) return pair.client;
      cuts.push(() => pair.client.close({ code: 1001, reason: 'lost' }));
      let seen = 0;
      return {
        ...pair.client,
        open: (listener) =>
          pair.client.open({
            ...listener,
            message(text) {
              // Passes on the welcome and swallows what follows.
              seen += 1;
              if (seen === 1) listener.message(text);
            },
          }),
      };
    };
    const client = await connectClient({ connect, token: ALICE, reconnectDelayMs: 1 });
    onTestFinished(async () => client.close());
    const submitting = client.submit({ agent: 'puppet', idempotencyKey: 'once' });
    const puppet = await until(() => bundle.puppets[0], 'the agent');
    await puppet.job.emit('log', { level: 'info', message: 'early' });
    puppet.end({ result: 7 });
    await until(() => bundle.runtime.stats().jobs === 0, 'its end');

    cuts[0]?.();
    const job = await submitting;
    const messages: unknown[] = [];
    for await (const event of job.events) messages.push((event.body as { message?: string }).message);

    expect(messages).toEqual(['early']);
    expect(await job.end).toMatchObject({ status: 'success', result: 7 });
    expect(bundle.puppets).toHaveLength(1);
  });

  test('given a key whose job is another session’s, when it is submitted again, its events and end come too; where they are gone, that is said', async () => {
    const { client, bundle } = await start({ features: FEATURES.filter((feature) => feature !== 'ack') });
    const submit = { agent: 'count', input: { n: 2 }, idempotencyKey: 'k' };
    const first = await client.submit(submit);
    await first.end;
    const again = async () => {
      const other = await connectClient({ connect: via(bundle.runtime), token: ALICE });
      onTestFinished(async () => other.close());
      return other.submit(submit);
    };

    const second = await again();
    const messages: unknown[] = [];
    for await (const event of second.events) messages.push((event.body as { message?: string }).message);
    const end = await second.end;
    await client.close();
    await bundle.clock.advance(11 * 60_000);
    const late = await again();

    expect([second.jobId, late.jobId]).toEqual([first.jobId, first.jobId]);
    expect(messages).toEqual(['line 1', 'line 2']);
    expect(end).toMatchObject({ status: 'success', result: 2 });
    await expect(late.end).rejects.toMatchObject({ code: 'closed' });
  });

  test('given a ticket, when another client takes the session up, it goes on and may cancel', async () => {
    const { client, bundle } = await start();
    const job = await client.submit({ agent: 'puppet', idempotencyKey: 'k' });
    const ticket = client.ticket();
    await client.close();

    const second = await connectClient({ connect: via(bundle.runtime), token: ALICE, resume: ticket });
    onTestFinished(async () => second.close());
    const same = await second.submit({ agent: 'puppet', idempotencyKey: 'k' });
    same.cancel();

    expect(same.jobId).toBe(job.jobId);
    expect(await same.end).toMatchObject({ status: 'cancelled' });
    await expect(
      connectClient({ connect: via(bundle.runtime), token: BOB, resume: ticket }),
    ).rejects.toMatchObject({ code: 'RESUME_WINDOW_EXPIRED' });
  });

  test('given a running job, when another session subscribes, it sees history and end; a stranger is refused', async () => {
    const { client, bundle } = await start();
    const job = await client.submit({ agent: 'puppet' });
    const { job: agent, end } = await bundle.puppet(job.jobId);
    await agent.emit('log', { level: 'info', message: 'a' });
    const watcher = await connectClient({ connect: via(bundle.runtime), token: ALICE });
    onTestFinished(async () => watcher.close());
    const stranger = await connectClient({ connect: via(bundle.runtime), token: BOB });
    onTestFinished(async () => stranger.close());

    const observed = await watcher.subscribe(job.jobId, { history: true });
    end({ result: 2 });

    expect(await observed.end).toMatchObject({ status: 'success', result: 2 });
    expect((await watcher.listJobs({ limit: 5 })).jobs.map((entry) => entry.job_id)).toEqual([job.jobId]);
    await expect(stranger.subscribe(job.jobId)).rejects.toMatchObject({ code: 'PERMISSION_DENIED' });
    expect((await stranger.listJobs()).jobs).toEqual([]);
  });

  test('given a streamed result of text and bytes, when it ends, the client has put it together', async () => {
    const { client, bundle } = await start();
    const text = await client.submit({ agent: 'puppet' });
    const one = await bundle.puppet(text.jobId);
    await one.job.writeResult('häl');
    await one.job.writeResult('lo', { isLast: true });
    one.end();
    const bytes = await client.submit({ agent: 'puppet' });
    const two = await bundle.puppet(bytes.jobId);
    await two.job.writeResult(new Uint8Array([1, 2]));
    two.end();

    expect(await text.end).toMatchObject({ result: 'hällo' });
    expect(await bytes.end).toMatchObject({ result: Buffer.from([1, 2]) });
  });

  test('given a client that closes, when something is awaited, it rejects with closed and later calls throw', async () => {
    const { client } = await start();
    const job = await client.submit({ agent: 'puppet' });

    await client.close();
    await client.close();

    await expect(job.end).rejects.toMatchObject({ code: 'closed' });
    await expect(client.submit({ agent: 'echo' })).rejects.toMatchObject({ code: 'closed' });
  });

  test('given a runtime that is gone for good, when the attempts are used up, everything awaited rejects', async () => {
    const { client, bundle } = await start({ reconnectDelayMs: 1, maxReconnects: 2 });
    const job = await client.submit({ agent: 'puppet' });

    await bundle.runtime.stop();

    await expect(job.end).rejects.toMatchObject({ code: 'connection-lost' });
  });
});

describe('transports', () => {
  test('given a WebSocket, when a connection is cut under the client, it resumes over a new one', async () => {
    const bundle = setup();
    const { url, server } = await listen(bundle.runtime);
    const client = await connectClient({ connect: connectWebSocket(url), token: ALICE, reconnectDelayMs: 1 });
    onTestFinished(async () => client.close());
    const job = await client.submit({ agent: 'puppet' });
    const { job: agent, end } = await bundle.puppet(job.jobId);

    await agent.emit('log', { level: 'info', message: 'a' });
    server.closeAllConnections();
    await agent.emit('log', { level: 'info', message: 'b' });
    end();

    const messages: unknown[] = [];
    for await (const event of job.events) messages.push((event.body as { readonly message: string }).message);
    expect(messages).toEqual(['a', 'b']);
  });

  test('given a WebSocket, when a frame is binary it is INVALID_REQUEST, and too large it closes with 1009', async () => {
    const bundle = setup();
    const { url } = await listen(bundle.runtime);
    const socket = new WebSocket(url);
    const received: string[] = [];
    let closed: number | undefined;
    socket.on('message', (bytes: Buffer) => received.push(bytes.toString('utf8')));
    socket.on('close', (code) => {
      closed = code;
    });
    socket.on('open', () => socket.send(hello()));
    await until(() => received.length === 1, 'the welcome');
    socket.send(Buffer.from('{}'));
    await until(() => received.length === 2, 'the refusal');

    socket.send('x'.repeat(5 * 1_024 * 1_024));

    expect(received[1]).toContain('INVALID_REQUEST');
    expect(await until(() => closed, 'the close')).toBe(1009);
  });

  test('given a browser of another origin, or another path, when it upgrades, it does not get in', async () => {
    const bundle = setup();
    const { url } = await listen(bundle.runtime);
    const errors: string[] = [];
    const socket = new WebSocket(url, { origin: 'https://evil.example' });
    socket.on('error', (error) => errors.push(error.message));

    await until(() => errors.length === 1, 'the refusal');

    expect(errors[0]).toContain('403');
  });

  test('given a peer that is not known yet, when it sends on, nothing of it is read until it is', async () => {
    const knowing = createDeferred<string>();
    const bundle = setup({ authenticator: { authenticate: () => knowing.promise } });
    const pair = createMemoryTransportPair();
    const calls: string[] = [];
    bundle.runtime.serve({
      ...pair.runtime,
      pause: () => {
        calls.push('pause');
        pair.runtime.pause();
      },
      resume: () => {
        calls.push('resume');
        pair.runtime.resume();
      },
    });
    const answers: string[] = [];
    pair.client.open({
      message: (text) => void answers.push((JSON.parse(text) as { type: string }).type),
      malformed: () => undefined,
      drained: () => undefined,
      closed: () => undefined,
    });

    pair.client.send([hello(), '{"arcp":"1.1","id":"2","type":"session.ping","payload":{"nonce":"n"}}']);
    await until(() => calls.length > 0, 'the pause');
    const before = [...calls];
    knowing.resolve('alice');
    await until(() => answers.length === 2, 'both answers');

    expect(before).toEqual(['pause']);
    expect(calls).toEqual(['pause', 'resume']);
    expect(answers).toEqual(['session.welcome', 'session.pong']);
  });

  test('given two pipes, when a client and a runtime talk over them, all of it works, an overlong line included', async () => {
    const bundle = setup();
    const up = new PassThrough();
    const down = new PassThrough();
    bundle.runtime.serve(createStdioTransport({ input: up, output: down, maxLineLength: 10_000 }));
    const client = await connectClient({
      connect: () => createStdioTransport({ input: down, output: up }),
      token: ALICE,
      maxReconnects: 0,
    });

    up.write(`${'x'.repeat(50_000)}\n`);
    const job = await client.submit({ agent: 'count', input: { n: 500 } });

    expect(await job.end).toMatchObject({ result: 500 });
    await client.close();
    expect(bundle.runtime.stats().connections).toBe(0);
  });
});

async function start(
  options: Partial<ClientOptions> = {},
): Promise<{ readonly client: ArcpClient; readonly bundle: Bundle; readonly cut: () => void }> {
  const bundle = setup();
  let current: Transport | undefined;
  const connect = (): Transport => {
    const pair = createMemoryTransportPair();
    bundle.runtime.serve(pair.runtime);
    current = pair.runtime;
    return pair.client;
  };
  const client = await connectClient({ connect, token: ALICE, ...options });
  onTestFinished(async () => client.close());
  return { client, bundle, cut: () => current?.close({ code: 1001, reason: 'cut' }) };
}

function via(runtime: Runtime): () => Transport {
  return () => {
    const pair = createMemoryTransportPair();
    runtime.serve(pair.runtime);
    return pair.client;
  };
}

async function listen(runtime: Runtime): Promise<{ readonly url: string; readonly server: Server }> {
  const server = createServer();
  serveWebSocket(runtime, server);
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(() => {
    server.close();
    server.closeAllConnections();
  });
  return { url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}/arcp`, server };
}

function hello(): string {
  const payload = { client: { name: 'c', version: '1' }, auth: { scheme: 'bearer', token: ALICE } };
  return JSON.stringify({ arcp: '1.1', id: '1', type: 'session.hello', payload });
}
