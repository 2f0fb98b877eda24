import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { describe, expect, test } from 'vitest';

import { callCli } from './fixtures/cli.ts';
import { createHttpNode, type HttpNode } from './fixtures/http-node.ts';

const CONFIG = `jobs:
  edit:
    command: echo changed > file.txt; echo told
    schedule: { cron: "0 3 * * *" }
  tree: { command: "true", worktree: { base: HEAD } }
`;

/** As far as the tests read it. */
interface OpenApi {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, object>> };
}

interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: object }[];
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema?: object }>> }>
  >;
}

/** Each route once, in an order in which each finds what it needs: method, path, body. */
const REQUESTS: readonly (readonly [string, string, object?])[] = [
  ['GET', '/healthz'],
  ['GET', '/readyz'],
  ['GET', '/metrics'],
  ['GET', '/openapi.json'],
  ['GET', '/v1/status'],
  ['GET', '/v1/nodes'],
  ['GET', '/v1/leader'],
  ['GET', '/v1/store'],
  ['GET', '/v1/config'],
  ['GET', '/v1/forecast?hours=100&limit=3'],
  ['POST', '/v1/simulate', { fromMs: 1_800_000_000_000, toMs: 1_800_500_000_000 }],
  ['POST', '/v1/reload'],
  ['POST', '/v1/pause'],
  ['POST', '/v1/resume', {}],
  ['GET', '/v1/worktrees?limit=1'],
  ['POST', '/v1/worktrees/prune', { isDryRun: true }],
  ['POST', '/v1/jobs/edit/enqueue', { key: 'other', watermark: 7, input: { a: [1, null] } }],
  ['GET', '/v1/jobs?status=done&limit=5'],
  ['GET', '/v1/jobs/edit'],
  ['GET', '/v1/jobs/edit/attempts'],
  ['GET', '/v1/jobs/edit/why?atMs=1800000000000'],
  ['POST', '/v1/jobs/edit/pause'],
  ['POST', '/v1/jobs/edit/resume'],
  ['POST', '/v1/jobs/edit/cancel?key=other'],
  ['POST', '/v1/jobs/edit/retry?key=other'],
  ['POST', '/v1/jobs/edit/remove?key=other'],
  ['GET', '/v1/runs?status=completed'],
  ['GET', '/v1/runs/edit'],
  ['GET', '/v1/runs/edit/events'],
  ['GET', '/v1/runs/edit/tail?lines=2'],
  ['GET', '/v1/runs/edit/diff'],
  ['GET', '/v1/runs/edit/checkpoints'],
  ['GET', '/v1/runs/edit/checkpoints/1'],
  ['GET', '/v1/runs/edit/checkpoints/4/diff'],
  ['GET', '/v1/runs/edit/output/stdout'],
  ['GET', '/v1/runs/edit/patch'],
  ['GET', '/v1/runs/edit/stream'],
  ['POST', '/v1/runs/edit/cancel'],
  ['POST', '/v1/store/prune', { maxAgeMs: 1_000_000 }],
  ['POST', '/v1/runs/prune', { maxRuns: 100, isDryRun: true }],
];

describe('openapi', () => {
  test('given the routes of a daemon, the document has every one and no other', async () => {
    const node = await createHttpNode();
    const { paths } = await readDocument(node);

    const registered = node.routes
      .filter(({ method, url }) => method !== 'HEAD' && !url.startsWith('/test/'))
      .map(({ method, url }) => `${method} ${url.replaceAll(/:(\w+)/g, '{$1}')}`);
    const described = Object.entries(paths).flatMap(([path, operations]) =>
      Object.keys(operations).map((method) => `${method.toUpperCase()} ${path}`),
    );

    expect(described.toSorted()).toEqual(registered.toSorted());
  });

  test('given every route, what it really answers fits the document', async () => {
    const { node, document } = await setup();
    const tried = new Set<string>();

    for (const [method, path, body] of REQUESTS) {
      const answer = await node.ask(
        method,
        path,
        body === undefined ? {} : { 'content-type': 'application/json' },
        body === undefined ? undefined : JSON.stringify(body),
      );
      const [template, operation] = operationOf(document, method, path);
      tried.add(`${method} ${template}`);
      const expected = path === '/v1/runs/edit/cancel' ? 409 : 200;
      expect([path, answer.status, answer.text.slice(0, 300)]).toEqual([path, expected, expect.anything()]);
      expectFit(document, operation, answer.status, answer);
    }

    expect([...tried].toSorted()).toEqual(
      Object.entries(document.paths)
        .flatMap(([path, operations]) =>
          Object.keys(operations).map((name) => `${name.toUpperCase()} ${path}`),
        )
        .toSorted(),
    );
  });

  test.for([
    ['GET', '/v1/jobs/nobody', 404, 'job-unknown'],
    ['GET', '/v1/runs/nobody', 404, 'run-unknown'],
    ['GET', '/v1/runs/01ARZ3NDEKTSV4RRFFQ69G5FAV', 404, 'run-unknown'],
    ['GET', '/v1/runs/edit/checkpoints/99', 404, 'checkpoint-unknown'],
    ['GET', '/v1/runs/..%2F..%2Fetc', 400, 'request-invalid'],
    ['GET', '/v1/runs/%2e%2e', 400, 'request-invalid'],
    ['GET', '/v1/runs?cursor=nonsense', 400, 'usage'],
    ['GET', '/v1/jobs?limit=100000', 400, 'request-invalid'],
    ['GET', '/v1/jobs?colour=red', 400, 'request-invalid'],
    ['GET', '/v1/jobs/edit/attempts?cursor=-1', 400, 'usage'],
    ['POST', '/v1/jobs/nobody/enqueue', 404, 'job-unknown'],
    ['POST', '/v1/runs/prune', 400, 'request-invalid'],
  ] as const)('given %s %s, it answers %i %s', async ([method, path, status, code]) => {
    const { node, document } = await setup();

    const answer = await node.ask(method, path);

    expect([answer.status, codeOf(answer.text)]).toEqual([status, code]);
    expectFit(document, operationOf(document, method, path)[1], status, answer);
  });

  test('given a body with a key nobody knows, it is refused and nothing is enqueued', async () => {
    const { node } = await setup();

    const answer = await node.ask(
      'POST',
      '/v1/jobs/edit/enqueue',
      { 'content-type': 'application/json' },
      JSON.stringify({ key: 'new', watermrk: 3 }),
    );

    expect([answer.status, codeOf(answer.text)]).toEqual([400, 'request-invalid']);
    expect(await node.store.get('edit', 'new')).toBeUndefined();
  });
});

async function setup(): Promise<{ readonly node: HttpNode; readonly document: OpenApi }> {
  const node = await createHttpNode({}, { 'conductor.yaml': CONFIG, 'file.txt': 'before\n' });
  const { scratch } = node;
  scratch.git('init', '--quiet', '--initial-branch=main');
  scratch.git('add', '.');
  scratch.git('commit', '--quiet', '--message=first');
  for (const job of ['tree', 'edit']) {
    expect((await callCli(scratch.dir, ['run', job])).exitCode).toBe(0);
  }
  return { node, document: await readDocument(node) };
}

async function readDocument(node: HttpNode): Promise<OpenApi> {
  const { text } = await node.ask('GET', '/openapi.json');
  return JSON.parse(text) as OpenApi;
}

function operationOf({ paths }: OpenApi, method: string, url: string): readonly [string, Operation] {
  const path = url.split('?', 1)[0] ?? '';
  const found = Object.entries(paths)
    .filter(([template]) => new RegExp(`^${template.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(path))
    // A literal segment wins over a parameter.
    .toSorted(([one], [other]) => one.split('{').length - other.split('{').length)
    .flatMap(([template, operations]) => {
      const operation = operations[method.toLowerCase()];
      return operation === undefined ? [] : [[template, operation] as const];
    });
  const [first] = found;
  if (first === undefined) throw new Error(`${method} ${path} is not in the document`);
  return first;
}

function expectFit(
  document: OpenApi,
  operation: Operation,
  status: number,
  answer: { readonly headers: HttpHeaders; readonly text: string },
): void {
  const { operationId, responses } = operation;
  const content = responses[String(status)]?.content ?? {};
  const [first] = Object.entries(content);
  const [type, { schema }] = first ?? ['', {}];
  expect([operationId, String(answer.headers['content-type'])]).toEqual([
    operationId,
    expect.stringContaining(type),
  ]);
  if (schema === undefined) return;
  const validate = compile(document, schema);
  const isFit = validate(JSON.parse(answer.text));
  expect([operationId, isFit, validate.errors]).toEqual([operationId, true, null]);
}

type HttpHeaders = Awaited<ReturnType<HttpNode['ask']>>['headers'];

function compile({ components }: OpenApi, schema: object): ValidateFunction {
  const ajv = new Ajv2020({ strict: false });
  return ajv.compile({ $id: 'https://example.invalid/openapi', ...schema, components });
}

function codeOf(text: string): string {
  return (JSON.parse(text) as { readonly error: { readonly code: string } }).error.code;
}
