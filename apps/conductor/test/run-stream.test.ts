import { get } from 'node:http';

import { describe, expect, test } from 'vitest';

import { createConductorClient, type RunStreamItem } from '../src/client.ts';
import { createHttpNode, type HttpNode, TOKEN } from './fixtures/http-node.ts';
import { until } from './fixtures/scratch.ts';
import { beginRun } from './fixtures/written-run.ts';

interface Frame {
  readonly id: string;
  readonly event: string;
  readonly data: {
    readonly channel?: string;
    readonly offset?: number;
    readonly bytes?: number;
    readonly text?: string;
  };
}

/** The events of a stream that ends, or the first ones when `take` says how many. */
async function framesOf(node: HttpNode, path: string, lastEventId = ''): Promise<readonly Frame[]> {
  const { text } = await node.ask('GET', path, { 'last-event-id': lastEventId });
  return text.split('\n\n').flatMap((block) => {
    const [, id = ''] = /^id: (.*)$/m.exec(block) ?? [];
    const [, event = ''] = /^event: (.*)$/m.exec(block) ?? [];
    const [, data = ''] = /^data: (.*)$/m.exec(block) ?? [];
    return data === '' ? [] : [{ id, event, data: JSON.parse(data) as Frame['data'] }];
  });
}

function textOf(frames: readonly Frame[], channel: string): string {
  return frames.flatMap(({ data }) => (data.channel === channel ? [data.text] : [])).join('');
}

/** Places at which the output does not go on where it was left. */
function gapsOf(frames: readonly Frame[], channel: string): readonly number[] {
  let end = 0;
  return frames.flatMap(({ data: { channel: from, offset = 0, bytes = 0 } }) => {
    if (from !== channel) return [];
    const isGap = offset !== end;
    end = offset + bytes;
    return isGap ? [offset] : [];
  });
}

/** Characters of one to four bytes, cut wherever it hurts. */
const TEXT = 'aé€😀'.repeat(5);

describe('stream', () => {
  test('given a live run, what it writes arrives, also a character in two halves, and the stream ends with it', async () => {
    const node = await createHttpNode();
    const run = await beginRun(node.scratch.dir, 'build');
    const items: RunStreamItem[] = [];
    const followed = (async () => {
      for await (const item of clientOf(node).followRun(run.runId)) items.push(item);
    })();
    const bytes = Buffer.from('x😀');

    await run.write('stdout', bytes.subarray(0, 3));
    await until('the first character came', () => items.some((item) => item.kind === 'output'));
    await run.write('stdout', bytes.subarray(3));
    await run.write('stderr', 'oops\n');
    await run.end();
    await followed;

    const output = items.filter((item) => item.kind === 'output');
    expect(output.map(({ channel, offset, bytes: size, text }) => [channel, offset, size, text])).toEqual([
      ['stdout', 0, 1, 'x'],
      ['stdout', 1, 4, '😀'],
      ['stderr', 0, 5, 'oops\n'],
    ]);
    expect(items.at(-1)).toMatchObject({ kind: 'end', run: { runId: run.runId, status: 'completed' } });
  });

  test('given a stream that is cut behind any event, the id brings the rest, each byte once', async () => {
    const node = await createHttpNode();
    const run = await beginRun(node.scratch.dir, 'build');
    const bytes = Buffer.from(TEXT);
    for (let start = 0; start < bytes.length; start += 3) {
      await run.write(start % 2 === 0 ? 'stdout' : 'stderr', bytes.subarray(start, start + 3));
    }
    run.writer.event({ type: 'runner_warning', message: 'half way' });
    await run.write('stdout', Buffer.alloc(200_000, 'z'));
    run.writer.event({ type: 'step_completed', message: 'done' });
    await run.end();
    const path = `/v1/runs/${run.runId}/stream`;
    const whole = await framesOf(node, path);
    const others = whole.filter(({ event }) => event !== 'output');

    for (const [index, { id }] of whole.slice(0, -1).entries()) {
      const rest = await framesOf(node, path, id);
      const joined = [...whole.slice(0, index + 1), ...rest];
      expect(joined.filter(({ event }) => event !== 'output')).toEqual(others);
      // Pieces may be cut elsewhere; what they say may not differ. Not printed: it is long.
      for (const channel of ['stdout', 'stderr']) {
        expect([id, channel, textOf(joined, channel) === textOf(whole, channel)]).toEqual([
          id,
          channel,
          true,
        ]);
        expect(gapsOf(joined, channel)).toEqual([]);
      }
    }
    expect(textOf(whole, 'stdout').length + textOf(whole, 'stderr').length).toBeGreaterThan(200_000);
    const end = whole.at(-1);
    expect(await node.ask('GET', path, { 'last-event-id': end?.id ?? '' })).toMatchObject({ status: 204 });
  });

  test('given a tail, the last lines of both channels come, and everything behind them', async () => {
    const node = await createHttpNode();
    const run = await beginRun(node.scratch.dir, 'build');
    for (const line of ['one', 'two', 'three']) {
      await run.write('stdout', `out ${line}\n`);
      await run.write('stderr', `err ${line}\n`);
    }
    await run.end();

    const frames = await framesOf(node, `/v1/runs/${run.runId}/stream?tail=3`);
    const none = await framesOf(node, `/v1/runs/${run.runId}/stream?tail=0`);

    expect(textOf(frames, 'stdout')).toBe('out three\n');
    expect(textOf(frames, 'stderr')).toBe('err two\nerr three\n');
    expect(textOf(none, 'stdout') + textOf(none, 'stderr')).toBe('');
  });

  test('given live=false, a stream ends with what there is', async () => {
    const node = await createHttpNode();
    const run = await beginRun(node.scratch.dir, 'build');
    await run.write('stdout', 'so far\n');

    const frames = await framesOf(node, `/v1/runs/${run.runId}/stream?live=false`);

    expect(textOf(frames, 'stdout')).toBe('so far\n');
    expect(frames.at(-1)).toMatchObject({ event: 'end', data: { run: { status: 'running' } } });
  });

  test('given a reader that does not read, the daemon holds a bounded part of the output, and answers others', async () => {
    const node = await createHttpNode();
    const run = await beginRun(node.scratch.dir, 'build');
    for (let block = 0; block < 64; block += 1) await run.write('stdout', Buffer.alloc(1_000_000, 'y'));
    await run.end();
    const socket = await openStalled(node, `/v1/runs/${run.runId}/stream`);
    await until('the stream stands still', async () => {
      const before = process.memoryUsage.rss();
      await node.ask('GET', '/v1/status');
      return process.memoryUsage.rss() - before < 1_000_000;
    });

    const sentBytes = socket.bytesRead();
    expect(sentBytes).toBeLessThan(16_000_000);
    expect((await node.ask('GET', '/healthz')).status).toBe(200);
    socket.resume();
    await socket.ended;
    expect(socket.bytesRead()).toBeGreaterThan(64_000_000);
  });

  test('given a daemon that stops, its streams end, and the client goes on elsewhere without a gap', async () => {
    const first = await createHttpNode();
    const run = await beginRun(first.scratch.dir, 'build');
    await run.write('stdout', 'before\n');
    // Another daemon of the same place; the client is sent there when the first one is gone.
    let isMoved = false;
    const second = await createHttpNode();
    const calls: string[] = [];
    const client = createConductorClient({
      baseUrl: first.url,
      token: TOKEN,
      fetch: (url, init) => {
        const id = new Headers(init.headers).get('last-event-id');
        calls.push(id ?? 'from the start');
        if (isMoved && calls.length === 2) return Promise.reject(new TypeError('fetch failed'));
        return fetch(url, init);
      },
    });
    const texts: string[] = [];
    const followed = (async () => {
      for await (const item of client.followRun(run.runId)) if (item.kind === 'output') texts.push(item.text);
    })();
    await until('the first line came', () => texts.length > 0);

    isMoved = true;
    first.app.server.closeAllConnections();
    await run.write('stdout', 'after\n');
    await run.end();
    await followed;

    expect(texts).toEqual(['before\n', 'after\n']);
    expect(calls[0]).toBe('from the start');
    expect(calls.slice(1).every((id) => /^\d+-7-0$/.test(id))).toBe(true);
    expect(calls.length).toBeGreaterThanOrEqual(3);
    second.stopping.abort();
  });

  test('given a daemon that begins to stop, an open stream ends at once', async () => {
    const node = await createHttpNode();
    const run = await beginRun(node.scratch.dir, 'build');
    const answer = node.ask('GET', `/v1/runs/${run.runId}/stream`);
    await run.write('stdout', 'x\n');

    node.stopping.abort();

    const { text } = await answer;
    expect(text).not.toContain('event: end');
  });
});

function clientOf(node: HttpNode): ReturnType<typeof createConductorClient> {
  return createConductorClient({ baseUrl: node.url, token: TOKEN });
}

interface Stalled {
  bytesRead(): number;
  resume(): void;
  readonly ended: Promise<void>;
}

/** A client that takes the headers and reads no more until it is told. */
function openStalled(node: HttpNode, path: string): Promise<Stalled> {
  return new Promise((resolve, reject) => {
    const request = get(
      {
        host: '127.0.0.1',
        port: node.port,
        path,
        headers: { authorization: `Bearer ${TOKEN}` },
        agent: false,
      },
      (response) => {
        response.pause();
        let size = 0;
        const ended = new Promise<void>((done) => void response.on('end', done));
        resolve({
          bytesRead: () => response.socket.bytesRead,
          resume() {
            response.on('data', (chunk: Buffer) => (size += chunk.length));
            response.resume();
          },
          ended,
        });
      },
    );
    request.on('error', reject);
  });
}
