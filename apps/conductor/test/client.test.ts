import { existsSync, readFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';

import { describe, expect, onTestFinished, test } from 'vitest';

import { ConductorApiError, createConductorClient } from '../src/client.ts';
import { createHttpNode, TOKEN } from './fixtures/http-node.ts';
import { until } from './fixtures/scratch.ts';
import { beginRun } from './fixtures/written-run.ts';

async function errorOf(promise: Promise<unknown>): Promise<ConductorApiError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  if (error instanceof ConductorApiError) return error;
  throw new Error(`Expected a ConductorApiError, got ${String(error)}`);
}

describe('client', () => {
  test('given its methods, the README lists each one and no other', () => {
    const readme = readFileSync(path.join(import.meta.dirname, '../README.md'), 'utf8');
    const client = createConductorClient({ baseUrl: 'http://127.0.0.1:1', token: TOKEN });

    const listed = [...readme.matchAll(/^\| `(\w+)\([^`]*options\?\)` /gm)].map(([, name = '']) => name);

    expect(listed.toSorted()).toEqual(Object.keys(client).toSorted());
  });

  test('given a daemon, a call resolves with the data of its envelope', async () => {
    const node = await createHttpNode();
    const client = createConductorClient({ baseUrl: `${node.url}/`, token: TOKEN });

    const raised = await client.enqueue('build', { key: 'a/b ü', watermark: 3 });
    const { job } = await client.showJob('build', { key: 'a/b ü' });

    expect(raised).toMatchObject({ job: 'build', key: 'a/b ü', watermark: 3, isRaised: true });
    expect(job).toMatchObject({ job: 'build', key: 'a/b ü', status: 'pending', isDirty: true });
  });

  test('given many jobs, pages of a listing give each once', async () => {
    const node = await createHttpNode();
    const client = createConductorClient({ baseUrl: node.url, token: TOKEN });
    await node.store.enqueueMany(Array.from({ length: 25 }, (_, n) => ({ kind: 'build', key: `k${n}` })));

    const keys: string[] = [];
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof client.listJobs>> = await client.listJobs({
        limit: 10,
        ...(cursor !== null && { cursor }),
      });
      expect(page.jobs.length).toBeLessThanOrEqual(10);
      keys.push(...page.jobs.map((job) => job.key));
      cursor = page.nextCursor;
    } while (cursor !== null);

    expect(new Set(keys).size).toBe(25);
    expect(keys).toHaveLength(25);
  });

  test('given many attempts of a job, pages of them give each once, and why shows the last ones', async () => {
    const node = await createHttpNode();
    const client = createConductorClient({ baseUrl: node.url, token: TOKEN });
    for (let run = 1; run <= 9; run += 1) {
      await node.store.enqueue({ kind: 'build', key: 'default' });
      const [lease] = await node.store.claimNext({ workerId: 'w', leaseMs: 60_000 });
      if (lease === undefined) throw new Error('Nothing was claimed');
      await node.store.succeed(lease);
    }

    const pages: number[][] = [];
    let cursor: string | null = null;
    do {
      const page: Awaited<ReturnType<typeof client.listAttempts>> = await client.listAttempts('build', {
        limit: 3,
        ...(cursor !== null && { cursor }),
      });
      pages.push(page.attempts.map(({ attempt }) => attempt));
      cursor = page.nextCursor;
    } while (cursor !== null);
    const { attempts } = await client.why('build');

    expect(pages).toEqual([
      [1, 2, 3],
      [4, 5, 6],
      [7, 8, 9],
    ]);
    expect(attempts.map(({ attempt }) => attempt)).toEqual([5, 6, 7, 8, 9]);
  });

  test('given a refusal, it rejects with code, status, request id and details', async () => {
    const node = await createHttpNode();
    const client = createConductorClient({ baseUrl: node.url, token: TOKEN });

    const unknown = await errorOf(client.showJob('biuld'));
    const invalid = await errorOf(client.listJobs({ limit: 0 }));
    const outside = await errorOf(createConductorClient({ baseUrl: node.url, token: 'wrong' }).status());

    expect(unknown).toMatchObject({ code: 'job-unknown', status: 404, details: { hint: expect.anything() } });
    expect(unknown.requestId).toMatch(/^[0-9a-f-]{36}$/);
    expect(invalid).toMatchObject({ code: 'request-invalid', status: 400 });
    expect(outside).toMatchObject({ code: 'unauthorized', status: 401 });
  });

  test('given nobody at the address, it says connection-failed and why', async () => {
    const port = await closedPort();

    const error = await errorOf(
      createConductorClient({ baseUrl: `http://127.0.0.1:${port}`, token: 'x' }).nodes(),
    );

    expect(error).toMatchObject({ code: 'connection-failed', status: 0, requestId: undefined });
    expect(error.message).toContain(`127.0.0.1:${port}`);
    expect(error.message).toContain('ECONNREFUSED');
  });

  test('given a server that is no daemon, it says answer-invalid', async () => {
    const page = await serve((_request, respond) => respond(200, '<html>'));
    const other = await serve((_request, respond) => respond(502, 'Bad gateway'));

    expect(await errorOf(createConductorClient({ baseUrl: page, token: 'x' }).nodes())).toMatchObject({
      code: 'answer-invalid',
      status: 200,
    });
    expect(await errorOf(createConductorClient({ baseUrl: other, token: 'x' }).nodes())).toMatchObject({
      code: 'answer-invalid',
      status: 502,
    });
  });

  test('given a newer daemon with more to tell, what is known is read', async () => {
    const data = { nodes: [], colour: 'red' };
    const url = await serve((_request, respond) =>
      respond(200, JSON.stringify({ ok: true, request_id: 'r', data, more: 1 })),
    );

    expect(await createConductorClient({ baseUrl: url, token: 'x' }).nodes()).toEqual({ nodes: [] });
  });

  test('given a signal, an aborted call and an aborted stream reject with its reason', async () => {
    const node = await createHttpNode();
    const run = await beginRun(node.scratch.dir, 'build');
    await run.write('stdout', 'x\n');
    const client = createConductorClient({ baseUrl: node.url, token: TOKEN });
    const reason = new Error('enough');
    const abort = new AbortController();

    const followed = (async () => {
      for await (const item of client.followRun(run.runId, { signal: abort.signal })) {
        if (item.kind === 'output') abort.abort(reason);
      }
    })();

    await expect(followed).rejects.toBe(reason);
    await expect(client.status({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason);
  });

  test('given a loop that is left early, the stream is closed at the daemon', async () => {
    const node = await createHttpNode();
    const run = await beginRun(node.scratch.dir, 'build');
    await run.write('stdout', 'x\n');
    const client = createConductorClient({ baseUrl: node.url, token: TOKEN });

    for await (const item of client.followRun(run.runId)) if (item.kind === 'output') break;

    await until('the connection is gone', async () => (await connectionsOf(node.app.server)) === 0);
    expect(await client.showRun(run.runId)).toMatchObject({ run: { status: 'running' } });
  });

  test('given a stream that is refused for good, it is not tried again', async () => {
    const node = await createHttpNode();
    let calls = 0;
    const client = createConductorClient({
      baseUrl: node.url,
      token: TOKEN,
      fetch(url, init) {
        calls += 1;
        return fetch(url, init);
      },
    });

    const error = await errorOf(client.followRun('nobody').next());

    expect(error.code).toBe('run-unknown');
    expect(calls).toBe(1);
  });

  test('given no daemon at all, a stream gives up after its retries', async () => {
    const port = await closedPort();
    const client = createConductorClient({ baseUrl: `http://127.0.0.1:${port}`, token: 'x' });

    const error = await errorOf(client.followRun('any', { maxRetries: 1 }).next());

    expect(error.code).toBe('connection-failed');
  });

  test('given output with bytes of any kind, readOutput has them exactly, range by range', async () => {
    const node = await createHttpNode();
    const run = await beginRun(node.scratch.dir, 'build');
    const bytes = Uint8Array.from({ length: 1_000 }, (_, n) => (n * 7) % 256);
    await run.write('stdout', bytes);
    const client = createConductorClient({ baseUrl: node.url, token: TOKEN });

    const first = await client.readOutput(run.runId, 'stdout', { length: 600 });
    const rest = await client.readOutput(run.runId, 'stdout', { offset: 600 });
    const none = await client.readOutput(run.runId, 'stdout', { offset: 5_000 });

    expect(Buffer.concat([first, rest]).equals(Buffer.from(bytes))).toBe(true);
    expect(none).toHaveLength(0);
  });

  test('given the module and all it imports, nothing of Node is among it', () => {
    const source = path.join(import.meta.dirname, '../src');
    const seen = new Set<string>();
    const outside = new Set<string>();
    const look = (file: string): void => {
      if (seen.has(file)) return;
      seen.add(file);
      const text = readFileSync(file, 'utf8');
      // Types are gone when it runs.
      for (const [, clause = '', from = ''] of text.matchAll(
        /^(?:import|export) (?!type\b)([^;]*?)from '([^']+)';/gms,
      )) {
        const names = clause.replaceAll(/[{}\s]/g, '').split(',');
        if (clause.includes('{') && names.every((name) => name === '' || name.startsWith('type'))) continue;
        if (from.startsWith('.')) look(path.resolve(path.dirname(file), from));
        else outside.add(from);
      }
    };

    look(path.join(source, 'client.ts'));

    expect([...outside]).toEqual(['zod']);
    expect([...seen].every((file) => existsSync(file))).toBe(true);
    expect(seen.size).toBeGreaterThan(10);
  });
});

async function closedPort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((resolve) => void server.close(() => resolve()));
  return port;
}

async function serve(
  answer: (url: string, respond: (status: number, body: string) => void) => void,
): Promise<string> {
  const server = createServer((request, response) =>
    answer(request.url ?? '', (status, body) => void response.writeHead(status).end(body)),
  );
  await new Promise<void>((resolve) => void server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function connectionsOf(server: Server): Promise<number> {
  return new Promise((resolve, reject) => {
    server.getConnections((error, count) => (error === null ? resolve(count) : reject(error)));
  });
}
