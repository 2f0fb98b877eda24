import { existsSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { Writable } from 'node:stream';

import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import { createRealClock } from '@conductor-run/clock';
import { describe, expect, test } from 'vitest';

import { createProgram } from '../src/cli.ts';
import { describeCommand, flattenCommands } from '../src/command-tree.ts';
import { callCli } from './fixtures/cli.ts';
import { createScratch, type Scratch, until } from './fixtures/scratch.ts';

const SCHEMAS = path.join(import.meta.dirname, '../schemas');
const LINES = new Set(['start', 'runs logs', 'logs']);

const CONFIG = `timedJobsIntervalMs: 100
jobLeaseMs: 1000
jobs:
  edit:
    command: echo changed > file.txt; echo told; echo warned >&2
    checkpoint: { gitDiff: true }
    schedule: { cron: "0 3 * * *" }
    watch: { files: ["none/**"] }
  tree: { command: "true", worktree: { base: HEAD } }
  broken: { command: exit 3, retry: { max: 1, delay: 1h } }
`;

/** Each command as a user would call it, in this order. `$DIR` is a directory that is not there yet. */
const CALLS: readonly (readonly string[])[] = [
  ['config check'],
  ['config show'],
  ['config schema'],
  ['doctor'],
  ['completion', 'bash'],
  ['run', 'edit'],
  ['exec', '--', 'sh', '-c', 'exit 3'],
  ['run', 'tree'],
  ['run', 'broken'],
  ['enqueue', 'edit', '--key', 'other', '--watermark', '7', '--input', 'input.json'],
  ['jobs list'],
  ['jobs show', 'broken'],
  ['jobs attempts', 'edit'],
  ['jobs pause', 'edit'],
  ['jobs resume'],
  ['jobs cancel', 'edit', '--key', 'other'],
  ['jobs retry', 'broken'],
  ['why', 'edit'],
  ['why', 'edit', '--at', '2027-03-28T03:00:00Z'],
  ['forecast'],
  ['simulate', '--from', '2027-03-01', '--to', '2027-03-08'],
  ['runs list'],
  ['runs show', 'edit'],
  ['runs logs', 'edit'],
  ['runs diff', 'edit'],
  ['runs events', 'edit'],
  ['checkpoints list', 'edit'],
  ['checkpoints show', 'edit'],
  ['checkpoints diff', 'edit', 'base'],
  ['checkpoints verify', 'edit'],
  ['checkpoints replay', 'edit', '--into', '$DIR/replayed'],
  ['checkpoints fork', 'edit', '--into', '$DIR/forked', '--branch', 'forked'],
  ['checkpoints restore', 'edit'],
  ['checkpoints prune', 'edit', '--keep-last', '1'],
  ['worktrees list'],
  ['worktrees prune', '--dry-run'],
  ['start', '--run-once', '--timed-jobs-interval-ms', '100'],
  ['logs'],
  ['status'],
  ['nodes'],
  ['leader'],
  ['store stats'],
  ['store migrate'],
  ['store backup', '$DIR/copy.db'],
  ['store export', '$DIR/jobs.ndjson'],
  ['store import', '$DIR/jobs.ndjson', '--store', 'sqlite:new.db'],
  ['store prune', '--max-age', '0s'],
  ['jobs remove', 'broken'],
  ['runs prune', '--max-runs', '1'],
];

describe('--json', () => {
  test('given every command, what it prints fits the schema published for it', async () => {
    const scratch = setup();
    const fits = loadSchemas();

    for (const call of CALLS) await expectFit(scratch, fits, call);
    await expectFit(createScratch(), fits, ['init']);
    await expectCancelledRun(scratch, fits);
    await expectReload(scratch, fits);
    expectDocuments(fits, 'error', await callCli(scratch.dir, ['jobs', 'show', 'nobody', '--json']));
    expect(fits.size).toBe(commandsWithJson().length + 1);
  });

  test('given the command tree, every command that takes --json has a schema and is called above', () => {
    const takesJson = commandsWithJson();

    expect(readdirSync(SCHEMAS).toSorted()).toEqual(
      [...takesJson.map((command) => `${command.replaceAll(' ', '-')}.json`), 'error.json'].toSorted(),
    );
    const called = new Set([...CALLS.map(([command]) => command), 'init', 'runs cancel', 'reload']);
    expect(takesJson.filter((command) => !called.has(command))).toEqual([]);
  });

  test('given a schema, every field of it says what it is', () => {
    const silent = readdirSync(SCHEMAS).flatMap((name) => findSilent(readSchema(name), name));

    expect(silent).toEqual([]);
  });
});

function setup(): Scratch {
  const scratch = createScratch({
    'conductor.yaml': CONFIG,
    'file.txt': 'before\n',
    'input.json': '{"a":1}',
  });
  scratch.git('init', '--quiet', '--initial-branch=main');
  scratch.git('add', '.');
  scratch.git('commit', '--quiet', '--message=first');
  return scratch;
}

type Fits = ReadonlyMap<string, ValidateFunction>;

function loadSchemas(): Fits {
  return new Map(
    readdirSync(SCHEMAS).map((name) => [
      name,
      new Ajv2020({ strict: true, allowUnionTypes: true }).compile(readSchema(name)),
    ]),
  );
}

function readSchema(name: string): object {
  return JSON.parse(readFileSync(path.join(SCHEMAS, name), 'utf8')) as object;
}

async function expectFit(
  scratch: Scratch,
  fits: Fits,
  [command = '', ...args]: readonly string[],
): Promise<void> {
  const filled = args.map((arg) => arg.replace('$DIR', path.dirname(scratch.dir)));
  const [flags, rest] = [filled.slice(0, filled.indexOf('--')), filled.slice(filled.indexOf('--'))];
  const all = filled.includes('--') ? [...flags, '--json', ...rest] : [...filled, '--json'];
  expectDocuments(fits, command, await callCli(scratch.dir, [...command.split(' '), ...all]));
}

function expectDocuments(
  fits: Fits,
  command: string,
  { stdout, stderr }: { readonly stdout: string; readonly stderr: string },
): void {
  const validate = fits.get(`${command.replaceAll(' ', '-')}.json`);
  const documents = LINES.has(command) ? stdout.split('\n').slice(0, -1) : [stdout];
  expect(documents.length, `${command}: ${stderr}`).toBeGreaterThan(0);
  for (const document of documents) {
    expect(document, `${command}: ${stderr}`).toMatch(/^\{/);
    const isFit = validate?.(JSON.parse(document));
    expect([command, isFit, validate?.errors]).toEqual([command, true, null]);
  }
}

/** A run that is under way, asked to stop. */
async function expectCancelledRun(scratch: Scratch, fits: Fits): Promise<void> {
  scratch.write({ 'conductor.yaml': `${CONFIG}  wait: { command: touch waits; sleep 100 }\n` });
  const running = scratch.start('run', 'wait');
  await until('the step waits', () => existsSync(path.join(scratch.dir, 'waits')));
  const answer = await callCli(scratch.dir, ['runs', 'cancel', 'wait', '--json']);
  expectDocuments(fits, 'runs cancel', answer);
  expect(JSON.parse(answer.stdout)).toEqual({ job: 'wait', key: 'default', outcome: 'requested' });
  expect((await running.ended).exitCode).not.toBe(0);
}

/** A daemon that reads its config again. */
async function expectReload(scratch: Scratch, fits: Fits): Promise<void> {
  const daemon = scratch.start('start', '--local-api-port', '0');
  await until('it can be asked', () => existsSync(path.join(scratch.dir, '.conductor/api')));
  const answer = await until('it answers', async () => {
    const asked = await callCli(scratch.dir, ['reload', '--json']);
    return asked.exitCode === 0 ? asked : undefined;
  });
  expectDocuments(fits, 'reload', answer);
  daemon.child.kill('SIGTERM');
  expect((await daemon.ended).exitCode).toBe(0);
}

function commandsWithJson(): readonly string[] {
  const nowhere = new Writable();
  const io = {
    stdout: nowhere,
    stderr: nowhere,
    isTerminal: false,
    isTerminalClosed: () => false,
    columns: 80,
    hasColor: false,
    env: {},
    cwd: '/',
    clock: createRealClock(),
    onSignal: () => () => undefined,
    outliveReader: () => undefined,
    hasInput: false,
  };
  return flattenCommands(describeCommand(createProgram(io, () => undefined)))
    .filter((node) => node.isCallable && node.options.some((option) => option.long === '--json'))
    .map((node) => node.path);
}

interface Node {
  readonly description?: string;
  readonly $ref?: string;
  readonly const?: string;
  readonly properties?: Readonly<Record<string, Node>>;
  readonly $defs?: Readonly<Record<string, Node>>;
}

/** Names of fields without a description; a reference is described where it points to, a constant says it all. */
function findSilent(node: Node, where: string): readonly string[] {
  const fields = Object.entries(node.properties ?? {}).flatMap(([name, field]) => [
    ...(field.description === undefined && field.$ref === undefined && field.const === undefined
      ? [`${where}.${name}`]
      : []),
    ...findSilent(field, `${where}.${name}`),
  ]);
  const named = Object.entries(node.$defs ?? {}).flatMap(([name, each]) =>
    findSilent(each, `${where}#${name}`),
  );
  return [...fields, ...named];
}
