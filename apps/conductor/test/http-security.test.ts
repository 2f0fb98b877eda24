import { randomBytes } from 'node:crypto';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

import { describe, expect, test } from 'vitest';

import { createGuard } from '../src/http/guard.ts';
import { type Answer, createHttpNode, type HttpNode, TOKEN } from './fixtures/http-node.ts';
import { until } from './fixtures/scratch.ts';

/** A route's path with something in every place of it. */
function pathOf(url: string, value = 'x'): string {
  return url.replaceAll(/:\w+/g, value).replaceAll('*', value);
}

function codeOf({ text }: Answer): string {
  return (JSON.parse(text) as { error: { code: string } }).error.code;
}

describe('token', () => {
  test('given any route, without or with a wrong token it is 401; only /healthz is open', async () => {
    const node = await createHttpNode();
    const wrong = [
      '',
      'Bearer',
      'Bearer wrong',
      `Bearer ${TOKEN}x`,
      `Basic ${TOKEN}`,
      `Bearer ${TOKEN} ${TOKEN}`,
    ];

    const passed: string[] = [];
    for (const { method, url } of node.routes) {
      for (const authorization of wrong) {
        const { status } = await node.ask(method, pathOf(url), { authorization });
        if (status !== 401) passed.push(`${method} ${url}`);
      }
    }

    expect([...new Set(passed)]).toEqual(['GET /healthz', 'HEAD /healthz']);
    expect(node.routes.filter(({ isOpen }) => isOpen).map(({ url }) => url)).toEqual([
      '/healthz',
      '/healthz',
    ]);
    expect(node.routes.map(({ url }) => url)).toEqual(expect.arrayContaining(['/readyz', '/metrics']));
  });

  test('given no token, an unknown route is not told from a known one', async () => {
    const node = await createHttpNode();

    const answer = await node.ask('GET', '/v1/no-such-thing', { authorization: '' });

    expect(answer.status).toBe(401);
    expect(codeOf(answer)).toBe('unauthorized');
  });
});

describe('host and origin', () => {
  test('given a name that is not of this machine, every route refuses, also the open one', async () => {
    const node = await createHttpNode();

    const statuses = new Set<number>();
    for (const { method, url } of node.routes) {
      for (const host of [
        'evil.example',
        `evil.example:${node.port}`,
        '127.0.0.1.evil.example',
        '10.0.0.1',
      ]) {
        statuses.add((await node.ask(method, pathOf(url), { host })).status);
      }
    }

    expect([...statuses]).toEqual([403]);
  });

  test.for(['localhost', 'LOCALHOST:1', '127.0.0.1:7420', '[::1]:7420'])(
    'given the host %s, it is let in',
    async (host) => {
      const node = await createHttpNode();

      expect((await node.ask('GET', '/healthz', { host })).status).toBe(200);
    },
  );

  test.for([
    ['127.0.0.2', '127.0.0.2:7420'],
    ['::1', '[::1]:7420'],
    ['127.0.0.2', 'localhost'],
  ] as const)(
    'given that it listens on %s, the host %s is let in and another loopback one is not',
    ([listenHost, host]) => {
      const guard = createGuard({ token: TOKEN, listenHost });

      expect(() => guard.requireHost({ host })).not.toThrow();
      expect(() => guard.requireHost({ host: '127.0.0.3:7420' })).toThrow(
        'Cannot take the request: its Host',
      );
    },
  );

  test.for(['localhost@evil.example', 'localhost.', 'evil.example#localhost', '127.0.0.1:99999999', ''])(
    'given the host "%s", it is refused',
    async (host) => {
      const node = await createHttpNode();

      const answer = await node.raw(`GET /healthz HTTP/1.1\r\nhost: ${host}\r\nconnection: close\r\n\r\n`);

      expect(answer).toContain('host-refused');
    },
  );

  test('given a foreign origin, every route refuses it with the right token, its own origin is let in', async () => {
    const node = await createHttpNode();
    const host = `localhost:${node.port}`;
    const foreign = [
      'http://evil.example',
      `http://localhost:${node.port + 1}`,
      'null',
      'file://',
      `http://${host}.evil.example`,
    ];

    const statuses = new Set<number>();
    for (const { method, url } of node.routes) {
      for (const origin of foreign)
        statuses.add((await node.ask(method, pathOf(url), { host, origin })).status);
    }

    expect([...statuses]).toEqual([403]);
    expect((await node.ask('GET', '/readyz', { host, origin: `http://${host}` })).status).toBe(200);
  });
});

describe('size and speed', () => {
  test('given a body above the limit, told or in chunks, it is 413', async () => {
    const node = await createHttpNode({ bodyBytes: 1_000 });
    const json = { 'content-type': 'application/json' };
    const body = JSON.stringify({ n: 1, x: 'x'.repeat(2_000) });

    const told = await node.ask('POST', '/test/echo', json, body);
    const chunked = await node.ask('POST', '/test/echo', { ...json, 'transfer-encoding': 'chunked' }, body);

    expect([told.status, chunked.status]).toEqual([413, 413]);
    expect(codeOf(told)).toBe('body-too-large');
  });

  test('given headers above the limit, it is 431', async () => {
    const node = await createHttpNode();

    const answer = await node.raw(
      `GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: ${'x'.repeat(100_000)}\r\n\r\n`,
    );

    expect(answer).toContain('HTTP/1.1 431');
    expect(answer).toContain('headers-too-large');
  });

  test('given headers that do not end, the connection is ended with 408', async () => {
    const node = await createHttpNode({ headersTimeoutMs: 50, requestTimeoutMs: 100 });

    const answer = await node.raw('GET /healthz HTTP/1.1\r\nhost: localhost\r\nx-slow: ');

    expect(answer).toContain('HTTP/1.1 408');
    expect(answer).toContain('request-timeout');
  });

  test('given a body that does not end, the connection is ended', async () => {
    const node = await createHttpNode({ headersTimeoutMs: 50, requestTimeoutMs: 100 });

    const answer = await node.raw(
      `POST /test/echo HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ${TOKEN}\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{`,
    );

    expect(answer).toContain('HTTP/1.1 408');
  });

  test('given a route that does not answer, it is 503 after the limit', async () => {
    const node = await createHttpNode({ answerTimeoutMs: 50 });

    const answer = await node.ask('GET', '/test/never');

    expect([answer.status, codeOf(answer)]).toEqual([503, 'answer-timeout']);
  });

  test('given more requests than the limit, the rest is 429 and told when to come back', async () => {
    const node = await createHttpNode({ requestsPerSecond: 0.001, requestBurst: 3 });

    const answers: Answer[] = [];
    for (let count = 0; count < 5; count += 1) answers.push(await node.ask('GET', '/healthz'));

    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 429, 429]);
    expect(answers[4]?.headers['retry-after']).toBe('1');
  });
});

describe('what comes in', () => {
  test.for([
    '../../../../etc/passwd',
    '..',
    '.',
    '/etc/passwd',
    '~root',
    'a\0b',
    '..\\..',
    '%2e%2e',
    "' or 1=1 --",
    'x'.repeat(2_000),
  ])('given "%s" in the place of an id, no route gives a file away or breaks', async (value) => {
    const node = await createHttpNode();
    const withIds = node.routes.filter(({ url }) => /[:*]/.test(url));

    for (const { method, url } of withIds) {
      const path = pathOf(url, encodeURIComponent(value));
      const { status, text } = await node.ask(
        method,
        path,
        { 'content-type': 'application/json' },
        method === 'GET' || method === 'HEAD' ? undefined : '{}',
      );
      expect(text, `${method} ${path}`).not.toContain('root:');
      expect(status, `${method} ${path}`).toBeLessThan(500);
    }
  });

  test('given what is no JSON, no field, another type or another method, it is 400, 415 and 405 in an envelope', async () => {
    const node = await createHttpNode();
    const json = { 'content-type': 'application/json' };
    const answers = [
      await node.ask('POST', '/test/echo', json, '{'),
      await node.ask('POST', '/test/echo', json, '{"n":"1","m":2}'),
      await node.ask('POST', '/test/echo', json, '{"__proto__":{"x":1},"n":1}'),
      await node.ask('POST', '/test/echo', { 'content-type': 'text/plain' }, '{"n":1}'),
      await node.ask('PUT', '/test/echo', json, '{"n":1}'),
      await node.ask('GET', '/nothing'),
      await node.ask('GET', '/%zz'),
      await node.ask('POST', '/test/echo', json, '{"n":1}'),
    ];

    expect(answers.map(({ status }) => status)).toEqual([400, 400, 400, 415, 405, 404, 400, 200]);
    expect(answers.slice(0, 7).map(codeOf)).toEqual([
      'request-invalid',
      'request-invalid',
      'request-invalid',
      'media-type-refused',
      'method-refused',
      'route-unknown',
      'request-invalid',
    ]);
    expect(JSON.parse(answers[1]?.text ?? '')).toMatchObject({
      ok: false,
      request_id: answers[1]?.headers['x-request-id'],
      error: { details: { fields: [{ field: 'body.n' }, { field: 'body' }] } },
    });
    expect(answers[4]?.headers['allow']).toBe('POST');
  });

  test('given an error nobody expected, its text stays inside', async () => {
    const node = await createHttpNode();

    const answer = await node.ask('GET', '/test/broken');

    expect([answer.status, codeOf(answer)]).toEqual([500, 'internal']);
    expect(answer.text).not.toContain('secret');
  });

  test('given 10,000 malformed requests, it answers as before, keeps no connection and no memory', async () => {
    const node = await createHttpNode();
    await flood(node, 1_000);
    const before = heapBytes();

    await flood(node, 10_000);

    const connections = await until('all connections are closed', async () => {
      const count = await new Promise<number>((resolve, reject) => {
        node.app.server.getConnections((error, open) => (error === null ? resolve(open) : reject(error)));
      });
      return count === 0 ? 'none' : undefined;
    });
    expect(connections).toBe('none');
    expect(heapBytes() - before).toBeLessThan(8 * 1_048_576);
    expect((await node.ask('GET', '/readyz')).status).toBe(200);
  });
});

/** Sends requests that are wrong in every way we know, 50 at once. */
async function flood(node: HttpNode, count: number): Promise<void> {
  const head = `host: localhost\r\nauthorization: Bearer ${TOKEN}\r\ncontent-type: application/json\r\n`;
  const kinds: readonly (() => readonly (string | Uint8Array)[])[] = [
    () => [randomBytes(200), '\r\n\r\n'],
    () => ['\r\n\r\nNOT HTTP\r\n\r\n'],
    () => ['GET / HTTP/9.9\r\n\r\n'],
    () => [`GET /%zz HTTP/1.1\r\n${head}connection: close\r\n\r\n`],
    () => [`POST /test/echo HTTP/1.1\r\n${head}content-length: -1\r\n\r\n`],
    () => [`POST /test/echo HTTP/1.1\r\n${head}content-length: 1\r\ncontent-length: 2\r\n\r\n{}`],
    () => [`POST /test/echo HTTP/1.1\r\n${head}transfer-encoding: chunked\r\n\r\nzz\r\n`],
    () => [
      `POST /test/echo HTTP/1.1\r\n${head}transfer-encoding: chunked\r\ncontent-length: 4\r\n\r\n0\r\n\r\n`,
    ],
    () => [`POST /test/echo HTTP/1.1\r\n${head}connection: close\r\ncontent-length: 3\r\n\r\n{,}`],
    () => [
      `POST /test/echo HTTP/1.1\r\n${head}connection: close\r\ncontent-length: 8\r\n\r\n`,
      randomBytes(8),
    ],
    () => [`GET /healthz HTTP/1.1\r\nhost: localhost\r\nx: ${'x'.repeat(20_000)}\r\n\r\n`],
    () => [`GET http://evil.example/metrics HTTP/1.1\r\n${head}connection: close\r\n\r\n`],
    () => ['GET /healthz HTTP/1.1\r\nconnection: close\r\n\r\n'],
    () => [`TRACE /healthz HTTP/1.1\r\n${head}connection: close\r\n\r\n`],
  ];
  let sent = 0;
  const sender = async (): Promise<void> => {
    while (sent < count) {
      const kind = kinds[sent % kinds.length];
      sent += 1;
      await node.raw(...(kind?.() ?? []));
    }
  };
  await Promise.all(Array.from({ length: 50 }, sender));
}

function heapBytes(): number {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  collect();
  return process.memoryUsage().heapUsed;
}
