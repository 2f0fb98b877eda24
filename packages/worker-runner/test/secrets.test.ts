/** A secret of the request is in no file of the record, whichever way it came. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { describe, expect, test } from 'vitest';

import { adoptRun } from '../src/adopt-run.ts';
import { createFunctionExecutor, readStepEvents, runStep, type RunStepOptions } from '../src/index.ts';
import { openNewStep, withDefaults } from '../src/open-step.ts';
import { checkRequest } from '../src/request-schema.ts';
import { expectEnvelope } from './fixtures/envelope.ts';
import { setup, type RequestChanges } from './fixtures/setup.ts';

const SECRET = 'pässwörd/of+mine-1';
const NUMBER = '8812345678';
const asFunction: RequestChanges = { workerKind: 'function' };
const secrets = [
  { name: 'TOKEN', value: SECRET },
  { name: 'PIN', value: NUMBER },
];

/** The same text in JSON, with every character escaped. */
const escaped = Array.from(SECRET, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
const slashed = SECRET.replace('/', '\\/');
const say = (line: string): string => `cat >&3 <<'end'\n${line}\nend\n`;

function failing(error: unknown): RunStepOptions {
  return {
    executor: createFunctionExecutor(async () => {
      throw error;
    }),
  };
}

/** Each way: its name, a command, changes of the request, and options. */
const WAYS: readonly (readonly [string, string | readonly string[], RequestChanges, RunStepOptions])[] = [
  ['output', `echo '${SECRET}'; echo '${SECRET}' >&2`, {}, {}],
  ['the error of a function', [], asFunction, failing(new Error(`401 from https://x:${SECRET}@h/`))],
  ['a thrown text', [], asFunction, failing(SECRET)],
  [
    'the event of a function',
    [],
    asFunction,
    {
      executor: createFunctionExecutor(async ({ report }) => {
        report({ kind: 'summary', body: { text: `key ${SECRET}` } });
        report({ kind: 'result', body: { [SECRET]: [{ deep: SECRET }], pin: Number(NUMBER) } });
      }),
    },
  ],
  [
    'the warning of an executor',
    [],
    asFunction,
    {
      executor: createFunctionExecutor(async ({ warn }) => {
        warn('odd', `key ${SECRET}`, { key: SECRET });
      }),
    },
  ],
  [
    'the ending of an executor',
    [],
    asFunction,
    endingWith({ how: 'lost', reason: 'signal', text: SECRET, signal: SECRET }),
  ],
  ['the reason of a cancel', 'sleep 300', {}, { signal: AbortSignal.abort(`because ${SECRET}`) }],
  ['a program that is not there', [`/nope/${SECRET}`], {}, {}],
  ['an event', say(`{"kind":"summary","body":{"text":"it is ${SECRET}"}}`), {}, {}],
  ['an event with escapes', say(`{"kind":"summary","body":{"text":"${escaped}"}}`), {}, {}],
  ['an event with escaped slashes', say(`{"kind":"result","body":{"key":"${slashed}"}}`), {}, {}],
  ['the key of an event', say(`{"kind":"result","body":{"${escaped}":{"${slashed}":1}}}`), {}, {}],
  ['a number', say(`{"kind":"result","body":{"pin":${NUMBER}}}`), {}, {}],
  ['a metric', say(`{"kind":"metric","body":{"name":"cost.x","value":1,"unit":"${escaped}"}}`), {}, {}],
  ['a title', say(`{"kind":"artifact_ref","body":{"path":"${escaped}","title":"${slashed}"}}`), {}, {}],
  ['a refused line', say(`{"kind":"unheard","body":{"key":"${SECRET}"}}`), {}, {}],
  ['a line that is no JSON', say(`the key is ${SECRET}`), {}, {}],
  ['a question', say(`{"kind":"needs_human","body":{"question":"is it ${escaped}?"}}`), {}, {}],
  ['names of the step', 'true', { stepName: `use ${SECRET}`, promptSummary: SECRET }, {}],
];

function endingWith(
  exit: Awaited<ReturnType<NonNullable<RunStepOptions['executor']>['execute']>>,
): RunStepOptions {
  return { executor: { name: 'ending', execute: () => Promise.resolve(exit) } };
}

/** Files below a directory that hold the secret, or the number, in any spelling that JSON has. */
function filesHolding(directory: string): readonly string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => {
      const text = readFileSync(path, 'utf8');
      const plain = text
        .replaceAll('\\/', '/')
        .replaceAll(/\\u([0-9a-f]{4})/giu, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
      return [text, plain].some((spelling) => spelling.includes(SECRET) || spelling.includes(NUMBER));
    });
}

describe('a secret', () => {
  test.for(WAYS)(
    'given one that comes by %s, when the run has ended, it is in no file of the record',
    async ([, command, changes, options]) => {
      const { requestOf } = setup();

      const result = await runStep(requestOf(command, { ...changes, secrets }), options);

      expectEnvelope(result);
      expect(filesHolding(result.paths.runDir)).toEqual([]);
      expect(JSON.stringify(result)).not.toContain(SECRET);
    },
  );

  test('given a token that nobody named, when a function fails with it, the verdict is written without it', async () => {
    const { requestOf } = setup();
    const token = `ghp_${'a1B2c3'.repeat(6)}`;

    const result = await runStep(requestOf([], asFunction), failing(new Error(`403 for ${token}`)));

    expectEnvelope(result);
    expect(result.summary).toContain('[redacted:');
    expect(readFileSync(join(result.paths.runDir, 'state.json'), 'utf8')).not.toContain(token);
    expect(readFileSync(result.paths.workerLogPath, 'utf8')).not.toContain(token);
  });

  test('given one in the name of an artifact, when it is listed, the envelope does not say it', async () => {
    const { requestOf } = setup();

    const result = await runStep(requestOf(`touch "$CONDUCTOR_ARTIFACTS_DIR/${NUMBER}"`, { secrets }));

    expectEnvelope(result);
    expect(filesHolding(result.paths.runDir)).toEqual([]);
    expect(result.artifacts).toContainEqual(expect.objectContaining({ path: 'artifacts/[redacted:PIN]' }));
  });

  test('given words of ours among the secrets, when the run has ended, its envelope still says how', async () => {
    const { requestOf } = setup();
    const words = ['completed', 'function', 'summary', 'artifact_ref'].map((value, index) => ({
      name: `W${index}`,
      value,
    }));

    const result = await runStep(
      requestOf(say('{"kind":"summary","body":{"text":"a summary"}}'), { secrets: words }),
    );

    expectEnvelope(result);
    expect(result).toMatchObject({ outcome: 'completed', summary: 'a [redacted:W2]' });
    expect(readStepEvents(result.paths.runDir)).toHaveLength(1);
  });

  test('given an owner killed while it wrote the plan or the input, when the run is adopted, nothing of them is left', async () => {
    const { requestOf, runsDir } = setup();
    const request = checkRequest(requestOf('cat', { secrets, stdin: SECRET }));
    const session = await openNewStep(request, withDefaults({}));
    await session.stopWatching();
    await session.options.writer.close();
    const { taskId, runId } = request;
    const runDir = join(runsDir, taskId, runId);
    // Each lies there for the moment between writing and renaming, or opening and removing.
    writeFileSync(join(runDir, '.step.json.tmp'), JSON.stringify(request));
    writeFileSync(join(runDir, '.stdin'), SECRET);

    const { result } = await adoptRun({ runsDir, taskId, runId }, withDefaults({}));

    expectEnvelope(await result);
    expect(filesHolding(runDir)).toEqual([]);
  });
});
